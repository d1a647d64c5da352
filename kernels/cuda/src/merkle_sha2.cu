// SPDX-License-Identifier: GPL-3.0-or-later
// SHA-2 of a byte and a row, for every row: leaves and levels of Merkle trees. `constants.cuh` defines the type Spec, whose
// words have 32 bits.
#include "launch.cuh"
#include "sha2.cuh"
#include "prefixed_row.cuh"
#include "constants.cuh"

KERNEL(hash_rows, 128, 8)(const u8 *rows, u32 width, u32 front, u8 *digests, u32 count)
{
    for_items(item, count)
    {
        PrefixedRow<Spec> message(rows + (u64)item * width, width, front);
        u32 state[8];
        Spec::initial(state);
        bool last;
        do {
            u32 block[16];
            last = message.ends();
            message.next(block);
            if (last) {
                block[14] = (width + 1) >> 29;
                block[15] = (width + 1) << 3;
            }
            sha2_compress<Spec>(state, block);
        } while (!last);
        UNROLL for (int i = 0; i < 8; ++i) state[i] = swap_bytes(state[i]);
        store_digest(digests + (u64)item * Spec::DIGEST_BYTES, state);
    }
}
