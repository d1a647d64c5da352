// SPDX-License-Identifier: GPL-3.0-or-later
// SHA-2 of each message of a ragged batch. `constants.cuh` defines the type Spec.
#include "launch.cuh"
#include "sha2.cuh"
#include "constants.cuh"

KERNEL(hash_messages, 128, sizeof(Spec::Word) == 4 ? 8 : 4)(const u8 *data, const i64 *offsets, u8 *digests, u32 count)
{
    constexpr int HALVES = sizeof(Spec::Word) / 4;
    for_items(item, count)
    {
        const u32 none[1] = {0};
        Spec::Word state[8];
        Spec::initial(state);
        sha2_prefixed<Spec, 0>(state, 0, none, message_start(data, offsets, item), offsets[item + 1] - offsets[item]);
        u32 words[8 * HALVES];
        UNROLL for (int i = 0; i < 8 * HALVES; ++i)
            words[i] = swap_bytes((u32)((u64)state[i / HALVES] >> (HALVES == 2 && i % 2 == 0 ? 32 : 0)));
        store_digest(digests + (u64)item * Spec::DIGEST_BYTES, words);
    }
}
