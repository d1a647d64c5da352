// SPDX-License-Identifier: GPL-3.0-or-later
// Miller loops and last powers of pairings, one item a thread, by the programs of `supervm.kernels.pairing_programs`.
// `constants.cuh` defines the type Prime and the places and programs in Pairing.
//
// pairing_miller(const u32 *first, u32 bytes, const u32 *second, const u32 *program, const u32 *starts, const u32 *constants,
//                const u32 *digits, u32 *memory, u32 *values, u32 count)
//     Rows of `bytes` bytes: affine points of G1, and in `second` as many of G2; infinity all zero. `digits` are 0, 1 and 2
//     for −1. Written are rows of twelve elements.
// pairing_power(const u32 *values, u32 bytes, const u32 *program, const u32 *starts, const u32 *constants,
//               const u32 *schedule, u32 *memory, u32 *powers, u32 count)
//     Rows of `bytes` bytes: as many values of twelve elements; written are the last powers of their products.
//
// Elements come and go as canonical words. `memory` has room for the places of all items.
#include "launch.cuh"
#include "power.cuh"
#include "straight_line.cuh"
#include "constants.cuh"

typedef Pairing P;
static constexpr int WORDS = Prime::WORDS;

// Returns whether the number is 0.
DEVICE bool put_number(const Places<Prime> &m, u32 place, const u32 *words)
{
    u32 number[WORDS];
    UNROLL for (int i = 0; i < WORDS; ++i) number[i] = words[i];
    m.store(place, Prime::from_words(number));
    return zero_words(number);
}
DEVICE void put_unit(const Places<Prime> &m, u32 place, u32 count)
{
    ROLLED for (u32 i = 0; i < count; ++i) m.store(place + i, i == 0 ? Prime::one() : Prime::zero());
}
DEVICE void put_constants(const Places<Prime> &m, const u32 *constants)
{
    ROLLED for (u32 i = 0; i < P::A; ++i) put_number(m, i, constants + i * WORDS);
}
DEVICE void write_element(const Places<Prime> &m, u32 *row)
{
    ROLLED for (u32 i = 0; i < 12; ++i)
    {
        u32 number[WORDS];
        m.load(P::A + i).canonical(number);
        UNROLL for (int word = 0; word < WORDS; ++word) row[i * WORDS + word] = number[word];
    }
}
DEVICE void run_program(const Places<Prime> &m, const u32 *program, const u32 *starts, u32 which)
{
    run_rows(m, program, starts[which], starts[which + 1]);
}

// A pair's state before the loop; returns whether neither point is infinity.
DEVICE bool begin_pair(const Places<Prime> &m, u32 state, const u32 *first, const u32 *second)
{
    const u32 q = state + P::SECOND - P::POINT, p = state + P::FIRST - P::POINT;
    const bool none = put_number(m, p + 2, first) & put_number(m, p, first + WORDS);
    const Prime x = m.load(p + 2);
    m.store(p + 1, -x);
    m.store(p + 2, -(x.doubled() + x));
    bool other = true;
    ROLLED for (u32 part = 0; part < 4; ++part) other &= put_number(m, q + part, second + part * WORDS);
    m.copy(q, state, 4);
    put_unit(m, state + 4, 2);
    return !none && !other;
}

KERNEL(pairing_miller, 128, 2)
(const u32 *first, u32 bytes, const u32 *second, const u32 *program, const u32 *starts, const u32 *constants,
 const u32 *digits, u32 *memory, u32 *values, u32 count)
{
    const u32 pairs = bytes / (8 * WORDS);
    for_items(item, count)
    {
        const Places<Prime> m = {memory + item, count};
        const u32 *p = first + (u64)item * pairs * 2 * WORDS, *q = second + (u64)item * pairs * 4 * WORDS;
        put_constants(m, constants);
        put_unit(m, P::A, 12);
        u32 finite = 0;  // a bit for each pair
        ROLLED for (u32 pair = 0; pair < pairs; ++pair)
        {
            const bool there = begin_pair(m, P::END + pair * P::STATE, p + pair * 2 * WORDS, q + pair * 4 * WORDS);
            finite |= (u32)there << pair;
        }
        const u32 loops = P::DIGITS + (P::DIVIDED ? 2 : 0);
        ROLLED for (u32 loop = 0; loop < loops; ++loop)
        {
            const bool mapped = loop >= P::DIGITS;  // the lines through ψ(Q) and −ψ²(Q)
            const u32 digit = mapped ? loop - P::DIGITS + 1 : digits[loop];
            if (!mapped) run_program(m, program, starts, P::SQUARE);
            ROLLED for (u32 pair = 0; pair < pairs; ++pair)
            {
                if (!(finite >> pair & 1)) continue;
                m.copy(P::END + pair * P::STATE, P::POINT, P::STATE);
                if (mapped) {
                    run_program(m, program, starts, P::MAP);
                } else {
                    run_program(m, program, starts, P::DOUBLE);
                    run_program(m, program, starts, P::CHORD);
                }
                if (digit != 0) {
                    run_program(m, program, starts, digit == 1 ? P::ADD : P::SUBTRACT);
                    run_program(m, program, starts, P::CHORD);
                }
                m.copy(P::POINT, P::END + pair * P::STATE, P::STATE);
            }
        }
        if (P::TURNED) run_program(m, program, starts, P::CONJUGATE);
        write_element(m, values + (u64)item * 12 * WORDS);
    }
}

KERNEL(pairing_power, 128, 2)
(const u32 *values, u32 bytes, const u32 *program, const u32 *starts, const u32 *constants, const u32 *schedule,
 u32 *memory, u32 *powers, u32 count)
{
    const u32 factors = bytes / (48 * WORDS);
    for_items(item, count)
    {
        const Places<Prime> m = {memory + item, count};
        const u32 *value = values + (u64)item * factors * 12 * WORDS;
        put_constants(m, constants);
        ROLLED for (u32 factor = 0; factor < factors; ++factor)
        {
            const u32 place = factor ? P::B : P::A;
            ROLLED for (u32 i = 0; i < 12; ++i) put_number(m, place + i, value + (factor * 12 + i) * WORDS);
            if (factor) run_program(m, program, starts, P::MULTIPLY);
        }
        m.copy(P::A, P::END, 12);
        ROLLED for (u32 row = 0; row < P::ROWS; ++row)
        {
            const u32 which = schedule[4 * row];
            const i32 target = (i32)schedule[4 * row + 1];
            const i32 one = (i32)schedule[4 * row + 2], other = (i32)schedule[4 * row + 3];
            if (one >= 0) m.copy(P::END + 12 * one, P::A, 12);
            if (other >= 0) m.copy(P::END + 12 * other, P::B, 12);
            if (which == P::INVERT) {
                m.store(P::NORM, BaseParams::inverse(m.load(P::NORM)));
            } else {
                run_program(m, program, starts, which);
            }
            if (target >= 0) m.copy(P::A, P::END + 12 * target, 12);
        }
        m.copy(P::END, P::A, 12);
        write_element(m, powers + (u64)item * 12 * WORDS);
    }
}
