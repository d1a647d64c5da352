// SPDX-License-Identifier: GPL-3.0-or-later
// Keccak of a byte and a row, for every row: leaves and levels of Merkle trees. `constants.cuh` defines the type Spec.
#include "launch.cuh"
#include "keccak.cuh"
#include "prefixed_row.cuh"
#include "constants.cuh"

KERNEL(hash_rows, 128, 4)(const u8 *rows, u32 width, u32 front, u8 *digests, u32 count)
{
    constexpr int WORDS = Spec::BLOCK_BYTES / 4;
    for_items(item, count)
    {
        PrefixedRow<Spec> message(rows + (u64)item * width, width, front);
        u64 a[25];
        UNROLL for (int i = 0; i < 25; ++i) a[i] = 0;
        bool last;
        do {
            u32 block[WORDS];
            last = message.ends();
            message.next(block);
            if (last) block[WORDS - 1] ^= Spec::LAST_MARKER << 24;
            UNROLL for (int i = 0; i < WORDS / 2; ++i) a[i] ^= (u64)block[2 * i + 1] << 32 | block[2 * i];
            ROLLED for (int round = 0; round < (int)Spec::ROUNDS; ++round)
                keccak_round<Spec>(a, Spec::constant(round));
        } while (!last);
        u32 digest[8];
        UNROLL for (int i = 0; i < 8; ++i) digest[i] = (u32)(a[i / 2] >> 32 * (i % 2));
        store_digest(digests + (u64)item * Spec::DIGEST_BYTES, digest);
    }
}
