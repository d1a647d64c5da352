// SPDX-License-Identifier: GPL-3.0-or-later
// Arrays of numbers below a modulus of 256 bits, 16 bytes at a time; `constants.cuh` defines the type Field.
#pragma once
#include "montgomery_field.cuh"
#include "constants.cuh"

struct alignas(16) Quad {
    u32 w[4];
};

DEVICE Field fetch(const Quad *numbers, u64 at)
{
    Field r;
    UNROLL for (int half = 0; half < 2; ++half) {
        const Quad quad = numbers[2 * at + half];
        UNROLL for (int i = 0; i < 4; ++i) r.w[4 * half + i] = quad.w[i];
    }
    return r;
}
DEVICE void put(Quad *numbers, u64 at, const Field &value)
{
    UNROLL for (int half = 0; half < 2; ++half) {
        Quad quad;
        UNROLL for (int i = 0; i < 4; ++i) quad.w[i] = value.w[4 * half + i];
        numbers[2 * at + half] = quad;
    }
}
