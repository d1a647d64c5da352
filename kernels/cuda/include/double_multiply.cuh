// SPDX-License-Identifier: GPL-3.0-or-later
// u₁·G + u₂·Q on a short Weierstrass curve with an endomorphism (x, y) → (βx, y) that multiplies by λ (Gallant, Lambert,
// Vanstone, CRYPTO 2001).
//
// u₂ ≡ ±k₁ ± k₂·λ with halves below 2^128, each in 33 signed nibbles against eight multiples of Q that the thread builds
// for itself; then u₁ in signed windows of 12 bits against the multiples of 2^(12·w)·G that all threads share.
//
// The multiples of Q have one Z in common, Zc: they are affine points of the isomorphic curve y² = x³ + b·Zc⁶, whose group
// law does not name b. The first sum is formed there, and Z ← Z·Zc brings it back. Zc is Q.y times the differences of
// abscissas of i·Q and Q for i = 2 … 7, and is never 0 mod p: the order of Q is a prime above 8, so none of these points
// are equal or opposite and Q.y is not 0. Z ≡ 0 thus means the same on both curves.
#pragma once
#include "weierstrass.cuh"

// Columns of one item.
static constexpr u32 POINT_WORDS = 16;   // x, y of Q
static constexpr u32 SCALAR_WORDS = 17;  // u₁, |k₁|, |k₂|, signs: bit 0 that of k₁, bit 1 that of k₂
static constexpr u32 RESULT_WORDS = 24;  // X, Y, Z, Jacobian
static constexpr u32 HALVES = 8, SIGNS = 16;

// What a verdict is while an item is on its way; −1 and 0 are final.
static constexpr i8 MALFORMED = -1, INVALID = 0, OPEN = 1, EXCEPTIONAL = 2;

// (u·g + 2^383) >> 384, four words.
DEVICE void rounded_share(u32 (&share)[8], const u32 (&u)[8], const u32 (&g)[8])
{
    u32 t[16];
    multiply_words(t, u, g);
    share[0] = add_cc(t[12], t[11] >> 31);
    UNROLL for (int i = 1; i < 4; ++i) share[i] = addc_cc(t[12 + i], 0);
    UNROLL for (int i = 4; i < 8; ++i) share[i] = 0;
}

// |k| of k mod n, the one of k and n − k that is small; true if it is n − k.
template <class Scalar, class Curve> DEVICE bool magnitude(u32 (&low)[4], const Scalar &k)
{
    u32 half[8];
    Curve::half_order(half);
    const bool negative = less_words(half, k.w);
    const Scalar opposite = -k;
    UNROLL for (int i = 0; i < 4; ++i) low[i] = negative ? opposite.w[i] : k.w[i];
    return negative;
}

// Write u₁ and the halves of u₂, both below n. Guide to ECC, algorithm 3.74: k₂ = −c₁·b₁ − c₂·b₂, k₁ = u₂ − k₂·λ. A product
// of a plain number with a constant in Montgomery form is plain.
template <class Curve>
DEVICE void store_scalars(u32 *scalars, u32 item, u32 count, const u32 (&u1)[8], const u32 (&u2)[8])
{
    typedef typename Curve::Scalar Scalar;
    u32 g[8], k1[4], k2[4], signs[1];
    Scalar c1, c2, u;
    Curve::share_factor_1(g);
    rounded_share(c1.w, u2, g);
    Curve::share_factor_2(g);
    rounded_share(c2.w, u2, g);
    UNROLL for (int i = 0; i < 8; ++i) u.w[i] = u2[i];
    const Scalar second = c1 * Curve::minus_b1() + c2 * Curve::minus_b2();
    signs[0] = magnitude<Scalar, Curve>(k1, u - second * Curve::lambda());
    signs[0] |= magnitude<Scalar, Curve>(k2, second) << 1;
    store_column(scalars, 0, item, count, u1);
    store_column(scalars, HALVES, item, count, k1);
    store_column(scalars, HALVES + 4, item, count, k2);
    store_column(scalars, SIGNS, item, count, signs);
}

template <class F> DEVICE void store_point(u32 *points, u32 item, u32 count, const Affine<F> &P)
{
    store_column(points, 0, item, count, P.x.w);
    store_column(points, 8, item, count, P.y.w);
}
template <class F> DEVICE Affine<F> load_point(const u32 *points, u32 item, u32 count)
{
    Affine<F> P;
    load_column(P.x.w, points, 0, item, count);
    load_column(P.y.w, points, 8, item, count);
    return P;
}
template <class F> DEVICE void store_result(u32 *results, u32 item, u32 count, const Jacobian<F> &P)
{
    store_column(results, 0, item, count, P.X.w);
    store_column(results, 8, item, count, P.Y.w);
    store_column(results, 16, item, count, P.Z.w);
}

template <class F> DEVICE Jacobian<F> load_result(const u32 *results, u32 item, u32 count)
{
    Jacobian<F> P;
    load_column(P.X.w, results, 0, item, count);
    load_column(P.Y.w, results, 8, item, count);
    load_column(P.Z.w, results, 16, item, count);
    return P;
}

// The affine results of the items of one thread, with one inversion: use(item, finite, P). An item whose verdict is not
// OPEN has no result: `finite` is false and P is (0, 0).
template <class Curve, class Use>
DEVICE void invert_results(u32 thread, u32 threads, const u32 *results, const i8 *verdicts, u32 count, Use use)
{
    typedef typename Curve::Base F;
    share_inversion<typename Curve::BaseParams>(
        thread, threads, count, F::small(1),
        [&](u32 item) {
            F Z = F::small(1);
            if (verdicts[item] == OPEN) load_column(Z.w, results, 16, item, count);
            return Z;
        },
        [&](u32 item, const F &inverse) {
            Affine<F> P = {F::small(0), F::small(0)};
            const bool finite = verdicts[item] == OPEN;
            if (finite) {
                const F square = inverse.squared();
                load_column(P.x.w, results, 0, item, count);
                load_column(P.y.w, results, 8, item, count);
                P.x = P.x * square;
                P.y = P.y * (square * inverse);
            }
            use(item, finite, P);
        });
}

// Q, 2Q, …, 8Q on the curve where they are affine, and βx beside each x.
template <class F> struct Multiples {
    F x[8], beta_x[8], y[8];
};

// Fill the table and return Zc: 59 products, 22 squares. Each multiple comes from the one before and from Q brought to the
// same Z (Meloni, WAIFI 2007), so that a step costs 4 products and 2 squares and Z grows by a factor H, which is kept in
// `beta_x`; then all are brought to the last Z, from the last to the first.
template <class Curve> DEVICE typename Curve::Base build_multiples(Multiples<typename Curve::Base> &table,
                                                                   const Affine<typename Curve::Base> &Q)
{
    typedef typename Curve::Base F;
    // 2Q with Z = Q.y, as by `negated_double` but for the sign; Q with that Z is (x·y², y·y³).
    const F A = Q.x.squared(), B = Q.y.squared(), L = A + halved(A);
    Affine<F> one, R;
    one.x = Q.x * B;
    one.y = B.squared();
    R.x = minus_twice(L.squared(), one.x);
    R.y = L * (one.x - R.x) - one.y;
    ROLLED for (int i = 1; i < 7; ++i)
    {
        table.x[i] = R.x;
        table.y[i] = R.y;
        const F H = one.x - R.x, HH = H.squared(), V = R.x * HH, S = one.y - R.y;
        table.beta_x[i] = H;
        one.x = one.x * HH;
        one.y = one.y * (one.x - V);
        R.x = S.squared() - one.x - V;
        R.y = S * (one.x - R.x) - one.y;
    }
    table.x[0] = one.x;
    table.y[0] = one.y;
    table.beta_x[0] = one.x * Curve::beta();
    table.x[7] = R.x;
    table.y[7] = R.y;
    table.beta_x[7] = R.x * Curve::beta();
    F scale = F::small(1);
    ROLLED for (int i = 6; i > 0; --i)
    {
        scale = scale * table.beta_x[i];
        const F square = scale.squared(), x = table.x[i] * square;
        table.x[i] = x;
        table.beta_x[i] = x * Curve::beta();
        table.y[i] = table.y[i] * (square * scale);
    }
    return scale * Q.y;
}

// The sum on its way, or its opposite if `negated`. While nothing has been added it is `empty`, and Z is 0.
template <class F> struct Sum {
    Jacobian<F> P;
    bool empty, negated;

    // Add (x, ±y).
    METHOD void add(Affine<F> Q, bool minus)
    {
        Q.y = F::select(minus != negated, -Q.y, Q.y);
        if (empty) {
            P.X = Q.x;
            P.Y = Q.y;
            P.Z = F::small(1);
            empty = false;
        } else {
            P = negated_sum(P, Q);
            negated = !negated;
        }
    }
};

// k + 8·(1 + 16 + … + 16^31), whose nibbles less eight are the signed digits of k, the 33rd as it is.
DEVICE void add_eights(u32 (&digits)[5], const u32 (&k)[4])
{
    digits[0] = add_cc(k[0], 0x88888888u);
    UNROLL for (int i = 1; i < 4; ++i) digits[i] = addc_cc(k[i], 0x88888888u);
    digits[4] = addc(0, 0);
}

// The digit at the top of four words, and the next one to the top.
DEVICE i32 take_nibble(u32 (&digits)[5])
{
    const i32 digit = (i32)(digits[3] >> 28) - 8;
    UNROLL for (int i = 3; i > 0; --i) digits[i] = funnel_left(digits[i - 1], digits[i], 4);
    digits[0] <<= 4;
    return digit;
}

// ±k₁·Q ± k₂·λ·Q: 128 doublings, 66 additions.
template <class Curve> DEVICE void add_multiple(Sum<typename Curve::Base> &sum, const Affine<typename Curve::Base> &Q,
                                                const u32 *scalars, u32 item, u32 count)
{
    typedef typename Curve::Base F;
    Multiples<F> table;
    const F common = build_multiples<Curve>(table, Q);
    u32 k[4], first[5], second[5], signs[1];
    load_column(k, scalars, HALVES, item, count);
    add_eights(first, k);
    load_column(k, scalars, HALVES + 4, item, count);
    add_eights(second, k);
    load_column(signs, scalars, SIGNS, item, count);
    i32 digit1 = first[4], digit2 = second[4];
    ROLLED for (int window = 32;; --window)
    {
        ROLLED for (int half = 0; half < 2; ++half)
        {
            const i32 digit = half ? digit2 : digit1;
            if (digit != 0) {
                const u32 index = (digit < 0 ? -digit : digit) - 1;
                Affine<F> entry;
                entry.x = (half ? table.beta_x : table.x)[index];
                entry.y = table.y[index];
                sum.add(entry, (digit < 0) != (signs[0] >> half & 1));
            }
        }
        if (window == 0) break;
        ROLLED for (int i = 0; i < 4; ++i) sum.P = negated_double(sum.P);  // four signs cancel
        digit1 = take_nibble(first);
        digit2 = take_nibble(second);
    }
    sum.P.Z = sum.P.Z * common;
}

// u₁·G: 22 additions. A window above half its range is taken less 2^WINDOW_BITS, and the next one is raised by one.
template <class Curve> DEVICE void add_base_multiple(Sum<typename Curve::Base> &sum, const u32 *table, const u32 *scalars,
                                                     u32 item, u32 count)
{
    typedef typename Curve::Base F;
    constexpr u32 BITS = Curve::WINDOW_BITS, MULTIPLES = Curve::MULTIPLES;
    u32 raised = 0;
    ROLLED for (u32 window = 0; window < Curve::WINDOWS; ++window)
    {
        const u32 word = window * BITS / 32, shift = window * BITS % 32;
        const u32 low = scalars[(u64)word * count + item];
        const u32 high = word < HALVES - 1 ? scalars[(u64)(word + 1) * count + item] : 0;
        const u32 value = (funnel_right(low, high, shift) & ((1 << BITS) - 1)) + raised;
        raised = value > MULTIPLES;
        const u32 size = raised ? (1 << BITS) - value : value;
        if (size != 0) sum.add(load_entry<F>(table, window * MULTIPLES + size - 1), raised);
    }
}

// The same sum bit by bit with complete formulas, for the few items that met an exception.
template <class Curve> DEVICE Jacobian<typename Curve::Base> complete_double_multiply(const Affine<typename Curve::Base> &Q,
                                                                                     const u32 *scalars, u32 item,
                                                                                     u32 count)
{
    typedef typename Curve::Base F;
    const F zero = F::small(0), one = F::small(1);
    const u32 signs = scalars[(u64)SIGNS * count + item];
    const F minus_y = -Q.y;
    Homogeneous<F> P = {zero, one, zero};
    const Homogeneous<F> G = {Curve::base_x(), Curve::base_y(), one};
    const Homogeneous<F> first = {Q.x, F::select(signs & 1, minus_y, Q.y), one};
    const Homogeneous<F> second = {Q.x * Curve::beta(), F::select(signs >> 1 & 1, minus_y, Q.y), one};
    ROLLED for (int bit = 255; bit >= 0; --bit)
    {
        P = complete_sum<Curve>(P, P);
        const u32 shift = bit & 31;
        if (scalars[(u64)(bit / 32) * count + item] >> shift & 1) P = complete_sum<Curve>(P, G);
        if (bit < 128) {
            if (scalars[(u64)(HALVES + bit / 32) * count + item] >> shift & 1) P = complete_sum<Curve>(P, first);
            if (scalars[(u64)(HALVES + 4 + bit / 32) * count + item] >> shift & 1) P = complete_sum<Curve>(P, second);
        }
    }
    return {P.X * P.Z, P.Y * P.Z.squared(), P.Z};
}
