// SPDX-License-Identifier: GPL-3.0-or-later
// Schnorr signatures with x-only keys, as BIP-340 verifies them: the challenge.
#pragma once
#include "double_multiply.cuh"
#include "sha2.cuh"

// −e modulo the order, e = the tagged hash of r ‖ x ‖ message. `Tag::state` is the hash's state after the tag's block.
template <class Curve, class Hash, class Tag>
DEVICE void minus_challenge(u32 (&words)[8], const u8 *r, const u8 *x, const u8 *message, u64 length)
{
    typedef typename Curve::Scalar Scalar;
    u32 state[8], prefix[16], half[8], digest[8];
    load_little(half, r);
    UNROLL for (int i = 0; i < 8; ++i) prefix[i] = half[i];
    load_little(half, x);
    UNROLL for (int i = 0; i < 8; ++i) prefix[8 + i] = half[i];
    Tag::state(state);
    sha2_prefixed<Hash, 16>(state, Tag::BYTES, prefix, message, length);
    UNROLL for (int i = 0; i < 8; ++i) digest[i] = state[7 - i];
    (-Scalar::from_words(digest)).canonical(words);
}
