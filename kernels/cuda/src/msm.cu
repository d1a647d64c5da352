// SPDX-License-Identifier: GPL-3.0-or-later
// Multi-scalar multiplication by Pippenger's buckets; what calls these kernels is `supervm.kernels.cuda.msm`.
//
// `Base`, the field of coordinates, `Point`, a group as `run_sums.cuh` takes it, and POINT_BLOCKS, the blocks of a multiprocessor
// that sums of points have registers for, are generated from a GroupSpec or an EdwardsSpec.
#include "constants.cuh"
#include "launch.cuh"
#include "run_sums.cuh"

constexpr u32 NEGATED = 1u << 31;
constexpr u64 NO_POINT = 1ull << 32;

// Points as they are given, canonical words of x and y, to rows; `infinite` says which are the neutral one. `refused` is the least
// 2·index + 1 of a point that is not on the curve, or 2·index where a coordinate is p or more.
KERNEL(msm_points, 128, 1)(u32 count, u32 first, const u32 *given, u32 *rows, u8 *infinite, u32 *refused)
{
    for_items(item, count)
    {
        const u32 *words = given + (u64)item * 2 * Base::WORDS;
        const bool none = Point::is_neutral(words);
        Base x, y;
        const bool below_x = read_element(x, words), below_y = read_element(y, words + Base::WORDS);
        const bool good = none || Point::on_curve(x, y);
        if (!(below_x && below_y))
            atomic_min(refused, 2 * (first + item));
        else if (!good)
            atomic_min(refused, 2 * (first + item) + 1);
        infinite[item] = none;
        Point::store_row(rows + (u64)item * Point::ROW, x, y);
    }
}

// `refused` is the least index of a scalar that is not below the order.
KERNEL(msm_scalars, 128, 1)(u32 count, const u32 *scalars, const u32 *order, u32 *refused)
{
    u32 bound[8];
    UNROLL for (int i = 0; i < 8; ++i) bound[i] = order[i];
    for_items(item, count)
    {
        u32 words[8];
        UNROLL for (int i = 0; i < 8; ++i) words[i] = scalars[(u64)item * 8 + i];
        if (!less_words(words, bound)) atomic_min(refused, item);
    }
}

// The bucket of every point in every window, as a key to sort by: (sum·shared + window mod shared)·buckets + |digit| − 1.
// Where there is nothing to add it is NO_POINT, which is bucket 0 to a sort of the lower bits. Item i is scalar i mod points
// of sum i / points. The offset 2^(bits − 1) in every window has been added to what a digit is read from: see
// `signed_windows.py`.
KERNEL(msm_keys, 128, 1)
(u32 count, u32 points, u32 bits, u32 windows, u32 shared, const u32 *scalars, const u32 *offset,
 const u8 *infinite, u64 *keys, u32 *entries)
{
    for_items(item, count)
    {
        const u32 sum = item / points, point = item - sum * points;
        u32 raised[12];
        raised[0] = add_cc(scalars[(u64)item * 8], offset[0]);
        UNROLL for (int i = 1; i < 8; ++i) raised[i] = addc_cc(scalars[(u64)item * 8 + i], offset[i]);
        raised[8] = addc(offset[8], 0);
        UNROLL for (int i = 9; i < 12; ++i) raised[i] = 0;
        const u32 half = 1u << (bits - 1);
        for (u32 window = 0; window < windows; ++window) {
            const u32 bit = window * bits, word = bit / 32;
            const u64 two = (u64)raised[word + 1] << 32 | raised[word];
            const u32 digit = (u32)(two >> (bit % 32)) & (2 * half - 1);
            const bool negative = digit < half;
            const u32 size = negative ? half - digit : digit - half;
            const u64 at = (u64)window * count + item;
            keys[at] = size && !infinite[point] ? (sum * shared + window % shared) * half + size - 1 : NO_POINT;
            entries[at] = (window / shared * points + point) | (negative ? NEGATED : 0);
        }
    }
}

// The first round: entries are numbers of rows, keys as `msm_keys` made them.
KERNEL(msm_first, 128, POINT_BLOCKS)
(u32 stretches, u32 length, u32 count, const u64 *keys, const u32 *entries, const u32 *rows, u32 *sums,
 u32 *slot_keys, u32 *slots)
{
    for_items(stretch, stretches)
    {
        const auto key = [&](u32 i) { return (u32)keys[i] | (keys[i] == NO_POINT ? EMPTY : 0); };
        const auto add = [&](Point &A, u32 i) {
            const u32 entry = entries[i];
            add_row(A, rows + (u64)(entry & ~NEGATED) * Point::ROW, entry & NEGATED);
        };
        sum_stretch<Point>(stretch, length, count, key, add, sums, slot_keys, slots);
    }
}

// Every other round: entries are the slots of the round before.
KERNEL(msm_next, 128, POINT_BLOCKS)
(u32 stretches, u32 length, u32 count, const u32 *keys, const u32 *points, u32 *sums, u32 *slot_keys, u32 *slots)
{
    for_items(stretch, stretches)
    {
        const auto key = [&](u32 i) { return keys[i]; };
        const auto add = [&](Point &A, u32 i) {
            Point B;
            load_point(B, points + (u64)i * Point::WORDS);
            add_point(A, B);
        };
        sum_stretch<Point>(stretch, length, count, key, add, sums, slot_keys, slots);
    }
}

// Σ (b + 1)·S_b over a segment of a window's buckets: running sums, and the number of buckets before the segment times the
// plain sum. One thread a segment; its entry has the window as key.
KERNEL(msm_segments, 128, POINT_BLOCKS)
(u32 count, u32 segments, u32 buckets, u32 length, const u32 *sums, u32 *keys, u32 *points)
{
    for_items(item, count)
    {
        const u32 window = item / segments, first = item % segments * length;
        const u32 stop = buckets - first < length ? buckets : first + length;
        Point plain = Point::neutral(), weighted = plain, B;
        ROLLED for (u32 bucket = stop; bucket-- > first;) {
            load_point(B, sums + ((u64)window * buckets + bucket) * Point::WORDS);
            add_point(plain, B);
            add_point(weighted, plain);
        }
        Point multiple = Point::neutral();
        ROLLED for (int bit = 31; bit >= 0; --bit) {
            if (first >> bit) double_point(multiple);
            if (first >> bit & 1) add_point(multiple, plain);
        }
        add_point(weighted, multiple);
        keys[item] = window;
        store_point(points + (u64)item * Point::WORDS, weighted);
    }
}

// Rows of `source` times 2^doublings.
KERNEL(msm_multiples, 128, 1)(u32 count, u32 doublings, const u32 *source, u32 *target)
{
    for_items(item, count)
    {
        Point A = Point::neutral();
        add_row(A, source + (u64)item * Point::ROW, false);
        ROLLED for (u32 i = 0; i < doublings; ++i) double_point(A);
        Base x, y;
        A.affine(x, y);
        Point::store_row(target + (u64)item * Point::ROW, x, y);
    }
}
