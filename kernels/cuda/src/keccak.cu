// SPDX-License-Identifier: GPL-3.0-or-later
// Keccak of each message of a ragged batch, and addresses: the last 20 bytes of it, for keys of 64 bytes.
// `constants.cuh` defines the type Spec.
#include "launch.cuh"
#include "keccak.cuh"
#include "constants.cuh"

KERNEL(hash_messages, 128, 4)(const u8 *data, const i64 *offsets, u8 *digests, u32 count)
{
    for_items(item, count)
    {
        u32 digest[8];
        keccak<Spec>(digest, message_start(data, offsets, item), offsets[item + 1] - offsets[item]);
        store_digest(digests + (u64)item * Spec::DIGEST_BYTES, digest);
    }
}

KERNEL(addresses, 128, 4)(const u8 *keys, u8 *out, u32 count)
{
    for_items(item, count)
    {
        u32 digest[8], address[5];
        keccak<Spec>(digest, keys + (u64)item * 64, 64);
        UNROLL for (int i = 0; i < 5; ++i) address[i] = digest[3 + i];
        store_digest(out + (u64)item * 20, address);
    }
}
