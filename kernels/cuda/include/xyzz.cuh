// SPDX-License-Identifier: GPL-3.0-or-later
// Points of y² = x³ + b in extended Jacobian coordinates: x = X/ZZ, y = Y/ZZZ, ZZ³ = ZZZ²; ZZ = 0 is infinity.
// Formulas: Explicit-Formulas Database, "XYZZ coordinates for short Weierstrass curves", madd-2008-s, add-2008-s and
// dbl-2008-s-1 with a = 0 (Sutherland). They hold for any points here: what they leave out is told apart.
#pragma once
#include "quadratic_field.cuh"

// `C` is the `Curve` of a GroupSpec. A row in memory is an affine point, x and then y.
template <class C> struct XyzzPoint {
    typedef typename C::Field F;
    static constexpr int WORDS = 4 * F::WORDS, ROW = 2 * F::WORDS;
    F X, Y, ZZ, ZZZ;

    static METHOD XyzzPoint neutral() { return {F::zero(), F::zero(), F::zero(), F::zero()}; }
    METHOD bool infinite() const { return ZZ.is_zero(); }

    static METHOD bool is_neutral(const u32 *words)
    {
        u32 any = 0;
        for (int i = 0; i < ROW; ++i) any |= words[i];
        return any == 0;
    }
    static METHOD bool on_curve(const F &x, const F &y) { return y.squared() == x.squared() * x + C::b(); }
    static METHOD void store_row(u32 *row, const F &x, const F &y)
    {
        store_element(row, x);
        store_element(row + F::WORDS, y);
    }
    METHOD void affine(F &x, F &y) const
    {
        const F inverse = C::inverse(ZZZ), step = ZZ * inverse;  // 1/Z³ and 1/Z
        x = X * step.squared();
        y = Y * inverse;
    }
};

// 2P: six products, three squares. A call: in sums it is the exception. A point of order two gives ZZ = 0 by itself.
template <class C> OUTLINE void double_point(XyzzPoint<C> &P)
{
    typedef typename C::Field F;
    const F U = P.Y.doubled(), V = U.squared(), W = U * V, S = P.X * V, XX = P.X.squared(), M = XX.doubled() + XX;
    P.X = M.squared() - S.doubled();
    P.Y = M * (S - P.X) - W * P.Y;
    P.ZZ = V * P.ZZ;
    P.ZZZ = W * P.ZZZ;
}

// What both sums end with, given P = U₂ − U₁, R = S₂ − S₁ and the factors of ZZ and ZZZ.
template <class C, class F> DEVICE void finish_sum(XyzzPoint<C> &A, const F &U, const F &S, const F &P, const F &R)
{
    const F PP = P.squared(), PPP = P * PP, Q = U * PP;
    A.X = R.squared() - PPP - Q.doubled();
    A.Y = R * (Q - A.X) - S * PPP;
    A.ZZ = A.ZZ * PP;
    A.ZZZ = A.ZZZ * PPP;
}

// A += (x, y): eight products, two squares.
template <class C, class F> DEVICE void add_affine(XyzzPoint<C> &A, const F &x, const F &y)
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
            A = XyzzPoint<C>::neutral();
        return;
    }
    finish_sum(A, A.X, A.Y, P, R);
}

// A += B: twelve products, two squares. A call: sums with affine points are most of the work, and this would be most of the
// code.
template <class C> OUTLINE void add_point(XyzzPoint<C> &A, const XyzzPoint<C> &B)
{
    typedef typename C::Field F;
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
            A = XyzzPoint<C>::neutral();
        return;
    }
    A.ZZ = A.ZZ * B.ZZ;
    A.ZZZ = A.ZZZ * B.ZZZ;
    finish_sum(A, U, S, P, R);
}

// A ± the point of a row.
template <class C> DEVICE void add_row(XyzzPoint<C> &A, const u32 *row, bool negative)
{
    typename C::Field x, y;
    load_element(x, row);
    load_element(y, row + C::Field::WORDS);
    if (negative) y = -y;
    add_affine(A, x, y);
}

template <class C> DEVICE void load_point(XyzzPoint<C> &A, const u32 *words)
{
    constexpr int WORDS = C::Field::WORDS;
    load_element(A.X, words);
    load_element(A.Y, words + WORDS);
    load_element(A.ZZ, words + 2 * WORDS);
    load_element(A.ZZZ, words + 3 * WORDS);
}
template <class C> DEVICE void store_point(u32 *words, const XyzzPoint<C> &A)
{
    constexpr int WORDS = C::Field::WORDS;
    store_element(words, A.X);
    store_element(words + WORDS, A.Y);
    store_element(words + 2 * WORDS, A.ZZ);
    store_element(words + 3 * WORDS, A.ZZZ);
}
