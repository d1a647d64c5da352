// SPDX-License-Identifier: GPL-3.0-or-later
// Schnorr verification with x-only keys around `double_multiply`: R = s·G − e·P is finite, has even y, and x = r. BIP-340.
//
// schnorr_prepare, double_multiply, double_multiply_complete (both of double_multiply.cu), schnorr_finish.
//
// schnorr_prepare(const u8 *keys, const u8 *data, const i64 *offsets, const u8 *signatures, u32 *points, u32 *scalars,
//                 i8 *verdicts, u32 count)
//     One thread per item. Rows of 32 bytes x and of 64 bytes r ‖ s. Message i is at data + (offsets[i] − offsets[0]).
//     Writes every verdict, −1 or 1, and the point, s and −e where it is 1.
// schnorr_finish(const u8 *signatures, const u32 *results, i8 *verdicts, u32 count)
//     One thread per 16 items: group_threads(count) of them. Final verdicts: 1, 0 or −1.
//
// Scratch columns: points 16 words an item, scalars 17, results 24. Rows of keys and signatures need no alignment.
#include "launch.cuh"
#include "schnorr.cuh"
#include "constants.cuh"

KERNEL(schnorr_prepare, 128, 4)
(const u8 *keys, const u8 *data, const i64 *offsets, const u8 *signatures, u32 *points, u32 *scalars, i8 *verdicts,
 u32 count)
{
    for_items(item, count)
    {
        const u8 *key = keys + (u64)item * 32, *signature = signatures + (u64)item * 64;
        u32 x[8], r[8], s[8], p[8], n[8], minus_e[8];
        Affine<Base> P;
        load_big(x, key);
        load_big(r, signature);
        load_big(s, signature + 32);
        Base::modulus(p);
        Scalar::modulus(n);
        if (!lift<Curve>(P, x, false) || !less_words(r, p) || !less_words(s, n)) {
            verdicts[item] = MALFORMED;
            continue;
        }
        verdicts[item] = OPEN;
        store_point(points, item, count, P);
        const i64 start = offsets[item];
        minus_challenge<Curve, Hash, Tag>(minus_e, signature, key, data + (start - offsets[0]), offsets[item + 1] - start);
        store_scalars<Curve>(scalars, item, count, s, minus_e);
    }
}

KERNEL(schnorr_finish, 128, 2)(const u8 *signatures, const u32 *results, i8 *verdicts, u32 count)
{
    const u32 threads = group_threads(count);
    for_items(thread, threads) invert_results<Curve>(
        thread, threads, results, verdicts, count, [&](u32 item, bool finite, const Affine<Base> &R) {
            if (!finite) return;
            u32 r[8];
            load_big(r, signatures + (u64)item * 64);
            verdicts[item] = !R.y.odd() && R.x == Base::from_words(r) ? OPEN : INVALID;
        });
}
