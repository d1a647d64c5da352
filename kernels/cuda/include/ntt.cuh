// SPDX-License-Identifier: GPL-3.0-or-later
// A pass of a number-theoretic transform: lines of 2^log_m numbers are transformed in shared memory, a tile of lines at a time.
// Numbers are plain; factors are in Montgomery form, so that a product is plain again and nothing is converted.
//
// n = m₁·m₂·…: the number at i₁·(m₂·m₃) + i₂·m₃ + i₃ goes to o₁ + m₁·o₂ + (m₁·m₂)·o₃. A pass is over one digit: it
// transforms and multiplies by ω^(e·o), e what is left of i and ω of the order of all that is left, this digit included.
// Where numbers come from and go to is in `Pass`.
#pragma once
#include "launch.cuh"
#include "scalars.cuh"

constexpr u32 NTT_THREADS = 256, NTT_TILE = 1024;

// Shared memory by words, with a gap after every 32, so that the strides of the rounds meet few banks twice.
struct Tile {
    u32 words[Field::WORDS][NTT_TILE + NTT_TILE / 32];

    static METHOD u32 place(u32 slot) { return slot + slot / 32; }
    METHOD Field read(u32 slot) const
    {
        Field r;
        UNROLL for (int i = 0; i < Field::WORDS; ++i) r.w[i] = words[i][place(slot)];
        return r;
    }
    METHOD void write(u32 slot, const Field &value)
    {
        UNROLL for (int i = 0; i < Field::WORDS; ++i) words[i][place(slot)] = value.w[i];
    }

    // The level of neighbours, whose factor is 1.
    METHOD void first_level(u32 group)
    {
        const Field a = read(2 * group), b = read(2 * group + 1);
        write(2 * group, a + b);
        write(2 * group + 1, a - b);
    }
    // The levels that join parts of h and of 2h numbers, h = 2^log_h; there are 2^log_parts groups of four parts. The
    // factors ω^k, ω of order 2h, are rows h + k: neighbouring threads share them, and warps whose k is 0 have but one, the
    // square root of −1.
    METHOD void two_levels(u32 group, u32 log_parts, u32 log_h, const Quad *levels)
    {
        const u32 h = 1u << log_h, k = group >> log_parts;
        const u32 at = ((group & ((1u << log_parts) - 1)) << (log_h + 2)) + k;
        Field b = read(at + h), d = read(at + 3 * h);
        if (k) {
            const Field factor = fetch(levels, h + k);
            b = factor * b;
            d = factor * d;
        }
        const Field a = read(at), c = read(at + 2 * h);
        Field even = c + d;
        if (k) even = fetch(levels, 2 * h + k) * even;
        const Field odd = fetch(levels, 3 * h + k) * (c - d), low = a + b, high = a - b;
        write(at, low + even);
        write(at + h, high + odd);
        write(at + 2 * h, low - even);
        write(at + 3 * h, high - odd);
    }
};

DEVICE u32 reversed_bits(u32 number, u32 bits) { return bits ? reverse_bits(number) >> (32 - bits) : 0; }

// TRANSPOSED: lines are rows of the source and go to columns of the target. REVERSED_IN, REVERSED_OUT: the digit is in
// bit-reversed order on that side. TWIST: multiply by ω^(e·o). BEFORE, AFTER: multiply by a power by index in source or
// target. SCALE: multiply by the first factor of that table. WHOLE: the first twist table has all powers.
enum : u32 { TRANSPOSED = 1, REVERSED_IN = 2, REVERSED_OUT = 4, TWIST = 8, BEFORE = 16, AFTER = 32, SCALE = 64, WHOLE = 128 };

// 2^log_n numbers a transform, 2^log_m a line, 2^log_c lines a tile; numbers of a line are 2^log_s apart. If it is transposed, the first digit has 2^log_first values. Tables are split after 2^log_low powers.
struct Pass {
    u32 log_n, log_m, log_c, log_s, log_first, log_low, flags;

    METHOD u32 line_in_transform(u32 line) const { return line & ((1u << (log_n - log_m)) - 1); }
    METHOD u64 begin(u32 line) const { return (u64)(line >> (log_n - log_m)) << log_n; }
    METHOD u32 strided(u32 line, u32 index) const
    {
        const u32 low = line & ((1u << log_s) - 1);
        return ((line >> log_s) << (log_s + log_m)) + low + (index << log_s);
    }
    // Within the transform.
    METHOD u32 source(u32 line, u32 index) const
    {
        if (!(flags & TRANSPOSED)) return strided(line, index);
        const u32 first = line & ((1u << log_first) - 1), second = line >> log_first;
        return (((first << (log_n - log_m - log_first)) + second) << log_m) + index;
    }
    METHOD u32 target(u32 line, u32 index) const
    {
        return flags & TRANSPOSED ? line + (index << (log_n - log_m)) : strided(line, index);
    }
    // What is left of i.
    METHOD u32 left(u32 line) const
    {
        return flags & REVERSED_IN ? reversed_bits(line >> log_s, log_n - log_m - log_s) : line & ((1u << log_s) - 1);
    }
    // Number `item` of a tile: which line, and which number of it. Neighbours lie together in memory.
    METHOD void split(u32 item, bool across, u32 &line, u32 &index) const
    {
        line = across ? item & ((1u << log_c) - 1) : item >> log_m;
        index = across ? item >> log_c : item & ((1u << log_m) - 1);
    }
    METHOD Field power(const Quad *low, const Quad *high, u32 exponent) const
    {
        return fetch(high, exponent >> log_low) * fetch(low, exponent & ((1u << log_low) - 1));
    }
};
