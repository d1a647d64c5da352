// SPDX-License-Identifier: GPL-3.0-or-later
// One pass of a stable radix sort over digits of eight bits: count the digits of each tile, turn the counts into places, and
// scatter. A tile is ranked warp by warp: the order within it is warp, row of the warp, lane, which is the order in memory.
// A tile is sorted in shared memory before it is written, so that neighbours in a run go out together.
// Source: Adinets and Merrill, "Onesweep: A Faster Least Significant Digit Radix Sort for GPUs" (2022), section 3, for the
// ranking; places are counted ahead here, so that no block waits for another.
#pragma once
#include "scan.cuh"

constexpr u32 SORT_THREADS = 256, SORT_ITEMS = 16, SORT_TILE = SORT_THREADS * SORT_ITEMS, DIGITS = 256;
constexpr u32 SORT_WARPS = SORT_THREADS / 32, WARP_ITEMS = 32 * SORT_ITEMS;

DEVICE u32 digit_of(u64 key, u32 shift) { return (u32)(key >> shift) & (DIGITS - 1); }

// counts[digit][tile] = keys of the tile with this digit.
KERNEL(radix_counts, 256, 4)(u32 count, u32 tiles, u32 shift, const u64 *keys, u32 *counts)
{
    SHARED u32 found[DIGITS];
    for_blocks(tile, tiles)
    {
        for_threads(thread, SORT_THREADS) found[thread] = 0;
        for_threads(thread, SORT_THREADS)
        {
            UNROLL
            for (u32 item = 0; item < SORT_ITEMS; ++item) {
                const u32 at = tile * SORT_TILE + item * SORT_THREADS + thread;
                if (at < count) atomic_add(&found[digit_of(keys[at], shift)], 1);
            }
        }
        for_threads(thread, SORT_THREADS) counts[thread * tiles + tile] = found[thread];
    }
}

// counts[digit][tile] becomes the keys of this digit in earlier tiles; totals[digit] all of them. One block for a digit.
KERNEL(radix_places, 256, 4)(u32 tiles, u32 *counts, u32 *totals)
{
    SHARED u32 lanes[2][SCAN_THREADS], carry;
    for_blocks(digit, DIGITS)
    {
        u32 *row = counts + digit * tiles;
        for_threads(thread, SCAN_THREADS) if (thread == 0) carry = 0;
        for (u32 begin = 0; begin < tiles; begin += SCAN_THREADS) {
            for_threads(thread, SCAN_THREADS) lanes[0][thread] = begin + thread < tiles ? row[begin + thread] : 0;
            scan_block(1, lanes);
            for_threads(thread, SCAN_THREADS)
                if (begin + thread < tiles) row[begin + thread] = carry + (thread ? lanes[0][thread - 1] : 0);
            for_threads(thread, SCAN_THREADS) if (thread == 0) carry += lanes[0][SCAN_THREADS - 1];
        }
        for_threads(thread, SCAN_THREADS) if (thread == 0) totals[digit] = carry;
    }
}

// Keys, and payloads if there are any, go to their places.
KERNEL(radix_scatter, 256, 3)
(u32 count, u32 tiles, u32 shift, u32 with_payload, const u64 *keys, const u32 *payload, const u32 *counts,
 const u32 *totals, u64 *keys_out, u32 *payload_out)
{
    SHARED u64 exchange[SORT_TILE];
    SHARED u32 seen[SORT_WARPS][DIGITS];
    SHARED u32 lanes[2][SCAN_THREADS], first[DIGITS], target[DIGITS];
    KEPT(u64, key, SORT_THREADS, SORT_ITEMS);
    KEPT(u32, place, SORT_THREADS, SORT_ITEMS);
    KEPT(u32, address, SORT_THREADS, SORT_ITEMS);
    for_blocks(tile, tiles)
    {
        const u32 begin = tile * SORT_TILE, valid = count - begin < SORT_TILE ? count - begin : SORT_TILE;
        for_threads(thread, SORT_THREADS)
        {
            UNROLL
            for (u32 warp = 0; warp < SORT_WARPS; ++warp) seen[warp][thread] = 0;
            lanes[0][thread] = totals[thread];
        }
        scan_block(1, lanes);
        for_threads(thread, SORT_THREADS)
        {
            const u32 before = thread ? lanes[0][thread - 1] : 0;
            target[thread] = before + counts[thread * tiles + tile];
            UNROLL
            for (u32 item = 0; item < SORT_ITEMS; ++item) {
                const u32 at = thread / 32 * WARP_ITEMS + item * 32 + thread % 32;
                key[own(thread)][item] = at < valid ? keys[begin + at] : ~(u64)0;  // what is not there sorts behind the rest
            }
        }
        UNROLL
        for (u32 item = 0; item < SORT_ITEMS; ++item) {
            for_lanes(thread, SORT_THREADS)
                place[own(thread)][item] = claim_in_warp(seen[thread / 32], digit_of(key[own(thread)][item], shift));
        }
        meet();
        for_threads(thread, SORT_THREADS)
        {
            u32 sum = 0;
            UNROLL
            for (u32 warp = 0; warp < SORT_WARPS; ++warp) {
                const u32 here = seen[warp][thread];
                seen[warp][thread] = sum;
                sum += here;
            }
            lanes[0][thread] = sum;
        }
        scan_block(1, lanes);
        for_threads(thread, SORT_THREADS)
        {
            first[thread] = thread ? lanes[0][thread - 1] : 0;
            target[thread] -= first[thread];
        }
        for_threads(thread, SORT_THREADS)
        {
            UNROLL
            for (u32 item = 0; item < SORT_ITEMS; ++item) {
                const u32 digit = digit_of(key[own(thread)][item], shift);
                place[own(thread)][item] += first[digit] + seen[thread / 32][digit];
                exchange[place[own(thread)][item]] = key[own(thread)][item];
            }
        }
        for_threads(thread, SORT_THREADS)
        {
            UNROLL
            for (u32 item = 0; item < SORT_ITEMS; ++item) {
                const u32 slot = item * SORT_THREADS + thread;
                address[own(thread)][item] = target[digit_of(exchange[slot], shift)] + slot;
                if (slot < valid) keys_out[address[own(thread)][item]] = exchange[slot];
            }
        }
        if (with_payload) {
            for_threads(thread, SORT_THREADS)
            {
                UNROLL
                for (u32 item = 0; item < SORT_ITEMS; ++item) {
                    const u32 at = thread / 32 * WARP_ITEMS + item * 32 + thread % 32;
                    exchange[place[own(thread)][item]] = at < valid ? payload[begin + at] : 0;
                }
            }
            for_threads(thread, SORT_THREADS)
            {
                UNROLL
                for (u32 item = 0; item < SORT_ITEMS; ++item) {
                    const u32 slot = item * SORT_THREADS + thread;
                    if (slot < valid) payload_out[address[own(thread)][item]] = (u32)exchange[slot];
                }
            }
        }
    }
}
