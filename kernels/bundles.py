# SPDX-License-Identifier: GPL-3.0-or-later
"""Straight-line programs for one item alone: operations that do not wait for each other, side by side in its lanes.

`straight_line` has an item in each lane, and a place is an element of every item. Here a place is as many elements of the
one item as there are lanes, and a bundle is one row for up to so many operations: sums of products, or small sums whose
coefficients have the same magnitudes. `bundled` schedules what a `Writer` collected, so that formulas are written once.

A row is a list of integers again, its first the place that is written, in all lanes:

| row | meaning |
|---|---|
| `place, n, x₁, y₁, … xₙ, yₙ` | Σ m[xᵢ]·m[yᵢ]; y = place, or place + (lane + 1)·`FROM_LANE` for what that lane has |
| `place, −n, s₁, … sₙ` | n steps total ← 2^d · total ± m[x]; s = x + d·`DOUBLED` + `SIGNS` · bits of lanes with − |
| `place, 0, n, x₁, b₁, l₁₁, l₁₂ … ` | n times: each lane i whose bit b has takes lane lᵢ of m[x] |

"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from supervm.kernels.straight_line import CARRIED, DOUBLED, ZERO, Operation, Row, Value, Writer, steps

FROM_LANE = 1 << 16
"""Of an operand: what a lane's number, from 1 on, is multiplied by."""

SIGNS = 1 << 20
"""Of a step: the lowest of the bits that say in which lanes it is negative."""

_TEMPORARY = 1 << 30
"""From here on places that a scheduler numbers, before they are places in memory."""

Home = tuple[int, int]
"""Place and lane."""

Vector = list[Value | None]
"""The value in each lane; None where it does not matter."""

Form = tuple[int, ...]
"""The magnitudes of a small sum's coefficients, the largest first."""

_NOTHING: Value = -1
"""The constant 0 that pads a sum of products."""


@dataclass
class _Bundle:
    """A row before its places are known.

    Args:
        target: place.
        kind: `dot`, `sum` or `gather`.
        operands: places, of a gather with a lane each and of a product's y with a lane or −1.
        extra: what a step has beside its place.
    """

    target: int
    kind: str
    operands: list[Home]
    extra: list[int] = field(default_factory=list)

    def row(self, places: Mapping[int, int], width: int) -> Row:
        """The row's numbers."""
        target = places.get(self.target, self.target)
        operands = [(places.get(place, place), lane) for place, lane in self.operands]
        if self.kind == "gather":
            sources = list(dict.fromkeys(place for place, _ in operands))
            row = [target, 0, len(sources)]
            for source in sources:
                row += [source, sum((place == source) << at for at, (place, _) in enumerate(operands))]
                row += [lane for _, lane in operands]
            return row
        if self.kind == "dot":
            return [target, len(operands) // 2, *(place + (lane + 1) * FROM_LANE for place, lane in operands)]
        taken = [place + extra for (place, _), extra in zip(operands, self.extra, strict=True)]
        return [target, -len(taken), *taken]


def bundled(writer: Writer, width: int, homes: Mapping[int, Home], free: Sequence[int]) -> list[Row]:
    """The rows that compute what is written.

    Args:
        writer: whose places are those of one element each.
        width: lanes.
        homes: where each of those places is.
        free: places that may be used in between.

    Raises:
        ValueError: too few of them.
    """
    scheduler = _Scheduler(writer, width, homes)
    scheduler.run()
    return scheduler.encoded(free)


class _Scheduler:
    """Bundles as they are made, what stands in which places, and where each value is found."""

    def __init__(self, writer: Writer, width: int, homes: Mapping[int, Home]) -> None:
        self.writer, self.width, self.homes = writer, width, homes
        self.bundles: list[_Bundle] = []
        self.contents: dict[int, Vector] = {homes[ZERO][0]: [_NOTHING] * width}
        self.found: dict[Value, Home] = {_NOTHING: homes[ZERO]}
        self.wanted: dict[Value, Home] = {}
        for place, value in writer.outputs.items():
            self.wanted.setdefault(value, homes[place])
        self._temporaries = 0

    def operation(self, value: Value) -> Operation:
        return self.writer.operations[value]

    def run(self) -> None:
        """Bundles in order: ready sums before ready products, and the operation that most wait for first."""
        needed = self.writer.needed()
        heights = self._heights(needed)
        waiting = []
        for value in needed:
            if self.operation(value).kind == "read":
                self._stands(self.homes[self.operation(value).numbers[0]], value)
            else:
                waiting.append(value)
        while waiting:
            ready = [v for v in waiting if all(each in self.found for each in self.operation(v).operands)]
            chosen, form = self._chosen(ready, heights)
            self._emit(chosen, form)
            waiting = [value for value in waiting if value not in chosen]
        self._finish()

    def _stands(self, home: Home, value: Value) -> None:
        place, lane = home
        if home == self.homes[ZERO]:
            self.found.setdefault(value, home)
            return
        self.contents.setdefault(place, [None] * self.width)[lane] = value
        self.found.setdefault(value, home)

    def _heights(self, needed: Iterable[Value]) -> dict[Value, int]:
        """How much work waits for each value, at least."""
        heights: dict[Value, int] = {}
        for value in reversed(list(needed)):
            operation = self.operation(value)
            cost = len(operation.operands) // 2 + 2 if operation.kind == "dot" else 2
            total = heights.setdefault(value, 0) + cost
            for operand in operation.operands:
                heights[operand] = max(heights.get(operand, 0), total)
        return heights

    # What goes together ------------------------------------------------------------------------------------

    def _chosen(self, ready: list[Value], heights: Mapping[Value, int]) -> tuple[list[Value], Form]:
        """Operations, and the form of their bundle if they are sums."""
        sums = [value for value in ready if self.operation(value).kind != "dot"]
        if sums:
            first = max(sums, key=lambda value: heights[value])
            forms = dict.fromkeys(self._magnitudes(value) for value in sums)
            fitting = {form: [v for v in sums if _fits(self._magnitudes(v), form)] for form in forms}
            form = max(
                (form for form in forms if first in fitting[form]),
                key=lambda form: (min(self.width, len(fitting[form])), -len(form), -sum(form)),
            )
            return self._alike(fitting[form], first), form
        length = {value: len(self.operation(value).operands) for value in ready}
        key = {value: (-length[value], self.wanted.get(value, (-1, 0))[0]) for value in ready}
        ready.sort(key=lambda value: (key[value], value))
        return self._cut(ready, [key[value] for value in ready]), ()

    def _alike(self, sums: list[Value], first: Value) -> list[Value]:
        """As many sums as there are lanes, those with the signs and places of the first one before others."""
        form = {value: self._form(value) for value in sums}
        order = {each: index for index, each in enumerate(dict.fromkeys(form.values()))}
        sums = sorted(sums, key=lambda value: (form[value] != form[first], order[form[value]], value))
        return self._cut(sums, [form[value] for value in sums])

    def _cut(self, values: list[Value], keys: Sequence[object]) -> list[Value]:
        """As many as there are lanes; only those like the first one where that costs no bundle more."""
        alike = sum(key == keys[0] for key in keys)
        bundles = -(-len(values) // self.width)
        if alike < self.width and -(-(len(values) - alike) // self.width) < bundles:
            return values[:alike]
        return values[: self.width]

    def _terms(self, value: Value) -> list[tuple[int, Value]]:
        """Coefficients and operands, the largest first."""
        operation = self.operation(value)
        numbers = operation.numbers or (-1,)
        return sorted(zip(numbers, operation.operands, strict=True), key=lambda term: -abs(term[0]))

    def _magnitudes(self, value: Value) -> Form:
        return tuple(abs(number) for number, _ in self._terms(value))

    def _form(self, value: Value) -> tuple[tuple[bool, int], ...]:
        """Of a sum: signs, and the places that operands are at."""
        return tuple((number < 0, self.found[operand][0]) for number, operand in self._terms(value))

    # Bundles -----------------------------------------------------------------------------------------------

    def _emit(self, values: list[Value], form: Form) -> None:
        lanes, target = self._lanes(values), self._temporary()
        if form:
            self._sums(target, lanes, form)
        else:
            self._products(target, lanes)
        for lane, value in lanes.items():
            self._stands((target, lane), value)

    def _temporary(self) -> int:
        self._temporaries += 1
        return _TEMPORARY + self._temporaries

    def _lanes(self, values: list[Value]) -> dict[int, Value]:
        """A lane for each: where it is to stand in the end, or where its operands are."""
        lanes: dict[int, Value] = {}
        rest = []
        for value in sorted(values, key=lambda each: each not in self.wanted):
            home = self.wanted.get(value)
            wishes = [home[1]] if home else [self.found[each][1] for each in self.operation(value).operands]
            lane = next((wish for wish in wishes if wish not in lanes), -1)
            if lane < 0:
                rest.append(value)
            else:
                lanes[lane] = value
        for value in rest:
            lanes[next(lane for lane in range(self.width) if lane not in lanes)] = value
        return lanes

    def _sums(self, target: int, lanes: Mapping[int, Value], form: Form) -> None:
        terms = {lane: _fitted(self._terms(value), form) for lane, value in lanes.items()}
        places, signs = [], []
        for index in range(len(form)):
            vector: Vector = [None] * self.width
            for lane, each in terms.items():
                vector[lane] = each[index][1]
            places.append(self._place(vector))
            signs.append(sum((each[index][0] < 0) << lane for lane, each in terms.items()))
        # Terms are numbered from 1 on, as 0 is the constant's place.
        taken = steps([(magnitude, index + 1) for index, magnitude in enumerate(form)])
        operands, extra = [], []
        for step in taken:
            term = step % DOUBLED - 1
            operands.append((places[term] if term >= 0 else self.homes[ZERO][0], -1))
            extra.append((step & (DOUBLED | CARRIED)) + SIGNS * (signs[term] if term >= 0 else 0))
        self.bundles.append(_Bundle(target, "sum", operands, extra))

    def _products(self, target: int, lanes: Mapping[int, Value]) -> None:
        left = {lane: self._pairs(value) for lane, value in lanes.items()}
        operands: list[Home] = []
        while any(left.values()):
            operands += self._slot(left)
        self.bundles.append(_Bundle(target, "dot", operands))

    def _pairs(self, value: Value) -> list[tuple[Value, Value]]:
        operands = self.operation(value).operands
        return list(zip(operands[::2], operands[1::2], strict=True))

    def _slot(self, left: dict[int, list[tuple[Value, Value]]]) -> list[Home]:
        """The operands of one product of each lane, which are taken away: one of them for all lanes, if there is one that
        all products have."""
        active = [pairs for pairs in left.values() if pairs]
        common = [
            value
            for value in dict.fromkeys(each for pair in active[0] for each in pair)
            if all(any(value in pair for pair in pairs) for pairs in active)
        ]
        x: Vector = [None] * self.width
        y: Vector = [None] * self.width
        for lane, pairs in left.items():
            if not pairs:
                x[lane] = _NOTHING
            elif common and len(active) > 1:
                pair = next(pair for pair in pairs if common[0] in pair)
                pairs.remove(pair)
                x[lane], y[lane] = (pair[1], pair[0]) if pair[0] == common[0] else pair
            else:
                x[lane], y[lane] = pairs.pop(0)
        if common and len(active) > 1:
            return [(self._place(x), -1), self.found[common[0]]]
        return [(self._place(x), -1), (self._place(y), -1)]

    def _place(self, vector: Vector) -> int:
        """A place with these values, which are gathered if there is none."""
        for place, there in self.contents.items():
            if all(value is None or value == other for value, other in zip(vector, there, strict=True)):
                return place
        place = self._temporary()
        known = next(value for value in vector if value is not None)
        full = [known if value is None else value for value in vector]
        self.bundles.append(_Bundle(place, "gather", [self.found[value] for value in full]))
        self.contents[place] = list(full)
        return place

    # The end -----------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Outputs to their homes: all are gathered before any is written."""
        written = {self.homes[place][0] for place in self.writer.outputs}
        outputs: dict[int, Vector] = {home: [None] * self.width for home in written}
        for place, (home, lane) in self.homes.items():
            if home in written:
                value = self.writer.outputs.get(place, self.writer.read(place))
                outputs[home][lane] = value
                if value not in self.found:
                    self._stands((home, lane), value)
        moves = [(home, self._place(vector)) for home, vector in outputs.items()]
        moves = [(home, place) for home, place in moves if home != place]
        written = {home for home, _ in moves}
        moves = [(home, self._copy(place) if place in written else place) for home, place in moves]
        renamed: dict[int, int] = {}
        for home, made_at in moves:
            place = renamed.get(made_at, made_at)
            made = next((i for i, bundle in enumerate(self.bundles) if bundle.target == place), None)
            if place == made_at and made is not None and not self._read(home, made + 1):
                self._rename(place, home)
                renamed[made_at] = home
            else:
                self._move(place, home)

    def _copy(self, place: int) -> int:
        copy = self._temporary()
        self._move(place, copy)
        return copy

    def _move(self, place: int, target: int) -> None:
        lanes = [(place, lane) for lane in range(self.width)]
        self.bundles.append(_Bundle(target, "gather", lanes))

    def _read(self, place: int, start: int) -> bool:
        return any(each == place for bundle in self.bundles[start:] for each, _ in bundle.operands)

    def _rename(self, place: int, home: int) -> None:
        for bundle in self.bundles:
            bundle.target = home if bundle.target == place else bundle.target
            bundle.operands = [(home if each == place else each, lane) for each, lane in bundle.operands]

    def encoded(self, free: Sequence[int]) -> list[Row]:
        """Rows, with a place in memory for each temporary one while it is needed."""
        last: dict[int, int] = {}
        for index, bundle in enumerate(self.bundles):
            for place in (bundle.target, *(each for each, _ in bundle.operands)):
                last[place] = index
        pool, places, rows = list(reversed(free)), dict[int, int](), list[Row]()
        for index, bundle in enumerate(self.bundles):
            if bundle.target >= _TEMPORARY:
                if not pool:
                    raise ValueError("the program needs more places")
                places[bundle.target] = pool.pop()
            rows.append(bundle.row(places, self.width))
            ended = {bundle.target, *(each for each, _ in bundle.operands)}
            pool += [places[each] for each in sorted(ended) if each >= _TEMPORARY and last[each] == index]
        return rows


def _fits(magnitudes: Form, form: Form) -> bool:
    """Whether a small sum can stand beside one of this form: terms are missing, or 2a is a + a."""
    return not Counter(magnitudes) - Counter(form) or (magnitudes, form) == ((2,), (1, 1))


def _fitted(terms: list[tuple[int, Value]], form: Form) -> list[tuple[int, Value]]:
    """The terms of such a sum in that form, with 0 for those that are missing."""
    left = list(terms)
    if [abs(number) for number, _ in left] == [2] and 2 not in form:
        left = [(number // 2, value) for number, value in left] * 2
    fitted = []
    for magnitude in form:
        term = next((term for term in left if abs(term[0]) == magnitude), (magnitude, _NOTHING))
        fitted.append(term)
        if term in left:
            left.remove(term)
    return fitted


def evaluate(rows: Sequence[Row], memory: dict[Home, int], modulus: int, width: int) -> None:
    """Run rows on integers below the modulus; `memory` by place and lane."""
    for place, count, *rest in rows:
        results = []
        for lane in range(width):
            total = 0
            if count == 0:
                for at in range(1, len(rest), width + 2):
                    source, chosen = rest[at : at + 2]
                    total = memory[source, rest[at + 2 + lane]] if chosen >> lane & 1 else total
            elif count < 0:
                for step in rest:
                    total *= 2 if step & DOUBLED else 1
                    sign = -1 if step // SIGNS >> lane & 1 else 1
                    total += sign * memory[step % DOUBLED, lane]
            else:
                for x, y in zip(rest[::2], rest[1::2], strict=True):
                    other = y // FROM_LANE - 1 if y >= FROM_LANE else lane
                    total += memory[x, lane] * memory[y % FROM_LANE, other]
            results.append(total % modulus)
        for lane, result in enumerate(results):
            memory[place, lane] = result
