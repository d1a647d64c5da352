# SPDX-License-Identifier: GPL-3.0-or-later
"""Witnesses solved from constraints, without the calculator: what follows from a circuit's inputs, and whether all does.

Two rules, each of which leaves a wire one value only:

- a constraint of which one factor is known is a linear equation, and the equations are solved together;
- X ⋅ (X − 1) = 0, where X is a known number without 2^i times boolean wires, is a decomposition: the number's bits.

A value is kept once it is found. So inputs that contradict each other give the best witness that a forger can have:
everything follows from them, and only what compares breaks.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from r1cs import R1cs, Sum


class Solver:
    """What is known of one witness.

    Args:
        r1cs: the constraints.
        known: values of wires.
    """

    def __init__(self, r1cs: R1cs, known: Mapping[int, int]) -> None:
        self.r1cs, self.p = r1cs, r1cs.prime
        self.values: dict[int, int] = {0: 1}
        self._equations: dict[int, Sum] = {}
        """Pivot → wires and coefficients of which it is the negated sum, wire 0 for the constant; no pivots among them."""
        self._in: dict[int, set[int]] = defaultdict(set)
        """Wire → pivots of the equations that it is in."""
        self._todo = deque(known.items())
        self._factors = self._named_factors()
        self._boolean = _boolean(r1cs)
        self._decompositions = [
            (index, weights) for index in range(len(r1cs.constraints)) if (weights := self._weights(index))
        ]

    def solve(self) -> tuple[list[int], int]:
        """The witness, and how many of its wires do not follow, which are 0 in it."""
        self._use(0)
        self._spread()
        while any(self._decompose(index, weights) for index, weights in self._decompositions):
            self._spread()
        wires = range(self.r1cs.wires)
        return [self.values.get(wire, 0) for wire in wires], sum(wire not in self.values for wire in wires)

    def _spread(self) -> None:
        while self._todo:
            wire, value = self._todo.popleft()
            if wire in self.values:
                continue
            self.values[wire] = value
            if wire in self._equations:
                self._add({**self._equations.pop(wire), wire: 1})
            for pivot in self._in.pop(wire, ()):
                self._replace(pivot, wire, {0: -value})
            self._use(wire)

    def _use(self, name: int) -> None:
        """Where a known factor stands, there is an equation."""
        for scale, other, product in self._factors[name]:
            k = scale * self.values[name]
            equation = {wire: k * v for wire, v in other.items()}
            for wire, v in product.items():
                equation[wire] = equation.get(wire, 0) - v
            self._add(equation)

    def _named_factors(self) -> dict[int, list[tuple[int, Sum, Sum]]]:
        """Of each wire that is a factor its coefficient, the other factor and the product. A sum of several wires gets a
        number of its own for this, beyond the wires, and an equation that says what it is."""
        found: dict[int, list[tuple[int, Sum, Sum]]] = defaultdict(list)
        names: dict[tuple[tuple[int, int], ...], int] = {}
        for *factors, product in self.r1cs.constraints:
            for factor, other in (factors, factors[::-1]):
                name, scale = next(iter(factor.items()), (0, 0))
                if len(factor) > 1:
                    name = names.setdefault(tuple(sorted(factor.items())), self.r1cs.wires + len(names))
                    scale = 1
                found[name].append((scale, other, product))
        for sums, name in names.items():
            self._add({**dict(sums), name: -1})
        return found

    def _add(self, equation: Sum) -> None:
        """An equation, sum = 0: a value, a new pivot, or nothing new."""
        left, constant = defaultdict(int), 0
        for wire, k in equation.items():
            if wire in self.values:
                constant += k * self.values[wire]
            elif wire in self._equations:
                for other, inner in self._equations[wire].items():
                    if other in self.values:
                        constant -= k * inner * self.values[other]
                    else:
                        left[other] -= k * inner
            else:
                left[wire] += k
        left = {wire: k % self.p for wire, k in left.items() if k % self.p}
        if not left:
            return
        pivot = max(left)
        scale = pow(left.pop(pivot), -1, self.p)
        if not left:
            self._todo.append((pivot, -constant * scale % self.p))
            return
        row = {wire: k * scale % self.p for wire, k in left.items()} | {0: constant * scale % self.p}
        self._equations[pivot] = row
        for wire in left:
            self._in[wire].add(pivot)
        for above in self._in.pop(pivot, ()):
            self._replace(above, pivot, row)

    def _replace(self, pivot: int, wire: int, row: Sum) -> None:
        """In the equation of a pivot put the negated sum `row` for a wire."""
        equation = self._equations.get(pivot)
        if equation is None or wire not in equation:
            return
        k = equation.pop(wire)
        for other, inner in row.items():
            new = (equation.get(other, 0) - k * inner) % self.p
            if new or not other:
                equation[other] = new
                if other:
                    self._in[other].add(pivot)
            else:
                del equation[other]
        if len(equation) == 1:
            del self._equations[pivot]
            self._todo.append((pivot, -equation[0] % self.p))

    def _weights(self, index: int) -> dict[int, int]:
        """Of a decomposition the exponents of the bits: those of wires, and of X under −1."""
        a, b, c = self.r1cs.constraints[index]
        if c or (a.get(0, 0) - b.get(0, 0)) % self.p not in (1, self.p - 1):
            return {}
        if {w: k for w, k in a.items() if w} != {w: k for w, k in b.items() if w}:
            return {}
        bits = {wire: k for wire, k in self._x(index).items() if wire in self._boolean}
        for shift in range(len(bits) + 1):
            weights = {wire: -k * (1 << shift) % self.p for wire, k in bits.items()} | {-1: 1 << shift}
            if sorted(weights.values()) == [1 << i for i in range(len(bits) + 1)]:
                return {wire: weight.bit_length() - 1 for wire, weight in weights.items()}
        return {}

    def _x(self, index: int) -> Sum:
        """X of X ⋅ (X − 1) = 0."""
        a, b, _ = self.r1cs.constraints[index]
        return a if (a.get(0, 0) - b.get(0, 0)) % self.p == 1 else b

    def _decompose(self, index: int, weights: dict[int, int]) -> bool:
        """Find bits; whether there were any to find."""
        x = self._x(index)
        if all(wire in self.values for wire in x) or any(
            wire not in self.values and wire not in weights for wire in x
        ):
            return False
        known = sum(k * self.values[wire] for wire, k in x.items() if wire not in weights)
        number = (known << weights[-1]) % self.p
        self._todo.extend((wire, number >> exponent & 1) for wire, exponent in weights.items() if wire > 0)
        return True


def _boolean(r1cs: R1cs) -> set[int]:
    """Wires that a constraint of their own holds to 0 and 1."""
    p, found = r1cs.prime, set()
    for a, b, c in r1cs.constraints:
        wires = (a.keys() | b.keys()) - {0}
        if not c and len(wires) == 1:
            (wire,) = wires
            if {-sums.get(0, 0) * pow(sums[wire], -1, p) % p for sums in (a, b) if wire in sums} == {0, 1}:
                found.add(wire)
    return found
