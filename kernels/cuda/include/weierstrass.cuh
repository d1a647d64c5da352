// SPDX-License-Identifier: GPL-3.0-or-later
// Points of a short Weierstrass curve y² = x³ + b of prime order.
//
// Jacobian coordinates: x = X/Z², y = Y/Z³. `negated_double` and `negated_sum` are incomplete, with one property that
// makes them safe: every exceptional case (equal or opposite points) gives Z ≡ 0, because Z₃ is a product of Z and of what
// vanishes then, and so Z stays ≡ 0 from there on. A final Z ≡ 0 covers the infinite result and every exception on the
// way; such items are computed again by `complete_sum`, which holds for any two points.
//
// `Curve` is generated from a WeierstrassSpec: the fields Base and Scalar with their parameters, and its constants.
#pragma once
#include "power.cuh"
#include "fold_sums.cuh"
#include "montgomery_field.cuh"
#include "shared_inversion.cuh"

template <class F> struct Affine {
    F x, y;
};

template <class F> struct Jacobian {
    F X, Y, Z;
};

// x = X/Z, y = Y/Z.
template <class F> struct Homogeneous {
    F X, Y, Z;
};

// −2P: three products, four squares. With L = 3X²/2 and T = XY²: (L² − 2T, L(X₃ − T) + Y⁴, YZ), which is the tangent's
// usual result with all of its Z-weights divided by two, and the sign that makes a sum of Y₃. Y is never 0: no point has
// order two.
template <class F> DEVICE Jacobian<F> negated_double(const Jacobian<F> &P)
{
    Jacobian<F> R;
    R.Z = P.Y * P.Z;
    const F A = P.X.squared(), B = P.Y.squared(), L = A + halved(A), T = P.X * B;
    R.X = minus_twice(L.squared(), T);
    R.Y = product_plus_square(L, R.X - T, B);
    return R;
}

// −(P + Q): eight products, three squares.
template <class F> DEVICE Jacobian<F> negated_sum(const Jacobian<F> &P, const Affine<F> &Q)
{
    Jacobian<F> R;
    const F ZZ = P.Z.squared(), H = Q.x * ZZ - P.X, S = Q.y * (P.Z * ZZ) - P.Y;
    R.Z = P.Z * H;
    const F HH = H.squared(), HHH = H * HH, V = P.X * HH;
    R.X = minus_one_and_twice(S.squared(), HHH, V);
    R.Y = sum_of_products(S, R.X - V, P.Y, HHH);
    return R;
}

// x³ + b.
template <class Curve> DEVICE typename Curve::Base right_side(const typename Curve::Base &x)
{
    return x.squared() * x + Curve::b();
}

// y² = x³ + b for coordinates given as words, which must be below p.
template <class Curve> DEVICE bool read_point(Affine<typename Curve::Base> &P, const u8 *x_bytes, const u8 *y_bytes)
{
    typedef typename Curve::Base F;
    u32 x[F::WORDS], y[F::WORDS], p[F::WORDS];
    load_big(x, x_bytes);
    load_big(y, y_bytes);
    F::modulus(p);
    P.x = F::from_words(x);
    P.y = F::from_words(y);
    return less_words(x, p) && less_words(y, p) && P.y.squared() == right_side<Curve>(P.x);
}

// The point with abscissa x whose y has the parity `odd`; false where x is p or more, or none has it.
template <class Curve> OUTLINE bool lift(Affine<typename Curve::Base> &P, const u32 (&x)[Curve::Base::WORDS], bool odd)
{
    typedef typename Curve::Base F;
    u32 p[F::WORDS];
    F::modulus(p);
    P.x = F::from_words(x);
    const F square = right_side<Curve>(P.x), root = Curve::BaseParams::root(square);
    P.y = F::select(root.odd() != odd, -root, root);
    return less_words(x, p) && root.squared() == square;
}

// P + Q for any two points: algorithm 7 of Renes, Costello, Batina (EUROCRYPT 2016).
template <class Curve, class F> OUTLINE Homogeneous<F> complete_sum(const Homogeneous<F> &P, const Homogeneous<F> &Q)
{
    const F XX = P.X * Q.X, YY = P.Y * Q.Y, ZZ = P.Z * Q.Z;
    const F XY = (P.X + P.Y) * (Q.X + Q.Y) - XX - YY;
    const F YZ = (P.Y + P.Z) * (Q.Y + Q.Z) - YY - ZZ;
    const F XZ = ((P.X + P.Z) * (Q.X + Q.Z) - XX - ZZ) * Curve::b3();
    const F M = XX.doubled() + XX, bZZ = ZZ * Curve::b3(), U = YY + bZZ, D = YY - bZZ;
    Homogeneous<F> R;
    R.X = XY * D - YZ * XZ;
    R.Y = XZ * M + D * U;
    R.Z = U * YZ + M * XY;
    return R;
}

// Affine points of 2·WORDS words, aligned to 16 bytes, in a table that a whole batch reads.
struct alignas(16) Quad {
    u32 w[4];
};
template <class F> DEVICE Affine<F> load_entry(const u32 *table, u32 index)
{
    const Quad *at = (const Quad *)(table + (u64)index * 2 * F::WORDS);
    Affine<F> P;
    UNROLL for (int i = 0; i < F::WORDS / 4; ++i)
    {
        const Quad x = at[i], y = at[F::WORDS / 4 + i];
        UNROLL for (int j = 0; j < 4; ++j)
        {
            P.x.w[4 * i + j] = x.w[j];
            P.y.w[4 * i + j] = y.w[j];
        }
    }
    return P;
}

// Columns of scratch: word w of item i is at [w·count + i], so that neighbouring threads touch neighbouring words.
template <int N> DEVICE void load_column(u32 (&words)[N], const u32 *column, u32 first, u32 item, u32 count)
{
    UNROLL for (int i = 0; i < N; ++i) words[i] = column[(u64)(first + i) * count + item];
}
template <int N> DEVICE void store_column(u32 *column, u32 first, u32 item, u32 count, const u32 (&words)[N])
{
    UNROLL for (int i = 0; i < N; ++i) column[(u64)(first + i) * count + item] = words[i];
}
