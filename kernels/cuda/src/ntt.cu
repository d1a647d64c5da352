// SPDX-License-Identifier: GPL-3.0-or-later
// Number-theoretic transforms over a prime field of 256 bits; `constants.cuh` defines the type Field.
#include "ntt.cuh"

// One pass; `levels` as `Tile::two_levels` says, `twist` and `scale` two tables each, low powers and high ones.
KERNEL(ntt_pass, 256, 3)
(u32 tiles, u32 lines, u32 log_n, u32 log_m, u32 log_c, u32 log_s, u32 log_first, u32 log_low, u32 flags,
 const Quad *source, Quad *target, const Quad *levels, const Quad *twist_low, const Quad *twist_high,
 const Quad *scale_low, const Quad *scale_high)
{
    SHARED Tile tile;
    const Pass pass = {log_n, log_m, log_c, log_s, log_first, log_low, flags};
    const u32 items = 1u << (log_m + log_c);
    for_blocks(block, tiles)
    {
        // LOAD
        for_threads(thread, NTT_THREADS)
        {
            ROLLED for (u32 item = thread; item < items; item += NTT_THREADS) {
                u32 column, index;
                pass.split(item, log_s > 0, column, index);
                const u32 line = (block << log_c) + column;
                if (line < lines) {
                    const u32 at = pass.source(pass.line_in_transform(line), index);
                    Field value = fetch(source, pass.begin(line) + at);
                    if (flags & BEFORE) value = pass.power(scale_low, scale_high, at) * value;
                    const u32 slot = flags & REVERSED_IN ? index : reversed_bits(index, log_m);
                    tile.write((column << log_m) + slot, value);
                }
            }
        }
        // COMPUTE
        if (log_m & 1) {
            for_threads(thread, NTT_THREADS)
            {
                ROLLED for (u32 group = thread; group < items / 2; group += NTT_THREADS) tile.first_level(group);
            }
        }
        ROLLED for (u32 log_h = log_m & 1; log_h < log_m; log_h += 2) {
            for_threads(thread, NTT_THREADS)
            {
                ROLLED for (u32 group = thread; group < items / 4; group += NTT_THREADS)
                    tile.two_levels(group, log_m + log_c - 2 - log_h, log_h, levels);
            }
        }
        // STORE
        for_threads(thread, NTT_THREADS)
        {
            ROLLED for (u32 item = thread; item < items; item += NTT_THREADS) {
                u32 column, index;
                pass.split(item, log_s > 0 || flags & TRANSPOSED, column, index);
                const u32 line = (block << log_c) + column, within = pass.line_in_transform(line);
                const u32 number = flags & REVERSED_OUT ? reversed_bits(index, log_m) : index;
                if (line < lines) {
                    const u32 at = pass.target(within, index);
                    Field value = tile.read((column << log_m) + number);
                    if (flags & TWIST) {
                        const u32 exponent = pass.left(within) * number;
                        const bool whole = flags & WHOLE;
                        const Field factor = whole ? fetch(twist_low, exponent) : pass.power(twist_low, twist_high, exponent);
                        value = factor * value;
                    }
                    if (flags & AFTER) value = pass.power(scale_low, scale_high, at) * value;
                    if (flags & SCALE) value = fetch(scale_low, 0) * value;
                    put(target, pass.begin(line) + at, value);
                }
            }
        }
    }
}

// How many numbers are not below the modulus.
KERNEL(ntt_check, 128, 4)(const Quad *numbers, u32 *found, u32 count)
{
    for_items(item, count)
    {
        u32 modulus[Field::WORDS];
        Field::modulus(modulus);
        if (!less_words(fetch(numbers, item).w, modulus)) atomic_add(found, 1);
    }
}
