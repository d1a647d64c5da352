// SPDX-License-Identifier: GPL-3.0-or-later
// Inclusive scans over u32 numbers of the whole device, in three kernels: what each tile sums to, a scan of those by one
// block, and a second pass over the tiles. Two sums are known: addition, and "the last that is not zero", which carries
// marks onward. `backward` scans from the end.
#pragma once
#include "radix_primitives.cuh"

constexpr u32 SCAN_THREADS = 256, SCAN_ITEMS = 16, SCAN_TILE = SCAN_THREADS * SCAN_ITEMS;

DEVICE u32 combined(u32 adds, u32 earlier, u32 later) { return adds ? earlier + later : later ? later : earlier; }

// lanes[0] becomes the inclusive scan of itself; lanes[1] is work space. All threads of the block call this.
DEVICE void scan_block(u32 adds, u32 (*lanes)[SCAN_THREADS])
{
    u32 from = 0;
    for (u32 step = 1; step < SCAN_THREADS; step *= 2, from ^= 1) {
        for_threads(thread, SCAN_THREADS)
        {
            const u32 mine = lanes[from][thread];
            lanes[from ^ 1][thread] = thread < step ? mine : combined(adds, lanes[from][thread - step], mine);
        }
    }
    static_assert(SCAN_THREADS == 256, "eight steps end in lanes[0]");
}

// Where the number at `position` of the scan stands.
DEVICE u32 scan_place(u32 count, u32 backward, u32 position) { return backward ? count - 1 - position : position; }

// sums[tile] = what the numbers of the tile sum to.
KERNEL(scan_sums, 256, 4)(u32 count, u32 tiles, u32 adds, u32 backward, const u32 *numbers, u32 *sums)
{
    SHARED u32 lanes[2][SCAN_THREADS];
    for_blocks(tile, tiles)
    {
        for_threads(thread, SCAN_THREADS)
        {
            const u32 begin = tile * SCAN_TILE + thread * SCAN_ITEMS;
            u32 sum = 0;
            UNROLL
            for (u32 item = 0; item < SCAN_ITEMS; ++item)
                if (begin + item < count)
                    sum = combined(adds, sum, numbers[scan_place(count, backward, begin + item)]);
            lanes[0][thread] = sum;
        }
        scan_block(adds, lanes);
        for_threads(thread, SCAN_THREADS) if (thread == 0) sums[tile] = lanes[0][SCAN_THREADS - 1];
    }
}

// sums becomes its own exclusive scan; one block.
KERNEL(scan_tiles, 256, 1)(u32 tiles, u32 adds, u32 *sums)
{
    SHARED u32 lanes[2][SCAN_THREADS], carry;
    for_blocks(row, 1)
    {
        for_threads(thread, SCAN_THREADS) if (thread == 0) carry = 0;
        for (u32 begin = 0; begin < tiles; begin += SCAN_TILE) {
            KEPT(u32, held, SCAN_THREADS, SCAN_ITEMS);
            for_threads(thread, SCAN_THREADS)
            {
                u32 sum = 0;
                UNROLL
                for (u32 item = 0; item < SCAN_ITEMS; ++item) {
                    const u32 at = begin + thread * SCAN_ITEMS + item;
                    held[own(thread)][item] = at < tiles ? sums[at] : 0;
                    sum = combined(adds, sum, held[own(thread)][item]);
                }
                lanes[0][thread] = sum;
            }
            scan_block(adds, lanes);
            for_threads(thread, SCAN_THREADS)
            {
                u32 sum = thread ? combined(adds, carry, lanes[0][thread - 1]) : carry;
                UNROLL
                for (u32 item = 0; item < SCAN_ITEMS; ++item) {
                    const u32 at = begin + thread * SCAN_ITEMS + item;
                    if (at < tiles) sums[at] = sum;
                    sum = combined(adds, sum, held[own(thread)][item]);
                }
            }
            for_threads(thread, SCAN_THREADS)
                if (thread == 0) carry = combined(adds, carry, lanes[0][SCAN_THREADS - 1]);
        }
    }
}

// out = the inclusive scan of `numbers`, which may be the same memory; `sums` as `scan_tiles` left them.
KERNEL(scan_apply, 256, 4)(u32 count, u32 tiles, u32 adds, u32 backward, const u32 *numbers, const u32 *sums, u32 *out)
{
    SHARED u32 lanes[2][SCAN_THREADS];
    for_blocks(tile, tiles)
    {
        KEPT(u32, held, SCAN_THREADS, SCAN_ITEMS);
        for_threads(thread, SCAN_THREADS)
        {
            const u32 begin = tile * SCAN_TILE + thread * SCAN_ITEMS;
            u32 sum = 0;
            UNROLL
            for (u32 item = 0; item < SCAN_ITEMS; ++item) {
                const u32 position = begin + item;
                const u32 number = position < count ? numbers[scan_place(count, backward, position)] : 0;
                sum = combined(adds, sum, number);
                held[own(thread)][item] = sum;
            }
            lanes[0][thread] = sum;
        }
        scan_block(adds, lanes);
        for_threads(thread, SCAN_THREADS)
        {
            const u32 begin = tile * SCAN_TILE + thread * SCAN_ITEMS;
            const u32 before = thread ? combined(adds, sums[tile], lanes[0][thread - 1]) : sums[tile];
            UNROLL
            for (u32 item = 0; item < SCAN_ITEMS; ++item)
                if (begin + item < count)
                    out[scan_place(count, backward, begin + item)] = combined(adds, before, held[own(thread)][item]);
        }
    }
}
