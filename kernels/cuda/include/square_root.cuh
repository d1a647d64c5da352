// SPDX-License-Identifier: GPL-3.0-or-later
// Square roots in a prime field with p ≡ 3 mod 4 and in its quadratic extension, by powers. `C` has root_exponent, (p + 1)/4, and
// inverse_root_exponent, (p − 3)/4. Of what has no root they give something whose square it is not.
#pragma once
#include "quadratic_field.cuh"

template <class C, class P> DEVICE MontgomeryField<P> square_root(const MontgomeryField<P> &a)
{
    u32 exponent[P::WORDS];
    C::root_exponent(exponent);
    return windowed_power(a, exponent);
}

// (x + y·u)² = a with the norm's root s, w = a₀ + s, and v = (2w)^((p − 3)/4). 2w·v² is 1 where w/2 is a square; then x = v·w and
// y = a₁·v. Else it is −1, (a₀ − s)/2 = −a₁²/(2w) is the square, x = a₁·v and y = −v·w. w = 0 needs a₁ = 0, and then 2a₀ serves as
// well. (The complex method of Adj and Rodríguez-Henríquez, IEEE Transactions on Computers 63, 2014.)
template <class C, class F> DEVICE QuadraticField<F> square_root(const QuadraticField<F> &a)
{
    const F s = square_root<C>(a.real.squared() + a.imaginary.squared()), sum = a.real + s;
    const F w = F::select(sum.is_zero(), a.real.doubled(), sum);
    u32 exponent[F::WORDS];
    C::inverse_root_exponent(exponent);
    const F v = windowed_power(w.doubled(), exponent), first = w * v, second = a.imaginary * v;
    const bool square = (first * v).doubled() == F::one();
    return {F::select(square, first, second), F::select(square, second, -first)};
}
