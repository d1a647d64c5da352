// SPDX-License-Identifier: GPL-3.0-or-later
// Points of a twisted Edwards curve −x² + y² = 1 + d·x²·y².
//
// Formulas: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (ASIACRYPT 2008), complete since d is a
// non-square: no input, however chosen, is an exception. `Curve` is generated from an EdwardsSpec: the types Params and
// Field of its base field and the elements d, d2 = 2d, sqrt_minus_one, base_x, base_y. Beside extended points there are
// entries of tables, words in memory:
//
//     cached  (Y+X, Y−X, 2dT, 2Z)    32 words
//     affine  (y+x, y−x, 2dxy)       24 words, for tables of fixed points
#pragma once
#include "hash_primitives.cuh"
#include "words.cuh"

static constexpr u32 ELEMENT_WORDS = 8, AFFINE_WORDS = 24, CACHED_WORDS = 32;

// x = X/Z, y = Y/Z, T = XY/Z. A doubling asks for no T, an addition does: who makes a point says whether to keep it.
template <class F> struct Extended {
    F X, Y, Z, T;
};

// Elements of tables stand at multiples of 16 bytes.
template <class F> DEVICE F load_element(const u32 *words)
{
    F r;
    UNROLL for (u32 i = 0; i < ELEMENT_WORDS; i += 4) load_quad(words + i, r.w[i], r.w[i + 1], r.w[i + 2], r.w[i + 3]);
    return r;
}
template <class F> DEVICE void store_element(u32 *words, const F &a)
{
    UNROLL for (u32 i = 0; i < ELEMENT_WORDS; i += 4) store_quad(words + i, a.w[i], a.w[i + 1], a.w[i + 2], a.w[i + 3]);
}

template <class F> DEVICE Extended<F> affine_point(const F &x, const F &y)
{
    return {x, y, F::small(1), x * y};
}
template <class F> DEVICE Extended<F> neutral_point()
{
    return {F::small(0), F::small(1), F::small(1), F::small(0)};
}

// The point of the completed form (E, F, G, H): three products, and one for T.
template <class F> DEVICE void complete(Extended<F> &P, const F &E, const F &FF, const F &G, const F &H, bool keep_t)
{
    P.X = E * FF;
    P.Y = G * H;
    P.Z = FF * G;
    if (keep_t) P.T = E * H;
}

// P = 2·P: four squares and what `complete` takes.
template <class F> DEVICE void double_point(Extended<F> &P, bool keep_t)
{
    const F E = (P.X + P.Y).squared();
    const F A = P.X.squared(), B = P.Y.squared();
    const F G = A - B, H = A + B;
    complete(P, H - E, P.Z.squared().doubled() + G, G, H, keep_t);
}

// The completed form of P ± Q from the terms that Q's Z enters and does not: D = 2·Z·Z', and Q's first three elements.
template <class F>
DEVICE void add_terms(Extended<F> &P, const F &D, const u32 *entry, bool negative, bool keep_t)
{
    // −Q has y+x and y−x in each other's place, and the opposite of 2dT, which exchanges the two factors.
    const u32 turned = negative ? ELEMENT_WORDS : 0;
    const F A = (P.Y - P.X) * load_element<F>(entry + ELEMENT_WORDS - turned);
    const F B = (P.Y + P.X) * load_element<F>(entry + turned);
    const F C = P.T * load_element<F>(entry + 2 * ELEMENT_WORDS);
    const F sum = D + C, difference = D - C;
    complete(P, B - A, F::select(negative, sum, difference), F::select(negative, difference, sum), B + A, keep_t);
}

// P ± Q for a cached and for an affine Q: four and three products, and what `complete` takes.
template <class F> DEVICE void add_cached(Extended<F> &P, const u32 *entry, bool negative, bool keep_t)
{
    add_terms(P, P.Z * load_element<F>(entry + 3 * ELEMENT_WORDS), entry, negative, keep_t);
}
template <class F> DEVICE void add_affine(Extended<F> &P, const u32 *entry, bool negative)
{
    add_terms(P, P.Z.doubled(), entry, negative, true);
}

// The same where a call costs little beside what is around it: the code is long.
template <class F> OUTLINE void add_affine_apart(Extended<F> &P, const u32 *entry, bool negative)
{
    add_affine(P, entry, negative);
}

// 1/a, and 0 for 0.
template <class Curve, class F> OUTLINE F inverse_of(F a)
{
    return Curve::Params::inverse(a);
}

template <class Curve, class F> DEVICE void store_affine(u32 *entry, const F &x, const F &y)
{
    store_element(entry, y + x);
    store_element(entry + ELEMENT_WORDS, y - x);
    store_element(entry + 2 * ELEMENT_WORDS, x * y * Curve::d2());
}
template <class Curve, class F> DEVICE void store_cached(u32 *entry, const Extended<F> &P)
{
    store_element(entry, P.Y + P.X);
    store_element(entry + ELEMENT_WORDS, P.Y - P.X);
    store_element(entry + 2 * ELEMENT_WORDS, P.T * Curve::d2());
    store_element(entry + 3 * ELEMENT_WORDS, P.Z.doubled());
}

// Whether a cofactor of 8 annihilates the point.
template <class F> OUTLINE bool small_order(Extended<F> P)
{
    ROLLED for (int i = 0; i < 3; ++i) double_point(P, false);
    return P.X.is_zero() && P.Y == P.Z;
}

// The point of 32 bytes as words: RFC 8032, section 5.1.3, but permissive: a y of p or above is reduced, and x = 0 with the
// sign bit set is 0. False where y belongs to no point; x then means nothing.
template <class Curve, class F> OUTLINE bool decompress(F &x, F &y, const u32 (&encoded)[8])
{
    const bool sign = encoded[7] >> 31;
    y = F::from_words(encoded);
    y.w[7] &= 0x7fffffff;
    // x² = u/v = (y² − 1)/(d·y² + 1), and x = u·v³·(u·v⁷)^((p − 5)/8) or that times √−1.
    const F y2 = y.squared(), u = y2 - F::small(1), v = y2 * Curve::d() + F::small(1);
    const F v3 = v.squared() * v, uv3 = u * v3;
    x = uv3 * Curve::Params::root(uv3 * (v3 * v));
    const F check = v * x.squared();
    const bool direct = check == u, turned = (check + u).is_zero();
    if (!direct) x = x * Curve::sqrt_minus_one();
    if (x.odd() != sign) x = -x;
    return direct || turned;
}
