// SPDX-License-Identifier: GPL-3.0-or-later
// What sorting and scanning ask of a warp and of memory, each beside a portable version. On a host the lanes of a
// block take their turns from the first to the last; nothing else may depend on the order of threads, nor of blocks.
#pragma once
#include "launch.cuh"

#ifdef __CUDACC__

// A small array of each thread that outlives a phase: registers. It is read as name[own(thread)][item].
#define KEPT(type, name, threads, items) type name[1][items]
DEVICE u32 own(u32) { return 0; }

// A phase after which only the threads of a warp meet; the number of threads must be a multiple of 32.
#define for_lanes(thread, threads) for (u32 thread = threadIdx.x, once = 1; once; once = 0, __syncwarp())

// The threads of the block meet.
DEVICE void meet() { __syncthreads(); }

// The place of this lane's digit among equal digits that the warp has seen, which `counters` holds: all 32 lanes call this
// together, lower lanes come first. Eight ballots find the lanes with the same digit.
DEVICE u32 claim_in_warp(u32 *counters, u32 digit)
{
    u32 peers = ~0u;
    UNROLL
    for (u32 bit = 0; bit < 8; ++bit) {
        const bool set = digit >> bit & 1;
        const u32 votes = __ballot_sync(~0u, set);
        peers &= set ? votes : ~votes;
    }
    const u32 lane = threadIdx.x & 31;
    const u32 place = counters[digit] + __popc(peers & ((1u << lane) - 1));
    __syncwarp();
    if ((peers >> lane) >> 1 == 0) counters[digit] = place + 1;  // the last of its peers
    __syncwarp();
    return place;
}

// place |= value, of every thread of full warps that call this together.
DEVICE void join_bits(u64 *place, u64 value)
{
    const u32 low = __reduce_or_sync(~0u, (u32)value), high = __reduce_or_sync(~0u, (u32)(value >> 32));
    if ((threadIdx.x & 31) == 0) {
        if (low) atomicOr((u32 *)place, low);
        if (high) atomicOr((u32 *)place + 1, high);
    }
}

// place = max(place, value), likewise.
DEVICE void join_max(u32 *place, u32 value)
{
    const u32 most = __reduce_max_sync(~0u, value);
    if ((threadIdx.x & 31) == 0 && most) atomicMax(place, most);
}

DEVICE u64 product_high(u64 a, u64 b) { return __umul64hi(a, b); }

#else

#define KEPT(type, name, threads, items) static type name[threads][items]
DEVICE u32 own(u32 thread) { return thread; }
#define for_lanes(thread, threads) for (u32 thread = 0; thread < (threads); ++thread)

DEVICE void meet() {}

DEVICE u32 claim_in_warp(u32 *counters, u32 digit) { return counters[digit]++; }

DEVICE void join_bits(u64 *place, u64 value) { *place |= value; }
DEVICE void join_max(u32 *place, u32 value)
{
    if (value > *place) *place = value;
}

__extension__ typedef unsigned __int128 u128;
DEVICE u64 product_high(u64 a, u64 b) { return (u64)((u128)a * b >> 64); }

#endif
