// SPDX-License-Identifier: GPL-3.0-or-later
// Messages of field elements through a sponge of Poseidon or Poseidon2, one a thread. `constants.cuh` defines the type Scalar.
//
// sponge_3 and sponge_any(const u8 *data, const i64 *offsets, u32 padded, const TableElement *constants, u32 width, u32 full,
//                         u32 partial, u32 form, u32 capacity, u32 *digests, u32 count)
//     Messages of canonical elements, 32 bytes each, where `offsets` say. A permutation takes width − 1 of them, which are added to
//     all places of the state but `capacity`. That one starts as 2^64, and a one and zeros follow the message, where `padded` is
//     set; otherwise as 2^64 times the message's length, and only zeros follow. The first element is the digest.
#include "launch.cuh"
#include "message.cuh"
#include "poseidon.cuh"
#include "constants.cuh"

template <u32 T> DEVICE void absorb_all(
    const u32 *message, u64 length, bool padded, const TableElement *constants, u32 width, u32 full, u32 partial,
    u32 form, u32 capacity, u32 *digest)
{
    constexpr u32 WORDS = Scalar::WORDS;
    Permutation<Scalar, T> permutation;
    permutation.given = width;
    ROLLED for (u32 i = 0; i < permutation.width(); ++i) permutation.x[i] = Scalar::zero();
    const u64 tag = padded ? 1 : length;
    permutation.x[capacity].w[2] = (u32)tag;
    permutation.x[capacity].w[3] = (u32)(tag >> 32);
    u64 next = 0;
    do {
        ROLLED for (u32 place = 0; place < permutation.width(); ++place) {
            if (place == capacity) continue;
            Scalar element = Scalar::zero();
            if (next < length) {
                UNROLL for (u32 word = 0; word < WORDS; ++word) element.w[word] = message[next * WORDS + word];
            } else {
                element.w[0] = padded && next == length;
            }
            permutation.x[place] = permutation.x[place] + element;
            ++next;
        }
        permutation.constants = constants;
        permutation.permute(full / 2, partial, form, permutation.width());
    } while (next < length + padded);
    UNROLL for (u32 word = 0; word < WORDS; ++word) digest[word] = permutation.x[0].w[word];
}

template <u32 T> DEVICE void sponge(
    u32 item, const u8 *data, const i64 *offsets, bool padded, const TableElement *constants, u32 width, u32 full,
    u32 partial, u32 form, u32 capacity, u32 *digests)
{
    constexpr u32 WORDS = Scalar::WORDS;
    const u64 length = (u64)(offsets[item + 1] - offsets[item]) / (4 * WORDS);
    const u32 *message = (const u32 *)message_start(data, offsets, item);
    absorb_all<T>(
        message, length, padded, constants, width, full, partial, form, capacity, digests + (u64)item * WORDS);
}

KERNEL(sponge_3, 128, 4)
(const u8 *data, const i64 *offsets, u32 padded, const TableElement *constants, u32 width, u32 full, u32 partial, u32 form,
 u32 capacity, u32 *digests, u32 count)
{
    for_items(item, count)
        sponge<3>(item, data, offsets, padded, constants, width, full, partial, form, capacity, digests);
}
KERNEL(sponge_any, 128, 4)
(const u8 *data, const i64 *offsets, u32 padded, const TableElement *constants, u32 width, u32 full, u32 partial, u32 form,
 u32 capacity, u32 *digests, u32 count)
{
    for_items(item, count)
        sponge<0>(item, data, offsets, padded, constants, width, full, partial, form, capacity, digests);
}
