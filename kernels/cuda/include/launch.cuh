// SPDX-License-Identifier: GPL-3.0-or-later
// How a kernel meets its threads. A kernel body is a function of its arguments that walks over items with `for_items`: on a
// GPU each thread takes the items that are its own, on a host one call takes them all. Where the threads of a block work
// together, the body is a row of phases over shared memory: each is run by all threads, and then they meet.
#pragma once
#include "ptx.cuh"

#ifdef __CUDACC__

// KERNEL(name, most threads of a block, least blocks of a multiprocessor)(parameters) { body }
#define KERNEL(name, threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks) name
#define for_items(index, count)                                                                                        \
    for (u32 index = blockIdx.x * blockDim.x + threadIdx.x; index < (count); index += gridDim.x * blockDim.x)
#define SHARED __shared__
#define for_blocks(block, count) for (u32 block = blockIdx.x; block < (count); block += gridDim.x)
#define for_threads(thread, threads)                                                                                   \
    for (u32 thread = threadIdx.x, once = 1; once; once = 0, __syncthreads())

DEVICE u32 atomic_add(u32 *place, u32 value) { return atomicAdd(place, value); }
DEVICE void atomic_min(u32 *place, u32 value) { atomicMin(place, value); }

#else

#define KERNEL(name, threads, blocks) extern "C" void name
#define for_items(index, count) for (u32 index = 0; index < (count); ++index)
#define SHARED static
#define for_blocks(block, count) for (u32 block = 0; block < (count); ++block)
#define for_threads(thread, threads) for (u32 thread = 0; thread < (threads); ++thread)

DEVICE u32 atomic_add(u32 *place, u32 value)
{
    const u32 before = *place;
    *place = before + value;
    return before;
}
DEVICE void atomic_min(u32 *place, u32 value)
{
    if (value < *place) *place = value;
}

#endif
