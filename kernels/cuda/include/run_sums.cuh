// SPDX-License-Identifier: GPL-3.0-or-later
// Sums of runs: entries stand in the order of their keys, and every run of one key is added up. Each thread takes a stretch of
// entries, whatever runs they belong to, so that work is even however long runs are. A run that lies within a stretch is
// written to `sums`; what a stretch holds of runs that go on in others is written to two slots of its own, and those slots,
// which are in order again, are the entries of the next round. A key with EMPTY stands for an entry without a point.
//
// A group's `Point` is XyzzPoint (`xyzz.cuh`) or EdwardsPoint (`edwards_sums.cuh`): WORDS of a point in memory, all zero for the
// neutral one, and ROW words of an affine one, which is what is added; neutral(); double_point, add_point and add_row;
// load_point and store_point; is_neutral and on_curve of coordinates that are given; store_row; affine.
#pragma once
#include "ptx.cuh"

constexpr u32 EMPTY = 1u << 31, NO_KEY = ~0u;

// `key(i)`, EMPTY included, and `add(A, i)` for entries i < count; slots 2t and 2t + 1 belong to stretch t.
template <class Point, class Key, class Add>
DEVICE void sum_stretch(
    u32 stretch, u32 length, u32 count, Key key, Add add, u32 *sums, u32 *slot_keys, u32 *slots)
{
    const u32 begin = stretch * length, end = count - begin < length ? count : begin + length;
    const u32 before = begin ? key(begin - 1) & ~EMPTY : NO_KEY, after = end < count ? key(end) & ~EMPTY : NO_KEY;
    const u32 first = key(begin) & ~EMPTY, last = key(end - 1) & ~EMPTY;
    u32 left = first | EMPTY, right = last | EMPTY, current = first;
    Point A = Point::neutral();
    bool some = false;
    ROLLED for (u32 i = begin; i <= end; ++i) {
        const u32 full = i < end ? key(i) : NO_KEY, mine = i < end ? full & ~EMPTY : NO_KEY;
        if (mine != current) {  // a run ends
            const bool goes_on = i == end && after == current, went_on = current == first && before == current;
            if (some && went_on) {
                left = current;
                store_point(slots + (u64)(2 * stretch) * Point::WORDS, A);
            } else if (some && goes_on) {
                right = current;
                store_point(slots + (u64)(2 * stretch + 1) * Point::WORDS, A);
            } else if (some) {
                store_point(sums + (u64)current * Point::WORDS, A);
            }
            A = Point::neutral();
            some = false;
            current = mine;
        }
        if (i < end && !(full & EMPTY)) {
            add(A, i);
            some = true;
        }
    }
    slot_keys[2 * stretch] = left;
    slot_keys[2 * stretch + 1] = right;
}
