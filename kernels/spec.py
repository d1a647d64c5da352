# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of fields and curves as plain integers, and what follows from them.

An instance (in `supervm.crypto.params`) states a modulus or a curve once, with its source. Every code generator
reads these classes; no limb of any constant is written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import Any

from supervm.kernels.errors import ArgumentError


@dataclass(frozen=True)
class FieldSpec:
    """A prime field.

    Args:
        name: how it is called in messages and type names.
        modulus: the prime p.
        generator: of the multiplicative group, for fields whose roots of unity are used; 0 elsewhere.
    """

    name: str
    modulus: int
    generator: int = 0

    @cached_property
    def bits(self) -> int:
        """Bits of the modulus."""
        return self.modulus.bit_length()

    @cached_property
    def fold(self) -> int:
        """c where p = 2^bits − c and folding is how to reduce: bits is 255 or 256 and c below 2^33; else 0.

        The limits are what the bounds of `crandall` and `crandall_one_lane` are proved for.
        """
        c = (1 << self.bits) - self.modulus
        return c if self.bits in (255, 256) and c < 1 << 33 else 0

    @cached_property
    def two_adicity(self) -> int:
        """The largest k where 2^k divides p − 1."""
        return ((self.modulus - 1) & (1 - self.modulus)).bit_length() - 1

    @property
    def words(self) -> int:
        """64-bit words of a canonical value."""
        return -(-self.bits // 64)

    def root_of_unity(self, order: int) -> int:
        """The primitive root of unity generator^((p − 1)/order), for an order that divides p − 1.

        Raises:
            ArgumentError: no generator is stated, or the order does not divide p − 1.
        """
        if not self.generator or order < 1 or (self.modulus - 1) % order:
            raise ArgumentError(
                "order", f"{order} in {self.name}", "a divisor of p − 1, in a field with a generator"
            )
        return pow(self.generator, (self.modulus - 1) // order, self.modulus)

    def multiply(self, a: int, b: int) -> int:
        """a · b mod p."""
        return a * b % self.modulus

    def inverse(self, value: int) -> int:
        """value⁻¹ mod p; 0 has none and raises ValueError."""
        return pow(value, -1, self.modulus)

    def norm(self, value: int) -> int:
        """The value itself, mod p, as `QuadraticSpec.norm` has it."""
        return value % self.modulus

    def sqrt(self, value: int) -> int | None:
        """The smaller square root mod p, or None if there is none (p ≡ 3 mod 4 or p ≡ 5 mod 8 only)."""
        p = self.modulus
        value %= p
        if p % 4 == 3:
            root = pow(value, (p + 1) // 4, p)
        elif p % 8 == 5:
            root = pow(value, (p + 3) // 8, p)
            if root * root % p != value:
                root = root * pow(2, (p - 1) // 4, p) % p
        else:
            raise ArgumentError(
                "self", f"modulus of {self.name} ≡ {p % 8} mod 8", "p ≡ 3 mod 4 or p ≡ 5 mod 8"
            )
        return min(root, p - root) if root * root % p == value else None


@dataclass(frozen=True)
class QuadraticSpec:
    """The quadratic extension c₀ + c₁·u, u² = −1, of a prime field with p ≡ 3 mod 4; elements are pairs (c₀, c₁).

    Args:
        name: how it is called.
        base: the prime field.
    """

    name: str
    base: FieldSpec

    @property
    def words(self) -> int:
        """64-bit words of a canonical element, c₀ first."""
        return 2 * self.base.words

    def multiply(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """a · b."""
        p = self.base.modulus
        return (a[0] * b[0] - a[1] * b[1]) % p, (a[0] * b[1] + a[1] * b[0]) % p

    def norm(self, a: tuple[int, int]) -> int:
        """c₀² + c₁², the product of a and its conjugate, in the prime field."""
        return (a[0] * a[0] + a[1] * a[1]) % self.base.modulus

    def inverse(self, a: tuple[int, int]) -> tuple[int, int]:
        """a⁻¹ by the norm; (0, 0) has none and raises ValueError."""
        p = self.base.modulus
        norm = self.base.inverse(self.norm(a))
        return a[0] * norm % p, -a[1] * norm % p

    def power(self, a: tuple[int, int], exponent: int) -> tuple[int, int]:
        """a^exponent for an exponent that is not negative."""
        result = (1, 0)
        for bit in bin(exponent)[2:]:
            result = self.multiply(result, result)
            if bit == "1":
                result = self.multiply(result, a)
        return result


Coordinate = int | tuple[int, int]
"""An element of a prime field, or of a quadratic extension."""


@dataclass(frozen=True)
class PointMap:
    """(x, y) → (`x`·x̄, `y`·ȳ), an endomorphism of a curve; the bar is the p-th power: nothing in Fp, the conjugate in Fp2.

    Args:
        x, y: the factors.
    """

    x: Coordinate
    y: Coordinate


@dataclass(frozen=True)
class SubgroupTest:
    """A point P of the curve is in the subgroup if and only if Σ mapⁱ(aᵢ·T + bᵢ·P) is infinity, T = multiplier^power · P.

    Args:
        map: the endomorphism.
        multiplier: positive.
        power: 1 or more.
        terms: the small integers (aᵢ, bᵢ), i from 0; a₀ is 1.
    """

    map: PointMap
    multiplier: int
    power: int
    terms: tuple[tuple[int, int], ...]


EVERY_POINT = SubgroupTest(PointMap(1, 1), 1, 1, ((1, -1),))
"""The test of a curve of prime order: P − P is infinity."""


@dataclass(frozen=True)
class Isogeny:
    """(x, y) → (X(x)/h(x)², y·Y(x)/h(x)³), a map of curves; points where h is zero, and infinity, go to infinity.

    Args:
        kernel: h, whose leading coefficient is 1.
        x, y: X and Y. A polynomial is its coefficients, the constant one first.
    """

    kernel: tuple[Coordinate, ...]
    x: tuple[Coordinate, ...]
    y: tuple[Coordinate, ...]


@dataclass(frozen=True)
class SimplifiedSwu:
    """How field elements become points of a group: the simplified map of Shallue, van de Woestijne and Ulas to a curve
    y² = x³ + a·x + b, an isogeny to the group's curve (RFC 9380, sections 6.6.2 and 6.6.3), and clearing of the cofactor.

    Args:
        field: where a, b and z live; its prime has p ≡ 3 mod 4.
        a, b: the curve's constants, neither of them 0.
        z: no square; b/(z·a) is the abscissa of a point.
        isogeny: from that curve to the group's.
        clearing: small integers cᵢⱼ. Σᵢ mapⁱ(Σⱼ cᵢⱼ·multiplierʲ·P), with the map and the multiplier of the subgroup test, is
            in the subgroup for every point P of the group's curve.
    """

    field: FieldSpec | QuadraticSpec
    a: Coordinate
    b: Coordinate
    z: Coordinate
    isogeny: Isogeny
    clearing: tuple[tuple[int, ...], ...]

    @cached_property
    def minus_b_over_a(self) -> Coordinate:
        """−b/a, which 1 + 1/(z²u⁴ + zu²) is multiplied by."""
        field: Any = self.field
        ratio: Coordinate = field.multiply(field.inverse(self.a), self.b)
        return -ratio if isinstance(ratio, int) else (-ratio[0], -ratio[1])

    @cached_property
    def exceptional_x(self) -> Coordinate:
        """b/(z·a), the abscissa where z²u⁴ + zu² is 0."""
        field: Any = self.field
        abscissa: Coordinate = field.multiply(field.inverse(field.multiply(self.z, self.a)), self.b)
        return abscissa

    @cached_property
    def norm_root(self) -> int:
        """A root of −N(z)³, N the norm to the prime field: z is no square, so neither is N(z), nor −1 as p ≡ 3 mod 4."""
        field: Any = self.field
        norm: int = field.norm(self.z)
        base = self.field if isinstance(self.field, FieldSpec) else self.field.base
        root = base.sqrt(-(norm**3))
        if root is None:
            raise ArgumentError("z", f"{self.z}, a square", "an element that is no square")
        return root

    @cached_property
    def two_256(self) -> int:
        """2^256, which the upper half of a 512-bit number is multiplied by."""
        return 1 << 256


@dataclass(frozen=True)
class GroupSpec:
    """The subgroup of prime order of a curve y² = x³ + b over a prime field or its quadratic extension.

    Args:
        name: how it is called.
        field: where coordinates live.
        scalar_field: integers modulo the subgroup's order.
        b: the curve's constant.
        base: the generator (x, y) of the subgroup.
        cofactor: points of the curve divided by the order; 1 where every point is in the group.
        membership: how to tell points of the subgroup from others.
        map: how field elements become points of the subgroup, for groups that are hashed to.
    """

    name: str
    field: FieldSpec | QuadraticSpec
    scalar_field: FieldSpec
    b: Coordinate
    base: tuple[Coordinate, Coordinate]
    cofactor: int
    membership: SubgroupTest = EVERY_POINT
    map: SimplifiedSwu | None = attribute(default=None, hash=False, repr=False)

    @property
    def order(self) -> int:
        """The order of the subgroup."""
        return self.scalar_field.modulus


class _BasePoint:
    """The coordinates of a curve's base point by name, for constants in compiled code."""

    base: tuple[int, int]

    @property
    def base_x(self) -> int:
        """x of the base point."""
        return self.base[0]

    @property
    def base_y(self) -> int:
        """y of the base point."""
        return self.base[1]


@dataclass(frozen=True)
class EdwardsSpec(_BasePoint):
    """A twisted Edwards curve −x² + y² = 1 + d·x²·y² with d a non-square, so that addition is complete.

    Args:
        name: how it is called.
        field: where coordinates live.
        scalar_field: integers modulo the prime order of the base point.
        d: the curve's coefficient.
        base: the base point (x, y).
        cofactor: the number of points divided by the prime order.
    """

    name: str
    field: FieldSpec
    scalar_field: FieldSpec
    d: int
    base: tuple[int, int]
    cofactor: int

    @cached_property
    def d2(self) -> int:
        """2d, which the extended addition multiplies by."""
        return 2 * self.d % self.field.modulus

    @cached_property
    def two_256(self) -> int:
        """2^256, which the upper half of a 512-bit hash is multiplied by modulo the order."""
        return 1 << 256

    @cached_property
    def sqrt_minus_one(self) -> int:
        """2^((p−1)/4), a square root of −1 (p ≡ 5 mod 8)."""
        return pow(2, (self.field.modulus - 1) // 4, self.field.modulus)


@dataclass(frozen=True)
class Endomorphism:
    """(x, y) → (β·x, y) acts as multiplication by λ (Gallant, Lambert, Vanstone, CRYPTO 2001).

    Args:
        beta: a cube root of one in the base field.
        lambda_: the matching cube root of one in the scalar field.
    """

    beta: int
    lambda_: int

    def short_basis(self, order: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two short vectors (a, b) with a + b·λ ≡ 0 mod order, of determinant +order.

        Extended Euclid on (order, λ), stopped around √order: Guide to Elliptic Curve Cryptography,
        algorithm 3.74.
        """
        rows = [(order, 0), (self.lambda_, 1)]
        while rows[-1][0] * rows[-1][0] >= order:
            quotient = rows[-2][0] // rows[-1][0]
            rows.append((rows[-2][0] - quotient * rows[-1][0], rows[-2][1] - quotient * rows[-1][1]))
        quotient = rows[-2][0] // rows[-1][0]
        after = (rows[-2][0] - quotient * rows[-1][0], rows[-2][1] - quotient * rows[-1][1])
        first = (rows[-1][0], -rows[-1][1])
        second = min(((row[0], -row[1]) for row in (rows[-2], after)), key=lambda v: v[0] ** 2 + v[1] ** 2)
        determinant = first[0] * second[1] - first[1] * second[0]
        return (first, second) if determinant > 0 else (second, first)


@dataclass(frozen=True)
class WeierstrassSpec(_BasePoint):
    """A short Weierstrass curve y² = x³ + b of prime order (a = 0).

    Args:
        name: how it is called.
        field: where coordinates live.
        scalar_field: integers modulo the group order.
        b: the curve's constant.
        base: the generator (x, y).
        endomorphism: the GLV map, if the curve has one that is used.
    """

    name: str
    field: FieldSpec
    scalar_field: FieldSpec
    b: int
    base: tuple[int, int]
    endomorphism: Endomorphism | None = None

    @cached_property
    def basis(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The endomorphism's short basis ((a₁, b₁), (a₂, b₂))."""
        if self.endomorphism is None:
            raise ArgumentError("self", f"{self.name}, which has no endomorphism", "a curve with one")
        return self.endomorphism.short_basis(self.scalar_field.modulus)

    @property
    def minus_b1(self) -> int:
        """−b₁ of the short basis."""
        return -self.basis[0][1]

    @property
    def minus_b2(self) -> int:
        """−b₂ of the short basis."""
        return -self.basis[1][1]


@dataclass(frozen=True)
class MinusThreeSpec(_BasePoint):
    """A short Weierstrass curve y² = x³ − 3x + b of prime order.

    Args:
        name: how it is called.
        field: where coordinates live.
        scalar_field: integers modulo the group order.
        b: the curve's constant.
        base: the generator (x, y).
    """

    name: str
    field: FieldSpec
    scalar_field: FieldSpec
    b: int
    base: tuple[int, int]

    def add(self, P: tuple[int, int], Q: tuple[int, int]) -> tuple[int, int]:
        """P + Q of affine points that are not opposite."""
        (x1, y1), (x2, y2), p = P, Q, self.field.modulus
        rise, run = (3 * x1 * x1 - 3, 2 * y1) if P == Q else (y2 - y1, x2 - x1)
        slope = rise * self.field.inverse(run) % p
        x3 = (slope * slope - x1 - x2) % p
        return x3, (slope * (x1 - x3) - y1) % p
