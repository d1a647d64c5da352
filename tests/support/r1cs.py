# SPDX-License-Identifier: GPL-3.0-or-later
"""Constraints of a circuit in Python integers: which of them a witness breaks, which of its signals may change alone.

The format: github.com/iden3/r1csfile, doc/r1cs_bin_format.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

Sum = dict[int, int]
"""Wire → coefficient."""


class R1cs:
    """A ⋅ B = C, one triple of sums a constraint.

    Attributes:
        prime, wires, public: of the file; wire 0 is the constant 1, the public ones follow.
        constraints: the triples.
        uses: of each wire the constraints that it is in.
    """

    def __init__(self, data: bytes) -> None:
        assert data[:4] == b"r1cs"
        sections = dict(_sections(data))
        head = sections[1]
        assert _number(head, 0, 4) == 32
        self.prime = _number(head, 4, 32)
        self.wires, outputs, inputs = (_number(head, at, 4) for at in (36, 40, 44))
        self.public = outputs + inputs
        count = _number(head, 60, 4)
        reader = _sums(sections[2])
        self.constraints = [(next(reader), next(reader), next(reader)) for _ in range(count)]
        assert next(reader, None) is None
        self.uses: dict[int, list[int]] = defaultdict(list)
        for index, sums in enumerate(self.constraints):
            for wire in set().union(*sums):
                self.uses[wire].append(index)

    def value(self, sum_: Sum, witness: Mapping[int, int] | list[int]) -> int:
        """Of a sum."""
        return sum(c * witness[wire] for wire, c in sum_.items()) % self.prime

    def broken(self, witness: list[int], among: Iterable[int] | None = None) -> list[int]:
        """The constraints, of all or of some, that a witness does not satisfy."""
        found = []
        for index in range(len(self.constraints)) if among is None else among:
            a, b, c = (self.value(each, witness) for each in self.constraints[index])
            if (a * b - c) % self.prime:
                found.append(index)
        return found

    def free(self, witness: list[int]) -> list[int]:
        """Wires of which some other value would do, all others as they are; none, if the circuit is tight.

        Exactly: a change d of a wire turns a constraint that holds into d ⋅ (linear + square ⋅ d) = 0.
        """
        p = self.prime
        values = [[self.value(each, witness) for each in constraint] for constraint in self.constraints]
        found = []
        for wire in range(1, self.wires):
            possible: set[int] | None = None  # any
            for index in self.uses[wire]:
                a, b, c = (each.get(wire, 0) for each in self.constraints[index])
                at_a, at_b, _ = values[index]
                linear, square = (a * at_b + b * at_a - c) % p, a * b % p
                if square:
                    roots = {-linear * pow(square, -1, p) % p} - {0}
                elif linear:
                    roots = set()
                else:
                    continue
                possible = roots if possible is None else possible & roots
                if not possible:
                    break
            if possible is None or possible:
                found.append(wire)
        return found


def _number(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 12
    while place < len(data):
        size = _number(data, place + 4, 8)
        yield _number(data, place, 4), data[place + 12 : place + 12 + size]
        place += 12 + size


def _sums(data: bytes) -> Iterator[Sum]:
    place = 0
    while place < len(data):
        ends = place + 4 + 36 * _number(data, place, 4)
        yield {_number(data, at, 4): _number(data, at + 4, 32) for at in range(place + 4, ends, 36)}
        place = ends
