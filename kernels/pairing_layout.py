# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of `pairing_programs` in bundles, for an item that has all lanes to itself, and where their places are."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from supervm.kernels.bundles import Home, bundled
from supervm.kernels.pairing_programs import FORMULAS, PLACES, WORKING, written
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.straight_line import Row, flat


class Layout:
    """Where places are: each name's begin at a place of their own.

    Args:
        width: lanes.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.homes: dict[int, Home] = {}
        self.begins: dict[str, int] = {}
        at = 0
        names = list(PLACES)
        for name, following in pairwise(names[: names.index("working") + 1]):
            self.begins[name] = at
            places = list(range(PLACES[name], PLACES[following]))
            for part in self._parts(places):
                for index, place in enumerate(part):
                    self.homes[place] = (at + index // width, index % width)
                at += -(-len(part) // width)
        self.begins["working"] = at
        self.begins["end"] = at + WORKING

    def _parts(self, places: list[int]) -> list[list[int]]:
        """Elements of Fp12 begin with all c₀, and where lanes are left over those and the c₁ go apart."""
        if len(places) != 12:
            return [places]
        parts = [places[::2], places[1::2]]
        return parts if self.width > 6 else [parts[0] + parts[1]]

    @property
    def state(self) -> int:
        """Places of a pair's state."""
        return self.begins["adjugate"] - self.begins["point"]

    @property
    def element(self) -> int:
        """Places of an element of Fp12."""
        return self.begins["b"] - self.begins["a"]


@cache
def layout(width: int) -> Layout:
    """The layout in so many lanes."""
    return Layout(width)


@cache
def bundles(spec: PairingSpec, width: int) -> dict[str, list[Row]]:
    """The rows of each program in bundles, for an item that has all lanes to itself."""
    there = layout(width)
    free = range(there.begins["working"], there.begins["end"])
    return {name: bundled(written(spec, name), width, there.homes, free) for name in FORMULAS}


@cache
def bundled_code(spec: PairingSpec, width: int) -> tuple[list[int], list[int]]:
    """`code` for an item that has all lanes to itself."""
    return flat(list(bundles(spec, width).values()))
