// SPDX-License-Identifier: GPL-3.0-or-later
// Hashes and permutations of Poseidon and Poseidon2, one a thread. `constants.cuh` defines the type Scalar.
//
// poseidon_3 and poseidon_any(const u32 *inputs, u32 bytes, const TableElement *constants, u32 width, u32 full, u32 partial,
//                             u32 form, u32 capacity, u32 *out, u32 count)
//     Rows of `bytes` bytes: t − 1 elements, beside which element `capacity` of the state is zero, or t. Written are rows of
//     one element, or of t. Elements are canonical, little-endian. `full` and `partial` rounds, in a `form` of
//     `poseidon.cuh`.
// canonical_rows(const u32 *inputs, u32 bytes, i8 *verdicts, u32 count)
//     1 for a row whose elements are all below the modulus, else 0.
#include "launch.cuh"
#include "poseidon.cuh"
#include "constants.cuh"

template <u32 T> DEVICE void one(
    u32 item, const u32 *inputs, u32 bytes, const TableElement *constants, u32 width, u32 full, u32 partial, u32 form,
    u32 capacity, u32 *out)
{
    constexpr u32 WORDS = Scalar::WORDS;
    const u32 taken = bytes / (4 * WORDS);
    const bool hashing = taken < (T ? T : width);
    const u32 *row = inputs + (u64)item * taken * WORDS;
    Permutation<Scalar, T> permutation;
    permutation.constants = constants;
    permutation.given = width;
    ROLLED for (u32 i = 0; i < permutation.width(); ++i) {
        const bool empty = hashing && i == capacity;
        const u32 place = hashing && i > capacity ? i - 1 : i;
        UNROLL for (u32 word = 0; word < WORDS; ++word) {
            permutation.x[i].w[word] = empty ? 0 : row[place * WORDS + word];
        }
    }
    const u32 rows = hashing ? 1 : permutation.width();
    permutation.permute(full / 2, partial, form, rows);
    ROLLED for (u32 i = 0; i < rows; ++i) {
        UNROLL for (u32 word = 0; word < WORDS; ++word) {
            out[((u64)item * rows + i) * WORDS + word] = permutation.x[i].w[word];
        }
    }
}

KERNEL(poseidon_3, 128, 4)
(const u32 *inputs, u32 bytes, const TableElement *constants, u32 width, u32 full, u32 partial, u32 form, u32 capacity,
 u32 *out, u32 count)
{
    for_items(item, count) one<3>(item, inputs, bytes, constants, width, full, partial, form, capacity, out);
}
KERNEL(poseidon_any, 128, 4)
(const u32 *inputs, u32 bytes, const TableElement *constants, u32 width, u32 full, u32 partial, u32 form, u32 capacity,
 u32 *out, u32 count)
{
    for_items(item, count) one<0>(item, inputs, bytes, constants, width, full, partial, form, capacity, out);
}
KERNEL(canonical_rows, 256, 4)(const u32 *inputs, u32 bytes, i8 *verdicts, u32 count)
{
    constexpr u32 WORDS = Scalar::WORDS;
    const u32 elements = bytes / (4 * WORDS);
    u32 modulus[WORDS];
    Scalar::modulus(modulus);
    for_items(item, count)
    {
        bool below = true;
        ROLLED for (u32 i = 0; i < elements; ++i) {
            u32 words[WORDS];
            UNROLL for (u32 word = 0; word < WORDS; ++word) {
                words[word] = inputs[((u64)item * elements + i) * WORDS + word];
            }
            below = below && less_words(words, modulus);
        }
        verdicts[item] = below;
    }
}
