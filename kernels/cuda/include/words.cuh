// SPDX-License-Identifier: GPL-3.0-or-later
// Integers as arrays of 32-bit words, least significant first.
#pragma once
#include "ptx.cuh"

template <int N> DEVICE u32 add_words(u32 (&r)[N], const u32 (&a)[N], const u32 (&b)[N])
{
    r[0] = add_cc(a[0], b[0]);
    UNROLL for (int i = 1; i < N; ++i) r[i] = addc_cc(a[i], b[i]);
    return addc(0, 0);
}

// The borrow is all ones, or 0.
template <int N> DEVICE u32 sub_words(u32 (&r)[N], const u32 (&a)[N], const u32 (&b)[N])
{
    r[0] = sub_cc(a[0], b[0]);
    UNROLL for (int i = 1; i < N; ++i) r[i] = subc_cc(a[i], b[i]);
    return subc(0, 0);
}

template <int N> DEVICE bool less_words(const u32 (&a)[N], const u32 (&b)[N])
{
    u32 unused[N];
    return sub_words(unused, a, b) != 0;
}

template <int N> DEVICE bool zero_words(const u32 (&a)[N])
{
    u32 any = 0;
    UNROLL for (int i = 0; i < N; ++i) any |= a[i];
    return any == 0;
}

template <int N> DEVICE bool equal_words(const u32 (&a)[N], const u32 (&b)[N])
{
    u32 any = 0;
    UNROLL for (int i = 0; i < N; ++i) any |= a[i] ^ b[i];
    return any == 0;
}

// r = condition ? a : b.
template <int N> DEVICE void select_words(u32 (&r)[N], bool condition, const u32 (&a)[N], const u32 (&b)[N])
{
    UNROLL for (int i = 0; i < N; ++i) r[i] = condition ? a[i] : b[i];
}

// Words from bytes, wherever they lie: `bytes` need not be aligned.
template <int N> DEVICE void load_little(u32 (&r)[N], const u8 *bytes)
{
    if (((u64)bytes & 3) == 0)
        UNROLL for (int i = 0; i < N; ++i) r[i] = ((const u32 *)bytes)[i];
    else
        UNROLL for (int i = 0; i < N; ++i)
            r[i] = bytes[4 * i] | (u32)bytes[4 * i + 1] << 8 | (u32)bytes[4 * i + 2] << 16 | (u32)bytes[4 * i + 3] << 24;
}
template <int N> DEVICE void load_big(u32 (&r)[N], const u8 *bytes)
{
    u32 reversed[N];
    load_little(reversed, bytes);
    UNROLL for (int i = 0; i < N; ++i) r[i] = swap_bytes(reversed[N - 1 - i]);
}
// Both ask for addresses that are multiples of four.
template <int N> DEVICE void store_little(u8 *bytes, const u32 (&a)[N])
{
    UNROLL for (int i = 0; i < N; ++i) ((u32 *)bytes)[i] = a[i];
}
template <int N> DEVICE void store_big(u8 *bytes, const u32 (&a)[N])
{
    UNROLL for (int i = 0; i < N; ++i) ((u32 *)bytes)[i] = swap_bytes(a[N - 1 - i]);
}
