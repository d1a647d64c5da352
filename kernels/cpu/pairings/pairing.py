# SPDX-License-Identifier: GPL-3.0-or-later
"""Miller loops and last powers in lanes: an item for each lane, the formulas from `kernels.pairing_programs`."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.affine_words import words_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.lazy import from_words, to_words
from supervm.kernels.cpu.fields.powers import inverse
from supervm.kernels.cpu.fields.straight_line import run
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.pairing_programs import INVERT, LOOP, PLACES, STATE

# mypy: disallow_untyped_defs=False

_A, _B, _LINE, _NORM = (PLACES[name] for name in ("a", "b", "line", "norm"))
_POINT, _SECOND, _FIRST, _END = (PLACES[name] for name in ("point", "second", "first", "end"))
_SQUARE, _DOUBLE, _ADD, _SUBTRACT, _CHORD, _KNOWN, _MAP, _MULTIPLY, _CONJUGATE = LOOP


@njit(nogil=True, cache=True)
def _memory(field, places, constants):
    """Memory of so many places, at a cache line's begin, with the constants in every lane of the first ones."""
    words = places * fe.storage(field)
    raw = np.empty(words + 8, np.uint64)
    skip = -(raw.ctypes.data >> 3) & 7
    memory = raw[skip : skip + words]
    for place in range(len(constants) // words_of(field)):
        _put(field, memory, place, constants, words_of(field), 0, place, place)
    return memory


@njit(nogil=True, cache=True)
def _put(field, memory, place, rows, stride, column, first, last):
    """Element `column` of rows first, … to a place; returns the mask of the lanes where it is 0."""
    words = wd.read_element(field, rows, stride, column, first, last)
    value = from_words(field, words)
    zero = fe.sub(value, value)
    # A sum, since small sums take elements that are as well reduced as their results.
    fe.store(memory, place * fe.storage(field), fe.add(value, zero))
    return ln.mask_bits(wd.words_zero(words))


@njit(nogil=True, cache=True)
def _put_numbers(field, memory, place, numbers, count):
    """The first of `count` places 1 or 0, as `numbers` says, and 0 at the others."""
    one = fe.constant(field, 1)
    for index in range(count):
        value = one if index == 0 and numbers == 1 else fe.sub(one, one)
        fe.store(memory, (place + index) * fe.storage(field), value)


@njit(nogil=True, cache=True)
def _copy(field, memory, source, target, count):
    size = fe.storage(field)
    for index in range(count * size):
        memory[target * size + index] = memory[source * size + index]


@njit(nogil=True, cache=True)
def miller_slice(
    field,
    program,
    starts,
    constants,
    digits,
    divided,
    turned,
    pairs,
    first,
    second,
    there,
    against,
    lines,
    start,
    stop,
    results,
):
    """Write the products of the Miller loops of items start … stop − 1.

    Args:
        field: a `Field` marker of the prime field.
        program, starts: int64, of `pairing_programs.code`.
        constants: flat uint64, `pairing_programs.constants` in words.
        digits: int8, the loop's.
        divided, turned: whether the twist divides, and whether the parameter is negative.
        pairs: of each item.
        first: flat uint64, affine points of G1, `pairs` an item; infinity is all zero.
        second: flat uint64, of G2 likewise.
        there: bool, of the points of G2 whose lines are known: which are not infinity.
        against: flat uint64, the points of G1 that are paired with these, as many an item.
        lines: flat uint64, what `lines_slice` wrote of them.
        results: flat uint64, twelve elements an item, written.
    """
    width, size = ln.lane_width(field), words_of(field)
    known = _END + pairs * STATE
    memory = _memory(field, known + 2 * len(there), constants)
    finite, others = np.empty(pairs, np.int64), np.empty(len(there), np.int64)
    for item in range(start, stop, width):
        _put_numbers(field, memory, _A, 1, 12)
        for pair in range(pairs):
            finite[pair] = _begin(field, memory, pair, pairs, first, second, item, stop - 1)
        for index in range(len(there)):
            others[index] = 0
            if there[index]:
                place = known + 2 * index
                others[index] = _begin_known(field, memory, place, against, index, len(there), item, stop - 1)
        step = 0
        for digit in digits:
            run(field, program, starts[_SQUARE], starts[_SQUARE + 1], memory)
            for pair in range(pairs):
                if finite[pair] != 0:
                    _copy(field, memory, _END + pair * STATE, _POINT, STATE)
                    _step(field, program, starts, _DOUBLE, memory, divided, finite[pair])
                    if digit != 0:
                        which = _ADD if digit > 0 else _SUBTRACT
                        _step(field, program, starts, which, memory, divided, finite[pair])
                    _copy(field, memory, _POINT, _END + pair * STATE, STATE)
            for _ in range(1 if digit == 0 else 2):
                _known_step(field, program, starts, memory, known, others, lines, step, divided)
                step += 1
        for _ in range(2 if divided else 0):
            _known_step(field, program, starts, memory, known, others, lines, step, divided)
            step += 1
        for pair in range(pairs if divided else 0):
            if finite[pair] != 0:
                _copy(field, memory, _END + pair * STATE, _POINT, STATE)
                run(field, program, starts[_MAP], starts[_MAP + 1], memory)
                _step(field, program, starts, _ADD, memory, divided, finite[pair])
                run(field, program, starts[_MAP], starts[_MAP + 1], memory)
                _step(field, program, starts, _SUBTRACT, memory, divided, finite[pair])
        if turned:
            run(field, program, starts[_CONJUGATE], starts[_CONJUGATE + 1], memory)
        _write(field, memory, results, size, item, stop)


@njit(nogil=True, cache=True)
def _begin(field, memory, pair, pairs, first, second, item, last):
    """A pair's state before the loop; returns the bits of the lanes where neither point is infinity."""
    size = words_of(field)
    place = _END + pair * STATE
    point, q, p = place, place + _SECOND - _POINT, place + _FIRST - _POINT
    none = _put(field, memory, p + 2, first, 2 * pairs * size, 2 * pair * size, item, last)
    none &= _put(field, memory, p, first, 2 * pairs * size, (2 * pair + 1) * size, item, last)
    x = fe.load(field, memory, (p + 2) * fe.storage(field))
    fe.store(memory, (p + 1) * fe.storage(field), fe.scale(-1, x))
    fe.store(memory, (p + 2) * fe.storage(field), fe.scale(-3, x))
    other = -1
    for part in range(4):
        other &= _put(field, memory, q + part, second, 4 * pairs * size, (4 * pair + part) * size, item, last)
    _copy(field, memory, q, point, 4)
    _put_numbers(field, memory, point + 4, 1, 2)
    return ~(none | other) & ((1 << ln.lane_width(field)) - 1)


@njit(nogil=True, cache=True)
def _step(field, program, starts, which, memory, divided, finite):
    """A step of the point, and a ← a · its line, in the lanes that are set; the line is 1 in the others."""
    run(field, program, starts[which], starts[which + 1], memory)
    _mask_line(field, memory, divided, finite)
    run(field, program, starts[_CHORD], starts[_CHORD + 1], memory)


@njit(nogil=True, cache=True)
def _mask_line(field, memory, divided, finite):
    """The line as it is in the lanes that are set, and 1 in the others."""
    width, size = ln.lane_width(field), fe.storage(field)
    if finite != (1 << width) - 1:
        mask = ln.mask_from_bits(field, finite)
        one = fe.constant(field, 1)
        unit = 4 if divided else 0
        for index in range(6):
            at = (_LINE + index) * size
            other = one if index == unit else fe.sub(one, one)
            fe.store(memory, at, fe.select(mask, fe.load(field, memory, at), other))


@njit(nogil=True, cache=True)
def _begin_known(field, memory, place, against, index, count, item, last):
    """y and x of a point that meets known lines, with 1 for y where it is infinity; returns the lanes where it is not."""
    size = words_of(field)
    none = _put(field, memory, place + 1, against, 2 * count * size, 2 * index * size, item, last)
    none &= _put(field, memory, place, against, 2 * count * size, (2 * index + 1) * size, item, last)
    at = place * fe.storage(field)
    y = fe.select(ln.mask_from_bits(field, none), fe.constant(field, 1), fe.load(field, memory, at))
    fe.store(memory, at, y)
    return ~none & ((1 << ln.lane_width(field)) - 1)


@njit(nogil=True, cache=True)
def _known_step(field, program, starts, memory, known, finite, lines, step, divided):
    """a ← a · the lines of one step of all points whose lines are known."""
    size = fe.storage(field)
    limbs = size // ln.lane_width(field)
    for index in range(len(finite)):
        if finite[index] != 0:
            row = (step * len(finite) + index) * 6 * limbs
            for limb in range(6 * limbs):
                ln.store(
                    memory, (_LINE * limbs + limb) * ln.lane_width(field), ln.splat(field, lines[row + limb])
                )
            _mask_line(field, memory, divided, finite[index])
            _copy(field, memory, known + 2 * index, _FIRST, 2)
            run(field, program, starts[_KNOWN], starts[_KNOWN + 1], memory)


@njit(nogil=True, cache=True)
def lines_slice(field, program, starts, constants, digits, divided, points, start, stop, lines):
    """Write the lines of the loops of points start … stop − 1 as they meet (1, 1), step by step, in the field's own form.

    Args:
        points: flat uint64, affine points of G2.
        lines: flat uint64, written: in each step of each point the coefficients of 1, x and y, six elements.
    """
    width, size = ln.lane_width(field), fe.storage(field)
    memory = _memory(field, _END, constants)
    words = words_of(field)
    count = len(points) // (4 * words)
    for item in range(start, stop, width):
        _put_numbers(field, memory, _FIRST, 1, 1)
        one = fe.load(field, memory, _FIRST * size)
        fe.store(memory, (_FIRST + 1) * size, fe.scale(-1, one))
        fe.store(memory, (_FIRST + 2) * size, fe.scale(-3, one))
        for part in range(4):
            _put(field, memory, _SECOND + part, points, 4 * words, part * words, item, stop - 1)
        _copy(field, memory, _SECOND, _POINT, 4)
        _put_numbers(field, memory, _POINT + 4, 1, 2)
        step = 0
        for digit in digits:
            run(field, program, starts[_DOUBLE], starts[_DOUBLE + 1], memory)
            _keep_line(field, memory, lines, step * count + item, min(width, stop - item))
            step += 1
            if digit != 0:
                which = _ADD if digit > 0 else _SUBTRACT
                run(field, program, starts[which], starts[which + 1], memory)
                _keep_line(field, memory, lines, step * count + item, min(width, stop - item))
                step += 1
        for turn in range(2 if divided else 0):
            which = _ADD if turn == 0 else _SUBTRACT
            run(field, program, starts[_MAP], starts[_MAP + 1], memory)
            run(field, program, starts[which], starts[which + 1], memory)
            _keep_line(field, memory, lines, step * count + item, min(width, stop - item))
            step += 1


@njit(nogil=True, cache=True)
def _keep_line(field, memory, lines, row, lanes):
    """The line of each lane to rows row, row + 1 …"""
    width = ln.lane_width(field)
    words = 6 * (fe.storage(field) // width)
    for lane in range(lanes):
        for word in range(words):
            lines[(row + lane) * words + word] = memory[_LINE * fe.storage(field) + word * width + lane]


@njit(nogil=True, cache=True)
def _write(field, memory, results, size, item, stop):
    """The twelve elements of a to rows item, … below `stop`."""
    for index in range(12):
        words = to_words(fe.load(field, memory, (_A + index) * fe.storage(field)))
        wd.write_little(results, 12 * size, index * size, item, stop, words)


@njit(nogil=True, cache=True)
def power_slice(field, program, starts, constants, schedule, elements, count, values, start, stop, results):
    """Write the last power of the product of each item's values, for items start … stop − 1.

    Args:
        field, program, starts, constants: as `miller_slice` takes them.
        schedule: int64, the rows of `last_power.last_power`, flat.
        elements: that it needs.
        count: values of each item, 1 or more.
        values: flat uint64, twelve elements each.
        results: flat uint64, twelve elements an item, written.
    """
    width, size = ln.lane_width(field), words_of(field)
    memory = _memory(field, _END + 12 * elements, constants)
    for item in range(start, stop, width):
        for value in range(count):
            for index in range(12):
                place = (_A if value == 0 else _B) + index
                column = (12 * value + index) * size
                _put(field, memory, place, values, 12 * count * size, column, item, stop - 1)
            if value > 0:
                run(field, program, starts[_MULTIPLY], starts[_MULTIPLY + 1], memory)
        _copy(field, memory, _A, _END, 12)
        for row in range(0, len(schedule), 4):
            which, target = schedule[row], schedule[row + 1]
            if schedule[row + 2] >= 0:
                _copy(field, memory, _END + 12 * schedule[row + 2], _A, 12)
            if schedule[row + 3] >= 0:
                _copy(field, memory, _END + 12 * schedule[row + 3], _B, 12)
            if which == INVERT:
                at = _NORM * fe.storage(field)
                fe.store(memory, at, inverse(field, fe.load(field, memory, at)))
            else:
                run(field, program, starts[which], starts[which + 1], memory)
            if target >= 0:
                _copy(field, memory, _A, _END + 12 * target, 12)
        _copy(field, memory, _END, _A, 12)
        _write(field, memory, results, size, item, stop)
