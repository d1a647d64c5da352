# SPDX-License-Identifier: GPL-3.0-or-later
"""The levels of a transform, run on bounds: no number leaves 0 … R − 1 in any field, at any length.

The functions are the kernels' own, as Python; field and lanes are replaced by ones whose elements are bounds. Bounds of
doubles are in `fields/test_bounds_of_doubles.py`.
"""

from __future__ import annotations

import types

import pytest

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8
from supervm.kernels.cpu.ntt import ntt, passes, shoup

FIELDS = {spec.name: spec for spec in (bn254.FR, bls12_381.FR)}


class Bounds:
    """Stands for `fe` and `shoup`: an element is (lowest, highest) as integers."""

    PRODUCT_BOUND = shoup.PRODUCT_BOUND

    def __init__(self, spec):
        code = generator(spec, IFMA_64X8.type)
        self.p, self.r, self.room = spec.modulus, code.r, shoup.room(code)
        self.halvings = 0

    def checked(self, low, high):
        assert low >= 0, "a difference may be negative"
        assert high < self.r, "a sum may pass R"
        return low, high

    def storage(self, field):
        return 1

    def multiples(self, field):
        return self.room

    def load(self, field, scratch, at):
        return scratch[at]

    def store(self, scratch, at, value):
        scratch[at] = value

    def mul(self, a, table, row):
        self.checked(*a)
        return 0, self.PRODUCT_BOUND * self.p - 1

    def add(self, a, b, multiple):
        return self.checked(a[0] + b[0] + multiple * self.p, a[1] + b[1] + multiple * self.p)

    def sub(self, a, b, multiple):
        return self.checked(a[0] - b[1] + multiple * self.p, a[1] - b[0] + multiple * self.p)

    def settle(self, a):
        return a

    def halve(self, a):
        self.halvings += 1
        half = self.room // 2 * self.p
        return 0, max(half - 1, a[1] - half)


@pytest.fixture
def levels(monkeypatch):
    """`transform` as Python, over what it is given in the place of `fe` and `shoup`."""
    for name in ("_first_level", "_first_levels", "_two_levels", "_halve"):
        monkeypatch.setattr(passes, name, getattr(passes, name).py_func)

    def run(bounds, log):
        monkeypatch.setattr(passes, "fe", bounds)
        monkeypatch.setattr(passes, "shoup", bounds)
        scratch = [(0, passes.INPUT_BOUND * bounds.p - 1)] * (1 << log)
        passes.transform.py_func(types.SimpleNamespace(), scratch, log, None)
        return scratch

    return run


@pytest.mark.parametrize("name", FIELDS)
def test_numbers_stay_within_bounds(levels, name):
    for log in range(ntt.BITS + 1):
        bounds = Bounds(FIELDS[name])
        assert max(high for _, high in levels(bounds, log)) < bounds.r
        assert not bounds.halvings or bounds.room < 3 * (log + 4)


@pytest.mark.parametrize(
    ("function", "was", "is_"),
    [("sub", 3, 2), ("sub", 6, 5), ("sub", 6, 3)],
)
def test_a_smaller_multiple_is_noticed(levels, monkeypatch, function, was, is_):
    right = getattr(Bounds, function)

    def wrong(self, a, b, multiple):
        return right(self, a, b, is_ if multiple == was else multiple)

    monkeypatch.setattr(Bounds, function, wrong)
    with pytest.raises(AssertionError, match="negative"):
        levels(Bounds(bn254.FR), 4)


def test_without_halving_numbers_pass_r(levels, monkeypatch):
    monkeypatch.setattr(Bounds, "halve", lambda self, a: a)
    with pytest.raises(AssertionError, match="pass R"):
        levels(Bounds(bls12_381.FR), ntt.BITS)
