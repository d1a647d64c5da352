// SPDX-License-Identifier: GPL-3.0-or-later
// The field, or ring, of integers modulo any odd number of WORDS words (an even number of them), in Montgomery form:
// a is held as a·R mod m with R = 2^(32·WORDS), always below m. Montgomery, Math. Comp. 44 (1985).
//
// `Params` is generated from a FieldSpec: WORDS, SPARE_BITS (of the words, above the modulus),
// negated_inverse() = −m⁻¹ mod 2^32, modulus(words), one(words) = R mod m
// and square(words) = R² mod m.
#pragma once
#include "product.cuh"

template <class Params> struct MontgomeryField {
    static constexpr int WORDS = Params::WORDS;
    static constexpr u32 SPARE_BITS = Params::SPARE_BITS;
    static constexpr bool FULL = Params::SPARE_BITS == 0;  // sums of two elements may not fit
    u32 w[WORDS];

    static METHOD void modulus(u32 (&words)[WORDS]) { Params::modulus(words); }
    static METHOD MontgomeryField one()
    {
        MontgomeryField r;
        Params::one(r.w);
        return r;
    }
    static METHOD MontgomeryField zero()
    {
        MontgomeryField r;
        UNROLL for (int i = 0; i < WORDS; ++i) r.w[i] = 0;
        return r;
    }

    // The form of any number below R; one product.
    static METHOD MontgomeryField from_words(const u32 (&words)[WORDS])
    {
        MontgomeryField value, square;
        UNROLL for (int i = 0; i < WORDS; ++i) value.w[i] = words[i];
        Params::square(square.w);
        return square * value;  // the first factor must be below m
    }
    // The number below m.
    LARGE_METHOD void canonical(u32 (&words)[WORDS]) const
    {
        u32 t[2 * WORDS];
        UNROLL for (int i = 0; i < WORDS; ++i) {
            t[i] = w[i];
            t[WORDS + i] = 0;
        }
        const MontgomeryField r = reduce(t);
        UNROLL for (int i = 0; i < WORDS; ++i) words[i] = r.w[i];
    }

    // t/R mod m, below m, for t below m·R: row by row, each row clears the lowest word that is left.
    static LARGE_METHOD MontgomeryField reduce(u32 (&t)[2 * WORDS])
    {
        u32 m[WORDS];
        modulus(m);
        const u32 over = reduce_rows<0>(t, m, 0);
        MontgomeryField r, less;
        UNROLL for (int i = 0; i < WORDS; ++i) r.w[i] = t[WORDS + i];
        const bool below = sub_words(less.w, r.w, m) != 0 && over == 0;
        select_words(r.w, below, r.w, less.w);
        return r;
    }
    // `pending` belongs to t[I + WORDS]: the carries of the rows before. Returns what belongs to t[2·WORDS].
    template <int I> static METHOD u32 reduce_rows(u32 (&t)[2 * WORDS], const u32 (&m)[WORDS], u32 pending)
    {
        if constexpr (I == WORDS) {
            return pending;
        } else {
            const u32 factor = t[I] * Params::negated_inverse();
            mad_chain<WORDS / 2, 0, I>(t, m, factor);
            pending = addc(pending, 0);
            mad_chain<WORDS / 2, 1, I + 1>(t, m, factor);
            const u32 next = addc(0, 0);
            t[I + WORDS] = add_cc(t[I + WORDS], pending);
            return reduce_rows<I + 1>(t, m, addc(next, 0));
        }
    }

    // One row of the product and one of the reduction, in two accumulators whose words pair up for wide multiply-adds:
    // even + odd·2^32 (+ over·2^(32·WORDS + 32)) is the sum, and the row before has cleared what is now odd[0]. So odd moves
    // down by two words while a·b is added to it; then the multiple of m that clears even[0] is added.
    template <bool FIRST>
    static METHOD void row(
        u32 (&even)[WORDS], u32 (&odd)[WORDS], u32 &over, const u32 (&a)[WORDS], u32 b, const u32 (&m)[WORDS])
    {
        if constexpr (FIRST) {
            UNROLL for (int i = 0; i < WORDS; i += 2) {
                mul_wide(even[i], even[i + 1], a[i], b);
                mul_wide(odd[i], odd[i + 1], a[i + 1], b);
            }
            over = 0;
        } else {
            even[0] = add_cc(even[0], odd[1]);
            UNROLL for (int i = 0; i < WORDS - 2; i += 2) {
                odd[i] = odd[i + 2], odd[i + 1] = odd[i + 3];
                cmad_wide_cc(odd[i], odd[i + 1], a[i + 1], b);
            }
            odd[WORDS - 2] = 0;
            cmad_wide_new(odd[WORDS - 2], odd[WORDS - 1], a[WORDS - 1], b);
            mad_chain<WORDS / 2, 0, 0>(even, a, b);
            add_top(odd[WORDS - 1], over);
        }
        const u32 factor = even[0] * Params::negated_inverse();
        mad_chain<WORDS / 2, 1, 0>(odd, m, factor);
        if constexpr (FULL) over = addc(over, 0);
        mad_chain<WORDS / 2, 0, 0>(even, m, factor);
        u32 more = 0;
        add_top(odd[WORDS - 1], more);
        if constexpr (FULL) over += more;
    }
    // top += over and the flag; over = what does not fit.
    static METHOD void add_top(u32 &top, u32 &over)
    {
        if constexpr (FULL) {
            top = addc_cc(top, over);
            over = addc(0, 0);
        } else {
            top = addc(top, 0);
        }
    }
    // a·b/R mod m for a below m and any b below R.
    LARGE_METHOD MontgomeryField operator*(const MontgomeryField &other) const
    {
        u32 m[WORDS], even[WORDS], odd[WORDS], over;
        modulus(m);
        row<true>(even, odd, over, w, other.w[0], m);
        row<false>(odd, even, over, w, other.w[1], m);
        UNROLL for (int i = 2; i < WORDS; i += 2) {
            row<false>(even, odd, over, w, other.w[i], m);
            row<false>(odd, even, over, w, other.w[i + 1], m);
        }
        MontgomeryField r, less;
        r.w[0] = add_cc(even[0], odd[1]);
        UNROLL for (int i = 1; i < WORDS - 1; ++i) r.w[i] = addc_cc(even[i], odd[i + 1]);
        u32 more = 0;
        add_top(r.w[WORDS - 1] = even[WORDS - 1], more);
        bool below = sub_words(less.w, r.w, m) != 0;
        if constexpr (FULL) below = below && (over | more) == 0;
        select_words(r.w, below, r.w, less.w);
        return r;
    }
    LARGE_METHOD MontgomeryField squared() const
    {
        u32 t[2 * WORDS];
        square_words(t, w);
        return reduce(t);
    }
    LARGE_METHOD MontgomeryField operator+(const MontgomeryField &other) const
    {
        u32 m[WORDS];
        modulus(m);
        MontgomeryField r, less;
        const u32 carry = add_words(r.w, w, other.w);
        const bool below = sub_words(less.w, r.w, m) != 0 && carry == 0;
        select_words(r.w, below, r.w, less.w);
        return r;
    }
    LARGE_METHOD MontgomeryField operator-(const MontgomeryField &other) const
    {
        u32 m[WORDS], masked[WORDS];
        modulus(m);
        MontgomeryField r;
        const u32 borrow = sub_words(r.w, w, other.w);
        UNROLL for (int i = 0; i < WORDS; ++i) masked[i] = m[i] & borrow;
        add_words(r.w, r.w, masked);
        return r;
    }
    METHOD MontgomeryField operator-() const { return zero() - *this; }
    METHOD MontgomeryField doubled() const { return *this + *this; }
    METHOD bool is_zero() const { return zero_words(w); }
    METHOD bool operator==(const MontgomeryField &other) const { return equal_words(w, other.w); }
    static METHOD MontgomeryField select(bool condition, const MontgomeryField &a, const MontgomeryField &b)
    {
        MontgomeryField r;
        select_words(r.w, condition, a.w, b.w);
        return r;
    }
};
