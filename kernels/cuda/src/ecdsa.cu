// SPDX-License-Identifier: GPL-3.0-or-later
// ECDSA verification and key recovery around `double_multiply`. SEC 1, version 2.0, sections 4.1.4 and 4.1.6.
//
// Verify: ecdsa_prepare, ecdsa_keys, double_multiply, double_multiply_complete, ecdsa_compare.
// Recover: ecdsa_prepare, ecdsa_nonces, double_multiply, double_multiply_complete, ecdsa_finish_recover.
// Verdicts say on the way what is still to be done with an item (double_multiply.cuh); the last kernel leaves 1, 0 or −1.
//
// ecdsa_prepare(const u8 *signatures, u32 width, const u8 *digests, u32 recovering, u32 low_s, u32 *scalars, i8 *verdicts,
//               u32 count)
//     One thread per 16 items: group_threads(count) of them. Rows of signatures are `width` bytes (64 or 65), r first.
//     recovering 0: u₁ = z/s, u₂ = r/s; 1: u₁ = −z/r, u₂ = s/r. Writes every verdict: −1, 0 (s high and low_s not 0) or 1,
//     and the scalars of those that are not −1.
// ecdsa_keys(const u8 *keys, u32 width, u32 *points, i8 *verdicts, u32 count)
//     One thread per item. Rows of 33, 64 or 65 bytes. Writes the points, or the verdict −1.
// ecdsa_nonces(const u8 *signatures, u32 *points, i8 *verdicts, u32 count)
//     One thread per item. Rows of 65 bytes, r ‖ s ‖ recovery id. Writes the points R, or the verdict −1.
// ecdsa_compare(const u8 *signatures, const u32 *results, i8 *verdicts, u32 count)
//     One thread per item. Rows of 64 bytes. Final verdicts.
// ecdsa_finish_recover(const u32 *results, u8 *keys, i8 *verdicts, u32 count)
//     One thread per 16 items. Writes rows of 64 bytes x ‖ y, zero where nothing was recovered, and final verdicts.
//
// Scratch columns: points 16 words an item, scalars 17, results 24. `keys` of ecdsa_finish_recover is aligned to 4 bytes.
#include "launch.cuh"
#include "ecdsa.cuh"
#include "constants.cuh"

// What to divide by, or 1 where the signature is malformed.
DEVICE Scalar denominator(const u8 *row, u32 recovering)
{
    u32 r[8], s[8], words[8];
    if (!read_signature<Curve>(r, s, row)) return Scalar::one();
    select_words(words, recovering, r, s);
    return Scalar::from_words(words);
}

DEVICE Scalar plain(const u32 (&words)[8])
{
    Scalar r;
    UNROLL for (int i = 0; i < 8; ++i) r.w[i] = words[i];
    return r;
}

KERNEL(ecdsa_prepare, 128, 2)
(const u8 *signatures, u32 width, const u8 *digests, u32 recovering, u32 low_s, u32 *scalars, i8 *verdicts, u32 count)
{
    const u32 threads = group_threads(count);
    for_items(thread, threads) share_inversion<ScalarParams>(
        thread, threads, count, Scalar::one(),
        [&](u32 item) { return denominator(signatures + (u64)item * width, recovering); },
        [&](u32 item, const Scalar &inverse) {
            u32 r[8], s[8], z[8], half[8], numerator[8];
            if (!read_signature<Curve>(r, s, signatures + (u64)item * width)) {
                verdicts[item] = MALFORMED;
                return;
            }
            Curve::half_order(half);
            verdicts[item] = low_s && less_words(half, s) ? INVALID : OPEN;
            load_big(z, digests + (u64)item * 32);
            select_words(numerator, recovering, s, r);
            // One in Montgomery form times plain numbers, the digest perhaps above the order: plain, and below it.
            const Scalar u1 = inverse * plain(z), u2 = inverse * plain(numerator);
            store_scalars<Curve>(scalars, item, count, Scalar::select(recovering, -u1, u1).w, u2.w);
        });
}

KERNEL(ecdsa_keys, 128, 4)(const u8 *keys, u32 width, u32 *points, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        Affine<Base> Q;
        if (read_key<Curve>(Q, keys + (u64)item * width, width))
            store_point(points, item, count, Q);
        else
            verdicts[item] = MALFORMED;
    }
}

KERNEL(ecdsa_nonces, 128, 4)(const u8 *signatures, u32 *points, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        Affine<Base> R;
        if (read_nonce_point<Curve>(R, signatures + (u64)item * 65))
            store_point(points, item, count, R);
        else
            verdicts[item] = MALFORMED;
    }
}

KERNEL(ecdsa_compare, 128, 4)(const u8 *signatures, const u32 *results, i8 *verdicts, u32 count)
{
    for_items(item, count)
    {
        if (verdicts[item] != OPEN) continue;
        u32 r[8];
        load_big(r, signatures + (u64)item * 64);
        verdicts[item] = abscissa_matches<Curve>(load_result<Base>(results, item, count), r) ? OPEN : INVALID;
    }
}

KERNEL(ecdsa_finish_recover, 128, 2)(const u32 *results, u8 *keys, i8 *verdicts, u32 count)
{
    const u32 threads = group_threads(count);
    for_items(thread, threads) invert_results<Curve>(
        thread, threads, results, verdicts, count, [&](u32 item, bool finite, const Affine<Base> &Q) {
            u32 x[8], y[8];
            Q.x.canonical(x);
            Q.y.canonical(y);
            store_big(keys + (u64)item * 64, x);
            store_big(keys + (u64)item * 64 + 32, y);
            if (!finite) verdicts[item] = MALFORMED;
        });
}
