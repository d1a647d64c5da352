// SPDX-License-Identifier: GPL-3.0-or-later
// Accesses of a block on the device. Access p < reads is a read, the others are writes; owner[p] is 1 + its transaction.
// Links name a transaction by 1 + its position, 0 is none.
#pragma once
#include "radix_sort.cuh"

constexpr u32 ROW_WORDS = 4, UNSETTLED = ~0u, NOT_OFFERED = ~0u, GROUP_THREADS = 256;

// The sets as they were sent. Keys are ids of one word or rows of four.
struct Block {
    u32 reads, width;
    const u64 *read_keys, *write_keys;
    const i64 *read_offsets, *write_offsets;

    METHOD const u64 *key(u32 access) const
    {
        return access < reads ? read_keys + (u64)access * width : write_keys + (u64)(access - reads) * width;
    }

    // Where the access stands in block order: a transaction's reads, then its writes.
    METHOD u32 place(u32 access, u32 transaction) const
    {
        if (access < reads) return access + (u32)write_offsets[transaction];
        return access - reads + (u32)read_offsets[transaction + 1];
    }
};

DEVICE u64 folded_product(u64 a, u64 b) { return a * b ^ product_high(a, b); }

// As `digest_rows` of the CPU: equal rows have equal digests.
DEVICE u64 digest_of(const u64 *row, const u64 *words)
{
    const u64 left = folded_product(row[0] ^ words[0], row[1] ^ words[1]);
    const u64 right = folded_product(row[2] ^ words[2], row[3] ^ words[3]);
    return left + (right << 1 | right >> 63);
}

DEVICE bool rows_differ(const u64 *one, const u64 *other)
{
    return ((one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3])) != 0;
}

// What the threads of a block append to a list together: threads claim places, then one of them reserves room for all.
struct Batch {
    u32 taken, base;

    METHOD void begin()
    {
        for_threads(thread, GROUP_THREADS) if (thread == 0) taken = 0;
    }
    METHOD u32 claim(bool offered) { return offered ? atomic_add(&taken, 1) : NOT_OFFERED; }
    METHOD void reserve(u32 *counter)
    {
        for_threads(thread, GROUP_THREADS) if (thread == 0) base = taken ? atomic_add(counter, taken) : 0;
    }
};

// Links of one block, and how far each transaction has come with its own.
struct Links {
    const i64 *read_offsets, *write_offsets;
    const u32 *read_earlier, *write_earlier, *pending;
    u32 locking;

    // Whether all that `transaction` depends on has a wave below `round`. Links that were found settled once are not looked
    // at again: the first `from` of them; `cursor` takes how many there are now.
    METHOD bool settled(u32 transaction, u32 round, u32 from, u32 *cursor, const u32 *wave) const
    {
        u32 at = from;
        if (!locking || pending[transaction] == 0) {
            const i64 first_read = read_offsets[transaction];
            const u32 reads = (u32)(read_offsets[transaction + 1] - first_read);
            u32 all = reads;
            i64 first_write = 0;
            if (locking) {
                first_write = write_offsets[transaction];
                all += (u32)(write_offsets[transaction + 1] - first_write);
            }
            for (; at < all; ++at) {
                const u32 link = at < reads ? read_earlier[first_read + at] : write_earlier[first_write + (at - reads)];
                if (link && link - 1 != transaction && wave[link - 1] >= round) break;
            }
            if (at == all) return true;
        }
        cursor[transaction] = at;
        return false;
    }
};

// Distinct keys: segment s of the sorted accesses holds all of one key.
struct Segments {
    Block block;
    const u32 *starts, *payload;

    METHOD u32 count(u32 segment) const { return starts[segment + 1] - starts[segment]; }

    // Digit `level` of (count descending, key ascending), the highest first: four of the count, then the key's bytes. Ids
    // compare as numbers, rows byte by byte as they lie in memory.
    METHOD u32 digit(u32 segment, u32 level) const
    {
        if (level < 4) return ~count(segment) >> (24 - 8 * level) & 255;
        const u64 *key = block.key(payload[starts[segment]]);
        const u32 byte = level - 4;
        if (block.width == 1) return (u32)(key[0] >> (56 - 8 * byte)) & 255;
        return ((const u8 *)key)[byte];
    }
};
