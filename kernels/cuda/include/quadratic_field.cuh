// SPDX-License-Identifier: GPL-3.0-or-later
// The quadratic extension c₀ + c₁·u, u² = −1, of a field with the same interface. Products by Karatsuba's three, each of them
// a call: in line a sum of points would be thousands of instructions, and minutes to compile.
#pragma once
#include "power.cuh"
#include "montgomery_field.cuh"

template <class F> struct QuadraticField {
    static constexpr int WORDS = 2 * F::WORDS;
    F real, imaginary;

    static METHOD QuadraticField zero() { return {F::zero(), F::zero()}; }
    static METHOD QuadraticField one() { return {F::one(), F::zero()}; }
    LARGE_METHOD QuadraticField operator*(const QuadraticField &other) const
    {
        const F a = product(real, other.real), b = product(imaginary, other.imaginary);
        return {a - b, product(real + imaginary, other.real + other.imaginary) - a - b};
    }
    LARGE_METHOD QuadraticField squared() const
    {
        return {product(real + imaginary, real - imaginary), product(real, imaginary).doubled()};
    }
    METHOD QuadraticField operator+(const QuadraticField &other) const
    {
        return {real + other.real, imaginary + other.imaginary};
    }
    METHOD QuadraticField operator-(const QuadraticField &other) const
    {
        return {real - other.real, imaginary - other.imaginary};
    }
    METHOD QuadraticField operator-() const { return {-real, -imaginary}; }
    METHOD QuadraticField doubled() const { return *this + *this; }
    METHOD bool is_zero() const { return real.is_zero() && imaginary.is_zero(); }
    METHOD bool operator==(const QuadraticField &other) const
    {
        return real == other.real && imaginary == other.imaginary;
    }
};

// Elements in memory: canonical words of each part are made one field element after the other, below p or refused.
template <class P> DEVICE bool read_element(MontgomeryField<P> &a, const u32 *words)
{
    u32 w[P::WORDS], p[P::WORDS];
    UNROLL for (int i = 0; i < P::WORDS; ++i) w[i] = words[i];
    P::modulus(p);
    a = MontgomeryField<P>::from_words(w);
    return less_words(w, p);
}
template <class F> DEVICE bool read_element(QuadraticField<F> &a, const u32 *words)
{
    const bool real = read_element(a.real, words);
    return read_element(a.imaginary, words + F::WORDS) && real;
}

// Words as they stand, sixteen bytes at a time.
struct alignas(16) FourWords {
    u32 w[4];
};
template <class P> DEVICE void load_element(MontgomeryField<P> &a, const u32 *words)
{
    UNROLL for (int i = 0; i < P::WORDS / 4; ++i)
    {
        const FourWords four = ((const FourWords *)words)[i];
        UNROLL for (int j = 0; j < 4; ++j) a.w[4 * i + j] = four.w[j];
    }
}
template <class P> DEVICE void store_element(u32 *words, const MontgomeryField<P> &a)
{
    UNROLL for (int i = 0; i < P::WORDS / 4; ++i)
    {
        FourWords four;
        UNROLL for (int j = 0; j < 4; ++j) four.w[j] = a.w[4 * i + j];
        ((FourWords *)words)[i] = four;
    }
}
template <class F> DEVICE void load_element(QuadraticField<F> &a, const u32 *words)
{
    load_element(a.real, words);
    load_element(a.imaginary, words + F::WORDS);
}
template <class F> DEVICE void store_element(u32 *words, const QuadraticField<F> &a)
{
    store_element(words, a.real);
    store_element(words + F::WORDS, a.imaginary);
}
