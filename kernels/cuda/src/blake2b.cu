// SPDX-License-Identifier: GPL-3.0-or-later
// BLAKE2b of each message of a ragged batch. `constants.cuh` defines the type Spec.
#include "launch.cuh"
#include "blake2b.cuh"
#include "constants.cuh"

KERNEL(hash_messages, 128, 4)(const u8 *data, const i64 *offsets, u8 *digests, u32 count)
{
    for_items(item, count)
    {
        u64 h[8];
        u32 words[16];
        blake2b<Spec>(h, message_start(data, offsets, item), offsets[item + 1] - offsets[item]);
        UNROLL for (int i = 0; i < 16; ++i) words[i] = (u32)(h[i / 2] >> 32 * (i % 2));
        store_digest(digests + (u64)item * Spec::DIGEST_BYTES, words);
    }
}
