// SPDX-License-Identifier: GPL-3.0-or-later
// The table of d·2^(WINDOW_BITS·w)·G, d = 1 … MULTIPLES, for every window w: entry w·MULTIPLES + d − 1.
#pragma once
#include "weierstrass.cuh"

// GROUP consecutive multiples of one window's base, with one inversion. Complete formulas: the first sums are doublings.
template <class Curve> DEVICE void make_table_chunk(const u32 *bases, u32 *table, u32 chunk)
{
    typedef typename Curve::Base F;
    constexpr u32 CHUNKS = Curve::MULTIPLES / GROUP;
    const u32 window = chunk / CHUNKS, before_first = chunk % CHUNKS * GROUP;
    const Affine<F> base = load_entry<F>(bases, window);
    const Homogeneous<F> B = {base.x, base.y, F::small(1)};
    Homogeneous<F> P = {F::small(0), F::small(1), F::small(0)}, multiples[GROUP];
    ROLLED for (int bit = Curve::WINDOW_BITS - 2; bit >= 0; --bit)
    {
        P = complete_sum<Curve>(P, P);
        if (before_first >> bit & 1) P = complete_sum<Curve>(P, B);
    }
    ROLLED for (u32 i = 0; i < GROUP; ++i) multiples[i] = P = complete_sum<Curve>(P, B);
    u32 *first = table + (u64)chunk * GROUP * 2 * F::WORDS;
    share_inversion<typename Curve::BaseParams>(
        0, 1, GROUP, F::small(1), [&](u32 i) { return multiples[i].Z; },
        [&](u32 i, const F &inverse) {
            u32 words[F::WORDS];
            (multiples[i].X * inverse).canonical(words);
            store_little((u8 *)(first + i * 2 * F::WORDS), words);
            (multiples[i].Y * inverse).canonical(words);
            store_little((u8 *)(first + i * 2 * F::WORDS + F::WORDS), words);
        });
}
