// SPDX-License-Identifier: GPL-3.0-or-later
// Points of y² = x³ + b in extended Jacobian coordinates: x = X/ZZ, y = Y/ZZZ, ZZ³ = ZZZ²; ZZ = 0 is infinity.
// Formulas: Explicit-Formulas Database, "XYZZ coordinates for short Weierstrass curves", madd-2008-s, add-2008-s and
// dbl-2008-s-1 with a = 0 (Sutherland). They hold for any points here: what they leave out is told apart.
#pragma once
#include "quadratic_field.cuh"

template <class F> struct XyzzPoint {
    static constexpr int WORDS = 4 * F::WORDS;
    F X, Y, ZZ, ZZZ;

    static METHOD XyzzPoint infinity() { return {F::zero(), F::zero(), F::zero(), F::zero()}; }
    METHOD bool infinite() const { return ZZ.is_zero(); }
};

// 2P: six products, three squares. A call: in sums it is the exception. A point of order two gives ZZ = 0 by itself.
template <class F> OUTLINE void double_point(XyzzPoint<F> &P)
{
    const F U = P.Y.doubled(), V = U.squared(), W = U * V, S = P.X * V, XX = P.X.squared(), M = XX.doubled() + XX;
    P.X = M.squared() - S.doubled();
    P.Y = M * (S - P.X) - W * P.Y;
    P.ZZ = V * P.ZZ;
    P.ZZZ = W * P.ZZZ;
}

// What both sums end with, given P = U₂ − U₁, R = S₂ − S₁ and the factors of ZZ and ZZZ.
template <class F> DEVICE void finish_sum(XyzzPoint<F> &A, const F &U, const F &S, const F &P, const F &R)
{
    const F PP = P.squared(), PPP = P * PP, Q = U * PP;
    A.X = R.squared() - PPP - Q.doubled();
    A.Y = R * (Q - A.X) - S * PPP;
    A.ZZ = A.ZZ * PP;
    A.ZZZ = A.ZZZ * PPP;
}

// A += (x, y): eight products, two squares.
template <class F> DEVICE void add_affine(XyzzPoint<F> &A, const F &x, const F &y)
{
    if (A.infinite()) {
        A = {x, y, F::one(), F::one()};
        return;
    }
    const F P = x * A.ZZ - A.X, R = y * A.ZZZ - A.Y;
    if (P.is_zero()) {
        if (R.is_zero())
            double_point(A);
        else
            A = XyzzPoint<F>::infinity();
        return;
    }
    finish_sum(A, A.X, A.Y, P, R);
}

// A += B: twelve products, two squares. A call: sums with affine points are most of the work, and this would be most of the
// code.
template <class F> OUTLINE void add_point(XyzzPoint<F> &A, const XyzzPoint<F> &B)
{
    if (B.infinite()) return;
    if (A.infinite()) {
        A = B;
        return;
    }
    const F U = A.X * B.ZZ, S = A.Y * B.ZZZ, P = B.X * A.ZZ - U, R = B.Y * A.ZZZ - S;
    if (P.is_zero()) {
        if (R.is_zero())
            double_point(A);
        else
            A = XyzzPoint<F>::infinity();
        return;
    }
    A.ZZ = A.ZZ * B.ZZ;
    A.ZZZ = A.ZZZ * B.ZZZ;
    finish_sum(A, U, S, P, R);
}

template <class F> DEVICE void load_xyzz(XyzzPoint<F> &A, const u32 *words)
{
    load_element(A.X, words);
    load_element(A.Y, words + F::WORDS);
    load_element(A.ZZ, words + 2 * F::WORDS);
    load_element(A.ZZZ, words + 3 * F::WORDS);
}
template <class F> DEVICE void store_xyzz(u32 *words, const XyzzPoint<F> &A)
{
    store_element(words, A.X);
    store_element(words + F::WORDS, A.Y);
    store_element(words + 2 * F::WORDS, A.ZZ);
    store_element(words + 3 * F::WORDS, A.ZZZ);
}
