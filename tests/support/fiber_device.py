# SPDX-License-Identifier: GPL-3.0-or-later
"""A GPU's threads on a CPU: CUDA sources in the version that NVRTC compiles, every thread a fiber.

The host twin runs the portable versions of primitives, one thread after the other. Here the versions for a GPU run,
ballots, barriers and all: 32 lanes of a warp and the warps of a block take turns in a random order, each as far as its
next barrier, so that a barrier that is missing shows as a wrong result, and one that not all threads reach as an error.
Inline PTX is not run: programs that need it are for the twin.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import subprocess

import host_twin
from host_device import HostBuffer, HostDevice, HostStream

from supervm.kernels.cache import cache_root
from supervm.kernels.cuda.runtime.device import Argument, Program, Stream
from supervm.kernels.cuda.runtime.sources import flatten

FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-fwrapv", "-fno-strict-aliasing", "-w")

BEFORE = r"""
#include <ucontext.h>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>
#define __CUDACC__ 1
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline, unused))
#define __noinline__ __attribute__((noinline, unused))
#define __shared__ static
#define __launch_bounds__(threads, blocks)
#define threadIdx (Index{fiber->number})
#define blockIdx (Index{block_number})
#define gridDim (Index{grid_size})
#define blockDim (Index{block_size})

struct Index { unsigned x; };
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Fiber { ucontext_t context; State state; unsigned number, votes; };
static Fiber *fiber;
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static unsigned block_number, grid_size, block_size, votes[32][2][32];
static uint64_t seed = 88172645463325252ull;

static unsigned drawn() { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return (unsigned)(seed >> 16); }
static void leave(State state) { Fiber *self = fiber; self->state = state; swapcontext(&self->context, &scheduler); }
static void __syncthreads() { leave(AT_BLOCK); }
static void __syncwarp() { leave(AT_WARP); }

// What every lane of the warp has said. Two rows in turn: a lane is one vote ahead of another at most.
static const unsigned *gathered(unsigned value)
{
    unsigned *row = votes[fiber->number / 32][fiber->votes++ & 1];
    row[fiber->number & 31] = value;
    leave(AT_WARP);
    return row;
}
static unsigned __ballot_sync(unsigned, bool vote)
{
    const unsigned *row = gathered(vote);
    unsigned all = 0;
    for (unsigned lane = 0; lane < 32; ++lane) all |= row[lane] << lane;
    return all;
}
static unsigned __reduce_or_sync(unsigned, unsigned value)
{
    const unsigned *row = gathered(value);
    unsigned all = 0;
    for (unsigned lane = 0; lane < 32; ++lane) all |= row[lane];
    return all;
}
static unsigned __reduce_max_sync(unsigned, unsigned value)
{
    const unsigned *row = gathered(value);
    unsigned most = 0;
    for (unsigned lane = 0; lane < 32; ++lane) most = row[lane] > most ? row[lane] : most;
    return most;
}
static void now_and_then() { if (drawn() % 4 == 0) leave(READY); }
static unsigned atomicAdd(unsigned *at, unsigned value) { now_and_then(); unsigned old = *at; *at += value; return old; }
static unsigned atomicOr(unsigned *at, unsigned value) { now_and_then(); unsigned old = *at; *at |= value; return old; }
static unsigned atomicMax(unsigned *at, unsigned value)
{
    now_and_then();
    const unsigned old = *at;
    if (value > old) *at = value;
    return old;
}
static unsigned atomicMin(unsigned *at, unsigned value)
{
    now_and_then();
    const unsigned old = *at;
    if (value < old) *at = value;
    return old;
}
static unsigned __brev(unsigned value)
{
    unsigned turned = 0;
    for (unsigned bit = 0; bit < 32; ++bit) turned |= (value >> bit & 1) << (31 - bit);
    return turned;
}
static unsigned __popc(unsigned value) { return (unsigned)__builtin_popcount(value); }
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static unsigned __funnelshift_l(unsigned, unsigned, unsigned) { abort(); }
static unsigned __funnelshift_r(unsigned, unsigned, unsigned) { abort(); }
static unsigned __byte_perm(unsigned, unsigned, unsigned) { abort(); }
"""

AFTER = r"""
typedef void (*Kernel)(const uint64_t *);
static Kernel kernel;
static const uint64_t *kernel_arguments;

template <class... A, size_t... I> static void unpack(void (*f)(A...), const uint64_t *a, std::index_sequence<I...>)
{
    f((A)(uintptr_t)a[I]...);
}
template <class... A> static void call(void (*f)(A...), const uint64_t *a)
{
    unpack(f, a, std::index_sequence_for<A...>{});
}
static void body() { kernel(kernel_arguments); leave(DONE); }

static unsigned count(State state)
{
    unsigned found = 0;
    for (const Fiber &f : fibers) found += f.state == state;
    return found;
}

// Lets every warp go whose lanes have all arrived; whether there was one.
static bool release_warps()
{
    bool any = false;
    for (unsigned first = 0; first < block_size; first += 32) {
        bool full = true;
        for (unsigned lane = 0; lane < 32; ++lane) full &= fibers[first + lane].state == AT_WARP;
        for (unsigned lane = 0; full && lane < 32; ++lane) fibers[first + lane].state = READY;
        any |= full;
    }
    return any;
}

// 0, or 1 if a barrier waits for threads that never come.
static int run_block()
{
    for (;;) {
        std::vector<unsigned> ready;
        for (const Fiber &f : fibers) if (f.state == READY) ready.push_back(f.number);
        if (ready.empty()) {
            if (count(DONE) == block_size) return 0;
            if (count(AT_BLOCK) == block_size) {
                for (Fiber &f : fibers) f.state = READY;
            } else if (!release_warps()) {
                return 1;
            }
        }
        for (size_t i = ready.size(); i > 1; --i) std::swap(ready[i - 1], ready[drawn() % i]);
        for (unsigned number : ready) {
            fiber = &fibers[number];
            swapcontext(&scheduler, &fiber->context);
            if (drawn() % 2) release_warps();  // some warps run ahead of others
        }
    }
}

static int run_grid(Kernel chosen, unsigned blocks, unsigned threads, const uint64_t *arguments)
{
    const size_t stack = 1 << 16;
    static std::vector<char> stacks;
    kernel = chosen; kernel_arguments = arguments; grid_size = blocks; block_size = threads;
    stacks.resize(stack * threads);
    fibers.resize(threads);
    std::vector<unsigned> order(blocks);
    for (unsigned i = 0; i < blocks; ++i) order[i] = i;
    for (unsigned i = blocks; i > 1; --i) std::swap(order[i - 1], order[drawn() % i]);
    for (unsigned number : order) {
        block_number = number;
        for (unsigned t = 0; t < threads; ++t) {
            Fiber &f = fibers[t];
            f.state = READY; f.number = t; f.votes = 0;
            getcontext(&f.context);
            f.context.uc_stack.ss_sp = &stacks[stack * t];
            f.context.uc_stack.ss_size = stack;
            f.context.uc_link = nullptr;
            makecontext(&f.context, body, 0);
        }
        if (run_block()) return 1;
    }
    return 0;
}

extern "C" int fiber_launch(const char *name, unsigned blocks, unsigned threads, const uint64_t *arguments)
{
@KERNELS@
    return 2;
}
"""


@functools.cache
def build(name: str, constants: str = "") -> ctypes.CDLL:
    """The library of `src/name.cu`; built once per text, kept beside the compiled kernels."""
    text = flatten(name, constants)
    cases = [
        f'    if (!strcmp(name, "{kernel}"))\n'
        f"        return run_grid([](const uint64_t *a) {{ call({kernel}, a); }}, blocks, threads, arguments);"
        for kernel in re.findall(r"^KERNEL\((\w+),", text, re.MULTILINE)
    ]
    whole = BEFORE + text + AFTER.replace("@KERNELS@", "\n".join(cases))
    folder = cache_root() / "twin"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\0".join([whole, host_twin.COMPILER, *FLAGS]).encode()).hexdigest()[:16]
    library = folder / f"{name}-fibers-{digest}.so"
    if not library.exists():
        source, made = folder / f"{library.stem}.{os.getpid()}.cpp", folder / f"{library.name}.{os.getpid()}"
        source.write_text(whole, encoding="utf-8")
        command = [host_twin.COMPILER, *FLAGS, str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name}.cu does not build over fibers:\n{done.stderr[:4000]}")
        source.unlink()
        made.replace(library)
    return ctypes.CDLL(str(library))


class FiberStream(HostStream):
    """Launches as on a GPU, with no more blocks than the device has."""

    def launch(self, program: Program, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        self.device.launches.append(kernel)
        library = build(program.source, program.constants)
        passed = [a.address if isinstance(a, HostBuffer) else int(a) for a in arguments]  # type: ignore[arg-type]
        words = (ctypes.c_uint64 * len(passed))(*passed)
        assert isinstance(self.device, FiberDevice)
        with self.device.lock:
            failed = library.fiber_launch(kernel.encode(), min(blocks, self.device.blocks), threads, words)
        assert not failed, f"{kernel}: a barrier that some threads never reach"


class FiberDevice(HostDevice):
    """A device of fibers.

    Args:
        blocks: the largest grid; what a launch asks for beyond it is left out: kernels may be run by any number of blocks.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = blocks

    def stream(self) -> Stream:
        return FiberStream(self)
