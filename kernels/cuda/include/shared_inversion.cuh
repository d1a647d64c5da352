// SPDX-License-Identifier: GPL-3.0-or-later
// Inversions that several items share.
#pragma once
#include "ptx.cuh"

// One inversion, `Params::inverse`, for the items thread, thread + threads, thread + 2·threads, … (GROUP at most): `load(item)`
// gives what to invert, never 0, and is asked twice before `use(item, inverse)` takes the inverse. Montgomery's trick.
static constexpr u32 GROUP = 16;
DEVICE u32 group_threads(u32 count) { return (count + GROUP - 1) / GROUP; }

template <class Params, class F, class Load, class Use>
DEVICE void share_inversion(u32 thread, u32 threads, u32 count, const F &one, Load load, Use use)
{
    F before[GROUP], total = one;
    ROLLED for (u32 k = 0; k < GROUP; ++k)
    {
        const u32 item = thread + k * threads;
        if (item < count) {
            before[k] = total;
            total = total * load(item);
        }
    }
    total = Params::inverse(total);
    ROLLED for (u32 k = GROUP; k-- > 0;)
    {
        const u32 item = thread + k * threads;
        if (item < count) {
            const F inverse = total * before[k];
            total = total * load(item);
            use(item, inverse);
        }
    }
}
