# SPDX-License-Identifier: GPL-3.0-or-later
"""Miller loops and last powers of a few items: each has all lanes to itself, see `kernels.bundles`.

Where the places of programs are is data, `pairing_layout.Layout`: `where` has place · width + lane of each of them, and
`begins` the first place of what `BEGINS` names.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.cpu.curves.affine_words import words_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.bundles import run
from supervm.kernels.cpu.fields.lazy import from_words, to_words
from supervm.kernels.cpu.fields.powers import inverse
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.pairing_programs import INVERT, LOOP, PLACES

# mypy: disallow_untyped_defs=False

BEGINS = ("a", "b", "point", "adjugate", "norm", "end", "line", "first")
"""Where these begin; the pair's state is from `point` to `adjugate`, an element of Fp12 from `a` to `b`."""

_A, _B, _POINT, _SECOND, _FIRST = (PLACES[name] for name in ("a", "b", "point", "second", "first"))
_SQUARE, _DOUBLE, _ADD, _SUBTRACT, _CHORD, _KNOWN, _MAP, _MULTIPLY, _CONJUGATE = LOOP


@njit(nogil=True, cache=True)
def _memory(field, places, where, constants):
    """Memory of so many places, at a cache line's begin, zero but for the constants; the last place is scratch."""
    size = fe.storage(field)
    words = (places + 1) * size
    raw = np.zeros(words + 8, np.uint64)
    skip = -(raw.ctypes.data >> 3) & 7
    memory = raw[skip : skip + words]
    for index in range(len(constants) // words_of(field)):
        _put(field, memory, where[index], constants, index)
    return memory


@njit(nogil=True, cache=True)
def _move(field, memory, source, target):
    """One element, from place · width + lane to another."""
    width, size = ln.lane_width(field), fe.storage(field)
    there, here = target // width * size + target % width, source // width * size + source % width
    for at in range(0, size, width):
        memory[there + at] = memory[here + at]


@njit(nogil=True, cache=True)
def _keep(field, memory, target, value):
    """Lane 0 of an element to one home."""
    scratch = len(memory) - fe.storage(field)
    fe.store(memory, scratch, value)
    _move(field, memory, scratch // fe.storage(field) * ln.lane_width(field), target)


@njit(nogil=True, cache=True)
def _put(field, memory, target, rows, index):
    """Element `index` of rows to a home; returns it, in every lane, and whether it is 0."""
    words = wd.read_element(field, rows, words_of(field), 0, index, index)
    value = from_words(field, words)
    zero = fe.sub(value, value)
    # A sum, since small sums take elements that are as well reduced as their results.
    _keep(field, memory, target, fe.add(value, zero))
    return value, ln.mask_bits(wd.words_zero(words)) & 1


@njit(nogil=True, cache=True)
def _put_numbers(field, memory, where, place, numbers, count):
    """The first of `count` places 1 or 0, as `numbers` says, and 0 at the others."""
    one = fe.constant(field, 1)
    for index in range(count):
        value = one if index == 0 and numbers == 1 else fe.sub(one, one)
        _keep(field, memory, where[place + index], value)


@njit(nogil=True, cache=True)
def _copy(field, memory, source, target, count):
    size = fe.storage(field)
    memory[target * size : (target + count) * size] = memory[source * size : (source + count) * size]


@njit(nogil=True, cache=True)
def _write(field, memory, where, results, item):
    """The twelve elements of a to row `item`."""
    size = words_of(field)
    scratch = len(memory) - fe.storage(field)
    for index in range(12):
        _move(field, memory, where[_A + index], scratch // fe.storage(field) * ln.lane_width(field))
        words = to_words(fe.load(field, memory, scratch))
        wd.write_little(results, size, 0, 12 * item + index, 12 * item + index + 1, words)


@njit(nogil=True, cache=True)
def _program(field, code, which, memory):
    program, starts = code
    run(field, program, starts[which], starts[which + 1], memory)


@njit(nogil=True, cache=True)
def miller_alone(
    field,
    code,
    layout,
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
    """As `pairing.miller_slice`, for items one after the other.

    Args:
        code: (program, starts), int64.
        layout: (where, begins), int64.
        lines: what `lines_slice` wrote, as it stands at the places of a line.
    """
    where, begins = layout
    point, end = begins[2], begins[5]
    state = begins[3] - point
    known = end + pairs * state
    memory = _memory(field, known + len(there), where, constants)
    finite, others = np.empty(pairs, np.bool_), np.empty(len(there), np.bool_)
    for item in range(start, stop):
        for pair in range(pairs):
            finite[pair] = _begin(field, memory, where, first, second, item * pairs + pair)
            _copy(field, memory, point, end + pair * state, state)
        for index in range(len(there)):
            row = 2 * (item * len(there) + index)
            _, none = _put(field, memory, where[_FIRST + 1], against, row)
            _, zero = _put(field, memory, where[_FIRST], against, row + 1)
            others[index] = there[index] and (none & zero) == 0
            _copy(field, memory, begins[7], known + index, 1)
        _put_numbers(field, memory, where, _A, 1, 12)
        step = 0
        for digit in digits:
            _program(field, code, _SQUARE, memory)
            for pair in range(pairs):
                if finite[pair]:
                    _copy(field, memory, end + pair * state, point, state)
                    _program(field, code, _DOUBLE, memory)
                    _program(field, code, _CHORD, memory)
                    if digit != 0:
                        _program(field, code, _ADD if digit > 0 else _SUBTRACT, memory)
                        _program(field, code, _CHORD, memory)
                    _copy(field, memory, point, end + pair * state, state)
            for _ in range(1 if digit == 0 else 2):
                _known_step(field, code, begins, memory, known, others, lines, step)
                step += 1
        for _ in range(2 if divided else 0):
            _known_step(field, code, begins, memory, known, others, lines, step)
            step += 1
        for pair in range(pairs if divided else 0):
            if finite[pair]:
                _copy(field, memory, end + pair * state, point, state)
                _program(field, code, _MAP, memory)
                _program(field, code, _ADD, memory)
                _program(field, code, _CHORD, memory)
                _program(field, code, _MAP, memory)
                _program(field, code, _SUBTRACT, memory)
                _program(field, code, _CHORD, memory)
        if turned:
            _program(field, code, _CONJUGATE, memory)
        _write(field, memory, where, results, item)


@njit(nogil=True, cache=True)
def _known_step(field, code, begins, memory, known, finite, lines, step):
    """a ← a · the lines of one step of all points whose lines are known."""
    size = fe.storage(field)
    words = -(-6 // ln.lane_width(field)) * size
    line = begins[6] * size
    for index in range(len(finite)):
        if finite[index]:
            row = (step * len(finite) + index) * words
            memory[line : line + words] = lines[row : row + words]
            _copy(field, memory, known + index, begins[7], 1)
            _program(field, code, _KNOWN, memory)


@njit(nogil=True, cache=True)
def _begin(field, memory, where, first, second, row):
    """A pair's state before the loop, at `point`; returns whether neither point is infinity."""
    x, none = _put(field, memory, where[_FIRST + 2], first, 2 * row)
    _, zero = _put(field, memory, where[_FIRST], first, 2 * row + 1)
    none &= zero
    _keep(field, memory, where[_FIRST + 1], fe.scale(-1, x))
    _keep(field, memory, where[_FIRST + 2], fe.scale(-3, x))
    other = 1
    for part in range(4):
        _, zero = _put(field, memory, where[_SECOND + part], second, 4 * row + part)
        other &= zero
        _move(field, memory, where[_SECOND + part], where[_POINT + part])
    _put_numbers(field, memory, where, _POINT + 4, 1, 2)
    return (none | other) == 0


@njit(nogil=True, cache=True)
def power_alone(field, code, layout, constants, schedule, elements, count, values, start, stop, results):
    """As `pairing.power_slice`, for items one after the other; `code` and `layout` as `miller_alone` takes them."""
    where, begins = layout
    a, b, norm, end = begins[0], begins[1], begins[4], begins[5]
    size = b - a
    memory = _memory(field, end + size * elements, where, constants)
    for item in range(start, stop):
        for value in range(count):
            for index in range(12):
                home = where[(_A if value == 0 else _B) + index]
                _put(field, memory, home, values, 12 * (item * count + value) + index)
            if value > 0:
                _program(field, code, _MULTIPLY, memory)
        _copy(field, memory, a, end, size)
        for row in range(0, len(schedule), 4):
            which, target = schedule[row], schedule[row + 1]
            if schedule[row + 2] >= 0:
                _copy(field, memory, end + size * schedule[row + 2], a, size)
            if schedule[row + 3] >= 0:
                _copy(field, memory, end + size * schedule[row + 3], b, size)
            if which == INVERT:
                at = norm * fe.storage(field)
                fe.store(memory, at, inverse(field, fe.load(field, memory, at)))
            else:
                _program(field, code, which, memory)
            if target >= 0:
                _copy(field, memory, a, end + size * target, size)
        _copy(field, memory, end, a, size)
        _write(field, memory, where, results, item)
