// SPDX-License-Identifier: GPL-3.0-or-later
// Whether a point of a curve is in its subgroup of prime order, by an endomorphism: P is if and only if Σ mapⁱ(aᵢ·T + bᵢ·P) is
// infinity, T = MULTIPLIER^POWER · P. `C` has these numbers from a SubgroupTest: TERMS, multiple_terms (aᵢ), point_terms (bᵢ) and the
// factors of the map, map_x and map_y.
#pragma once
#include "xyzz.cuh"

// The p-th power.
template <class P> DEVICE MontgomeryField<P> frobenius(const MontgomeryField<P> &a) { return a; }
template <class F> DEVICE QuadraticField<F> frobenius(const QuadraticField<F> &a) { return {a.real, -a.imaginary}; }

template <class C> OUTLINE void apply_map(XyzzPoint<C> &A)
{
    A.X = C::map_x() * frobenius(A.X);
    A.Y = C::map_y() * frobenius(A.Y);
    A.ZZ = frobenius(A.ZZ);
    A.ZZZ = frobenius(A.ZZZ);
}

// A += times·B, for a few times.
template <class C> OUTLINE void add_times(XyzzPoint<C> &A, XyzzPoint<C> B, i32 times)
{
    if (times < 0) B.Y = -B.Y;
    ROLLED for (i32 i = times < 0 ? -times : times; i > 0; --i) add_point(A, B);
}

template <class C> OUTLINE bool in_subgroup(const XyzzPoint<C> &P)
{
    XyzzPoint<C> T = P;
    ROLLED for (u32 i = 0; i < C::POWER; ++i) {
        const XyzzPoint<C> once = T;
        ROLLED for (u32 bit = C::MULTIPLIER_BITS - 1; bit-- > 0;) {
            double_point(T);
            if (C::MULTIPLIER >> bit & 1) add_point(T, once);
        }
    }
    u32 a[C::TERMS], b[C::TERMS];
    C::multiple_terms(a);
    C::point_terms(b);
    XyzzPoint<C> total = XyzzPoint<C>::neutral();
    UNROLL for (int i = C::TERMS - 1; i >= 0; --i) {
        apply_map(total);
        add_times(total, T, (i32)a[i]);
        add_times(total, P, (i32)b[i]);
    }
    return total.infinite();
}
