# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU backends, a row each: which lanes, how they multiply, and why one cannot run here.

A kernel is written once over markers of lanes; an operation makes one function for each row, and a new instruction set is a
row more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from supervm.kernels.cpu.lanes.features import double_lanes_unavailable, ifma_unavailable
from supervm.kernels.cpu.lanes.lanes import (
    FMA_64X2,
    FMA_64X4,
    FMA_64X8,
    IFMA_64X8,
    LANES_32,
    LANES_32X4,
    LANES_32X8,
    LANES_32X16,
    LANES_64,
    Lanes,
)
from supervm.kernels.registry import register


@dataclass(frozen=True)
class CpuBackend:
    """One way to compute on a processor.

    Args:
        name: as users have it.
        lanes: of 64 bits, for field elements and hash functions of 64-bit words.
        narrow: lanes of 32 bits, for hash functions of 32-bit words.
        multiplier: what products of field elements are made of.
        unavailable: why it cannot run here; '' if it can.
    """

    name: str
    lanes: Lanes
    narrow: Lanes
    multiplier: str
    unavailable: Callable[[], str]

    def of_bits(self, bits: int) -> Lanes:
        """Its lanes of 32 or 64 bits."""
        return self.narrow if bits == 32 else self.lanes


_DOUBLES = "fused multiply-adds of doubles"

CPU_BACKENDS = (
    CpuBackend("ifma", IFMA_64X8, LANES_32X16, "52-bit multiply-adds of AVX-512 IFMA", ifma_unavailable),
    CpuBackend("avx512", FMA_64X8, LANES_32X16, _DOUBLES, partial(double_lanes_unavailable, "avx512")),
    CpuBackend("avx2", FMA_64X4, LANES_32X8, _DOUBLES, partial(double_lanes_unavailable, "avx2")),
    CpuBackend("neon", FMA_64X2, LANES_32X4, _DOUBLES, partial(double_lanes_unavailable, "neon")),
    CpuBackend("scalar", LANES_64, LANES_32, "64×64→128-bit products", lambda: ""),
)
"""Best first; the last one runs everywhere."""


def best() -> CpuBackend:
    """The best one that can run here."""
    return next(each for each in CPU_BACKENDS if not each.unavailable())


def register_on_cpu(operation: str, make: Callable[[CpuBackend], Callable[..., Any]]) -> None:
    """List an operation on every CPU backend, each with the function that is made for it."""
    for each in CPU_BACKENDS:
        register(operation, each.name, make(each), each.unavailable)


def by_name(function: Callable[..., Any], *first: object) -> Callable[[CpuBackend], Callable[..., Any]]:
    """For `register_on_cpu`: the function with some first arguments, and after them the backend's name."""
    return lambda backend: partial(function, *first, backend.name)
