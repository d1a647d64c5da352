# SPDX-License-Identifier: GPL-3.0-or-later
"""Straight-line programs over a prime field: sums of products and small sums, written once and run by every backend.

A formula in a tower of extensions is nothing but sums of products in the prime field. Written as data, it is compiled
nowhere: a backend has one loop for a sum of products, with one reduction, and one for a small sum. `Writer` collects a
formula's operations on values, `Writer.segment` finds each value a place in memory, and `evaluate` runs rows on integers.

A row is a list of integers, its first the place that is written:

| row | meaning |
|---|---|
| `place, n, a₁, b₁, … aₙ, bₙ` | Σ m[aᵢ]·m[bᵢ], with n from 1 to `LARGEST_SUM` |
| `place, −n, s₁, … sₙ` | n steps total ← 2^d · total ± m[x], from 0 on; s = x + d·`DOUBLED` + `NEGATIVE` where it is − |
| `place, 0, a` | −m[a] |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LARGEST_SUM = 12
"""Products in one sum, the most that every backend reduces at once."""

LARGEST_WEIGHT = 13
"""What the coefficients of a small sum may add up to, by their magnitude."""

IN_STEPS = 7
"""What a total may weigh where a limb has three bits to spare, before it is carried."""

ZERO = 0
"""The place of this constant."""

DOUBLED, NEGATIVE, CARRIED = 1 << 16, 1 << 17, 1 << 18
"""Flags of a step. `CARRIED`: lanes of doubles carry the total's limbs before this step."""

Row = list[int]
Value = int
"""A number of a `Writer`."""


class Operation(NamedTuple):
    """What makes a value: `numbers` is the place that a `read` reads, the coefficients of a `sum`, and else empty; the
    operands of a `dot` are a₁, b₁, a₂, b₂ …"""

    kind: str
    operands: tuple[Value, ...]
    numbers: tuple[int, ...] = ()


class Writer:
    """Operations on values, each written once; values are numbers from 0 on."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.outputs: dict[int, Value] = {}
        self._known: dict[Operation, Value] = {}

    def _made(self, kind: str, operands: Iterable[Value] = (), numbers: Iterable[int] = ()) -> Value:
        operation = Operation(kind, tuple(operands), tuple(numbers))
        if operation not in self._known:
            self._known[operation] = len(self.operations)
            self.operations.append(operation)
        return self._known[operation]

    def read(self, place: int) -> Value:
        """What stands in memory before the program runs."""
        return self._made("read", numbers=(place,))

    def dot(self, pairs: Sequence[tuple[Value, Value]]) -> Value:
        """Σ a·b.

        Raises:
            ValueError: no pairs, or more than `LARGEST_SUM`.
        """
        if not 0 < len(pairs) <= LARGEST_SUM:
            raise ValueError(f"{len(pairs)} products in a sum; expected 1 to {LARGEST_SUM}")
        return self._made("dot", (value for pair in pairs for value in pair))

    def sum(self, *terms: tuple[int, Value]) -> Value:
        """Σ coefficient · value.

        Raises:
            ValueError: coefficients that add up to more than `LARGEST_WEIGHT`.
        """
        kept: dict[Value, int] = {}
        for coefficient, value in terms:
            kept[value] = kept.get(value, 0) + coefficient
        kept = {value: coefficient for value, coefficient in kept.items() if coefficient}
        if sum(map(abs, kept.values())) > LARGEST_WEIGHT:
            raise ValueError(f"coefficients {list(kept.values())}; expected at most {LARGEST_WEIGHT} in all")
        if list(kept.values()) == [1]:
            return next(iter(kept))
        if list(kept.values()) == [-1]:
            return self._made("negative", kept)
        return self._made("sum", kept, kept.values()) if kept else self.read(ZERO)

    def negative(self, value: Value) -> Value:
        """−value."""
        return self.sum((-1, value))

    def write(self, place: int, value: Value) -> None:
        """Let `value` stand at `place` in the end. All places are read before any is written."""
        self.outputs[place] = value

    # Places ----------------------------------------------------------------------------------------------

    def segment(self, free: Sequence[int]) -> list[Row]:
        """The rows that compute what is written.

        Args:
            free: places that may be used in between; none of them is read or written.

        Raises:
            ValueError: too few of them.
        """
        needed = self.needed()
        last = {operand: value for value in needed for operand in self.operations[value].operands}
        homes = self._homes(last)
        pool, rows, places = list(reversed(free)), list[Row](), dict[Value, int]()
        for value in needed:
            operation = self.operations[value]
            if operation.kind == "read":
                places[value] = operation.numbers[0]
                continue
            for operand in set(operation.operands):
                kept = operand in homes or operand in self.outputs.values()
                if last[operand] == value and not kept and self.operations[operand].kind != "read":
                    pool.append(places[operand])
            if value not in homes and not pool:
                raise ValueError("the program needs more places")
            places[value] = homes[value] if value in homes else pool.pop()
            rows.append(_encoded(places[value], operation, places))
        return rows + self._moves(places)

    def needed(self) -> list[Value]:
        """The values that what is written depends on."""
        found, waiting = set[Value](), list(self.outputs.values())
        while waiting:
            value = waiting.pop()
            if value not in found:
                found.add(value)
                waiting += self.operations[value].operands
        return sorted(found)

    def _homes(self, last: Mapping[Value, Value]) -> dict[Value, int]:
        """Values that can be computed where they are to stand in the end: nobody needs any more what stood there."""
        homes: dict[Value, int] = {}
        for place, value in self.outputs.items():
            before = self._known.get(Operation("read", (), (place,)))
            if self.operations[value].kind == "read" or value in homes:
                continue
            if before is None or (last.get(before, -1) <= value and before not in self.outputs.values()):
                homes[value] = place
        return homes

    def _moves(self, places: Mapping[Value, int]) -> list[Row]:
        """Rows that take to their places what was computed elsewhere."""
        moves = [(place, places[value]) for place, value in self.outputs.items() if places[value] != place]
        if {target for target, _ in moves} & {source for _, source in moves}:
            raise ValueError("a value moves to a place that another one moves from")
        return [[target, -1, source] for target, source in moves]


def _encoded(place: int, operation: Operation, places: Mapping[Value, int]) -> Row:
    operands = [places[value] for value in operation.operands]
    if operation.kind == "negative":
        return [place, 0, *operands]
    if operation.kind == "dot":
        return [place, len(operands) // 2, *operands]
    taken = steps(list(zip(operation.numbers, operands, strict=True)))
    return [place, -len(taken), *taken]


def steps(terms: Sequence[tuple[int, int]]) -> list[int]:
    """Σ coefficient · m[place] by Horner's rule in the coefficients' bits, from the highest."""
    taken: list[int] = []
    weight = 0
    for bit in reversed(range(max(abs(coefficient) for coefficient, _ in terms).bit_length())):
        chosen = [
            place + (NEGATIVE if coefficient < 0 else 0)
            for coefficient, place in terms
            if abs(coefficient) >> bit & 1
        ]
        for index, step in enumerate(chosen or [ZERO]):
            doubled = index == 0 and bool(taken)
            heavier = weight * (2 if doubled else 1) + 1
            carried = heavier > IN_STEPS
            weight = (3 if doubled else 2) if carried else heavier
            taken.append(step + (DOUBLED if doubled else 0) + (CARRIED if carried else 0))
    return taken


def flat(segments: Sequence[Sequence[Row]]) -> tuple[list[int], list[int]]:
    """The numbers of all rows one after the other, and where each segment begins; a last entry says where the last ends."""
    numbers: list[int] = []
    starts = [0]
    for rows in segments:
        for row in rows:
            numbers += row
        starts.append(len(numbers))
    return numbers, starts


def evaluate(rows: Sequence[Row], memory: dict[int, int], modulus: int) -> None:
    """Run a segment's rows on integers below the modulus, place by place."""
    for place, count, *rest in rows:
        if count > 0:
            total = sum(memory[a] * memory[b] for a, b in zip(rest[::2], rest[1::2], strict=True))
        elif count == 0:
            total = -memory[rest[0]]
        else:
            total = 0
            for step in rest:
                total *= 2 if step & DOUBLED else 1
                total += (-1 if step & NEGATIVE else 1) * memory[step % DOUBLED]
        memory[place] = total % modulus
