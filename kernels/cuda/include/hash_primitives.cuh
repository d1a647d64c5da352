// SPDX-License-Identifier: GPL-3.0-or-later
// What hash functions ask of the machine beside `ptx.cuh`: bytes picked out of two words, four words moved at once,
// tables that all threads read at the same place.
#pragma once
#include "ptx.cuh"

#ifdef __CUDACC__

// Four bytes of (hi, lo): nibble i of the selector, 0 … 7, says which becomes byte i.
DEVICE u32 pick_bytes(u32 lo, u32 hi, u32 selector) { return __byte_perm(lo, hi, selector); }

// Both ask for an address that is a multiple of 16.
DEVICE void load_quad(const u32 *from, u32 &a, u32 &b, u32 &c, u32 &d)
{
    const uint4 quad = *(const uint4 *)from;
    a = quad.x, b = quad.y, c = quad.z, d = quad.w;
}
DEVICE void store_quad(u32 *to, u32 a, u32 b, u32 c, u32 d) { *(uint4 *)to = make_uint4(a, b, c, d); }

#else

DEVICE u32 pick_bytes(u32 lo, u32 hi, u32 selector)
{
    const u64 both = (u64)hi << 32 | lo;
    u32 picked = 0;
    for (u32 i = 0; i < 4; ++i) picked |= (u32)(both >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return picked;
}
// A GPU stops at another address; here the words are those of the multiple before it, so that digests come out wrong.
DEVICE void load_quad(const u32 *from, u32 &a, u32 &b, u32 &c, u32 &d)
{
    const u32 *quad = (const u32 *)((u64)from & ~(u64)15);
    a = quad[0], b = quad[1], c = quad[2], d = quad[3];
}
DEVICE void store_quad(u32 *to, u32 a, u32 b, u32 c, u32 d)
{
    u32 *quad = (u32 *)((u64)to & ~(u64)15);
    quad[0] = a, quad[1] = b, quad[2] = c, quad[3] = d;
}

#endif
