// SPDX-License-Identifier: GPL-3.0-or-later
// The steps of EdDSA verification: R' = s·B − h·A with signed digits, nibbles of h against eight multiples of −A that each
// thread builds for itself, windows of s against the table of all multiples of B that a window may ask for.
#pragma once
#include "edwards.cuh"
#include "montgomery_field.cuh"
#include "sha2.cuh"

// Which equation decides: R' = R byte by byte; that, and neither A nor R of small order; 8·R' = 8·R.
static constexpr u32 COFACTORLESS = 0, STRICT = 1, COFACTORED = 2;

static constexpr u32 NIBBLES = 64, MULTIPLES = 8;

// low + high·2^256 modulo the order. In Montgomery form `high` is high·2^256, which is what is wanted, and the product with
// the form of one is `low` reduced: both are taken as the numbers they are.
template <class Order> DEVICE void reduce_wide(u32 (&r)[8], const u32 (&low)[8], const u32 (&high)[8])
{
    Order rest;
    UNROLL for (int i = 0; i < 8; ++i) rest.w[i] = low[i];
    const Order sum = Order::from_words(high) + Order::one() * rest;
    UNROLL for (int i = 0; i < 8; ++i) r[i] = sum.w[i];
}

// The 512-bit little-endian hash of R ‖ A ‖ M modulo the order.
template <class Curve>
DEVICE void challenge(u32 (&h)[8], const u32 (&r)[8], const u32 (&key)[8], const u8 *message, u64 length)
{
    u32 prefix[16], low[8], high[8];
    UNROLL for (int i = 0; i < 8; ++i) prefix[i] = r[i], prefix[8 + i] = key[i];
    u64 state[8];
    Curve::Hash::initial(state);
    sha2_prefixed<typename Curve::Hash, 16>(state, 0, prefix, message, length);
    UNROLL for (int i = 0; i < 4; ++i) {
        low[2 * i] = swap_bytes((u32)(state[i] >> 32)), low[2 * i + 1] = swap_bytes((u32)state[i]);
        high[2 * i] = swap_bytes((u32)(state[4 + i] >> 32)), high[2 * i + 1] = swap_bytes((u32)state[4 + i]);
    }
    reduce_wide<typename Curve::Order>(h, low, high);
}

// Digits −8 … 7 of h below 2^255, each raised by 8: digit i is nibble i.
DEVICE void nibble_digits(u32 (&digits)[8], const u32 (&h)[8])
{
    UNROLL for (int i = 0; i < 8; ++i) digits[i] = 0x88888888;
    add_words(digits, h, digits);
}

// Cached forms of P, 2P, …, 8P for P = (x, y).
template <class Curve, class F> DEVICE void cached_multiples(u32 (&table)[MULTIPLES * CACHED_WORDS], const F &x, const F &y)
{
    Extended<F> P = affine_point(x, y);
    store_cached<Curve>(table, P);
    ROLLED for (u32 i = 1; i < MULTIPLES; ++i) {
        add_affine(P, table, false);  // Z of P itself is 1
        store_cached<Curve>(table + i * CACHED_WORDS, P);
    }
}

// h·P from `cached_multiples` and `nibble_digits`. A digit of 0 adds nothing and is passed over.
template <class F> DEVICE Extended<F> multiply_nibbles(const u32 (&table)[MULTIPLES * CACHED_WORDS], const u32 (&digits)[8])
{
    Extended<F> P = neutral_point<F>();
    for (u32 place = NIBBLES - 1;; --place) {
        const i32 digit = (i32)(digits[place / 8] >> place % 8 * 4 & 15) - 8;
        if (digit != 0) {
            const u32 multiple = digit < 0 ? -digit : digit;
            add_cached(P, table + (multiple - 1) * CACHED_WORDS, digit < 0, place == 0);
        }
        if (place == 0) return P;
        ROLLED for (u32 i = 1; i <= 4; ++i) double_point(P, i == 4);
    }
}

// P + s·B, s below the order: `table` holds d·2^(WINDOW_BITS·w)·B for d = 1 … WINDOW_MULTIPLES in every window w.
template <class Curve, class F> DEVICE void add_base_multiple(Extended<F> &P, const u32 *table, const u32 (&s)[8])
{
    u32 digits[9];
    Curve::window_offset(digits);
    digits[0] = add_cc(digits[0], s[0]);
    UNROLL for (int i = 1; i < 8; ++i) digits[i] = addc_cc(digits[i], s[i]);
    digits[8] = addc(digits[8], 0);
    ROLLED for (u32 window = 0; window < Curve::WINDOWS; ++window) {
        const u32 bit = window * Curve::WINDOW_BITS;
        const u32 bits = funnel_right(digits[bit / 32], digits[bit / 32 + 1], bit % 32);
        const i32 digit = (i32)(bits & (2 * Curve::WINDOW_MULTIPLES - 1)) - (i32)Curve::WINDOW_MULTIPLES;
        if (digit != 0) {
            const u32 multiple = digit < 0 ? -digit : digit;
            add_affine(P, table + (window * Curve::WINDOW_MULTIPLES + multiple - 1) * AFFINE_WORDS, digit < 0);
        }
    }
}

// Whether R decodes and P − R is of small order.
template <class Curve, class F> DEVICE bool differs_by_small_order(Extended<F> P, const u32 (&encoded)[8])
{
    F x, y;
    const bool decodes = decompress<Curve>(x, y, encoded);
    alignas(16) u32 entry[AFFINE_WORDS];
    store_affine<Curve>(entry, x, y);
    add_affine_apart(P, entry, true);
    return decodes && small_order(P);
}
