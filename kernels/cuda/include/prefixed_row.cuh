// SPDX-License-Identifier: GPL-3.0-or-later
// A message that is one byte and a row behind it: what leaves and nodes of Merkle trees are hashed as.
//
// The blocks are those of a message that begins a byte before the row; the byte that was read there is replaced. Up to
// four bytes in front of the first row must be readable.
#pragma once
#include "message.cuh"

template <class Spec> struct PrefixedRow
{
    static constexpr int WORDS = Spec::BLOCK_BYTES / 4;

    Stream<Spec, 0> stream;
    u32 front;
    bool first;

    METHOD PrefixedRow(const u8 *row, u32 width, u32 byte) : stream(row - 1, (u64)width + 1), front(byte), first(true) {}

    // Whether the next block is the last one.
    METHOD bool ends() const { return stream.left <= (i64)Spec::BLOCK_BYTES - (i64)Spec::PADDING_BYTES; }

    METHOD void next(u32 (&block)[WORDS])
    {
        const u32 none[1] = {0};
        stream.next(block, none);
        if (first) block[0] = Spec::BIG_ENDIAN ? (block[0] & 0x00ffffffu) | front << 24 : (block[0] & 0xffffff00u) | front;
        first = false;
    }
};
