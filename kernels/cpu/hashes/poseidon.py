# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 over slices of batches: one kernel for every width of a field.

What a permutation is comes as a table of the constants of its `Schedule`, in the order of their use. The state enters as
plain integers and leaves as such: the powers of R that Montgomery products take away from a state without its factor are
put into the first matrix, and the last matrix has no factor.

Bounds, with lanes: a sum of k products of elements below a·p with constants below p comes out below (k·a·p/R + 1)·p, and p
more where a constant is added. With k ≤ 17 and R/p ≥ 35 the state is below 3.1p before an S-box and 1.2p after it, the
recurrence has v below 2.2p and z below 5.1p, and the state leaves below 1.6p. Where matrices are sums, elements are below
27p and below 16p before an S-box, which makes them less than 2.3p.
`tests/kernels/hashes/test_poseidon.py` computes these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.kernels.array_types import Words
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields import wide_products as wf
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.fields.wide_codegen import GROUPS, groups_of
from supervm.kernels.cpu.hashes import poseidon_sums as ws
from supervm.kernels.cpu.hashes.batch import order_by_count
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.lanes import Lanes
from supervm.kernels.poseidon_spec import ROUNDS, SUMS, Layer, PoseidonSpec, form_of
from supervm.kernels.threads import get_threads, run_slices

# mypy: disallow_untyped_defs=False


WIDEST = 17
"""The most elements of a state."""

ROOM = 2 * WIDEST * GROUPS
OTHER = WIDEST
"""Where the second of the two states in a room begins: a matrix reads one and writes the other."""

TURN = 16
"""Places for the recurrence's sequence, which is overwritten in a circle."""
SEQUENCE = TURN * GROUPS

SOURCE = GROUPS

WIDTH, HEAD, PARTIAL, TAIL, FORM, CAPACITY = range(6)
"""What the words of a plan say: t, layers, rounds of the recurrence, layers, the form, and where the capacity is."""


@dataclass(frozen=True, eq=False)
class Permutation:
    """A permutation in certain lanes, as kernels take it.

    Args:
        spec: what it is.
        field: the marker of its field in these lanes.
        constants: `table(field, spec)`.
        shape: `plan(spec)`.
    """

    spec: PoseidonSpec
    field: Field
    constants: Words
    shape: npt.NDArray[np.int64]

    @staticmethod
    def of(spec: PoseidonSpec, lanes: Lanes) -> Permutation:
        """Derive what the kernels need; some milliseconds, up to a tenth of a second for the widest."""
        field = Field(spec.field, lanes)
        return Permutation(spec, field, table(field, spec), plan(spec))


def plan(spec: PoseidonSpec) -> npt.NDArray[np.int64]:
    """The numbers that the kernel's loops need."""
    schedule = spec.schedule
    counts = (len(schedule.head), len(schedule.partial), len(schedule.tail))
    return np.array(
        [spec.width, *counts, form_of(spec.width, spec.first is not None), spec.capacity], np.int64
    )


def table(field: Field, spec: PoseidonSpec) -> Words:
    """The constants of a permutation as limbs for one field and its lanes, in a flat array."""
    p, r = spec.field.modulus, field.element.code.r  # type: ignore[attr-defined]
    elements = (
        _elements_of_sums(spec, r)
        if form_of(spec.width, spec.first is not None) == SUMS
        else _elements(spec, r)
    )
    standing = field.element.code.standing  # type: ignore[attr-defined]
    return np.array([limb for value in elements for limb in standing(value % p)], np.uint64)


def _layer(layer: Layer, factor: int, added: int) -> list[int]:
    """A matrix times `factor` and constants times `added`, row by row, each constant before its row."""
    rows = zip(layer.matrix, layer.constants, strict=True)
    return [value for row, constant in rows for value in (constant * added, *(c * factor for c in row))]


def _elements(spec: PoseidonSpec, r: int) -> list[int]:
    """Matrices and constants."""
    schedule = spec.schedule
    if schedule.before is None:
        # Without Montgomery's factor x⁵ comes out as x⁵/R⁴; the row's product divides by R once more.
        elements = [*schedule.start, *_layer(schedule.head[0], r**6, r)]
    else:
        elements = [*_layer(schedule.before, r * r, r), *_layer(schedule.head[0], r, r)]
    for layer in schedule.head[1:]:
        elements += _layer(layer, r, r)
    elements += [value * r for step in schedule.partial for value in (step.constant, *step.out, *step.feed)]
    for layer in (schedule.leave, *schedule.tail[:-1]):
        elements += _layer(layer, r, r)
    return elements + _layer(schedule.tail[-1], 1, 1)


def _elements_of_sums(spec: PoseidonSpec, r: int) -> list[int]:
    """R² to begin with, the constants of rounds, and 1 to end with."""
    t, half = spec.width, spec.full_rounds // 2
    rounds = [[value * r for value in row] for row in spec.constants]
    head = [value for row in rounds[:half] for value in row]
    inner = [row[0] for row in rounds[half : half + spec.partial_rounds]]
    tail = [value for row in rounds[half + spec.partial_rounds :] for value in row]
    return [r * r, *head, inner[0], *[0] * (t - 1), *inner[1:], 0, *tail, *[0] * t, 1]


@njit(nogil=True, cache=True, inline="always")
def _mix(F, room, source, target, constants, at, width, rows):
    """A layer's matrix: from the state at `source` to that at `target`; returns where the next constants are."""
    size = wf.limb_count(F)
    for row in range(rows):
        place = at + row * (width + 1) * size
        total = wf.begin(F, constants, place)
        for column in range(width):
            place += size
            total = wf.gather(total, room, source + column, constants, place)
        wf.finish(total, room, target + row)
    return at + width * (width + 1) * size


@njit(nogil=True, cache=True, inline="always")
def _boxes(room, source, width):
    """The S-box of every element."""
    for index in range(width):
        wf.finish(wf.fifth_power(room, source + index), room, source + index)


@njit(nogil=True, cache=True, inline="always")
def _partial_rounds(F, room, source, sequence, constants, at, width, rounds):
    """The recurrence from (z, v, …) at `source` to (y, v, …) there; returns where the next constants are."""
    size = wf.limb_count(F)
    order = width - 1
    for index in range(order):
        wf.copy(room, source + 1 + index, sequence, order - 1 - index)
    for step in range(order, order + rounds):
        total = wf.begin(F, constants, at)
        for back in range(1, order + 1):
            at += size
            total = wf.gather(total, sequence, (step - back) & (TURN - 1), constants, at)
        wf.finish(total, room, OTHER - source)
        total = wf.fifth_power(room, source)
        for back in range(1, order + 1):
            at += size
            total = wf.gather(total, sequence, (step - back) & (TURN - 1), constants, at)
        at += size
        wf.finish(total, room, source)
        wf.copy(room, source, sequence, step & (TURN - 1))
        wf.add_into(room, source, room, OTHER - source)
    wf.finish(wf.fifth_power(room, source), room, source)
    for index in range(order):
        wf.copy(sequence, (order + rounds - 1 - index) & (TURN - 1), room, source + 1 + index)
    return at


@njit(nogil=True, cache=True)
def permute_room(F, room, sequence, constants, shape, rows):
    """The permutation of a room's first state, of which the first `rows` elements are wanted; they come back there."""
    if shape[FORM] == SUMS:
        _permute_with_sums(F, room, constants, shape, rows)
    else:
        _permute_with_matrices(F, room, sequence, constants, shape, rows)


@njit(nogil=True, cache=True, inline="always")
def _permute_with_matrices(F, room, sequence, constants, shape, rows):
    width = shape[WIDTH]
    middle = shape[HEAD] + 1
    last = middle + shape[TAIL]
    stage, source, at = 0, 0, 0
    if shape[FORM] == ROUNDS:
        for index in range(width):
            wf.add_constant(room, index, constants, at)
            at += wf.limb_count(F)
        stage = 1
    while stage <= last:
        # The matrix that comes first, head + 1 layers with the recurrence before the last, and the layers of the tail.
        if stage == middle:
            at = _partial_rounds(F, room, source, sequence, constants, at, width, shape[PARTIAL])
        elif stage:
            _boxes(room, source, width)
        at = _mix(F, room, source, OTHER - source, constants, at, width, rows if stage == last else width)
        source = OTHER - source
        stage += 1
    if source:
        for index in range(rows):
            wf.copy(room, OTHER + index, room, index)


@njit(nogil=True, cache=True, inline="always")
def _permute_with_sums(F, room, constants, shape, rows):
    """Poseidon2 of width 2 or 3, whose state has Montgomery's factor throughout; every other partial round reduces."""
    width, size = shape[WIDTH], wf.limb_count(F)
    head, middle = shape[HEAD], shape[HEAD] + shape[PARTIAL] + 1
    for index in range(width):
        wf.finish(wf.gather(wf.nothing(F), room, index, constants, 0), room, index)
    at = size
    for stage in range(middle + shape[TAIL] + 1):
        inner = head < stage <= middle
        if stage:
            for index in range(1 if inner else width):
                wf.finish(wf.fifth_power(room, index), room, index)
        if not inner:
            if width == 2:
                ws.outer_sums(room, 2, constants, at)
            else:
                ws.outer_sums(room, 3, constants, at)
            at += width * size
            continue
        if width == 2:
            ws.inner_sums(room, 2, (stage - head) & 1, constants, at)
        else:
            ws.inner_sums(room, 3, (stage - head) & 1, constants, at)
        at += size
        if stage == middle:
            for index in range(width):
                wf.add_constant(room, index, constants, at)
                at += size
    for index in range(rows):
        wf.finish(wf.gather(wf.nothing(F), room, index, constants, at), room, index)


@njit(nogil=True, cache=True)
def hash_slice(F, lanes, constants, shape, inputs, out, rows, start, stop):
    """Hash or permute items start … stop − 1.

    Args:
        F: a `Field` marker in Montgomery form.
        lanes: the same lanes' marker.
        constants: `table(field, spec)`.
        shape: `plan(spec)`.
        inputs: flat uint64 words of (n, t − 1) canonical elements, beside which the capacity is zero, or of (n, t).
        out: flat uint64 words of (n, rows) elements, written.
        rows: 1 for hashes of t − 1 elements, t for permutations of t.
        start, stop: which items.
    """
    groups = wf.group_count(F)
    lane = ln.lane_width(lanes)
    width = shape[WIDTH]
    taken = width if rows > 1 else width - 1
    room = fe.local(F, ROOM)
    sequence = fe.local(F, SEQUENCE)
    zero = ln.splat(lanes, 0)
    for first in range(start, stop, groups * lane):
        # LOAD
        for group in range(groups):
            item = first + group * lane
            place = group
            for index in range(width):
                column = index
                if rows == 1 and index >= shape[CAPACITY]:
                    column = index - 1
                if rows == 1 and index == shape[CAPACITY]:
                    wf.put_words(room, place, (zero, zero, zero, zero))
                else:
                    words = wd.read_little(
                        lanes, inputs, 4 * taken, 4 * column, min(item, stop - 1), stop - 1
                    )
                    wf.put_words(room, place, words)
                place += groups
        # COMPUTE
        permute_room(F, room, sequence, constants, shape, rows)
        # STORE
        for group in range(groups):
            for index in range(rows):
                words = wf.get_words(room, index * groups + group)
                wd.write_little(out, 4 * rows, 4 * index, first + group * lane, stop, words)


@njit(nogil=True, cache=True)
def _absorb(
    lanes, room, source, block, elements, offsets, order, first, last, rate, padded, capacity, scratch
):
    """Add block `block` of the messages of a group to the first state; `source` is a room of one element."""
    lane = ln.lane_width(lanes)
    groups = scratch.size // (4 * lane)
    for column in range(rate):
        for group in range(groups):
            for index in range(lane):
                item = order[min(first + group * lane + index, last)]
                length = offsets[item + 1] - offsets[item]
                at = block * rate + column
                for word in range(4):
                    value = np.uint64(0)
                    if at < length:
                        value = elements[4 * (offsets[item] + at) + word]
                    elif at == length and padded and word == 0:
                        value = np.uint64(1)
                    scratch[word * lane + index] = value
            words = (
                ln.load(lanes, scratch, 0),
                ln.load(lanes, scratch, lane),
                ln.load(lanes, scratch, 2 * lane),
                ln.load(lanes, scratch, 3 * lane),
            )
            wf.put_words(source, group, words)
        wf.add_into(room, column if column < capacity else column + 1, source, 0)


@njit(nogil=True, cache=True)
def sponge_slice(F, lanes, constants, shape, elements, offsets, padded, out, start, stop):
    """Hash messages start … stop − 1 of any length with the sponge, t − 1 elements a permutation.

    Args:
        F, lanes, constants, shape: as for `hash_slice`.
        elements: flat uint64 words of canonical elements.
        offsets: int64; message i is elements offsets[i] … offsets[i + 1] − 1.
        padded: whether a one and zeros follow a message and the capacity starts as 2^64; otherwise zeros, and it starts
            as 2^64 · the message's length.
        out: flat uint64 words of (n, 1) elements, written.
        start, stop: which messages.
    """
    groups = wf.group_count(F)
    lane = ln.lane_width(lanes)
    width = shape[WIDTH]
    rate = width - 1
    room = fe.local(F, ROOM)
    sequence = fe.local(F, SEQUENCE)
    source = fe.local(F, SOURCE)
    scratch = np.empty(4 * lane * groups, np.uint64)
    counts = np.empty(stop - start, np.int64)
    for item in range(start, stop):
        length = offsets[item + 1] - offsets[item] + padded
        counts[item - start] = max(1, (length + rate - 1) // rate)
    order = order_by_count(counts)
    counts = counts[order]
    order += start
    zero = ln.splat(lanes, 0)
    for first in range(0, order.size, groups * lane):
        most = counts[min(first + groups * lane, order.size) - 1]
        for index in range(width):
            for group in range(groups):
                wf.put_words(room, index * groups + group, (zero, zero, zero, zero))
        for group in range(groups):
            for index in range(lane):
                item = order[min(first + group * lane + index, order.size - 1)]
                scratch[index] = np.uint64(1 if padded else offsets[item + 1] - offsets[item])
            tag = (zero, ln.load(lanes, scratch, 0), zero, zero)
            wf.put_words(room, shape[CAPACITY] * groups + group, tag)
        for block in range(most):
            _absorb(
                lanes, room, source, block, elements, offsets, order, first, order.size - 1, rate, padded,
                shape[CAPACITY], scratch,
            )  # fmt: skip
            permute_room(F, room, sequence, constants, shape, width)
            for group in range(groups):
                words = wf.get_words(room, group)
                for word in range(4):
                    ln.store(scratch, word * lane, words[word])
                for index in range(lane):
                    place = first + group * lane + index
                    if place < order.size and counts[place] == block + 1:
                        for word in range(4):
                            out[4 * order[place] + word] = scratch[word * lane + index]


SLICE = 4096
"""Most items that one call of a kernel takes."""


def _grain(items: int, field: Field) -> int:
    """Items of a slice: whole groups, four slices a thread or more."""
    unit = field.lanes.width * groups_of(field.lanes.type)
    share = -(-items // (4 * get_threads())) if get_threads() > 1 else items
    return max(unit, -(-min(SLICE, share) // unit) * unit)


def hash_into(permutation: Permutation, inputs: Words, out: Words) -> None:
    """Hash rows of t − 1 elements, or permute rows of t; several threads share a batch.

    A level of a Merkle tree of arity t − 1 is `hash_into(permutation, children.reshape(-1, arity, 4), parents)`: nothing
    is copied.

    Args:
        permutation: which one, in which lanes.
        inputs: uint64 (n, t − 1, 4) or (n, t, 4), contiguous, canonical little-endian words.
        out: uint64 (n, 4) for hashes, (n, t, 4) for permutations, contiguous, written.
    """
    rows = inputs.shape[1] if inputs.shape[1] == permutation.spec.width else 1
    source, target = borrow(inputs).reshape(-1), out.reshape(-1)
    field, constants, shape = permutation.field, permutation.constants, permutation.shape

    def work(start: int, stop: int) -> None:
        hash_slice(field, field.lanes, constants, shape, source, target, rows, start, stop)

    run_slices(work, len(inputs), _grain(len(inputs), field))


def sponge_into(permutation: Permutation, elements: Words, offsets: Any, padded: bool, out: Words) -> None:
    """Hash messages with the sponge; several threads share a batch.

    Args:
        permutation: which one, in which lanes.
        elements: uint64 (m, 4), contiguous, canonical.
        offsets: int64 (n + 1,), ascending: message i is elements[offsets[i]:offsets[i + 1]].
        padded: as for `sponge_slice`.
        out: uint64 (n, 4), contiguous, written.
    """
    flat, places, target = borrow(elements).reshape(-1), borrow(offsets), out.reshape(-1)
    field, constants, shape = permutation.field, permutation.constants, permutation.shape

    def work(start: int, stop: int) -> None:
        sponge_slice(
            field, field.lanes, constants, shape, flat, places, np.int64(padded), target, start, stop
        )

    run_slices(work, len(out), _grain(len(out), field))
