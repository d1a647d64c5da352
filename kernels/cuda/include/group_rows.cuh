// SPDX-License-Identifier: GPL-3.0-or-later
// Points as they come and go: rows of canonical words, x and then y, infinity all zero.
#pragma once
#include "xyzz.cuh"

constexpr u32 NOT_CANONICAL = 0, CANONICAL = 1, ON_CURVE = 2;

// (x, y) of a row, and how far it gets. A call, and so is what takes the point: registers are for one product at a time.
template <class C> OUTLINE u32 read_coordinates(XyzzPoint<C> &A, const u32 *words)
{
    typedef typename C::Field F;
    const bool below_x = read_element(A.X, words), below_y = read_element(A.Y, words + F::WORDS);
    A.ZZ = A.ZZZ = F::one();
    if (!(below_x && below_y)) return NOT_CANONICAL;
    return A.on_curve(A.X, A.Y) ? ON_CURVE : CANONICAL;
}

// The point of a row, and whether it is one: canonical, and infinity or on the curve. What is none is read as infinity.
template <class C> DEVICE bool read_point(XyzzPoint<C> &A, const u32 *words)
{
    const bool none = XyzzPoint<C>::is_neutral(words), on_curve = read_coordinates(A, words) == ON_CURVE;
    if (none || !on_curve) A = XyzzPoint<C>::neutral();
    return none || on_curve;
}

template <class P> DEVICE void store_canonical(u32 *words, const MontgomeryField<P> &a)
{
    MontgomeryField<P> number;
    a.canonical(number.w);
    store_element(words, number);
}
template <class F> DEVICE void store_canonical(u32 *words, const QuadraticField<F> &a)
{
    store_canonical(words, a.real);
    store_canonical(words + F::WORDS, a.imaginary);
}
