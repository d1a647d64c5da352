// SPDX-License-Identifier: GPL-3.0-or-later
// Points of a twisted Edwards curve as `run_sums.cuh` takes them: sums are extended points, rows the entries (y+x, y−x, 2dxy).
// Both additions are complete. `C` is the `Curve` of an EdwardsSpec.
#pragma once
#include "edwards.cuh"
#include "fold_field.cuh"

template <class P> DEVICE bool read_element(FoldField<P> &a, const u32 *words)
{
    u32 p[P::WORDS];
    P::modulus(p);
    UNROLL for (int i = 0; i < P::WORDS; ++i) a.w[i] = words[i];
    return less_words(a.w, p);
}

template <class C> struct EdwardsPoint : Extended<typename C::Field> {
    typedef typename C::Field F;
    static constexpr int WORDS = 4 * ELEMENT_WORDS, ROW = AFFINE_WORDS;

    static METHOD EdwardsPoint neutral() { return {neutral_point<F>()}; }
    static METHOD bool is_neutral(const u32 *words)
    {
        u32 any = words[ELEMENT_WORDS] ^ 1;
        UNROLL for (u32 i = 0; i < ELEMENT_WORDS; ++i) any |= words[i] | (i ? words[ELEMENT_WORDS + i] : 0);
        return any == 0;
    }
    static METHOD bool on_curve(const F &x, const F &y)
    {
        const F xx = x.squared(), yy = y.squared();
        return yy - xx == F::small(1) + C::d() * xx * yy;
    }
    static METHOD void store_row(u32 *row, const F &x, const F &y) { store_affine<C>(row, x, y); }
    METHOD void affine(F &x, F &y) const
    {
        const F inverse = inverse_of<C>(this->Z);
        x = this->X * inverse;
        y = this->Y * inverse;
    }
};

template <class C> DEVICE void double_point(EdwardsPoint<C> &P) { double_point(P, true); }

// A += B: nine products.
template <class C> OUTLINE void add_point(EdwardsPoint<C> &A, const EdwardsPoint<C> &B)
{
    typedef typename C::Field F;
    const F a = (A.Y - A.X) * (B.Y - B.X), b = (A.Y + A.X) * (B.Y + B.X);
    const F c = A.T * C::d2() * B.T, d = A.Z.doubled() * B.Z;
    complete(A, b - a, d - c, d + c, b + a, true);
}

// A ± the point of a row: seven products.
template <class C> DEVICE void add_row(EdwardsPoint<C> &A, const u32 *row, bool negative)
{
    add_affine(A, row, negative);
}

// In memory that was cleared Z is 0, which it is of no point: that is the neutral one.
template <class C> DEVICE void load_point(EdwardsPoint<C> &A, const u32 *words)
{
    typedef typename C::Field F;
    A.Z = load_element<F>(words + 2 * ELEMENT_WORDS);
    if (zero_words(A.Z.w)) {
        A = EdwardsPoint<C>::neutral();
        return;
    }
    A.X = load_element<F>(words);
    A.Y = load_element<F>(words + ELEMENT_WORDS);
    A.T = load_element<F>(words + 3 * ELEMENT_WORDS);
}
template <class C> DEVICE void store_point(u32 *words, const EdwardsPoint<C> &A)
{
    store_element(words, A.X);
    store_element(words + ELEMENT_WORDS, A.Y);
    store_element(words + 2 * ELEMENT_WORDS, A.Z);
    store_element(words + 3 * ELEMENT_WORDS, A.T);
}
