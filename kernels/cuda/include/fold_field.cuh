// SPDX-License-Identifier: GPL-3.0-or-later
// The prime field of p = 2^BITS − c for a small c (BITS 255 or 256): 2^256 ≡ FOLD folds the upper half of a product back.
//
// An element is any number below 2^256; `canonical` gives the one below p. `Params` is generated from a FieldSpec: WORDS,
// BITS, FOLD_LOW, FOLD_HIGH (FOLD = FOLD_LOW + FOLD_HIGH·2^32, FOLD_HIGH 0 or 1) and modulus(words).
#pragma once
#include "product.cuh"

template <class Params> struct FoldField {
    static constexpr int WORDS = Params::WORDS;
    u32 w[WORDS];

    // What arithmetic works on: any 256-bit number is an element.
    static METHOD FoldField from_words(const u32 (&words)[WORDS])
    {
        FoldField r;
        UNROLL for (int i = 0; i < WORDS; ++i) r.w[i] = words[i];
        return r;
    }
    static METHOD FoldField small(u32 value)
    {
        FoldField r;
        r.w[0] = value;
        UNROLL for (int i = 1; i < WORDS; ++i) r.w[i] = 0;
        return r;
    }
    static METHOD void modulus(u32 (&words)[WORDS]) { Params::modulus(words); }

    // Add a carry out of 2^256: carry·FOLD, which may itself carry once, but then leaves the low words nearly empty.
    METHOD void fold_carry(u32 carry)
    {
        w[0] = add_cc(w[0], carry * Params::FOLD_LOW);
        w[1] = addc_cc(w[1], carry * Params::FOLD_HIGH);
        UNROLL for (int i = 2; i < WORDS; ++i) w[i] = addc_cc(w[i], 0);
        const u32 again = addc(0, 0);
        w[0] = add_cc(w[0], again * Params::FOLD_LOW);
        w[1] = addc(w[1], again * Params::FOLD_HIGH);
    }

    // The element of a number of 2·WORDS words.
    static LARGE_METHOD FoldField reduce(u32 (&t)[2 * WORDS])
    {
        u32 high[WORDS];
        UNROLL for (int i = 0; i < WORDS; ++i) high[i] = t[WORDS + i];
        // t[0 … WORDS] = low half + high half · FOLD_LOW: the even words of the half, then the odd ones.
        mad_chain<WORDS / 2, 0, 0>(t, high, Params::FOLD_LOW);
        t[WORDS] = addc(0, 0);
        mad_chain<WORDS / 2, 1, 1>(t, high, Params::FOLD_LOW);
        FoldField r;
        if constexpr (Params::FOLD_HIGH != 0) {
            t[1] = add_cc(t[1], high[0]);
            UNROLL for (int i = 1; i < WORDS; ++i) t[i + 1] = addc_cc(t[i + 1], high[i]);
            const u32 over = addc(0, 0);
            // (over, t[WORDS])·FOLD: below 2^67.
            u32 lo, hi;
            mul_wide(lo, hi, t[WORDS], Params::FOLD_LOW);
            hi = add_cc(hi, t[WORDS]);
            const u32 top = addc(over, 0);
            hi = add_cc(hi, over * Params::FOLD_LOW);
            const u32 most = addc(top, 0);
            r.w[0] = add_cc(t[0], lo);
            r.w[1] = addc_cc(t[1], hi);
            r.w[2] = addc_cc(t[2], most);
            UNROLL for (int i = 3; i < WORDS; ++i) r.w[i] = addc_cc(t[i], 0);
        } else {
            // t[WORDS] is at most FOLD_LOW, so its product with it is one word.
            r.w[0] = add_cc(t[0], t[WORDS] * Params::FOLD_LOW);
            UNROLL for (int i = 1; i < WORDS; ++i) r.w[i] = addc_cc(t[i], 0);
        }
        const u32 carry = addc(0, 0);
        r.w[0] = add_cc(r.w[0], carry * Params::FOLD_LOW);
        r.w[1] = addc_cc(r.w[1], carry * Params::FOLD_HIGH);
        r.w[2] = addc(r.w[2], 0);
        return r;
    }

    LARGE_METHOD FoldField operator*(const FoldField &other) const
    {
        u32 t[2 * WORDS];
        multiply_words(t, w, other.w);
        return reduce(t);
    }
    LARGE_METHOD FoldField squared() const
    {
        u32 t[2 * WORDS];
        square_words(t, w);
        return reduce(t);
    }
    LARGE_METHOD FoldField operator+(const FoldField &other) const
    {
        FoldField r;
        r.fold_carry(add_words(r.w, w, other.w));
        return r;
    }
    LARGE_METHOD FoldField operator-(const FoldField &other) const
    {
        FoldField r;
        const u32 borrow = sub_words(r.w, w, other.w);
        r.w[0] = sub_cc(r.w[0], borrow & Params::FOLD_LOW);
        r.w[1] = subc_cc(r.w[1], borrow & Params::FOLD_HIGH);
        UNROLL for (int i = 2; i < WORDS; ++i) r.w[i] = subc_cc(r.w[i], 0);
        const u32 again = subc(0, 0);
        r.w[0] = sub_cc(r.w[0], again & Params::FOLD_LOW);
        r.w[1] = subc(r.w[1], again & Params::FOLD_HIGH);
        return r;
    }
    METHOD FoldField operator-() const { return small(0) - *this; }
    METHOD FoldField doubled() const { return *this + *this; }

    // The number below p.
    LARGE_METHOD void canonical(u32 (&words)[WORDS]) const
    {
        u32 p[WORDS], less[WORDS];
        modulus(p);
        UNROLL for (int i = 0; i < WORDS; ++i) words[i] = w[i];
        UNROLL for (int turn = Params::BITS; turn <= 32 * WORDS; ++turn) {
            const bool below = sub_words(less, words, p) != 0;
            select_words(words, below, words, less);
        }
    }
    METHOD bool is_zero() const
    {
        u32 words[WORDS];
        canonical(words);
        return zero_words(words);
    }
    METHOD bool operator==(const FoldField &other) const { return (*this - other).is_zero(); }
    METHOD bool odd() const
    {
        u32 words[WORDS];
        canonical(words);
        return words[0] & 1;
    }
    static METHOD FoldField select(bool condition, const FoldField &a, const FoldField &b)
    {
        FoldField r;
        select_words(r.w, condition, a.w, b.w);
        return r;
    }
};
