// SPDX-License-Identifier: GPL-3.0-or-later
// ECDSA: how signatures and keys are read. SEC 1, version 2.0, sections 2.3.4, 4.1.4, 4.1.6.
#pragma once
#include "double_multiply.cuh"

// r and s in 1 … n − 1.
template <class Curve> DEVICE bool read_signature(u32 (&r)[8], u32 (&s)[8], const u8 *row)
{
    u32 n[8];
    Curve::Scalar::modulus(n);
    load_big(r, row);
    load_big(s, row + 32);
    return less_words(r, n) && less_words(s, n) && !zero_words(r) && !zero_words(s);
}

// r + n: the other abscissa that is r modulo the order; false where it is not below p.
template <class Curve> DEVICE bool wrapped(u32 (&sum)[8], const u32 (&r)[8])
{
    u32 n[8], p[8];
    Curve::Scalar::modulus(n);
    Curve::Base::modulus(p);
    return add_words(sum, r, n) == 0 && less_words(sum, p);
}

// A key of 33 bytes (02 or 03, x), 65 (04, x, y) or 64 (x, y); hybrid prefixes are refused.
template <class Curve> DEVICE bool read_key(Affine<typename Curve::Base> &P, const u8 *row, u32 width)
{
    if (width == 33) {
        u32 x[8];
        load_big(x, row + 1);
        return lift<Curve>(P, x, row[0] & 1) && (row[0] == 2 || row[0] == 3);
    }
    const u8 *x = row + (width == 65);
    return read_point<Curve>(P, x, x + 32) && (width == 64 || row[0] == 4);
}

// The point R that r and a recovery id name: bit 0 is the parity of y, bit 1 says that x is r + n.
template <class Curve> DEVICE bool read_nonce_point(Affine<typename Curve::Base> &P, const u8 *row)
{
    u32 r[8], raised[8], x[8];
    load_big(r, row);
    const u32 id = row[64];
    const bool fits = wrapped<Curve>(raised, r), raise = id & 2;
    select_words(x, raise, raised, r);
    return lift<Curve>(P, x, id & 1) && id < 4 && (fits || !raise);
}

// Whether the affine x of P is r modulo the order, without an inversion: X = r·Z² or X = (r + n)·Z².
template <class Curve> DEVICE bool abscissa_matches(const Jacobian<typename Curve::Base> &P, const u32 (&r)[8])
{
    typedef typename Curve::Base F;
    u32 raised[8];
    const F ZZ = P.Z.squared();
    if (P.X == F::from_words(r) * ZZ) return true;
    return wrapped<Curve>(raised, r) && P.X == F::from_words(raised) * ZZ;
}
