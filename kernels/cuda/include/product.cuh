// SPDX-License-Identifier: GPL-3.0-or-later
// Products and squares of N words (N even), 2N words long.
//
// A product of two words is two words long, and one instruction adds it to two neighbouring words with carry in and out
// if it starts at an even word of a chain. Products that start at even columns are therefore summed in one accumulator,
// those at odd columns in another (whose word k stands for column k + 1), and the two are added at the end.
#pragma once
#include "words.cuh"

// Add a[FIRST]·b, a[FIRST + 2]·b, … (COUNT products) to acc[AT], acc[AT + 1], …; the flag holds the carry.
template <int COUNT, int FIRST, int AT, int N, int M> DEVICE void mad_chain(u32 (&acc)[M], const u32 (&a)[N], u32 b)
{
    mad_wide_cc(acc[AT], acc[AT + 1], a[FIRST], b);
    UNROLL for (int i = 1; i < COUNT; ++i) cmad_wide_cc(acc[AT + 2 * i], acc[AT + 2 * i + 1], a[FIRST + 2 * i], b);
}

// The same where acc[AT + 2·COUNT − 1], the last word, is new: the carry ends in it.
template <int COUNT, int FIRST, int AT, int N, int M> DEVICE void mad_chain_new(u32 (&acc)[M], const u32 (&a)[N], u32 b)
{
    constexpr int LAST = 2 * COUNT - 2;
    if constexpr (COUNT == 1) {
        acc[AT + 1] = 0;
        mad_wide_cc(acc[AT], acc[AT + 1], a[FIRST], b);
    } else {
        mad_chain<COUNT - 1, FIRST, AT>(acc, a, b);
        cmad_wide_new(acc[AT + LAST], acc[AT + LAST + 1], a[FIRST + LAST], b);
    }
}

// even + odd·2^32, which has M words.
template <int M> DEVICE void join_columns(u32 (&r)[M], const u32 (&even)[M], const u32 (&odd)[M])
{
    r[0] = even[0];
    r[1] = add_cc(even[1], odd[0]);
    UNROLL for (int i = 2; i < M - 1; ++i) r[i] = addc_cc(even[i], odd[i - 1]);
    r[M - 1] = addc(even[M - 1], odd[M - 2]);
}

// Two rows of a product, those of b[J] and b[J + 1], J even and above 0.
template <int J, int N> DEVICE void product_rows(u32 (&even)[2 * N], u32 (&odd)[2 * N], const u32 (&a)[N], const u32 (&b)[N])
{
    if constexpr (J < N) {
        mad_chain<N / 2, 0, J>(even, a, b[J]);
        even[J + N] = addc(0, 0);
        mad_chain_new<N / 2, 1, J>(odd, a, b[J]);
        mad_chain_new<N / 2, 1, J + 2>(even, a, b[J + 1]);
        mad_chain<N / 2, 0, J>(odd, a, b[J + 1]);
        odd[J + N] = addc(0, 0);
        product_rows<J + 2>(even, odd, a, b);
    }
}

template <int N> LARGE_DEVICE void multiply_words(u32 (&r)[2 * N], const u32 (&a)[N], const u32 (&b)[N])
{
    u32 even[2 * N], odd[2 * N];
    UNROLL for (int i = 0; i < N; i += 2) {
        mul_wide(even[i], even[i + 1], a[i], b[0]);
        mul_wide(odd[i], odd[i + 1], a[i + 1], b[0]);
    }
    even[N] = 0;
    mad_chain_new<N / 2, 1, 2>(even, a, b[1]);
    mad_chain<N / 2, 0, 0>(odd, a, b[1]);
    odd[N] = addc(0, 0);
    product_rows<2>(even, odd, a, b);
    join_columns(r, even, odd);
}

// The products a[I]·a[j] and a[I + 1]·a[j] with j beyond the first factor, I even and above 0.
template <int I, int N> DEVICE void cross_rows(u32 (&even)[2 * N], u32 (&odd)[2 * N], const u32 (&a)[N])
{
    if constexpr (I < N) {
        constexpr int LATER = (N - I) / 2;  // odd indices above I; even ones are one fewer
        mad_chain_new<LATER, I + 1, 2 * I>(odd, a, a[I]);
        if constexpr (LATER > 1) {
            mad_chain<LATER - 1, I + 2, 2 * I + 2>(even, a, a[I]);
            even[I + N] = addc(0, 0);
            mad_chain<LATER - 1, I + 2, 2 * I + 2>(odd, a, a[I + 1]);
            odd[I + N] = addc(0, 0);
            mad_chain_new<LATER - 1, I + 3, 2 * I + 4>(even, a, a[I + 1]);
        }
        cross_rows<I + 2>(even, odd, a);
    }
}

// N·(N + 1)/2 products of words: those of different words once, doubled, and the squares.
template <int N> LARGE_DEVICE void square_words(u32 (&r)[2 * N], const u32 (&a)[N])
{
    u32 even[2 * N], odd[2 * N], cross[2 * N];
    even[0] = even[1] = even[N] = even[2 * N - 2] = even[2 * N - 1] = 0;
    odd[2 * N - 2] = odd[2 * N - 1] = 0;
    UNROLL for (int i = 2; i < N; i += 2) mul_wide(even[i], even[i + 1], a[0], a[i]);
    UNROLL for (int i = 0; i < N; i += 2) mul_wide(odd[i], odd[i + 1], a[0], a[i + 1]);
    mad_chain<N / 2 - 1, 2, 2>(odd, a, a[1]);
    odd[N] = addc(0, 0);
    mad_chain_new<N / 2 - 1, 3, 4>(even, a, a[1]);
    cross_rows<2>(even, odd, a);
    join_columns(cross, even, odd);
    r[0] = 0;
    UNROLL for (int i = 2 * N - 1; i > 0; --i) r[i] = funnel_left(cross[i - 1], cross[i], 1);
    mad_wide_cc(r[0], r[1], a[0], a[0]);
    UNROLL for (int i = 1; i < N; ++i) cmad_wide_cc(r[2 * i], r[2 * i + 1], a[i], a[i]);
}
