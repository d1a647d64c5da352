// SPDX-License-Identifier: GPL-3.0-or-later
// Every inline-PTX primitive of the project, each beside a portable version of it, and the words that differ between
// NVRTC and a host compiler. All other sources are plain C++ over these.
//
// Carry chains: an instruction with suffix _cc sets the carry flag, one that starts with c or ends in c takes it in. PTX
// keeps the flag between instructions; the statements are volatile so that their order stays, and nothing that the
// compiler adds between them touches it (PTX ISA, "Extended-Precision Integer Arithmetic Instructions"). The portable
// versions keep the flag in a variable. For subtractions the flag is the borrow.
#pragma once

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

#ifdef __CUDACC__

#define DEVICE static __device__ __forceinline__
#define METHOD __device__ __forceinline__
#define LARGE_DEVICE DEVICE
#define LARGE_METHOD METHOD
#define OUTLINE static __device__ __noinline__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#define CONSTANT static __constant__ const
#define OPAQUE_CONSTANT static __constant__  // read from memory: the compiler takes its value for unknown

DEVICE u32 add_cc(u32 a, u32 b) { u32 r; asm volatile("add.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 addc_cc(u32 a, u32 b) { u32 r; asm volatile("addc.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 addc(u32 a, u32 b) { u32 r; asm volatile("addc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 sub_cc(u32 a, u32 b) { u32 r; asm volatile("sub.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 subc_cc(u32 a, u32 b) { u32 r; asm volatile("subc.cc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEVICE u32 subc(u32 a, u32 b) { u32 r; asm volatile("subc.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); return r; }

// (hi, lo) = a·b.
DEVICE void mul_wide(u32 &lo, u32 &hi, u32 a, u32 b)
{
    asm volatile("mul.lo.u32 %0, %2, %3; mul.hi.u32 %1, %2, %3;" : "=&r"(lo), "=r"(hi) : "r"(a), "r"(b));
}

// (hi, lo) += a·b, without and with a carry in; both set the flag.
DEVICE void mad_wide_cc(u32 &lo, u32 &hi, u32 a, u32 b)
{
    asm volatile("mad.lo.cc.u32 %0, %2, %3, %0; madc.hi.cc.u32 %1, %2, %3, %1;" : "+&r"(lo), "+r"(hi) : "r"(a), "r"(b));
}
DEVICE void cmad_wide_cc(u32 &lo, u32 &hi, u32 a, u32 b)
{
    asm volatile("madc.lo.cc.u32 %0, %2, %3, %0; madc.hi.cc.u32 %1, %2, %3, %1;" : "+&r"(lo), "+r"(hi) : "r"(a), "r"(b));
}

// (hi, lo) = a·b + (0, lo) with a carry in; there is no carry out, since the sum fits.
DEVICE void cmad_wide_new(u32 &lo, u32 &hi, u32 a, u32 b)
{
    asm volatile("madc.lo.cc.u32 %0, %2, %3, %0; madc.hi.u32 %1, %2, %3, 0;" : "+&r"(lo), "=r"(hi) : "r"(a), "r"(b));
}

// The 32 bits that stand `shift` bits to the left of the end of (hi, lo), shift 0 … 31.
DEVICE u32 funnel_left(u32 lo, u32 hi, u32 shift) { return __funnelshift_l(lo, hi, shift); }
DEVICE u32 funnel_right(u32 lo, u32 hi, u32 shift) { return __funnelshift_r(lo, hi, shift); }
DEVICE u32 swap_bytes(u32 a) { return __byte_perm(a, 0, 0x0123); }
DEVICE u32 reverse_bits(u32 a) { return __brev(a); }

#else

#include <stdint.h>

#define DEVICE static inline __attribute__((unused))
#define METHOD inline
#define LARGE_DEVICE static __attribute__((noinline, unused))  // in line on a GPU only: a host compiler would take minutes
#define LARGE_METHOD __attribute__((noinline))
#define OUTLINE static __attribute__((noinline, unused))
#define UNROLL
#define ROLLED
#define CONSTANT static const __attribute__((unused))
#define OPAQUE_CONSTANT CONSTANT

static u32 carry_flag;

DEVICE u32 sum_with(u32 a, u32 b, u32 carry, bool keep)
{
    const u64 sum = (u64)a + b + carry;
    if (keep) carry_flag = (u32)(sum >> 32);
    return (u32)sum;
}
DEVICE u32 difference_with(u32 a, u32 b, u32 borrow, bool keep)
{
    const u64 difference = (u64)a - b - borrow;
    if (keep) carry_flag = (u32)(difference >> 63);
    return (u32)difference;
}
DEVICE u32 add_cc(u32 a, u32 b) { return sum_with(a, b, 0, true); }
DEVICE u32 addc_cc(u32 a, u32 b) { return sum_with(a, b, carry_flag, true); }
DEVICE u32 addc(u32 a, u32 b) { return sum_with(a, b, carry_flag, false); }
DEVICE u32 sub_cc(u32 a, u32 b) { return difference_with(a, b, 0, true); }
DEVICE u32 subc_cc(u32 a, u32 b) { return difference_with(a, b, carry_flag, true); }
DEVICE u32 subc(u32 a, u32 b) { return difference_with(a, b, carry_flag, false); }

DEVICE void mul_wide(u32 &lo, u32 &hi, u32 a, u32 b)
{
    const u64 product = (u64)a * b;
    lo = (u32)product;
    hi = (u32)(product >> 32);
}
DEVICE void cmad_wide_cc(u32 &lo, u32 &hi, u32 a, u32 b)
{
    const u64 product = (u64)a * b;
    lo = addc_cc(lo, (u32)product);
    hi = addc_cc(hi, (u32)(product >> 32));
}
DEVICE void mad_wide_cc(u32 &lo, u32 &hi, u32 a, u32 b)
{
    carry_flag = 0;
    cmad_wide_cc(lo, hi, a, b);
}
DEVICE void cmad_wide_new(u32 &lo, u32 &hi, u32 a, u32 b)
{
    hi = 0;
    cmad_wide_cc(lo, hi, a, b);
}

DEVICE u32 funnel_left(u32 lo, u32 hi, u32 shift) { return (u32)((((u64)hi << 32 | lo) << shift) >> 32); }
DEVICE u32 funnel_right(u32 lo, u32 hi, u32 shift) { return (u32)(((u64)hi << 32 | lo) >> shift); }
DEVICE u32 swap_bytes(u32 a) { return __builtin_bswap32(a); }
DEVICE u32 reverse_bits(u32 a)
{
    u32 r = 0;
    for (u32 bit = 0; bit < 32; ++bit) r |= (a >> bit & 1) << (31 - bit);
    return r;
}

#endif
