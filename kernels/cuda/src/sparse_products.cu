// SPDX-License-Identifier: GPL-3.0-or-later
// Products of sparse matrices with vectors over a prime field of 256 bits, and products number by number;
// `constants.cuh` defines the type Field. What calls these kernels is `supervm.kernels.cuda.sparse_products`.
//
// Numbers are plain; entries of matrices are in Montgomery form, so that their products with plain numbers are plain again.
// Of `count` threads each takes an item of one of several vectors, those of the first vector first.
#include "launch.cuh"
#include "scalars.cuh"

// Numbers to Montgomery form, in place.
KERNEL(to_montgomery, 128, 4)(u32 count, Quad *numbers)
{
    for_items(item, count) put(numbers, item, Field::from_words(fetch(numbers, item).w));
}

// Where a piece's sum goes: slots below `rows` are the rows of the product, others hold parts of rows that were cut.
DEVICE Quad *slot(Quad *product, Quad *parts, u32 rows, u32 room, u32 vector, u32 number)
{
    return number < rows ? product + 2 * ((u64)vector * rows + number) : parts + 2 * ((u64)vector * room + number - rows);
}

// A piece of a row: entries starts[piece] … starts[piece + 1] − 1, each times the number of its column.
KERNEL(multiply_pieces, 128, 4)
(u32 count, u32 pieces, u32 rows, u32 room, u32 columns, const u32 *starts, const u32 *targets, const u32 *places,
 const Quad *entries, const Quad *vectors, Quad *product, Quad *parts)
{
    for_items(item, count)
    {
        const u32 vector = item / pieces, piece = item % pieces;
        const Quad *numbers = vectors + 2 * (u64)vector * columns;
        Field sum = Field::zero();
        ROLLED for (u32 i = starts[piece]; i < starts[piece + 1]; ++i)
            sum = sum + fetch(entries, i) * fetch(numbers, places[i]);
        put(slot(product, parts, rows, room, vector, targets[piece]), 0, sum);
    }
}

// The same of slots that are added up.
KERNEL(sum_pieces, 128, 4)
(u32 count, u32 pieces, u32 rows, u32 room, const u32 *starts, const u32 *targets, Quad *product, Quad *parts)
{
    for_items(item, count)
    {
        const u32 vector = item / pieces, piece = item % pieces;
        Field sum = Field::zero();
        ROLLED for (u32 i = starts[piece]; i < starts[piece + 1]; ++i)
            sum = sum + fetch(slot(product, parts, rows, room, vector, i), 0);
        put(slot(product, parts, rows, room, vector, targets[piece]), 0, sum);
    }
}

// a·b/R, number by number.
KERNEL(multiply_numbers, 128, 4)(u32 count, const Quad *a, const Quad *b, Quad *out)
{
    for_items(item, count) put(out, item, fetch(a, item) * fetch(b, item));
}

// (a·b/R − c)·factor, number by number: `factor` is one number in Montgomery form. `out` may be one of the others.
KERNEL(multiply_subtract, 128, 4)(u32 count, const Quad *a, const Quad *b, const Quad *c, const Quad *factor, Quad *out)
{
    for_items(item, count)
    {
        const Field difference = fetch(a, item) * fetch(b, item) - fetch(c, item);
        put(out, item, fetch(factor, 0) * difference);
    }
}

// Rows of `width` numbers: `before` of their own, then chosen ones of a row of `given`, then the first of a row of `more`.
KERNEL(gather_rows, 128, 8)
(u32 count, u32 width, u32 before, u32 chosen, u32 given_width, u32 more_width, const Quad *own, const u32 *places,
 const Quad *given, const Quad *more, Quad *out)
{
    for_items(item, count)
    {
        const u64 row = item / width;
        const u32 at = item % width;
        const Quad *source = at < before ? own + 2 * (row * before + at)
                             : at < before + chosen ? given + 2 * (row * given_width + places[at - before])
                                                    : more + 2 * (row * more_width + at - before - chosen);
        out[2 * (u64)item] = source[0];
        out[2 * (u64)item + 1] = source[1];
    }
}
