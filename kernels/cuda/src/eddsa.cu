// SPDX-License-Identifier: GPL-3.0-or-later
// EdDSA verification: the table of the base point's multiples, R' = s·B − h·A per item, and its comparison with R.
#include "launch.cuh"
#include "power.cuh"
#include "fold_field.cuh"
#include "eddsa.cuh"
#include "constants.cuh"

using Field = Curve::Field;

// Items of a thread that share one inversion.
static constexpr u32 GROUP = Curve::GROUP;

static constexpr u32 WELL_FORMED = 1, ACCEPTED = 2;

// One thread makes GROUP consecutive multiples of one window's base: entries of 24 words, see `add_base_multiple`.
//
// bases: the affine form of each window's base. count: WINDOWS·WINDOW_MULTIPLES/GROUP.
KERNEL(edwards_table, 128, 2)(const u32 *bases, u32 *table, u32 count)
{
    for_items(item, count)
    {
        constexpr u32 CHUNKS = Curve::WINDOW_MULTIPLES / GROUP;
        const u32 *base = bases + item / CHUNKS * AFFINE_WORDS;
        u32 *entries = table + item * GROUP * AFFINE_WORDS;
        const u32 before = item % CHUNKS * GROUP;
        Extended<Field> P = neutral_point<Field>();
        ROLLED for (u32 bit = Curve::WINDOW_BITS; bit-- > 0;) {
            double_point(P, true);
            if (before >> bit & 1) add_affine_apart(P, base, false);
        }
        // X, Y, Z stand where the entry will, and the products of the Z before it in a local array.
        Field products[GROUP], product = Field::small(1);
        ROLLED for (u32 i = 0; i < GROUP; ++i) {
            add_affine_apart(P, base, false);
            store_element(entries + i * AFFINE_WORDS, P.X);
            store_element(entries + i * AFFINE_WORDS + ELEMENT_WORDS, P.Y);
            store_element(entries + i * AFFINE_WORDS + 2 * ELEMENT_WORDS, P.Z);
            products[i] = product;
            product = product * P.Z;
        }
        Field inverse = inverse_of<Curve>(product);
        ROLLED for (u32 i = GROUP; i-- > 0;) {
            u32 *entry = entries + i * AFFINE_WORDS;
            const Field one = inverse * products[i];
            inverse = inverse * load_element<Field>(entry + 2 * ELEMENT_WORDS);
            const Field x = load_element<Field>(entry) * one, y = load_element<Field>(entry + ELEMENT_WORDS) * one;
            store_affine<Curve>(entry, x, y);
        }
    }
}

// Coordinates of all items, word by word.
DEVICE void store_column(u32 *points, u32 column, u32 item, u32 count, const Field &a)
{
    UNROLL for (u32 i = 0; i < 8; ++i) points[(u64)(8 * column + i) * count + item] = a.w[i];
}
DEVICE Field load_column(const u32 *points, u32 column, u32 item, u32 count)
{
    Field r;
    UNROLL for (u32 i = 0; i < 8; ++i) r.w[i] = points[(u64)(8 * column + i) * count + item];
    return r;
}

// R' of every item as X, Y, Z, which under COFACTORED nobody asks for, and what is known of its verdict.
KERNEL(eddsa_multiply, 128, 4)
(const u8 *keys, const u8 *data, const i64 *offsets, const u8 *signatures, const u32 *table, u32 rule, u32 *points,
 u8 *flags, u32 count)
{
    for_items(item, count)
    {
        const u8 *signature = signatures + (u64)item * 64;
        u32 key[8], r[8], h[8], digits[8];
        load_little(key, keys + (u64)item * 32);
        load_little(r, signature);
        challenge<Curve>(h, r, key, message_start(data, offsets, item), offsets[item + 1] - offsets[item]);
        nibble_digits(digits, h);

        Field x, y;
        bool well_formed = decompress<Curve>(x, y, key);
        // An item without a point works on the base point: off the curve Z may become 0, and the shared inversion would
        // take the other items of its group along.
        x = Field::select(well_formed, x, Curve::base_x());
        y = Field::select(well_formed, y, Curve::base_y());
        bool accepted = rule != STRICT || !small_order(affine_point(x, y));

        alignas(16) u32 multiples[MULTIPLES * CACHED_WORDS];
        cached_multiples<Curve>(multiples, -x, y);
        Extended<Field> P = multiply_nibbles<Field>(multiples, digits);
        u32 s[8], order[8];
        load_little(s, signature + 32);
        Curve::Order::modulus(order);
        well_formed = well_formed && less_words(s, order);
        add_base_multiple<Curve>(P, table, s);

        if (rule == STRICT) accepted = accepted && !small_order(P);
        if (rule == COFACTORED) {
            load_little(r, signature);
            accepted = differs_by_small_order<Curve>(P, r);
        } else {
            store_column(points, 0, item, count, P.X);
            store_column(points, 1, item, count, P.Y);
            store_column(points, 2, item, count, P.Z);
        }
        flags[item] = (well_formed ? WELL_FORMED : 0) | (accepted ? ACCEPTED : 0);
    }
}

DEVICE i8 verdict(u32 flag, bool equal)
{
    return flag & WELL_FORMED ? (i8)((flag & ACCEPTED) != 0 && equal) : (i8)-1;
}

// Whether x, y encode to R.
DEVICE bool encodes_to(const Field &x, const Field &y, const u8 *signature)
{
    u32 encoded[8], expected[8];
    y.canonical(encoded);
    encoded[7] |= (u32)x.odd() << 31;
    load_little(expected, signature);
    return equal_words(encoded, expected);
}

// Verdicts: 1 valid, 0 invalid, −1 malformed. One thread per GROUP items; they stand as far apart as there are threads.
KERNEL(eddsa_finish, 128, 4)
(const u32 *points, const u8 *flags, const u8 *signatures, u32 rule, i8 *verdicts, u32 count)
{
    const u32 threads = count / GROUP + (count % GROUP != 0);
    for_items(thread, threads)
    {
        if (rule == COFACTORED) {
            ROLLED for (u32 item = thread; item < count; item += threads) verdicts[item] = verdict(flags[item], true);
            continue;
        }
        Field products[GROUP], product = Field::small(1);
        u32 items = 0;
        ROLLED for (u32 item = thread; item < count; item += threads) {
            products[items++] = product;
            product = product * load_column(points, 2, item, count);
        }
        Field inverse = inverse_of<Curve>(product);
        ROLLED while (items-- > 0) {
            const u32 item = thread + items * threads;
            const Field one = inverse * products[items];
            inverse = inverse * load_column(points, 2, item, count);
            const Field x = load_column(points, 0, item, count) * one, y = load_column(points, 1, item, count) * one;
            verdicts[item] = verdict(flags[item], encodes_to(x, y, signatures + (u64)item * 64));
        }
    }
}
