// SPDX-License-Identifier: GPL-3.0-or-later
// u₁·G + u₂·Q for a batch: what ECDSA and Schnorr verification have in common.
//
// weierstrass_table(const u32 *bases, u32 *table, u32 chunks)
//     bases: WINDOWS entries of 16 words (x, y), the multiples 2^(12·w)·G; table: WINDOWS·MULTIPLES such entries, written.
//     One thread per chunk of 16 multiples: chunks = WINDOWS·MULTIPLES/16. Both arrays are aligned to 16 bytes.
// double_multiply(const u32 *points, const u32 *scalars, const u32 *table, u32 *results, i8 *verdicts, u32 count)
//     One thread per item; items whose verdict is 1. Writes the Jacobian sum, or the verdict 2 where it met an exception.
// double_multiply_complete(const u32 *points, const u32 *scalars, u32 *results, i8 *verdicts, u32 count)
//     One thread per item; items whose verdict is 2. Writes the sum and the verdict 1, or the verdict 0 if it is infinite.
//
// Scratch columns (word w of item i at [w·count + i]): points 16 words an item, scalars 17, results 24.
#include "launch.cuh"
#include "double_multiply.cuh"
#include "fixed_base.cuh"
#include "constants.cuh"

KERNEL(weierstrass_table, 128, 2)(const u32 *bases, u32 *table, u32 chunks)
{
    for_items(chunk, chunks) make_table_chunk<Curve>(bases, table, chunk);
}

KERNEL(double_multiply, 128, 4)
(const u32 *points, const u32 *scalars, const u32 *table, u32 *results, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        if (verdicts[item] != OPEN) continue;
        const Base zero = Base::small(0);
        Sum<Base> sum = {{zero, zero, zero}, true, false};
        add_multiple<Curve>(sum, load_point<Base>(points, item, count), scalars, item, count);
        add_base_multiple<Curve>(sum, table, scalars, item, count);
        sum.P.Y = Base::select(sum.negated, -sum.P.Y, sum.P.Y);
        store_result(results, item, count, sum.P);
        if (sum.P.Z.is_zero()) verdicts[item] = EXCEPTIONAL;
    }
}

KERNEL(double_multiply_complete, 128, 2)
(const u32 *points, const u32 *scalars, u32 *results, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        if (verdicts[item] != EXCEPTIONAL) continue;
        const Affine<Base> Q = load_point<Base>(points, item, count);
        const Jacobian<Base> P = complete_double_multiply<Curve>(Q, scalars, item, count);
        store_result(results, item, count, P);
        verdicts[item] = P.Z.is_zero() ? INVALID : OPEN;
    }
}
