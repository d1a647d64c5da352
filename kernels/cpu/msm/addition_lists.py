# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of pairs of points that are added together, on a curve of either form.

The functions that are chosen by the form of the curve are inlined by Numba, as is `add_pairs`: compiled by itself, every
level of callers would compile the point formulas again.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import overload

from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.msm import batch_addition, batch_addition_edwards
from supervm.kernels.spec import EdwardsSpec

# mypy: disallow_untyped_defs=False


def _forward(curve: Any, *_: Any) -> Any:
    """(inverse of the product of all denominators, whether there is none and the list has to be done by cases)."""
    raise TypeError("called from compiled code only")


def _backward(curve: Any, *_: Any) -> Any:
    """Write the sums."""
    raise TypeError("called from compiled code only")


def _forward_cases(curve: Any, *_: Any) -> Any:
    """As `_forward`, for any points: (inverse, whether any case occurred)."""
    raise TypeError("called from compiled code only")


def _backward_cases(curve: Any, *_: Any) -> Any:
    """As `_backward`, by cases."""
    raise TypeError("called from compiled code only")


def signed_point(curve: Any, x: Any, y: Any, negated: Any) -> Any:
    """(x, y), or its opposite where the mask is set; compiled code only."""
    raise TypeError("called from compiled code only")


def checked_point(curve: Any, x: Any, y: Any) -> Any:
    """Mask of the lanes whose point is on the curve; compiled code only."""
    raise TypeError("called from compiled code only")


def neutral(curve: Any, x_words: Any, y_words: Any) -> Any:
    """Mask of the lanes whose words are those of the neutral point; compiled code only."""
    raise TypeError("called from compiled code only")


_forward_weierstrass, _backward_weierstrass = batch_addition.forward, batch_addition.backward
_forward_any, _backward_any = batch_addition.forward_cases, batch_addition.backward_cases
_forward_edwards, _backward_edwards = batch_addition_edwards.forward, batch_addition_edwards.backward
_signed_y, _signed_x = batch_addition.signed, batch_addition_edwards.signed
_on_weierstrass, _on_edwards = ws.on_curve, batch_addition_edwards.on_curve


def _edwards(curve):
    return isinstance(curve.spec, EdwardsSpec)


@overload(_forward, inline="always")
def _choose_forward(curve, points, scratch, left, right, groups, before, room):
    def edwards(curve, points, scratch, left, right, groups, before, room):
        return _forward_edwards(curve, points, scratch, left, right, groups, before, room), False

    def weierstrass(curve, points, scratch, left, right, groups, before, room):
        return _forward_weierstrass(curve, points, scratch, left, right, groups, before, room)

    return edwards if _edwards(curve) else weierstrass


@overload(_backward, inline="always")
def _choose_backward(curve, points, scratch, left, right, out, groups, before, inverse, coming):
    def edwards(curve, points, scratch, left, right, out, groups, before, inverse, coming):
        _backward_edwards(curve, points, scratch, left, right, out, groups, before, inverse)

    def weierstrass(curve, points, scratch, left, right, out, groups, before, inverse, coming):
        _backward_weierstrass(curve, points, scratch, left, right, out, groups, before, inverse, coming)

    return edwards if _edwards(curve) else weierstrass


@overload(_forward_cases, inline="always")
def _choose_forward_cases(curve, points, scratch, left, right, groups, before, cases, room):
    def edwards(curve, points, scratch, left, right, groups, before, cases, room):
        return _forward_edwards(curve, points, scratch, left, right, groups, before, room), False

    def weierstrass(curve, points, scratch, left, right, groups, before, cases, room):
        return _forward_any(curve, points, scratch, left, right, groups, before, cases, room)

    return edwards if _edwards(curve) else weierstrass


@overload(_backward_cases, inline="always")
def _choose_backward_cases(curve, points, scratch, left, right, out, groups, before, cases, inverse):
    def edwards(curve, points, scratch, left, right, out, groups, before, cases, inverse):
        _backward_edwards(curve, points, scratch, left, right, out, groups, before, inverse)

    def weierstrass(curve, points, scratch, left, right, out, groups, before, cases, inverse):
        _backward_any(curve, points, scratch, left, right, out, groups, before, cases, inverse)

    return edwards if _edwards(curve) else weierstrass


@overload(signed_point, inline="always")
def _choose_signed(curve, x, y, negated):
    def edwards(curve, x, y, negated):
        return _signed_x(x, negated), y

    def weierstrass(curve, x, y, negated):
        return x, _signed_y(base_field(curve), y, negated)

    return edwards if _edwards(curve) else weierstrass


@overload(checked_point, inline="always")
def _choose_checked(curve, x, y):
    def edwards(curve, x, y):
        return _on_edwards(curve, x, y)

    def weierstrass(curve, x, y):
        return _on_weierstrass(curve, x, y)

    return edwards if _edwards(curve) else weierstrass


@overload(neutral, inline="always")
def _choose_neutral(curve, x_words, y_words):
    def edwards(curve, x_words, y_words):
        one = fe.to_words(fe.constant(base_field(curve), 1))
        return ln.and_(wd.words_zero(x_words), wd.words_equal(y_words, one))

    def weierstrass(curve, x_words, y_words):
        return ln.and_(wd.words_zero(x_words), wd.words_zero(y_words))

    return edwards if _edwards(curve) else weierstrass


@njit(nogil=True, cache=True, inline="always")
def add_pairs(curve, points, scratch, left, right, out, count, before, cases, room, wary, coming):
    """out[i] = left[i] + right[i] for i < count, where an output row may be the row of its own left or right point.

    Args:
        curve: a `Curve` marker.
        points, scratch: flat uint64 arrays of rows; results go to `scratch`.
        left, right, out: flat uint32 arrays of entries (see `rows`) of a whole number of groups of lanes.
        before: uint64, room for an element for each group of lanes.
        cases: int64, likewise.
        room: scratch of `inverse`.
        wary: expect exceptional cases.
        coming: flat uint32, entries whose rows will be asked for soon.

    Returns:
        Whether any occurred, as a hint for the next list.
    """
    if count > 0:
        width = ln.lane_width(lanes_of(curve))
        groups = (count + width - 1) // width
        for index in range(count, groups * width):
            left[index], right[index], out[index] = left[count - 1], right[count - 1], out[count - 1]
        if not wary:
            product, wary = _forward(curve, points, scratch, left, right, groups, before, room)
            if not wary:
                _backward(curve, points, scratch, left, right, out, groups, before, product, coming)
        if wary:
            product, wary = _forward_cases(curve, points, scratch, left, right, groups, before, cases, room)
            _backward_cases(curve, points, scratch, left, right, out, groups, before, cases, product)
    return wary
