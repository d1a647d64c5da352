// SPDX-License-Identifier: GPL-3.0-or-later
// Sums in a FoldField with one reduction for all their terms, and halves. For FOLD = FOLD_LOW + 2^32.
#pragma once
#include "fold_field.cuh"

// The element of t + carry·2^512, carry 0 or 1: as FoldField::reduce, with carry·FOLD on top of the words that are folded a
// second time, (over, t[8]), which stay below 2^34.
template <class Params> LARGE_DEVICE FoldField<Params> reduce_carried(u32 (&t)[16], u32 carry)
{
    static_assert(Params::FOLD_HIGH == 1, "the words of a fold are placed for FOLD = FOLD_LOW + 2^32");
    u32 high[8], lo, hi;
    UNROLL for (int i = 0; i < 8; ++i) high[i] = t[8 + i];
    mad_chain<4, 0, 0>(t, high, Params::FOLD_LOW);
    t[8] = addc(0, 0);
    mad_chain<4, 1, 1>(t, high, Params::FOLD_LOW);
    t[1] = add_cc(t[1], high[0]);
    UNROLL for (int i = 1; i < 8; ++i) t[i + 1] = addc_cc(t[i + 1], high[i]);
    u32 over = addc(carry, 0);
    t[8] = add_cc(t[8], carry * Params::FOLD_LOW);
    over = addc(over, 0);
    // (over, t[8])·FOLD: below 2^67.
    mul_wide(lo, hi, t[8], Params::FOLD_LOW);
    hi = add_cc(hi, t[8]);
    const u32 top = addc(over, 0);
    hi = add_cc(hi, over * Params::FOLD_LOW);
    const u32 most = addc(top, 0);
    FoldField<Params> r;
    r.w[0] = add_cc(t[0], lo);
    r.w[1] = addc_cc(t[1], hi);
    r.w[2] = addc_cc(t[2], most);
    UNROLL for (int i = 3; i < 8; ++i) r.w[i] = addc_cc(t[i], 0);
    const u32 again = addc(0, 0);
    r.w[0] = add_cc(r.w[0], again * Params::FOLD_LOW);
    r.w[1] = addc_cc(r.w[1], again);
    r.w[2] = addc(r.w[2], 0);
    return r;
}

// a·b + c².
template <class Params>
LARGE_DEVICE FoldField<Params> product_plus_square(const FoldField<Params> &a, const FoldField<Params> &b,
                                                   const FoldField<Params> &c)
{
    u32 t[16], square[16];
    multiply_words(t, a.w, b.w);
    square_words(square, c.w);
    return reduce_carried<Params>(t, add_words(t, t, square));
}

// a·b + c·d.
template <class Params>
LARGE_DEVICE FoldField<Params> sum_of_products(const FoldField<Params> &a, const FoldField<Params> &b,
                                               const FoldField<Params> &c, const FoldField<Params> &d)
{
    u32 t[16], other[16];
    multiply_words(t, a.w, b.w);
    multiply_words(other, c.w, d.w);
    return reduce_carried<Params>(t, add_words(t, t, other));
}

// Take `borrows` (0 … 3) times 2^256 off r: borrows·FOLD, and FOLD again if that borrows, which leaves r just below 2^256.
template <class Params> LARGE_DEVICE void fold_borrows(FoldField<Params> &r, u32 borrows)
{
    r.w[0] = sub_cc(r.w[0], borrows * Params::FOLD_LOW);
    r.w[1] = subc_cc(r.w[1], borrows * Params::FOLD_HIGH);
    UNROLL for (int i = 2; i < 8; ++i) r.w[i] = subc_cc(r.w[i], 0);
    const u32 again = subc(0, 0);
    r.w[0] = sub_cc(r.w[0], again & Params::FOLD_LOW);
    r.w[1] = subc(r.w[1], again & Params::FOLD_HIGH);
}

// a − 2b.
template <class Params>
LARGE_DEVICE FoldField<Params> minus_twice(const FoldField<Params> &a, const FoldField<Params> &b)
{
    FoldField<Params> r;
    u32 borrows = 0 - sub_words(r.w, a.w, b.w);
    borrows -= sub_words(r.w, r.w, b.w);
    fold_borrows(r, borrows);
    return r;
}

// a − b − 2c.
template <class Params>
LARGE_DEVICE FoldField<Params> minus_one_and_twice(const FoldField<Params> &a, const FoldField<Params> &b,
                                                   const FoldField<Params> &c)
{
    FoldField<Params> r;
    u32 borrows = 0 - sub_words(r.w, a.w, b.w);
    borrows -= sub_words(r.w, r.w, c.w);
    borrows -= sub_words(r.w, r.w, c.w);
    fold_borrows(r, borrows);
    return r;
}

// a/2: a or a + p, whichever is even, by a shift.
template <class F> LARGE_DEVICE F halved(const F &a)
{
    u32 m[F::WORDS];
    F::modulus(m);
    const u32 mask = 0 - (a.w[0] & 1);
    UNROLL for (int i = 0; i < F::WORDS; ++i) m[i] &= mask;
    F r;
    const u32 carry = add_words(m, a.w, m);
    UNROLL for (int i = 0; i < F::WORDS - 1; ++i) r.w[i] = funnel_right(m[i], m[i + 1], 1);
    r.w[F::WORDS - 1] = funnel_right(m[F::WORDS - 1], carry, 1);
    return r;
}
