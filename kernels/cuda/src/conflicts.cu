// SPDX-License-Identifier: GPL-3.0-or-later
// Conflict detection. Accesses are sorted by key, stably, so that those to one key lie together in block order; scans carry
// the last writer forward and the next one back; waves are peeled round by round.
#include "conflicts.cuh"

// owner[first access of a transaction on each side] = 1 + the transaction; a scan carries it to the rest.
KERNEL(mark_owners, 128, 4)
(u32 transactions, u32 reads, const i64 *read_offsets, const i64 *write_offsets, u32 *owner, u32 *widest)
{
    u32 most = 0;
    for_items(i, transactions)
    {
        const u32 read = (u32)read_offsets[i], read_end = (u32)read_offsets[i + 1];
        const u32 write = (u32)write_offsets[i], write_end = (u32)write_offsets[i + 1];
        if (read < read_end) owner[read] = i + 1;
        if (write < write_end) owner[reads + write] = i + 1;
        const u32 accesses = read_end - read + (write_end - write);
        if (accesses > most) most = accesses;
    }
    join_max(widest, most);
}

// Ids in block order, and the bits in which any differs from the first.
KERNEL(place_ids, 128, 4)
(u32 accesses, u32 reads, const u64 *read_keys, const u64 *write_keys, const i64 *read_offsets, const i64 *write_offsets,
 const u32 *owner, u64 *keys, u32 *payload, u64 *varying)
{
    const Block block = {reads, 1, read_keys, write_keys, read_offsets, write_offsets};
    const u64 sample = *block.key(0);
    u64 bits = 0;
    for_items(access, accesses)
    {
        const u32 at = block.place(access, owner[access] - 1);
        const u64 key = *block.key(access);
        keys[at] = key;
        payload[at] = access;
        bits |= key ^ sample;
    }
    join_bits(varying, bits);
}

// Digests of rows in block order, cut to their leading 64 − shift bits.
KERNEL(place_rows, 128, 4)
(u32 accesses, u32 reads, const u64 *read_keys, const u64 *write_keys, const i64 *read_offsets, const i64 *write_offsets,
 const u32 *owner, const u64 *words, u32 shift, u64 *keys, u32 *payload)
{
    const Block block = {reads, ROW_WORDS, read_keys, write_keys, read_offsets, write_offsets};
    for_items(access, accesses)
    {
        const u32 at = block.place(access, owner[access] - 1);
        keys[at] = digest_of(block.key(access), words) >> shift;
        payload[at] = access;
    }
}

// marks: of a write its transaction, of a read that begins a segment "nobody", else 0: to be carried forward. heads: whether
// a segment begins. collided: two rows differ under one digest.
KERNEL(mark_segments, 128, 4)
(u32 accesses, u32 reads, u32 width, const u64 *read_keys, const u64 *write_keys, const u64 *keys, const u32 *payload,
 const u32 *owner, u32 *marks, u32 *heads, u32 *collided)
{
    const Block block = {reads, width, read_keys, write_keys, 0, 0};
    for_items(at, accesses)
    {
        const u32 access = payload[at];
        const bool head = at == 0 || keys[at] != keys[at - 1];
        if (!head && width == ROW_WORDS && rows_differ(block.key(access), block.key(payload[at - 1]))) *collided = 1;
        heads[at] = head;
        marks[at] = access >= reads ? 2 * owner[access] : head;
    }
}

// The same from the other end: a read that ends a segment says "nobody".
KERNEL(mark_ends, 128, 4)
(u32 accesses, u32 reads, const u64 *keys, const u32 *payload, const u32 *owner, u32 *marks)
{
    for_items(at, accesses)
    {
        const u32 access = payload[at];
        marks[at] = access >= reads ? 2 * owner[access] : at + 1 == accesses || keys[at] != keys[at + 1];
    }
}

// The last earlier writer of every read and, where wanted, of every write, in the order of the accesses.
KERNEL(link_back, 128, 4)
(u32 accesses, u32 reads, u32 writes_too, const u64 *keys, const u32 *payload, const u32 *carried, u32 *read_earlier,
 u32 *write_earlier)
{
    for_items(at, accesses)
    {
        const u32 access = payload[at];
        const u32 link = at == 0 || keys[at] != keys[at - 1] ? 0 : carried[at - 1] >> 1;
        if (access < reads)
            read_earlier[access] = link;
        else if (writes_too)
            write_earlier[access - reads] = link;
    }
}

// The next writer of every read.
KERNEL(link_ahead, 128, 4)
(u32 accesses, u32 reads, const u64 *keys, const u32 *payload, const u32 *carried, u32 *read_later)
{
    for_items(at, accesses)
    {
        const u32 access = payload[at];
        if (access < reads)
            read_later[access] = at + 1 == accesses || keys[at] != keys[at + 1] ? 0 : carried[at + 1] >> 1;
    }
}

// starts[s] = where segment s begins, and the end of all; `numbers` counts the heads up to each access.
KERNEL(segment_starts, 128, 4)(u32 accesses, const u32 *numbers, u32 *starts)
{
    for_items(at, accesses)
    {
        if (at == 0 || numbers[at] != numbers[at - 1]) starts[numbers[at] - 1] = at;
        if (at + 1 == accesses) starts[numbers[at]] = accesses;
    }
}

KERNEL(unsettle, 128, 4)(u32 transactions, u32 *wave)
{
    for_items(i, transactions) wave[i] = UNSETTLED;
}

// pending[i] = readers, each access counted, that must be settled before writer i.
KERNEL(count_readers, 128, 4)(u32 reads, const u32 *owner, const u32 *read_later, u32 *pending)
{
    for_items(access, reads)
    {
        const u32 writer = read_later[access];
        if (writer && writer != owner[access]) atomic_add(&pending[writer - 1], 1);
    }
}

// Round r gives wave r to every unsettled transaction whose predecessors all have a lower one, and lists the others, of whom
// there are counts[r + 1], for the next round. A wave that is given in this round is not below it, so nobody sees it.
KERNEL(settle_round, 256, 4)
(u32 round, u32 everyone, u32 locking, const u32 *active, u32 *next, u32 *counts, u32 *settled, u32 *settled_counts,
 const i64 *read_offsets, const u32 *read_earlier, const i64 *write_offsets, const u32 *write_earlier, const u32 *pending,
 u32 *cursor, u32 *wave)
{
    SHARED Batch waiting, done;
    KEPT(u32, name, GROUP_THREADS, 1);
    KEPT(u32, waits, GROUP_THREADS, 1);
    KEPT(u32, settles, GROUP_THREADS, 1);
    const Links links = {read_offsets, write_offsets, read_earlier, write_earlier, pending, locking};
    const u32 count = counts[round];
    for_blocks(group, (count + GROUP_THREADS - 1) / GROUP_THREADS)
    {
        waiting.begin();
        done.begin();
        for_threads(thread, GROUP_THREADS)
        {
            const u32 at = group * GROUP_THREADS + thread;
            const bool here = at < count;
            const u32 i = !here ? 0 : everyone ? at : active[at];
            const bool ready = here && links.settled(i, round, everyone ? 0 : cursor[i], cursor, wave);
            if (ready) wave[i] = round;
            name[own(thread)][0] = i;
            waits[own(thread)][0] = waiting.claim(here && !ready);
            settles[own(thread)][0] = done.claim(ready && locking);
        }
        waiting.reserve(&counts[round + 1]);
        done.reserve(&settled_counts[round]);
        for_threads(thread, GROUP_THREADS)
        {
            const u32 wait = waits[own(thread)][0], settle = settles[own(thread)][0];
            if (wait != NOT_OFFERED) next[waiting.base + wait] = name[own(thread)][0];
            if (settle != NOT_OFFERED) settled[done.base + settle] = name[own(thread)][0];
        }
    }
}

// Readers that the round has settled let the next writers of their keys go. One that is its own next writer changes its own
// count, which nobody reads any more.
KERNEL(release_round, 128, 4)
(u32 round, const u32 *settled_counts, const u32 *settled, const i64 *read_offsets, const u32 *read_later, u32 *pending)
{
    const u32 count = settled_counts[round];
    for_items(at, count)
    {
        const u32 i = settled[at];
        for (i64 read = read_offsets[i]; read < read_offsets[i + 1]; ++read) {
            const u32 writer = read_later[read];
            if (writer) atomic_add(&pending[writer - 1], ~0u);
        }
    }
}

// Appends (later << bits | earlier) for every link to another transaction; `ahead` links lead to the later one.
KERNEL(collect_pairs, 256, 4)
(u32 count, const u32 *owner, const u32 *links, u32 ahead, u32 bits, u64 *pairs, u32 *found)
{
    SHARED Batch batch;
    KEPT(u64, pair, GROUP_THREADS, 1);
    KEPT(u32, place, GROUP_THREADS, 1);
    for_blocks(group, (count + GROUP_THREADS - 1) / GROUP_THREADS)
    {
        batch.begin();
        for_threads(thread, GROUP_THREADS)
        {
            const u32 at = group * GROUP_THREADS + thread;
            const u32 link = at < count ? links[at] : 0, self = link ? owner[at] : 0;
            const u32 later = ahead ? link : self, earlier = ahead ? self : link;
            pair[own(thread)][0] = (u64)(later - 1) << bits | (earlier - 1);
            place[own(thread)][0] = batch.claim(link != self);
        }
        batch.reserve(found);
        for_threads(thread, GROUP_THREADS)
        {
            if (place[own(thread)][0] != NOT_OFFERED) pairs[batch.base + place[own(thread)][0]] = pair[own(thread)][0];
        }
    }
}

KERNEL(mark_unique, 128, 4)(u32 count, const u64 *pairs, u32 *flags)
{
    for_items(at, count) flags[at] = at == 0 || pairs[at] != pairs[at - 1];
}

// Every pair once; `numbers` counts the flags up to each.
KERNEL(keep_unique, 128, 4)(u32 count, const u32 *numbers, const u64 *pairs, u64 *unique)
{
    for_items(at, count)
    {
        if (at == 0 || numbers[at] != numbers[at - 1]) unique[numbers[at] - 1] = pairs[at];
    }
}

// offsets[i] = how many pairs have a later end before i, for i up to and with `transactions`.
KERNEL(edge_offsets, 128, 4)(u32 transactions, u32 count, u32 bits, const u64 *unique, i64 *offsets)
{
    for_items(i, transactions + 1)
    {
        u32 low = 0, high = count;
        while (low < high) {
            const u32 middle = low + (high - low) / 2;
            if (unique[middle] >> bits < i)
                low = middle + 1;
            else
                high = middle;
        }
        offsets[i] = low;
    }
}

KERNEL(edge_ends, 128, 4)(u32 count, u32 bits, const u64 *unique, i32 *edges)
{
    for_items(at, count) edges[at] = (i32)(unique[at] & (((u64)1 << bits) - 1));
}

// histogram[d] += segments of the list, or of all, whose digit at this level is d.
KERNEL(heat_digits, 256, 4)
(u32 count, u32 level, u32 listed, const u32 *list, u32 reads, u32 width, const u64 *read_keys, const u64 *write_keys,
 const u32 *starts, const u32 *payload, u32 *histogram)
{
    SHARED u32 found[DIGITS];
    const Segments segments = {{reads, width, read_keys, write_keys, 0, 0}, starts, payload};
    for_threads(thread, GROUP_THREADS) found[thread] = 0;
    for_blocks(group, (count + GROUP_THREADS - 1) / GROUP_THREADS)
    {
        for_threads(thread, GROUP_THREADS)
        {
            const u32 at = group * GROUP_THREADS + thread;
            if (at < count) atomic_add(&found[segments.digit(listed ? list[at] : at, level)], 1);
        }
    }
    for_threads(thread, GROUP_THREADS) if (found[thread]) atomic_add(&histogram[thread], found[thread]);
}

// Segments with a lower digit than `digit` are hot, those with this one stay candidates, the others are not.
KERNEL(heat_split, 256, 4)
(u32 count, u32 level, u32 digit, u32 listed, const u32 *list, u32 reads, u32 width, const u64 *read_keys,
 const u64 *write_keys, const u32 *starts, const u32 *payload, u32 *hot, u32 *hot_count, u32 *kept, u32 *kept_count)
{
    SHARED Batch sure, open;
    KEPT(u32, name, GROUP_THREADS, 1);
    KEPT(u32, place, GROUP_THREADS, 2);
    const Segments segments = {{reads, width, read_keys, write_keys, 0, 0}, starts, payload};
    for_blocks(group, (count + GROUP_THREADS - 1) / GROUP_THREADS)
    {
        sure.begin();
        open.begin();
        for_threads(thread, GROUP_THREADS)
        {
            const u32 at = group * GROUP_THREADS + thread;
            const u32 segment = at >= count ? 0 : listed ? list[at] : at;
            const u32 found = at < count ? segments.digit(segment, level) : DIGITS;
            name[own(thread)][0] = segment;
            place[own(thread)][0] = sure.claim(found < digit);
            place[own(thread)][1] = open.claim(found == digit);
        }
        sure.reserve(hot_count);
        open.reserve(kept_count);
        for_threads(thread, GROUP_THREADS)
        {
            if (place[own(thread)][0] != NOT_OFFERED) hot[sure.base + place[own(thread)][0]] = name[own(thread)][0];
            if (place[own(thread)][1] != NOT_OFFERED) kept[open.base + place[own(thread)][1]] = name[own(thread)][0];
        }
    }
}

// Counts and keys of listed segments, or of the first `count`.
KERNEL(heat_gather, 128, 4)
(u32 count, u32 listed, const u32 *list, u32 reads, u32 width, const u64 *read_keys, const u64 *write_keys,
 const u32 *starts, const u32 *payload, u32 *counts, u64 *words)
{
    const Segments segments = {{reads, width, read_keys, write_keys, 0, 0}, starts, payload};
    for_items(at, count)
    {
        const u32 segment = listed ? list[at] : at;
        const u64 *key = segments.block.key(payload[starts[segment]]);
        counts[at] = segments.count(segment);
        for (u32 word = 0; word < width; ++word) words[(u64)at * width + word] = key[word];
    }
}
