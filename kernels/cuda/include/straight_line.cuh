// SPDX-License-Identifier: GPL-3.0-or-later
// Straight-line programs over a prime field, one thread an item; what rows mean is in `supervm.kernels.straight_line`.
#pragma once
#include "montgomery_field.cuh"

constexpr u32 DOUBLED = 1u << 16, NEGATIVE = 1u << 17, PLACE = DOUBLED - 1;

// An item's places: word w of place p of all items stand side by side, so that the threads of a warp read lines of memory.
template <class F> struct Places {
    u32 *words;
    u64 items;

    METHOD u32 *at(u32 place) const { return words + (u64)place * F::WORDS * items; }
    METHOD F load(u32 place) const
    {
        F a;
        const u32 *from = at(place);
        UNROLL for (int i = 0; i < F::WORDS; ++i) a.w[i] = from[i * items];
        return a;
    }
    METHOD void store(u32 place, const F &a) const
    {
        u32 *to = at(place);
        UNROLL for (int i = 0; i < F::WORDS; ++i) to[i * items] = a.w[i];
    }
    METHOD void copy(u32 from, u32 to, u32 count) const
    {
        ROLLED for (u32 i = 0; i < count; ++i) store(to + i, load(from + i));
    }
};

// Σ a·b with one reduction. Twelve products below m² are below 2^(64·WORDS) and, over R, below 3m.
template <class F> OUTLINE void sum_of_products(const Places<F> &m, u32 place, const u32 *operands, u32 count)
{
    constexpr int N = F::WORDS;
    static_assert(F::SPARE_BITS >= 2, "the sum must fit");
    u32 total[2 * N], modulus[N];
    UNROLL for (int i = 0; i < 2 * N; ++i) total[i] = 0;
    ROLLED for (u32 i = 0; i < count; ++i)
    {
        const F a = m.load(operands[2 * i]), b = m.load(operands[2 * i + 1]);
        u32 product[2 * N];
        multiply_words(product, a.w, b.w);
        add_words(total, total, product);
    }
    F::modulus(modulus);
    UNROLL for (int round = 0; round < 2; ++round) {
        u32 high[N], less[N];
        UNROLL for (int i = 0; i < N; ++i) high[i] = total[N + i];
        const bool below = sub_words(less, high, modulus) != 0;
        UNROLL for (int i = 0; i < N; ++i) total[N + i] = below ? high[i] : less[i];
    }
    m.store(place, F::reduce(total));
}

template <class F> OUTLINE void small_sum(const Places<F> &m, u32 place, const u32 *steps, u32 count)
{
    F total = F::zero();
    ROLLED for (u32 i = 0; i < count; ++i)
    {
        const u32 step = steps[i];
        const F x = m.load(step & PLACE);
        if (step & DOUBLED) total = total.doubled();
        total = total + (step & NEGATIVE ? -x : x);
    }
    m.store(place, total);
}

// The rows of numbers start … stop − 1.
template <class F> OUTLINE void run_rows(const Places<F> &m, const u32 *program, u32 start, u32 stop)
{
    u32 at = start;
    while (at < stop) {
        const u32 place = program[at];
        const i32 count = (i32)program[at + 1];
        at += 2;
        if (count > 0) {
            sum_of_products(m, place, program + at, (u32)count);
            at += 2 * (u32)count;
        } else if (count < 0) {
            small_sum(m, place, program + at, (u32)-count);
            at += (u32)-count;
        } else {
            m.store(place, -m.load(program[at]));
            ++at;
        }
    }
}
