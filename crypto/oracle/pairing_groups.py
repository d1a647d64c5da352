# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups G1 and G2 of BN254 and BLS12-381: points of y² = x³ + b over Fp, or over Fp2 = Fp[u]/(u² + 1).

A coordinate is an integer below p or a pair (c₀, c₁) of them, which stands for c₀ + c₁·u. A point is affine (x, y), None
is infinity. The group law is the chord and tangent one, "Guide to Elliptic Curve Cryptography", section 3.1.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.spec import Coordinate, FieldSpec, GroupSpec

Point = tuple[Coordinate, Coordinate]


class Arithmetic(Protocol):
    """What the group law needs of a field."""

    zero: Coordinate
    one: Coordinate

    def add(self, a: Coordinate, b: Coordinate) -> Coordinate:
        """a + b."""

    def sub(self, a: Coordinate, b: Coordinate) -> Coordinate:
        """a − b."""

    def mul(self, a: Coordinate, b: Coordinate) -> Coordinate:
        """a · b."""

    def inverse(self, a: Coordinate) -> Coordinate:
        """a⁻¹; 0 raises ValueError."""

    def sqrt(self, a: Coordinate) -> Coordinate | None:
        """A square root, or None if a is no square."""

    def larger(self, a: Coordinate) -> bool:
        """a is the larger of a and −a."""

    def parts(self, a: Coordinate) -> tuple[int, ...]:
        """The integers that a is made of, one or two of them, c₀ first."""

    def element(self, parts: Iterable[int]) -> Coordinate:
        """The inverse of `parts`."""


class Prime:
    """Fp with p ≡ 3 mod 4, on integers."""

    zero, one = 0, 1

    def __init__(self, spec: FieldSpec) -> None:
        self.p = spec.modulus

    def add(self, a: int, b: int) -> int:
        """a + b."""
        return (a + b) % self.p

    def sub(self, a: int, b: int) -> int:
        """a − b."""
        return (a - b) % self.p

    def mul(self, a: int, b: int) -> int:
        """a · b."""
        return a * b % self.p

    def inverse(self, a: int) -> int:
        """a⁻¹; 0 raises ValueError."""
        return pow(a, -1, self.p)

    def sqrt(self, a: int) -> int | None:
        """A square root, or None."""
        root = pow(a, (self.p + 1) // 4, self.p)
        return root if root * root % self.p == a else None

    def larger(self, a: int) -> bool:
        """a is the larger of a and −a."""
        return a > self.p - a

    def parts(self, a: int) -> tuple[int, ...]:
        """The integers that a is made of."""
        return (a,)

    def element(self, parts: Iterable[int]) -> int:
        """The inverse of `parts`."""
        (a,) = parts
        return a


class Quadratic:
    """Fp2 = Fp[u]/(u² + 1) on pairs."""

    zero, one = (0, 0), (1, 0)

    def __init__(self, spec: FieldSpec) -> None:
        self.p = spec.modulus
        self.base = Prime(spec)

    def add(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """a + b."""
        return (a[0] + b[0]) % self.p, (a[1] + b[1]) % self.p

    def sub(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """a − b."""
        return (a[0] - b[0]) % self.p, (a[1] - b[1]) % self.p

    def mul(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """a · b."""
        return (a[0] * b[0] - a[1] * b[1]) % self.p, (a[0] * b[1] + a[1] * b[0]) % self.p

    def inverse(self, a: tuple[int, int]) -> tuple[int, int]:
        """The conjugate divided by the norm; 0 raises ValueError."""
        norm = pow(a[0] * a[0] + a[1] * a[1], -1, self.p)
        return a[0] * norm % self.p, -a[1] * norm % self.p

    def sqrt(self, a: tuple[int, int]) -> tuple[int, int] | None:
        """A square root, or None: (x + y·u)² = c₀ + c₁·u means x² = (c₀ ± √(c₀² + c₁²))/2 and y = c₁/(2x).

        Where c₁ = 0 the root is that of c₀ or, as −1 is no square, that of −c₀ times u.
        """
        if a[1] == 0:
            real = self.base.sqrt(a[0])
            if real is not None:
                return real, 0
            imaginary = self.base.sqrt(-a[0] % self.p)
            return None if imaginary is None else (0, imaginary)
        norm = self.base.sqrt((a[0] * a[0] + a[1] * a[1]) % self.p)
        if norm is None:
            return None
        for signed in (norm, -norm):
            x = self.base.sqrt((a[0] + signed) * pow(2, -1, self.p) % self.p)
            if x is not None:
                root = x, a[1] * pow(2 * x, -1, self.p) % self.p
                return root if self.mul(root, root) == a else None
        return None

    def larger(self, a: tuple[int, int]) -> bool:
        """a is the larger of a and −a, where c₁ decides and c₀ only if c₁ = 0."""
        return self.base.larger(a[1]) if a[1] else self.base.larger(a[0])

    def parts(self, a: tuple[int, int]) -> tuple[int, ...]:
        """The integers that a is made of, c₀ first."""
        return a

    def element(self, parts: Iterable[int]) -> tuple[int, int]:
        """The inverse of `parts`."""
        c0, c1 = parts
        return c0, c1


class Group:
    """The points of a curve, and which of them are in the subgroup of prime order.

    Args:
        spec: the curve and the subgroup.
    """

    def __init__(self, spec: GroupSpec) -> None:
        self.spec = spec
        self.order = spec.order
        self.cofactor = spec.cofactor
        self.generator: Point = spec.base
        self.base = spec.field if isinstance(spec.field, FieldSpec) else spec.field.base
        self.p = self.base.modulus
        self.degree = spec.field.words // self.base.words
        field = Prime(self.base) if self.degree == 1 else Quadratic(self.base)
        self.field: Arithmetic = field  # type: ignore[assignment]

    def right_side(self, x: Coordinate) -> Coordinate:
        """x³ + b."""
        f = self.field
        return f.add(f.mul(f.mul(x, x), x), self.spec.b)

    def on_curve(self, point: Point | None) -> bool:
        """Every part of both coordinates is in [0, p) and the equation holds; infinity is on the curve."""
        if point is None:
            return True
        x, y = point
        if not all(0 <= part < self.p for part in (*self.field.parts(x), *self.field.parts(y))):
            return False
        return self.field.mul(y, y) == self.right_side(x)

    def in_subgroup(self, point: Point | None) -> bool:
        """r·P is infinity, by the definition; the point must be on the curve."""
        return self.multiply(self.order, point) is None

    def lift_x(self, x: Coordinate, larger: bool) -> Point | None:
        """The point with abscissa x whose y is, or is not, the larger of y and −y; None if there is none."""
        y = self.field.sqrt(self.right_side(x))
        if y is None:
            return None
        return (x, y) if self.field.larger(y) == larger else (x, self.field.sub(self.field.zero, y))

    def negate(self, point: Point | None) -> Point | None:
        """−P."""
        return None if point is None else (point[0], self.field.sub(self.field.zero, point[1]))

    def chord(self, first: Point, second: Point) -> tuple[Coordinate, Point] | None:
        """The slope of the line through two points, the tangent's where they are one, and P + Q; None if it is vertical."""
        f = self.field
        (x1, y1), (x2, y2) = first, second
        if x1 == x2:
            if y1 != y2 or y1 == f.zero:
                return None
            square = f.mul(x1, x1)
            slope = f.mul(f.add(f.add(square, square), square), f.inverse(f.add(y1, y1)))
        else:
            slope = f.mul(f.sub(y2, y1), f.inverse(f.sub(x2, x1)))
        x3 = f.sub(f.sub(f.mul(slope, slope), x1), x2)
        return slope, (x3, f.sub(f.mul(slope, f.sub(x1, x3)), y1))

    def add(self, first: Point | None, second: Point | None) -> Point | None:
        """P + Q, for every pair of points."""
        if first is None or second is None:
            return second if first is None else first
        line = self.chord(first, second)
        return None if line is None else line[1]

    def multiply(self, scalar: int, point: Point | None) -> Point | None:
        """scalar·P for any integer, not reduced modulo the order: P may lie outside the subgroup."""
        if scalar < 0:
            return self.multiply(-scalar, self.negate(point))
        result: Point | None = None
        for bit in bin(scalar)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result

    def sum(self, points: Iterable[Point | None]) -> Point | None:
        """Σ P."""
        total: Point | None = None
        for point in points:
            total = self.add(total, point)
        return total

    def msm(self, points: Iterable[Point | None], scalars: Iterable[int]) -> Point | None:
        """Σ scalar·P."""
        return self.sum(self.multiply(k, point) for point, k in zip(points, scalars, strict=True))

    def curve_point(self, start: int) -> Point:
        """A point of the whole curve, outside the subgroup with all but certainty: the first abscissa from `start` on."""
        while True:
            point = self.lift_x(self.field.element([start % self.p, *[1] * (self.degree - 1)]), False)
            if point is not None:
                return point
            start += 1


GROUPS = {
    "bn254.g1": Group(bn254.G1),
    "bn254.g2": Group(bn254.G2),
    "bls12_381.g1": Group(bls12_381.G1),
    "bls12_381.g2": Group(bls12_381.G2),
}
"""The groups by the names that operations have."""
