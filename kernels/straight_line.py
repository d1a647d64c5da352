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

from collections.abc import Mapping, Sequence

LARGEST_SUM = 12
"""Products in one sum, the most that every backend reduces at once."""

LARGEST_WEIGHT = 13
"""What the coefficients of a small sum may add up to, by their magnitude."""

IN_STEPS = 7
"""What a total may weigh where a limb has three bits to spare, before it is carried."""

ZERO, ONE = 0, 1
"""The places of these two constants."""

DOUBLED, NEGATIVE, CARRIED = 1 << 16, 1 << 17, 1 << 18
"""Flags of a step. `CARRIED`: lanes of doubles carry the total's limbs before this step."""

Row = list[int]
Value = int
"""A number of a `Writer`."""


class Writer:
    """Operations on values, each written once; values are numbers from 0 on."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, list[tuple[int, Value]] | list[tuple[Value, Value]] | int]] = []
        self._known: dict[object, Value] = {}
        self._outputs: dict[int, Value] = {}

    def _made(self, kind: str, what: object) -> Value:
        key = (kind, tuple(what) if isinstance(what, list) else what)
        if key not in self._known:
            self._rows.append((kind, what))  # type: ignore[arg-type]
            self._known[key] = len(self._rows) - 1
        return self._known[key]

    def read(self, place: int) -> Value:
        """What stands in memory before the program runs."""
        return self._made("read", place)

    def dot(self, pairs: Sequence[tuple[Value, Value]]) -> Value:
        """Σ a·b.

        Raises:
            ValueError: no pairs, or more than `LARGEST_SUM`.
        """
        if not 0 < len(pairs) <= LARGEST_SUM:
            raise ValueError(f"{len(pairs)} products in a sum; expected 1 to {LARGEST_SUM}")
        return self._made("dot", list(pairs))

    def sum(self, *terms: tuple[int, Value]) -> Value:
        """Σ coefficient · value.

        Raises:
            ValueError: coefficients that add up to more than `LARGEST_WEIGHT`.
        """
        kept: dict[Value, int] = {}
        for coefficient, value in terms:
            kept[value] = kept.get(value, 0) + coefficient
        total = [(coefficient, value) for value, coefficient in kept.items() if coefficient]
        if sum(abs(coefficient) for coefficient, _ in total) > LARGEST_WEIGHT:
            raise ValueError(f"coefficients {[k for k, _ in total]}; expected at most {LARGEST_WEIGHT} in all")
        if len(total) == 1 and total[0][0] == 1:
            return total[0][1]
        if len(total) == 1 and total[0][0] == -1:
            return self._made("negative", total[0][1])
        return self._made("sum", total) if total else self.read(ZERO)

    def negative(self, value: Value) -> Value:
        """−value."""
        return self.sum((-1, value))

    def write(self, place: int, value: Value) -> None:
        """Let `value` stand at `place` in the end. All places are read before any is written."""
        self._outputs[place] = value

    # Places ----------------------------------------------------------------------------------------------

    def segment(self, free: Sequence[int]) -> list[Row]:
        """The rows that compute what is written.

        Args:
            free: places that may be used in between; none of them is read or written.

        Raises:
            ValueError: too few of them.
        """
        needed = self._needed()
        last = {value: index for index in needed for value in self._operands(index)}
        reads = {what: index for index, (kind, what) in enumerate(self._rows) if kind == "read"}
        homes: dict[Value, int] = {}
        for place, value in self._outputs.items():
            written_over = reads.get(place)  # type: ignore[call-overload]
            if self._rows[value][0] == "read" or value in homes:
                continue
            if written_over is None or last.get(written_over, -1) <= value:
                if written_over not in self._outputs.values():
                    homes[value] = place
        pool, rows = list(reversed(free)), list[Row]()
        places: dict[Value, int] = {}
        for index in needed:
            kind, what = self._rows[index]
            if kind == "read":
                places[index] = what  # type: ignore[assignment]
                continue
            operands = set(self._operands(index))
            for value in operands:
                if last[value] == index and value not in self._outputs.values():
                    self._give_back(value, places, homes, pool)
            places[index] = homes[index] if index in homes else self._taken(pool)
            rows.append([places[index], *self._encoded(kind, what, places)])
        moves = [(place, places[value]) for place, value in self._outputs.items() if places[value] != place]
        if {target for target, _ in moves} & {source for _, source in moves}:
            raise ValueError("a value moves to a place that another one moves from")
        return rows + [[target, -1, source] for target, source in moves]

    def _taken(self, pool: list[int]) -> int:
        if not pool:
            raise ValueError("the program needs more places")
        return pool.pop()

    def _give_back(
        self, value: Value, places: Mapping[Value, int], homes: Mapping[Value, int], pool: list[int]
    ) -> None:
        if self._rows[value][0] != "read" and value not in homes:
            pool.append(places[value])

    def _operands(self, index: Value) -> list[Value]:
        kind, what = self._rows[index]
        if kind == "dot":
            return [value for pair in what for value in pair]  # type: ignore[union-attr]
        if kind == "sum":
            return [value for _, value in what]  # type: ignore[union-attr, misc]
        return [what] if kind == "negative" else []  # type: ignore[list-item]

    def _needed(self) -> list[Value]:
        found, waiting = set[Value](), list(self._outputs.values())
        while waiting:
            value = waiting.pop()
            if value not in found:
                found.add(value)
                waiting += self._operands(value)
        return sorted(found)

    def _encoded(self, kind: str, what: object, places: Mapping[Value, int]) -> list[int]:
        if kind == "negative":
            return [0, places[what]]  # type: ignore[index]
        if kind == "dot":
            pairs: list[tuple[Value, Value]] = what  # type: ignore[assignment]
            return [len(pairs), *(places[value] for pair in pairs for value in pair)]
        steps = _steps([(coefficient, places[value]) for coefficient, value in what])  # type: ignore[attr-defined]
        return [-len(steps), *steps]


def _steps(terms: Sequence[tuple[int, int]]) -> list[int]:
    """Σ coefficient · m[place] by Horner's rule in the coefficients' bits, from the highest."""
    steps: list[int] = []
    weight = 0
    for bit in reversed(range(max(abs(coefficient) for coefficient, _ in terms).bit_length())):
        chosen = [
            place + (NEGATIVE if coefficient < 0 else 0)
            for coefficient, place in terms
            if abs(coefficient) >> bit & 1
        ]
        for index, step in enumerate(chosen or [ZERO]):
            doubled = index == 0 and bool(steps)
            heavier = weight * (2 if doubled else 1) + 1
            carried = heavier > IN_STEPS
            weight = (3 if doubled else 2) if carried else heavier
            steps.append(step + (DOUBLED if doubled else 0) + (CARRIED if carried else 0))
    return steps


def flat(segments: Sequence[Sequence[Row]]) -> tuple[list[int], list[int]]:
    """The numbers of all rows one after the other, and where each segment begins; one entry more says where the last ends."""
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
