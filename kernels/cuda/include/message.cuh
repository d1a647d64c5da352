// SPDX-License-Identifier: GPL-3.0-or-later
// Messages as blocks of words, padded; digests as bytes; rotations.
//
// A message may have any length and begin anywhere. It is read by aligned 32-bit words, 16 bytes at a time where the
// address allows: a word of the message is then four bytes picked out of two neighbours, in either byte order, by one
// instruction. The aligned word in which a message begins is read whole, and up to seven bytes after its end.
#pragma once
#include "hash_primitives.cuh"

DEVICE u32 rotated_right(u32 x, u32 count) { return funnel_right(x, x, count); }

DEVICE u64 rotated_right(u64 x, u32 count)
{
    const u32 lo = (u32)x, hi = (u32)(x >> 32);
    const u32 low = count < 32 ? funnel_right(lo, hi, count) : funnel_right(hi, lo, count - 32);
    const u32 high = count < 32 ? funnel_right(hi, lo, count) : funnel_right(lo, hi, count - 32);
    return (u64)high << 32 | low;
}

// The words of one hashed stream: PREFIX words that the caller holds, then the message, then padding. The template
// arguments say how words are cut: Spec has BLOCK_BYTES, BIG_ENDIAN and MARKER, the byte that follows the message.
template <class Spec, int PREFIX> struct Stream
{
    static constexpr int WORDS = Spec::BLOCK_BYTES / 4;
    static_assert(PREFIX <= WORDS, "the prefix must fit into the first block");

    const u32 *place;  // where the block's first byte is, rounded down to a multiple of 4
    u32 selector;      // picks a word out of the aligned words i and i + 1
    i64 left;          // bytes that the stream still has from the block's first on; below 0: it ended before
    bool first;        // this block begins with the prefix

    METHOD Stream(const u8 *message, u64 length)
    {
        const u32 skew = (u32)(u64)message & 3;
        place = (const u32 *)(message - skew) - PREFIX;
        selector = (Spec::BIG_ENDIAN ? 0x0123 : 0x3210) + 0x1111 * skew;
        left = (i64)length + 4 * PREFIX;
        first = PREFIX > 0;
    }

    // The next block: words in the order of `Spec`, zero after the marker.
    METHOD void next(u32 (&w)[WORDS], const u32 (&prefix)[PREFIX ? PREFIX : 1])
    {
        if (left >= (i64)Spec::BLOCK_BYTES && !first)
            read_whole(w);
        else
            read_part(w, prefix);
        place += WORDS;
        left -= Spec::BLOCK_BYTES;
        first = false;
    }

    METHOD void read_whole(u32 (&w)[WORDS]) const
    {
        u32 raw[WORDS + 1];
        raw[WORDS] = place[WORDS];
        if (((u64)place & 15) == 0) {
            UNROLL for (int i = 0; i + 3 < WORDS; i += 4)
                load_quad(place + i, raw[i], raw[i + 1], raw[i + 2], raw[i + 3]);
            UNROLL for (int i = WORDS / 4 * 4; i < WORDS; ++i) raw[i] = place[i];
        } else {
            UNROLL for (int i = 0; i < WORDS; ++i) raw[i] = place[i];
        }
        UNROLL for (int i = 0; i < WORDS; ++i) w[i] = pick_bytes(raw[i], raw[i + 1], selector);
    }

    // A block that has the prefix or the message's end in it, or lies after that. Words that belong to the message whole
    // are read where they stand; the one in which it ends is read apart and takes the marker; the others are zero.
    METHOD void read_part(u32 (&w)[WORDS], const u32 (&prefix)[PREFIX ? PREFIX : 1]) const
    {
        const i32 end = left < (i64)Spec::BLOCK_BYTES ? (i32)left >> 2 : WORDS;
        u32 raw[WORDS + 1];
        UNROLL for (int i = 0; i <= WORDS; ++i)
        {
            raw[i] = 0;
            if (i <= end && (i >= PREFIX || !first)) raw[i] = place[i];
        }
        u32 last = 0;
        const u32 shift = ((u32)left & 3) * 8;
        if (end >= 0 && shift != 0 && end < WORDS) last = pick_bytes(place[end], place[end + 1], selector);
        if (Spec::BIG_ENDIAN)
            last = (last & ~(0xffffffffu >> shift)) | Spec::MARKER << (24 - shift);
        else
            last = (last & ~(0xffffffffu << shift)) | Spec::MARKER << shift;
        UNROLL for (int i = 0; i < WORDS; ++i)
        {
            w[i] = i == end ? last : pick_bytes(raw[i], raw[i + 1], selector);
            const u32 held = prefix[i < PREFIX ? i : 0];
            if (i < PREFIX && first) w[i] = Spec::BIG_ENDIAN ? swap_bytes(held) : held;
        }
    }
};

// Message i of a ragged batch.
DEVICE const u8 *message_start(const u8 *data, const i64 *offsets, u32 i) { return data + (offsets[i] - offsets[0]); }

// N words in memory order; the address is a multiple of 4.
template <int N> DEVICE void store_digest(u8 *row, const u32 (&words)[N])
{
    u32 *to = (u32 *)row;
    if (N % 4 == 0 && ((u64)row & 15) == 0) {
        UNROLL for (int i = 0; i + 3 < N; i += 4)
            store_quad(to + i, words[i], words[i + 1], words[i + 2], words[i + 3]);
    } else {
        UNROLL for (int i = 0; i < N; ++i) to[i] = words[i];
    }
}
