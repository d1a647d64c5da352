// SPDX-License-Identifier: GPL-3.0-or-later
// Poseidon and Poseidon2 by the schedule of `supervm.kernels.poseidon_spec`, one permutation a thread.
//
// The constants are those of `supervm.kernels.cpu.hashes.poseidon.table` for one lane: R = 2^256 there and here. The state enters as
// plain integers below m and leaves as such. T is the width; 0 stands for any width up to WIDEST.
//
// Loops over elements stay loops, and the state lies in local memory, which the first-level cache holds: two wide loads are
// little beside the 64 multiply-adds of a product. Unrolled, the products' carry chains run into each other and out of
// predicate registers, and a round of width 3 has half as many instructions again.
#pragma once
#include "montgomery_field.cuh"

static constexpr u32 WIDEST = 17;
static constexpr u32 MATRIX_FIRST = 1, SUMS = 2;  // forms of `supervm.kernels.poseidon_spec`; 0: constants come first

// Words of a table's element, aligned for wide loads.
struct alignas(16) TableElement {
    u32 w[8];
};

// A sum of products of elements, and an element times R, before its reduction.
template <class F> struct WideSum {
    static constexpr int N = F::WORDS;
    u32 t[2 * N + 1];

    METHOD explicit WideSum(const F &first)
    {
        UNROLL for (int i = 0; i < N; ++i) t[i] = 0, t[N + i] = first.w[i];
        t[2 * N] = 0;
    }
    METHOD WideSum(const F &a, const F &b)
    {
        u32 product[2 * N];
        multiply_words(product, a.w, b.w);
        UNROLL for (int i = 0; i < 2 * N; ++i) t[i] = product[i];
        t[2 * N] = 0;
    }
    METHOD void add(const F &a, const F &b)
    {
        u32 product[2 * N];
        multiply_words(product, a.w, b.w);
        t[0] = add_cc(t[0], product[0]);
        UNROLL for (int i = 1; i < 2 * N; ++i) t[i] = addc_cc(t[i], product[i]);
        t[2 * N] = addc(t[2 * N], 0);
    }
    // The sum / R, below m, for sums below (2^LEVELS − 1)·m·R.
    template <int LEVELS> LARGE_METHOD F reduced() const
    {
        u32 m[N], low[2 * N], r[N + 1];
        F::modulus(m);
        UNROLL for (int i = 0; i < 2 * N; ++i) low[i] = t[i];
        r[N] = t[2 * N] + F::template reduce_rows<0>(low, m, 0);
        UNROLL for (int i = 0; i < N; ++i) r[i] = low[N + i];
        UNROLL for (int level = LEVELS - 1; level >= 0; --level) {
            u32 multiple[N + 1], less[N + 1];
            UNROLL for (int i = 0; i <= N; ++i) {
                multiple[i] = funnel_left(i > 0 ? m[i > 0 ? i - 1 : 0] : 0, i < N ? m[i < N ? i : 0] : 0, level);
            }
            const bool below = sub_words(less, r, multiple) != 0;
            select_words(r, below, r, less);
        }
        F value;
        UNROLL for (int i = 0; i < N; ++i) value.w[i] = r[i];
        return value;
    }
};

template <class F> DEVICE F table_element(const TableElement *place)
{
    const TableElement words = *place;
    F value;
    UNROLL for (int i = 0; i < F::WORDS; ++i) value.w[i] = words.w[i];
    return value;
}

template <class F> DEVICE F fifth_power(const F &x) { return x.squared().squared() * x; }

template <class F, u32 T> struct Permutation {
    static constexpr u32 ROOM = T ? T : WIDEST;
    // A sum of ROOM products of elements is below ROOM·m², that is ROOM·m·R / 2^SPARE_BITS, and an element · R comes on top.
    static constexpr u32 MOST = (ROOM >> F::SPARE_BITS) + 3;  // its reduction is below MOST · m
    static constexpr int LEVELS = MOST > 8 ? 4 : MOST > 4 ? 3 : 2;
    static_assert(MOST <= 16, "more multiples of m than LEVELS take away");
    F x[ROOM];
    const TableElement *constants;
    u32 given;

    METHOD u32 width() const { return T ? T : given; }

    METHOD void boxes()
    {
        ROLLED for (u32 i = 0; i < width(); ++i) x[i] = fifth_power(x[i]);
    }
    // The first `rows` rows of the next matrix, and its constants.
    METHOD void mix(u32 rows)
    {
        F y[ROOM];
        ROLLED for (u32 i = 0; i < rows; ++i) {
            WideSum<F> sum(table_element<F>(constants));
            ROLLED for (u32 j = 0; j < width(); ++j) sum.add(x[j], table_element<F>(constants + 1 + j));
            y[i] = sum.template reduced<LEVELS>();
            constants += width() + 1;
        }
        ROLLED for (u32 i = 0; i < rows; ++i) x[i] = y[i];
    }
    // x is (z, v, v₋₁, …) before, and (y, v, v₋₁, …) after.
    METHOD void partial_rounds(u32 rounds)
    {
        ROLLED for (u32 round = 0;; ++round) {
            const F fourth = x[0].squared().squared();
            if (round == rounds) {
                x[0] = fourth * x[0];
                return;
            }
            WideSum<F> out(table_element<F>(constants));
            ROLLED for (u32 k = 1; k < width(); ++k) out.add(x[k], table_element<F>(constants + k));
            constants += width();
            const F rest = out.template reduced<LEVELS>();
            WideSum<F> feed(fourth, x[0]);
            ROLLED for (u32 k = 1; k < width(); ++k) {
                feed.add(x[k], table_element<F>(constants + k - 1));
            }
            constants += width() - 1;
            const F latest = feed.template reduced<LEVELS>();
            ROLLED for (u32 k = width() - 1; k > 1; --k) x[k] = x[k - 1];
            x[1] = latest;
            x[0] = latest + rest;
        }
    }
    // Matrices and constants from the table: one matrix if it comes first, `half` layers, `partial` rounds and a matrix, `half`
    // layers.
    METHOD void permute_with_matrices(u32 half, u32 partial, bool matrix_first, u32 rows)
    {
        if (!matrix_first) {
            ROLLED for (u32 i = 0; i < width(); ++i) x[i] = x[i] + table_element<F>(constants + i);
            constants += width();
        }
        const u32 last = 2 * half + 1;
        ROLLED for (u32 stage = matrix_first ? 0 : 1; stage <= last; ++stage) {
            if (stage == half + 1)
                partial_rounds(partial - 1);
            else if (stage > 0)
                boxes();
            mix(stage == last ? rows : width());
        }
    }
    // Poseidon2 with circ(2, 1, …) in full rounds, ones and a diagonal 2, …, 2, 3 in partial ones; the state has the factor R.
    METHOD void permute_with_sums(u32 half, u32 partial, u32 rows)
    {
        scale(width());
        ROLLED for (u32 stage = 0; stage <= 2 * half + partial; ++stage) {
            const bool inner = stage > half && stage <= half + partial;
            ROLLED for (u32 i = 0; stage > 0 && i < (inner ? 1 : width()); ++i) x[i] = fifth_power(x[i]);
            F total = x[0];
            ROLLED for (u32 i = 1; i < width(); ++i) total = total + x[i];
            if (inner) x[width() - 1] = x[width() - 1].doubled();
            ROLLED for (u32 i = 0; i < width(); ++i) x[i] = x[i] + total;
            const u32 added = inner && stage < half + partial ? 1 : width();
            if (inner && stage == half + partial) ++constants;  // of the partial round that does not follow
            ROLLED for (u32 i = 0; i < added; ++i) x[i] = x[i] + table_element<F>(constants + i);
            constants += added;
        }
        scale(rows);
    }
    // The first `count` elements times an element of the table, divided by R.
    METHOD void scale(u32 count)
    {
        const F factor = table_element<F>(constants++);
        ROLLED for (u32 i = 0; i < count; ++i) x[i] = factor * x[i];
    }
    // The first `rows` elements of the permutation.
    METHOD void permute(u32 half, u32 partial, u32 form, u32 rows)
    {
        if (form == SUMS)
            permute_with_sums(half, partial, rows);
        else
            permute_with_matrices(half, partial, form == MATRIX_FIRST, rows);
    }
};
