// SPDX-License-Identifier: GPL-3.0-or-later
// One operation of a field per item: what the tests of the arithmetic run. `constants.cuh` defines the type Field.
#include "launch.cuh"
#include "power.cuh"
#include "fold_field.cuh"
#include "montgomery_field.cuh"
#include "constants.cuh"

static constexpr int WORDS = Field::WORDS;

DEVICE Field load(const u32 *rows, u32 item)
{
    u32 words[WORDS];
    UNROLL for (int i = 0; i < WORDS; ++i) words[i] = rows[item * WORDS + i];
    return Field::from_words(words);
}
DEVICE void store(u32 *rows, u32 item, const Field &value)
{
    u32 words[WORDS];
    value.canonical(words);
    UNROLL for (int i = 0; i < WORDS; ++i) rows[item * WORDS + i] = words[i];
}

KERNEL(field_multiply, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count) store(out, item, load(a, item) * load(b, item));
}
KERNEL(field_square, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count) store(out, item, load(a, item).squared());
}
KERNEL(field_add, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count) store(out, item, load(a, item) + load(b, item));
}
KERNEL(field_subtract, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count) store(out, item, load(a, item) - load(b, item));
}
KERNEL(field_inverse, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count) store(out, item, Params::inverse(load(a, item)));
}
KERNEL(field_equal, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count)
    {
        const Field x = load(a, item), y = load(b, item);
        out[item] = (x == y) | (x - y).is_zero() << 1;
    }
}
// The bare product on what the words say, Montgomery form or not, for its instruction count.
KERNEL(field_product, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count)
    {
        Field x, y;
        UNROLL for (int i = 0; i < WORDS; ++i) x.w[i] = a[i * count + item], y.w[i] = b[i * count + item];
        const Field z = x * y;
        UNROLL for (int i = 0; i < WORDS; ++i) out[i * count + item] = z.w[i];
    }
}
KERNEL(field_squaring, 128, 4)(const u32 *a, const u32 *b, u32 *out, u32 count)
{
    for_items(item, count)
    {
        Field x;
        UNROLL for (int i = 0; i < WORDS; ++i) x.w[i] = a[i * count + item];
        const Field z = x.squared();
        UNROLL for (int i = 0; i < WORDS; ++i) out[i * count + item] = z.w[i];
    }
}
