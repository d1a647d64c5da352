// SPDX-License-Identifier: GPL-3.0-or-later
// One sum of `fold_sums.cuh` per item: what its tests run. Rows of four elements a, b, c, d in, of one element out.
#include "launch.cuh"
#include "power.cuh"
#include "fold_sums.cuh"
#include "constants.cuh"

struct Terms {
    Field a, b, c, d;
};

DEVICE Field load_term(const u32 *rows, u32 index)
{
    u32 words[8];
    UNROLL for (int i = 0; i < 8; ++i) words[i] = rows[index * 8 + i];
    return Field::from_words(words);
}
DEVICE Terms load_terms(const u32 *rows, u32 item)
{
    const u32 first = 4 * item;
    return {load_term(rows, first), load_term(rows, first + 1), load_term(rows, first + 2), load_term(rows, first + 3)};
}
// The words as they are, so that a result of 2^256 or more could not hide.
DEVICE void store_sum(u32 *rows, u32 item, const Field &value)
{
    UNROLL for (int i = 0; i < 8; ++i) rows[item * 8 + i] = value.w[i];
}

KERNEL(sums_product_plus_square, 128, 4)(const u32 *terms, u32 *out, u32 count)
{
    for_items(item, count)
    {
        const Terms t = load_terms(terms, item);
        store_sum(out, item, product_plus_square(t.a, t.b, t.c));
    }
}
KERNEL(sums_of_products, 128, 4)(const u32 *terms, u32 *out, u32 count)
{
    for_items(item, count)
    {
        const Terms t = load_terms(terms, item);
        store_sum(out, item, sum_of_products(t.a, t.b, t.c, t.d));
    }
}
KERNEL(sums_minus_twice, 128, 4)(const u32 *terms, u32 *out, u32 count)
{
    for_items(item, count)
    {
        const Terms t = load_terms(terms, item);
        store_sum(out, item, minus_twice(t.a, t.b));
    }
}
KERNEL(sums_minus_one_and_twice, 128, 4)(const u32 *terms, u32 *out, u32 count)
{
    for_items(item, count)
    {
        const Terms t = load_terms(terms, item);
        store_sum(out, item, minus_one_and_twice(t.a, t.b, t.c));
    }
}
KERNEL(sums_halved, 128, 4)(const u32 *terms, u32 *out, u32 count)
{
    for_items(item, count) store_sum(out, item, halved(load_terms(terms, item).a));
}
