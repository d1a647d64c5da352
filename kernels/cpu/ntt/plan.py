# SPDX-License-Identifier: GPL-3.0-or-later
"""How a transform is cut into passes, and the tables that it needs.

Memory beside input and output: nothing where values are bit-reversed, else one intermediate of 32·n bytes (2 MiB for several
transforms of up to 2^16 numbers); with lanes 320·2^⌈log n/2⌉ bytes of scratch a thread and tables of at most four times
80·2^⌈log n/2⌉ bytes, with one lane a tenth. The 32 tables of each kind that were used last are kept, and for each calling
thread an intermediate of up to 4 MiB.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.cpu.fields.element_type import Field, prime_spec
from supervm.kernels.cpu.ntt import ntt, shoup
from supervm.kernels.rounding import to_nearest
from supervm.kernels.threads import get_threads, run_slices
from supervm.kernels.transform import Transform, words_of

Order = npt.NDArray[np.int64]

LARGEST = 2 * ntt.BITS
"""log₂ of the longest transform."""

_SMALL = 10
"""Up to 2^10 numbers a lane may take a transform of its own: the scratch buffer stays in the second-level cache."""

_AT_ONCE = 1 << 16
"""Numbers of an intermediate at least, if there are so many: small transforms go through their passes together."""

_KEPT = 1 << 19
"""Words of an intermediate that is kept, 4 MiB a calling thread."""

_SLICES = 8
"""Pieces of a pass for each thread, so that a thread that is held up leaves some to the others."""

_LEAST = 1 << 14
"""Numbers of a piece at least, a few hundred microseconds of work."""

_TABLES = 32
"""Tables that are kept."""


@functools.lru_cache(_TABLES)
def _powers(field: Field, base: int, start: int, count: int) -> Words:
    """start · base^i for i < count, as factors."""
    table = np.empty(count * shoup.row_words(field.element.code), np.uint64)
    _fill(field, table, 0, base, start, count)
    return table


@functools.lru_cache(_TABLES)
def _levels(field: Field, log: int, inverse: bool) -> Words:
    """The factors of the levels of transforms up to 2^log, see `passes`."""
    table = np.empty(shoup.row_words(field.element.code) << log, np.uint64)
    for level in range(log):
        root = prime_spec(field).root_of_unity(2 << level)
        _fill(field, table, 1 << level, prime_spec(field).inverse(root) if inverse else root, 1, 1 << level)
    return table


def _fill(field: Field, table: Words, row: int, base: int, start: int, count: int) -> None:
    p, width = prime_spec(field).modulus, field.lanes.width
    starts = words_of([start * pow(base, lane, p) % p for lane in range(width)])
    with to_nearest():
        ntt.fill_factors(field, table, row, count, starts, words_of([pow(base, width, p)]))


@functools.lru_cache(_TABLES)
def orders(log: int) -> tuple[Order, Order]:
    """0 … 2^log − 1, and the same numbers with their bits reversed."""
    plain = np.arange(1 << log, dtype=np.int64)
    turned = np.zeros_like(plain)
    for bit in range(log):
        turned |= (plain >> bit & 1) << (log - 1 - bit)
    return plain, turned


_Scales = tuple[Words, int, Words, int]
_Twist = tuple[int, Words, Order, int, bool]
_NOTHING = np.zeros(1, np.uint64)


class Plan:
    """A transform in a field, for one backend.

    Args:
        field: a marker; with R/p ≥ 35, as `passes` says.
        what: the transform.
    """

    def __init__(self, field: Field, what: Transform) -> None:
        self.field, self.what = field, what
        p = prime_spec(field).modulus
        self.p, self.size = p, 1 << what.log
        root = prime_spec(field).root_of_unity(self.size)
        self.root = prime_spec(field).inverse(root) if what.inverse else root
        self.shift = prime_spec(field).inverse(what.shift) if what.inverse else what.shift % p
        self.scale = prime_spec(field).inverse(self.size) if what.inverse else 1

    def run(self, values: Words, out: Words) -> None:
        """Transform rows of 2^log numbers.

        Args:
            values, out: uint64 (m, 2^log, 4), contiguous; `out` is written.
        """
        if self.what.log == 0:
            out[...] = values
            return
        width = self.field.lanes.width
        whole = len(values)
        if self.what.log >= 6:
            whole = whole // width * width if self.what.log <= _SMALL else 0
        if whole:
            self._by_line(values[:whole].reshape(-1), out[:whole].reshape(-1), whole)
        several = max(1, _AT_ONCE >> self.what.log)
        for start in range(whole, len(values), several):
            part = slice(start, min(start + several, len(values)))
            self._in_two(values[part].reshape(-1), out[part].reshape(-1), part.stop - part.start)

    def _by_line(self, source: Words, target: Words, lines: int) -> None:
        """Every transform a line."""
        what = self.what
        plain, turned = orders(what.log)
        before = plain if what.inverse and what.reversed else turned
        after = turned if what.reversed and not what.inverse else plain
        scales = self._scales(1, 1, self.scale)
        last = (ntt.LAST, _NOTHING, plain, 0, False)
        self._pass(source, target, what.log, (lines, 0), 1, (False, False), (before, after), scales, last)

    def _in_two(self, source: Words, target: Words, groups: int) -> None:
        """In two passes, n = n₁·n₂; see the module `ntt` for the names."""
        what = self.what
        log1, log2 = (what.log + 1) // 2, what.log // 2
        (plain1, turned1), (plain2, turned2) = orders(log1), orders(log2)
        scales = self._scales(1 << log2, 1 << log1, 1)
        first: _Scales = (scales[0], scales[1], _NOTHING, -1)
        second: _Scales = (_NOTHING, -1, scales[2], scales[3])
        shape1, shape2 = (1 << log2, self.size), (1 << log1, self.size)
        last = (ntt.LAST, _NOTHING, plain1, 0, False)
        if what.reversed and what.inverse:
            twist = self._twist(turned2, log2)
            self._pass(source, target, log1, shape1, groups, (False, False), (plain1, plain1), first, twist)
            self._pass(target, target, log2, shape2, groups, (True, True), (plain2, plain2), second, last)
            return
        twist = self._twist(plain2, log2)
        middle = target if what.reversed else _intermediate(target.size)
        places = turned1 if what.reversed else plain1
        self._pass(source, middle, log1, shape1, groups, (True, True), (turned1, places), first, twist)
        places = turned2 if what.reversed else plain2
        along = (False, not what.reversed)
        self._pass(middle, target, log2, shape2, groups, along, (turned2, places), second, last)

    def _scales(self, before: int, after: int, scale: int) -> _Scales:
        """Factors shift^(before·i) of coefficients on the way in, or scale · shift^(after·i) on the way out."""
        if not self.what.inverse:
            if self.shift == 1:
                return _NOTHING, -1, _NOTHING, -1
            base = pow(self.shift, before, self.p)
            return _powers(self.field, base, 1, self.size // before), 1, _NOTHING, -1
        if self.shift == 1:
            return _NOTHING, -1, _powers(self.field, 1, scale, 1), 0 if scale != 1 else -1
        base = pow(self.shift, after, self.p)
        return _NOTHING, -1, _powers(self.field, base, scale, self.size // after), 1

    def _twist(self, numbers: Order, log2: int) -> _Twist:
        """Of the first pass: what depends on i₂ and o₁."""
        return ntt.FIRST, self._constants, numbers, log2, self.shift != 1 and not self.what.inverse

    @functools.cached_property
    def _constants(self) -> Words:
        p = self.p
        rows = [pow(self.root, 1 << bit, p) for bit in range(ntt.BITS)]
        rows += [pow(self.shift, 1 << bit, p) for bit in range(ntt.BITS)]
        return words_of([*rows, self.scale, self.shift if self.what.inverse else 1])

    def _pass(
        self,
        source: Words,
        target: Words,
        log: int,
        shape: tuple[int, int],
        groups: int,
        along: tuple[bool, bool],
        order: tuple[Order, Order],
        scales: _Scales,
        twist: _Twist,
    ) -> None:
        field, lanes = self.field, self.field.lanes
        table = _levels(field, log, self.what.inverse)

        def blocks(start: int, stop: int) -> None:
            ntt.run_blocks(
                field, lanes, source, target, log, shape, along, order, table, scales, twist, start, stop
            )

        in_all(blocks, groups * -(-shape[0] // lanes.width), _LEAST // (lanes.width << log))


class _Kept(threading.local):
    """A thread's intermediate, which saves small transforms the system's clearing of fresh pages."""

    middle = np.empty(0, np.uint64)


_kept = _Kept()


def _intermediate(words: int) -> Words:
    if words > _KEPT:
        return np.empty(words, np.uint64)
    if _kept.middle.size < words:
        _kept.middle = np.empty(words, np.uint64)
    return _kept.middle[:words]


@functools.lru_cache(_TABLES)
def plan(field: Field, what: Transform) -> Plan:
    """A `Plan`; the last ones used are kept."""
    return Plan(field, what)


def in_all(work: Callable[[int, int], None], items: int, least: int = 1) -> None:
    """`work(start, stop)` over all items: in one piece with one thread, else in some for each, of `least` items or more."""
    threads = get_threads()
    if items:
        run_slices(work, items, items if threads == 1 else max(1, least, -(-items // (_SLICES * threads))))
