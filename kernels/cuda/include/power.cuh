// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed powers. Where the exponent is little else than ones, a chain of products is generated for it
// (`supervm.kernels.cuda.constants.fields.chain`), and `squared_times` is its loop; any other goes by windows of four bits.
#pragma once
#include "ptx.cuh"

// a^(2^count). A function that is called, and so is the product of a chain: chains have a dozen of either, which in line would
// be most of a program's code and of the time that it takes to compile.
template <class F> OUTLINE F squared_times(F a, int count)
{
    ROLLED for (int i = 0; i < count; ++i) a = a.squared();
    return a;
}
template <class F> OUTLINE F product(F a, F b)
{
    return a * b;
}

// a^exponent for a field in Montgomery form. One product and one square stand in the loop, however long the exponent.
template <class F, int N> OUTLINE F windowed_power(const F &a, const u32 (&exponent)[N])
{
    F powers[16], r = F::one();
    powers[0] = r;
    ROLLED for (int i = 1; i < 16; ++i) powers[i] = powers[i - 1] * a;
    u32 e[N];
    UNROLL for (int i = 0; i < N; ++i) e[i] = exponent[i];
    ROLLED for (int window = 8 * N; window > 0; --window) {
        r = squared_times(r, 4);
        r = r * powers[e[N - 1] >> 28];
        UNROLL for (int i = N - 1; i > 0; --i) e[i] = funnel_left(e[i - 1], e[i], 4);
        e[0] <<= 4;
    }
    return r;
}
