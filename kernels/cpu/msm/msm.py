# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication on short Weierstrass curves y² = x³ + b and on Edwards curves: Pippenger's buckets.

Points are checked and packed once (`pack`); each group of windows is then sorted, summed and reduced by one thread
(`buckets`, `bucket_reduction`), and the windows are joined by `horner`. Sums are exact and results are
affine, so that they do not depend on how the work is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.arrays import aligned, number_words
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.fields import inverse
from supervm.kernels.cpu.lanes.lanes import LANES_64
from supervm.kernels.cpu.msm.bucket_reduction import reduction_rows, write_affine
from supervm.kernels.cpu.msm.buckets import significant, sort_windows
from supervm.kernels.cpu.msm.horner import horner_edwards, horner_weierstrass
from supervm.kernels.cpu.msm.packed_points import MOST_ROWS
from supervm.kernels.cpu.msm.plan import BLOCK, PAIRS, Plan, choose, piece
from supervm.kernels.cpu.msm.points import ACCEPTED, pack_points
from supervm.kernels.cpu.msm.windows import add_rows, window_sums
from supervm.kernels.errors import ArgumentError
from supervm.kernels.point_checks import NOT_CANONICAL
from supervm.kernels.signed_windows import offset
from supervm.kernels.spec import EdwardsSpec
from supervm.kernels.threads import get_threads, run_slices

_GRAIN = 4096
"""Points that a thread checks and packs at a time."""


class Scratch:
    """What `add_pairs` needs beside rows."""

    def __init__(self, curve: Curve) -> None:
        width = curve.lanes.width
        self.pairs = np.empty(PAIRS, np.uint32), np.empty(PAIRS, np.uint32), np.empty(PAIRS, np.uint32)
        self.before = aligned(PAIRS // width * 2 * curve.field.limbs * width)
        self.cases = np.empty(PAIRS // width, np.int64)
        self.room = inverse.room()

    @property
    def arguments(self) -> tuple[Any, ...]:
        """In the order that the kernels take them."""
        return self.pairs, self.before, self.cases, self.room


@dataclass(frozen=True, eq=False)
class Packed:
    """Points that were checked.

    Args:
        curve: in whose lanes they are packed.
        rows: flat uint64, see `rows`: the points, then those multiplied by 2^(bits·shared), and so on.
        infinite: uint8 (n,).
        plan: what the multiples are for; None if there are none.
    """

    curve: Curve
    rows: Words
    infinite: npt.NDArray[np.uint8]
    plan: Plan | None = None

    @property
    def points(self) -> int:
        """How many points there are, their multiples not counted."""
        return len(self.infinite)


def row_words(curve: Curve) -> int:
    """Words of a packed point."""
    return 2 * int(curve.spec.field.words)


def pack(curve: Curve, coordinates: Words, precompute: int = 1, first: int = 0) -> Packed:
    """Check points and pack them, with multiples if asked for.

    Args:
        curve: a marker.
        coordinates: flat uint64, canonical words of x and y for each point; all zero is infinity on a Weierstrass curve.
        precompute: multiples of each point, itself included.
        first: what the first row is called in errors.

    Raises:
        ArgumentError: a coordinate that is p or above, or a point that is not on the curve: the first one is named.
    """
    words = row_words(curve)
    count = coordinates.size // words
    plan = choose(count, words, curve.spec.scalar_field.modulus - 1, precompute) if precompute > 1 else None
    levels = plan.levels if plan else 1
    if count * levels > MOST_ROWS:
        raise ArgumentError(
            "points", f"{count} points, {levels} multiples each", f"{MOST_ROWS} in all at most"
        )
    rows = aligned(count * levels * words)
    infinite = np.empty(count, np.uint8)
    refused: list[int] = []

    def check(start: int, stop: int) -> None:
        found = pack_points(curve, coordinates, rows, infinite, start, stop)
        if found != ACCEPTED:
            refused.append(int(found))

    run_slices(check, count, _GRAIN)
    if refused:
        index, reason = divmod(min(refused), 2)
        what = "a coordinate ≥ p" if reason == NOT_CANONICAL else "a point that is not on the curve"
        raise ArgumentError(
            "points", f"{what} in row {first + index}", "canonical coordinates of points on the curve"
        )
    if plan:
        _multiples(curve, rows, count, plan)
    return Packed(curve, rows, infinite, plan)


def multiples(curve: Curve, count: int) -> Words:
    """The multiples 1 … count of the base point, flat uint64: distinct points without a scalar multiplication each."""
    words = row_words(curve)
    base = [part for value in curve.spec.base for part in (value if isinstance(value, tuple) else (value,))]
    width = words // len(base)
    coordinates = np.concatenate([number_words(part, width) for part in base])
    rows = np.empty(max(1, count) * words, np.uint64)
    rows[:words] = pack(curve, coordinates).rows
    scratch = Scratch(curve)
    known = 1
    while known < count:  # known more: those known, each plus the last of them
        added = min(known, count - known)
        add_rows(curve, rows, 0, known - 1, 0, known, added, 0, *scratch.arguments)
        known = min(2 * known, count)
    out = np.empty(count * words, np.uint64)
    write_affine(curve, rows, rows, np.arange(count, dtype=np.uint32), out)
    return out


def times_order(packed: Packed) -> Words:
    """The order of the group times every point, flat uint64 canonical words: neutral for points of the subgroup alone."""
    curve, count, words = packed.curve, packed.points, row_words(packed.curve)
    rows = np.concatenate((packed.rows[: count * words], packed.rows[: count * words]))

    def multiply_slice(start: int, stop: int) -> None:
        scratch = Scratch(curve)
        for bit in bin(curve.spec.scalar_field.modulus)[3:]:
            whole = count + start, count + start, 1, count + start, stop - start
            add_rows(curve, rows, *whole, 0, *scratch.arguments)
            if bit == "1":
                add_rows(curve, rows, whole[0], start, 1, whole[0], stop - start, 0, *scratch.arguments)

    run_slices(multiply_slice, count, PAIRS)
    out = np.empty(count * words, np.uint64)
    write_affine(curve, rows, rows, np.arange(count, 2 * count, dtype=np.uint32), out)
    return out


def _multiples(curve: Curve, rows: Words, count: int, plan: Plan) -> None:
    def extend(start: int, stop: int) -> None:
        scratch = Scratch(curve)
        for level in range(1, plan.levels):
            source, target = (level - 1) * count + start, level * count + start
            doublings = plan.bits * plan.shared - 1
            add_rows(curve, rows, source, source, 1, target, stop - start, doublings, *scratch.arguments)

    run_slices(extend, count, PAIRS)


def multiply(packed: Packed, scalars: Words, limit: int | None = None) -> Words:
    """Σ scalarᵢ·pointᵢ.

    Args:
        packed: n points.
        scalars: flat uint64, four words each, of n integers below the order.
        limit: bytes to stay within, where a window at a time is enough for that.

    Returns:
        Flat uint64: canonical words of x and y, zeros for infinity on a short Weierstrass curve.
    """
    return multiply_alike([packed], scalars, limit)[0]


def alike(packed: Sequence[Packed]) -> bool:
    """Whether sums over several tables can share their sorted scalars."""
    first = packed[0]
    plans = {(p.bits, p.windows, p.shared) if (p := each.plan) else None for each in packed}
    return len(plans) == 1 and all(np.array_equal(first.infinite, each.infinite) for each in packed[1:])


def multiply_alike(packed: Sequence[Packed], scalars: Words, limit: int | None = None) -> list[Words]:
    """As `multiply` over each of several tables that are `alike`; scalars are sorted once."""
    first = packed[0]
    largest = _largest(scalars, first.curve.spec.scalar_field.modulus)
    if not first.points or not largest:
        return [join(each.curve, np.zeros(row_words(each.curve), np.uint64)) for each in packed]
    plan = first.plan or choose(first.points, row_words(first.curve), largest)
    sums = [np.empty((plan.shared, row_words(each.curve)), np.uint64) for each in packed]
    raise_by = number_words(offset(plan.bits, plan.windows), 5)

    def windows(start: int, stop: int) -> None:
        entries, starts = _sorted(first, plan, scalars, raise_by, start, stop)
        for each, out in zip(packed, sums, strict=True):
            sum_windows(each, entries, starts, stop - start, out[start:stop].reshape(-1))

    run_slices(windows, plan.shared, plan.group(get_threads(), limit))
    return [join(each.curve, out.reshape(-1), plan.bits) for each, out in zip(packed, sums, strict=True)]


def in_pieces(curve: Curve, coordinates: Words, scalars: Words, limit: int | None) -> Words:
    """Σ scalarᵢ·pointᵢ for each row of scalars, with as many points at a time as `limit` bytes allow.

    Args:
        curve: a marker.
        coordinates: flat uint64, as `pack` takes them.
        scalars: uint64 (k, n, 4).
        limit: bytes beside the arguments; None for any number.

    Returns:
        uint64 (k, words of a point).

    Raises:
        ArgumentError: as `pack`, or too low a limit.
    """
    words, count = row_words(curve), scalars.shape[1]
    at_once = piece(count, words, curve.spec.scalar_field.modulus - 1, get_threads(), limit)
    starts = range(0, count, max(1, at_once))
    partial = np.zeros((len(scalars), max(1, len(starts)), words), np.uint64)
    for index, start in enumerate(starts):
        stop = min(start + at_once, count)
        packed = pack(curve, coordinates[start * words : stop * words], first=start)
        for row, each in zip(partial, scalars, strict=True):
            row[index] = multiply(packed, each[start:stop].reshape(-1), limit)
    return np.array([join(curve, row.reshape(-1)) for row in partial], np.uint64).reshape(-1, words)


def join(curve: Curve, points: Words, bits: int = 0) -> Words:
    """Σ 2^(bits·i)·Pᵢ of affine points in words, as `horner` takes them."""
    out = np.empty(row_words(curve), np.uint64)
    horner = horner_edwards if isinstance(curve.spec, EdwardsSpec) else horner_weierstrass
    horner(Curve(curve.spec, LANES_64), points, bits, inverse.room(), out)
    return out


def _largest(scalars: Words, order: int) -> int:
    """A bound of all scalars: 2^bits − 1 for the longest of them, and below the order."""
    joined = sum(int(word) << (64 * index) for index, word in enumerate(significant(scalars)))
    return int(min((1 << joined.bit_length()) - 1, order - 1))


def _sorted(
    packed: Packed, plan: Plan, scalars: Words, raise_by: Words, first: int, last: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Entries of windows first … last − 1 by bucket, and where each bucket's begin."""
    group = last - first
    entries = np.empty(packed.points * plan.levels * group, np.uint32)
    digits = np.empty(entries.size, np.int32)
    buckets = group * plan.buckets
    starts = np.empty(buckets + 1, np.int64)
    sort_windows(
        scalars,
        packed.infinite,
        raise_by,
        plan.bits,
        plan.windows,
        plan.shared,
        first,
        last,
        digits,
        entries,
        starts,
    )
    return entries, starts


def sum_windows(
    packed: Packed, entries: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], windows: int, out: Words
) -> None:
    """Σ (b + 1)·S_b over the buckets of every window, as `window_sums` says, with scratch of its own."""
    curve, words, buckets = packed.curve, row_words(packed.curve), starts.size - 1
    sums = aligned((buckets + reduction_rows(windows, buckets // windows)) * words)
    window_sums(
        curve,
        packed.rows,
        aligned((BLOCK // 2 + 2) * words),
        sums,
        entries,
        starts,
        np.empty(buckets, np.uint32),
        np.empty(BLOCK + 1, np.uint32),
        np.empty((BLOCK + 1, 3), np.int64),
        *Scratch(curve).arguments,
        windows,
        out,
    )
