# SPDX-License-Identifier: GPL-3.0-or-later
"""Constraints of a circuit in Python integers: which of them a witness breaks, which of its signals may change alone.

The format: github.com/iden3/r1csfile, doc/r1cs_bin_format.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

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
        assert int.from_bytes(head[:4], "little") == 32
        self.prime = int.from_bytes(head[4:36], "little")
        self.wires, outputs, inputs = (
            int.from_bytes(head[36 + 4 * i : 40 + 4 * i], "little") for i in range(3)
        )
        self.public = outputs + inputs
        count = int.from_bytes(head[60:64], "little")
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

    def broken(self, witness: list[int]) -> list[int]:
        """The constraints that a witness does not satisfy."""
        found = []
        for index, constraint in enumerate(self.constraints):
            a, b, c = (self.value(each, witness) for each in constraint)
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


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 12
    while place < len(data):
        kind, size = (
            int.from_bytes(data[place : place + 4], "little"),
            int.from_bytes(data[place + 4 : place + 12], "little"),
        )
        yield kind, data[place + 12 : place + 12 + size]
        place += 12 + size


def _sums(data: bytes) -> Iterator[Sum]:
    place = 0
    while place < len(data):
        count = int.from_bytes(data[place : place + 4], "little")
        place += 4
        found = {}
        for _ in range(count):
            found[int.from_bytes(data[place : place + 4], "little")] = int.from_bytes(
                data[place + 4 : place + 36], "little"
            )
            place += 36
        yield found
