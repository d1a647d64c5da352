# SPDX-License-Identifier: GPL-3.0-or-later
"""The formulas of a pairing as straight-line programs: lines of the Miller loop and arithmetic in Fp12.

Fp12 = Fp2[w]/(w⁶ − ξ); an element is six pairs, the coefficients of 1, w … w⁵, and a line has three that are not 0.
A product is schoolbook, with one reduction for each part of each coefficient: a reduction costs as much as a product, and
Karatsuba's sums more than the products they save.

A point T of the twist is (X, Y, Z), x = X/Z and y = Y/Z (Costello, Lange, Naehrig, PKC 2010). A line is scaled by elements
of Fp2, and by w³ where the twist multiplies: the last power makes 1 of such factors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.straight_line import Row, Value, Writer, flat

Pair = tuple[Value, Value]
Element = list[Pair]

WORKING = 64
"""Places for what formulas need in between."""


def _places() -> dict[str, int]:
    sizes = {
        "zero": 1,
        "three_b": 2,
        "map_x": 2,
        "map_y": 2,
        "gamma_1": 12,
        "gamma_2": 12,
        "gamma_3": 12,
        "a": 12,
        "b": 12,
        "line": 6,
        "point": 6,
        "second": 4,
        "first": 3,
        "adjugate": 6,
        "determinant": 2,
        "norm": 1,
        "working": WORKING,
    }
    places, at = {}, 0
    for name, size in sizes.items():
        places[name] = at
        at += size
    return {**places, "end": at}


PLACES = _places()
"""Where things stand. `a` holds the Miller loop's value too; `line` is the coefficients of 1, x and y; a pair's state is
`point` (T), `second` (Q) and `first` (y, −x and −3x of P), in this order."""

STATE = PLACES["adjugate"] - PLACES["point"]
"""Places of a pair's state."""


class Tower(Writer):
    """Arithmetic in Fp2 and Fp12 on a `Writer`'s values."""

    def __init__(self, spec: PairingSpec) -> None:
        super().__init__()
        self.spec = spec

    # Fp2 -------------------------------------------------------------------------------------------------

    def pair(self, name: str, index: int = 0) -> Pair:
        """Pair `index` of what stands at a name's places."""
        place = PLACES[name] + 2 * index
        return self.read(place), self.read(place + 1)

    def put(self, name: str, index: int, value: Pair) -> None:
        """Write a pair."""
        place = PLACES[name] + 2 * index
        self.write(place, value[0])
        self.write(place + 1, value[1])

    def products(self, *factors: tuple[Pair, Pair]) -> Pair:
        """Σ a·b, of up to six pairs; c₁ of the first factors is negated."""
        real = [each for a, b in factors for each in ((a[0], b[0]), (self.negative(a[1]), b[1]))]
        imaginary = [each for a, b in factors for each in ((a[1], b[0]), (a[0], b[1]))]
        return self.dot(real), self.dot(imaginary)

    def squared(self, a: Pair) -> Pair:
        """a² = (c₀ + c₁)(c₀ − c₁) + 2c₀·c₁·u."""
        real, imaginary = self._of_square(a)
        return self.dot([real]), self.dot([imaginary])

    def _of_square(self, a: Pair) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
        real = self.sum((1, a[0]), (1, a[1])), self.sum((1, a[0]), (-1, a[1]))
        return real, (self.sum((2, a[0])), a[1])

    def square_and_product(self, a: Pair, b: Pair, c: Pair) -> Pair:
        """a² + b·c."""
        real, imaginary = self._of_square(a)
        minus = self.negative(b[1])
        return self.dot([real, (b[0], c[0]), (minus, c[1])]), self.dot(
            [imaginary, (b[1], c[0]), (b[0], c[1])]
        )

    def scaled(self, a: Pair, factor: Value) -> Pair:
        """a · factor for a factor in Fp."""
        return self.dot([(a[0], factor)]), self.dot([(a[1], factor)])

    def total(self, *terms: tuple[int, Pair]) -> Pair:
        """Σ coefficient · a."""
        return self.sum(*((k, a[0]) for k, a in terms)), self.sum(*((k, a[1]) for k, a in terms))

    def by_xi(self, a: Pair) -> Pair:
        """ξ · a."""
        x, y = self.spec.xi
        return self.sum((x, a[0]), (-y, a[1])), self.sum((y, a[0]), (x, a[1]))

    def conjugated(self, a: Pair) -> Pair:
        """c₀ − c₁·u."""
        return a[0], self.negative(a[1])

    # Fp12 ------------------------------------------------------------------------------------------------

    def element(self, name: str) -> Element:
        """What stands at twelve places."""
        return [self.pair(name, index) for index in range(6)]

    def put_element(self, name: str, value: Element) -> None:
        """Write all coefficients."""
        for index, pair in enumerate(value):
            self.put(name, index, pair)

    def coefficient(self, k: int, a: Element, b: dict[int, Pair]) -> Pair:
        """Coefficient k of a · b, for the coefficients of b that are not 0.

        It is a's that are multiplied by ξ: each part of b is then a factor of one product in all coefficients.
        """
        factors = ((pair, a[k - j] if j <= k else self.by_xi(a[k - j])) for j, pair in b.items())
        return self.products(*factors)

    def product(self, a: Element, b: dict[int, Pair]) -> Element:
        """a · b, likewise."""
        return [self.coefficient(k, a, b) for k in range(6)]

    def square(self, a: Element) -> Element:
        """a²: each product of two different coefficients once, doubled."""
        result = []
        for k in range(6):
            factors = []
            for i in range(6):
                j = (k - i) % 6
                if i <= j:
                    first = a[i] if i == j else self.total((2, a[i]))
                    factors.append((first, a[j] if i + j == k else self.by_xi(a[j])))
            result.append(self.products(*factors))
        return result

    def turned(self, a: Element) -> Element:
        """The p⁶-th power: w becomes −w."""
        return [pair if index % 2 == 0 else self.total((-1, pair)) for index, pair in enumerate(a)]

    def cyclotomic_square(self, a: Element) -> Element:
        """a² where a^(p⁴ − p² + 1) = 1, over Fp4 = Fp2[w³] (Granger, Scott, PKC 2010)."""
        result = list(a)
        for low, high, plain, mixed in ((0, 3, 0, 3), (1, 4, 2, 5), (2, 5, 4, 1)):
            squares = self.square_and_product(a[low], a[high], self.by_xi(a[high]))
            cross = self.products((a[low], a[high]))
            cross = self.by_xi(cross) if mixed == 1 else cross
            result[plain] = self.total((3, squares), (-2, a[plain]))
            result[mixed] = self.total((6, cross), (2, a[mixed]))
        return result

    # Points and lines ------------------------------------------------------------------------------------

    def by_three_b(self, a: Pair) -> Pair:
        """3b·a for the twist's b."""
        if self.spec.divided:
            return self.products((a, self.pair("three_b")))
        b, xi = self.spec.second.b, self.spec.xi
        assert b == (b[0], b[0] * xi[1])  # type: ignore[index]
        return self.total((3 * b[0], self.by_xi(a)))

    def put_line(self, rest: Pair, across: Pair, up: Pair) -> None:
        """Write the line rest + across·x + up·y."""
        for index, pair in enumerate((rest, across, up)):
            self.put("line", index, pair)

    def line(self, rest: Pair, across: Pair, up: Pair) -> dict[int, Pair]:
        """Its coefficients by the powers of w that the twist puts them at."""
        return {0: up, 1: across, 3: rest} if self.spec.divided else {0: rest, 2: across, 3: up}


# Programs ----------------------------------------------------------------------------------------------------

Formula = Callable[[Tower], None]


def _square(t: Tower) -> None:
    t.put_element("a", t.square(t.element("a")))


def _double(t: Tower) -> None:
    """T ← 2T, and its tangent at P."""
    X, Y, Z = (t.pair("point", index) for index in range(3))
    y, _, minus_3x = (t.read(PLACES["first"] + index) for index in range(3))
    B, C = t.squared(Y), t.squared(Z)
    E = t.by_three_b(C)
    H = t.products((Y, t.total((2, Z))))
    total = t.total((1, B), (3, E))
    t.put("point", 0, t.products((t.total((2, t.products((X, Y)))), t.total((1, B), (-3, E)))))
    t.put("point", 1, t.square_and_product(total, t.total((-12, E)), E))
    t.put("point", 2, t.products((t.total((4, B)), H)))
    t.put_line(t.total((1, B), (-1, E)), t.scaled(t.squared(X), minus_3x), t.scaled(H, y))


def _add(t: Tower, sign: int) -> None:
    """T ← T ± Q, and the line through both at P."""
    X, Y, Z = (t.pair("point", index) for index in range(3))
    x, y = t.pair("second", 0), t.total((sign, t.pair("second", 1)))
    up, minus_x = t.read(PLACES["first"]), t.read(PLACES["first"] + 1)
    theta = t.total((1, Y), (-1, t.products((y, Z))))
    lam = t.total((1, X), (-1, t.products((x, Z))))
    D = t.squared(lam)
    E = t.products((lam, D))
    G = t.products((X, D))
    H = t.total((1, E), (1, t.products((Z, t.squared(theta)))), (-2, G))
    t.put("point", 0, t.products((lam, H)))
    t.put("point", 1, t.products((theta, t.total((1, G), (-1, H))), (t.total((-1, E)), Y)))
    t.put("point", 2, t.products((Z, E)))
    rest = t.products((theta, x), (t.total((-1, lam)), y))
    t.put_line(rest, t.scaled(theta, minus_x), t.scaled(lam, up))


def _line(t: Tower) -> None:
    t.put_element("a", t.product(t.element("a"), t.line(*(t.pair("line", index) for index in range(3)))))


def _known_line(t: Tower) -> None:
    """The same with a line at (1, 1) and `first` (y, x): it is taken to that point before."""
    y, x = (t.read(PLACES["first"] + index) for index in range(2))
    rest, across, up = (t.pair("line", index) for index in range(3))
    t.put_element("a", t.product(t.element("a"), t.line(rest, t.scaled(across, x), t.scaled(up, y))))


def _endomorphism(t: Tower) -> None:
    """Q ← ψ(Q)."""
    for index, name in enumerate(("map_x", "map_y")):
        t.put("second", index, t.products((t.conjugated(t.pair("second", index)), t.pair(name))))


def _multiply(t: Tower) -> None:
    t.put_element("a", t.product(t.element("a"), dict(enumerate(t.element("b")))))


def _cyclotomic_square(t: Tower) -> None:
    t.put_element("a", t.cyclotomic_square(t.element("a")))


def _conjugate(t: Tower) -> None:
    t.put_element("a", t.turned(t.element("a")))


def _frobenius(t: Tower, power: int) -> None:
    for index, pair in enumerate(t.element("a")):
        gamma = t.pair(f"gamma_{power}", index)
        if power == 2:
            t.put("a", index, t.scaled(pair, gamma[0]))
        elif index:
            t.put("a", index, t.products((t.conjugated(pair), gamma)))
        else:
            t.put("a", index, t.conjugated(pair))


def _norm(t: Tower) -> None:
    """The norm of a in Fp, by way of a·a^(p⁶) in Fp6 = Fp2[w²] and its adjugate."""
    a = t.element("a")
    n0, n1, n2 = (t.coefficient(k, a, dict(enumerate(t.turned(a)))) for k in (0, 2, 4))
    minus = t.total((-1, n0))
    adjugate = (
        t.products((n0, n0), (t.total((-1, t.by_xi(n1))), n2)),
        t.products((t.by_xi(n2), n2), (minus, n1)),
        t.products((n1, n1), (minus, n2)),
    )
    determinant = t.products((n0, adjugate[0]), (t.by_xi(n2), adjugate[1]), (t.by_xi(n1), adjugate[2]))
    for index, pair in enumerate(adjugate):
        t.put("adjugate", index, pair)
    t.put("determinant", 0, determinant)
    t.write(PLACES["norm"], t.dot([(part, part) for part in determinant]))


def _divide(t: Tower) -> None:
    """a ← a^(p⁶ − 1), where `norm` holds what `_norm` left there inverted."""
    inverted = t.scaled(t.conjugated(t.pair("determinant")), t.read(PLACES["norm"]))
    by = {2 * index: t.products((t.pair("adjugate", index), inverted)) for index in range(3)}
    t.put_element("a", t.product(t.square(t.turned(t.element("a"))), by))


FORMULAS: dict[str, Formula] = {
    "square": _square,
    "double": _double,
    "add": lambda t: _add(t, 1),
    "subtract": lambda t: _add(t, -1),
    "line": _line,
    "known_line": _known_line,
    "endomorphism": _endomorphism,
    "multiply": _multiply,
    "cyclotomic_square": _cyclotomic_square,
    "conjugate": _conjugate,
    "frobenius_1": lambda t: _frobenius(t, 1),
    "frobenius_2": lambda t: _frobenius(t, 2),
    "frobenius_3": lambda t: _frobenius(t, 3),
    "norm": _norm,
    "divide": _divide,
}

SEGMENTS = tuple(FORMULAS)
"""The programs by name; a program's number is its place here. The number behind the last inverts `norm`."""

INVERT = len(SEGMENTS)

LOOP = tuple(
    SEGMENTS.index(name)
    for name in (
        "square",
        "double",
        "add",
        "subtract",
        "line",
        "known_line",
        "endomorphism",
        "multiply",
        "conjugate",
    )
)
"""The numbers of those that Miller loops run, in this order."""


@cache
def segments(spec: PairingSpec) -> dict[str, list[Row]]:
    """The rows of each program."""
    free = range(PLACES["working"], PLACES["working"] + WORKING)
    return {name: written(spec, name).segment(free) for name in FORMULAS}


def written(spec: PairingSpec, name: str) -> Tower:
    """The formula of a program."""
    tower = Tower(spec)
    FORMULAS[name](tower)
    return tower


@cache
def constants(spec: PairingSpec) -> list[int]:
    """What stands at the places before `a`."""
    b, point_map = spec.second.b, spec.second.membership.map
    pairs = [tuple(3 * part for part in b), point_map.x, point_map.y]  # type: ignore[union-attr]
    for power in (1, 2, 3):
        pairs += spec.frobenius(power)
    return [0] + [part % spec.field.modulus for pair in pairs for part in pair]  # type: ignore[union-attr]


@cache
def code(spec: PairingSpec) -> tuple[list[int], list[int]]:
    """The numbers of all programs, and where each begins, see `straight_line.flat`."""
    return flat(list(segments(spec).values()))
