# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon permutations as plain integers, and the form of them that kernels compute.

A permutation is R_F full rounds around R_P partial ones: constants are added, the S-box x⁵ is taken of every element or
of the first alone, a matrix is applied (Grassi, Khovratovich, Rechberger, Roy, Schofnegger: Poseidon, USENIX Security
2021, eprint 2019/458). Poseidon2 (eprint 2023/323) has a matrix more at the start, another matrix in partial rounds, and
constants for the first element alone there.

Kernels compute the partial rounds as a linear recurrence. Between two of them only t − 1 elements u and the first
element z matter: u' = M'·u + m·y, z' = M₀₀·y + ρ·u + constant, with y = z⁵ and M split at its first row and column. In
the basis where M' is a companion matrix and m its first unit vector (the controllable canonical form of this system), u
is the last t − 1 values of one sequence: v' = y + a·(v, v₋₁, …), z' = M₀₀·y + b·(v, v₋₁, …). With z scaled by a λ of each
round that makes M₀₀ one, a round costs 2(t − 1) products and two reductions beside its S-box; the sparse matrices of the
paper's appendix B cost as many products and t reductions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec

ALPHA = 5
"""The S-box's exponent."""

ROUNDS, MATRIX_FIRST, SUMS = range(3)
"""Forms that kernels compute: constants are added first; a matrix comes first; the same, and all matrices are sums."""

MOST_OF_SUMS = 3
"""The widest state of Poseidon2 whose matrices are sums: beyond, a recurrence of products is as fast in partial rounds."""

Vector = tuple[int, ...]
Matrix = tuple[Vector, ...]


def form_of(width: int, matrix_first: bool) -> int:
    """The form of a permutation of that width, which begins with a matrix, as Poseidon2, or not."""
    if not matrix_first:
        return ROUNDS
    return SUMS if width <= MOST_OF_SUMS else MATRIX_FIRST


def multiply(a: Matrix, b: Matrix, p: int) -> Matrix:
    """a·b mod p."""
    columns = tuple(zip(*b, strict=True))
    return tuple(tuple(sum(x * y for x, y in zip(row, c, strict=True)) % p for c in columns) for row in a)


def apply(a: Matrix, x: Vector, p: int) -> Vector:
    """a·x mod p."""
    return tuple(sum(c * v for c, v in zip(row, x, strict=True)) % p for row in a)


def inverse(a: Matrix, p: int) -> Matrix:
    """a⁻¹ mod p by Gauss and Jordan.

    Raises:
        ArgumentError: it has none.
    """
    size = len(a)
    rows = [[*row, *(int(i == j) for j in range(size))] for i, row in enumerate(a)]
    for column in range(size):
        pivot = next((i for i in range(column, size) if rows[i][column]), None)
        if pivot is None:
            raise ArgumentError("a", "a singular matrix", "one that has an inverse")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = pow(rows[column][column], -1, p)
        rows[column] = [value * scale % p for value in rows[column]]
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor:
                rows[i] = [(x - factor * y) % p for x, y in zip(rows[i], rows[column], strict=True)]
    return tuple(tuple(row[size:]) for row in rows)


@dataclass(frozen=True)
class Layer:
    """A matrix, and what is added to its result."""

    matrix: Matrix
    constants: Vector


@dataclass(frozen=True)
class PartialRound:
    """One step of the recurrence: v' = y + feed·v and z' = v' + out·v + constant, with v the sequence, latest first.

    That z' is taken from v', which has y in it, keeps the sum of `out` out of the S-boxes' chain.
    """

    feed: Vector
    out: Vector
    constant: int


@dataclass(frozen=True)
class Schedule:
    """What a kernel computes.

    `start` is added to the input, or, if the permutation begins with a matrix, `before` is applied to it first. Then
    layers of S-boxes and matrices; between `head` and `tail` the recurrence, whose (z, v, v₋₁, …) the last layer of
    `head` makes, and where `partial` ends with the layer `leave`, from (y, v, v₋₁, …) to the state.
    """

    before: Layer | None
    start: Vector
    head: tuple[Layer, ...]
    partial: tuple[PartialRound, ...]
    leave: Layer
    tail: tuple[Layer, ...]


@dataclass(frozen=True)
class PoseidonSpec:
    """A permutation of t field elements.

    Args:
        name: how it is called.
        field: where the elements live.
        width: t.
        full_rounds: R_F, half of them at each end.
        partial_rounds: R_P.
        constants: one row of t for each round.
        matrix: applied in full rounds.
        inner: applied in partial rounds.
        first: applied before the first round, if any is.
        capacity: which element of the state a hash keeps at zero: the first of Poseidon, the last of Poseidon2.
    """

    name: str
    field: FieldSpec
    width: int
    full_rounds: int
    partial_rounds: int
    constants: Matrix
    matrix: Matrix
    inner: Matrix
    first: Matrix | None = None
    capacity: int = 0

    @cached_property
    def schedule(self) -> Schedule:
        """The same permutation with the partial rounds as a recurrence."""
        return _schedule(self)


@dataclass(frozen=True)
class _Recurrence:
    """The partial rounds' system in canonical form, not yet scaled: u = basis · (v, v₋₁, …)."""

    basis: Matrix
    feed: Vector
    out: Vector


def _recurrence(matrix: Matrix, p: int) -> _Recurrence:
    """Controllable canonical form (Kailath, Linear Systems, section 2.3) of (M', m, ρ)."""
    order = len(matrix) - 1
    minor: Matrix = tuple(row[1:] for row in matrix[1:])
    powers = [tuple(row[0] for row in matrix[1:])]
    for _ in range(order):
        powers.append(apply(minor, powers[-1], p))
    krylov: Matrix = tuple(zip(*powers[:order], strict=True))
    # The characteristic polynomial x^order − feed[0]·x^(order−1) − … by Cayley and Hamilton.
    feed = tuple(reversed(apply(inverse(krylov, p), powers[order], p)))
    # u is what earlier inputs have become: powers[k] · (v_k − Σ feed_j · v_(k+1+j)), summed by v.
    columns = []
    for k in range(order):
        column = list(powers[k])
        for j in range(k):
            column = [(c - feed[k - 1 - j] * x) % p for c, x in zip(column, powers[j], strict=True)]
        columns.append(tuple(column))
    basis: Matrix = tuple(zip(*columns, strict=True))
    return _Recurrence(basis, feed, apply(tuple(zip(*basis, strict=True)), matrix[0][1:], p))


def _offsets(spec: PoseidonSpec) -> tuple[list[int], Vector]:
    """Constants of partial rounds gathered in their first elements, and what is left after the last."""
    p, half = spec.field.modulus, spec.full_rounds // 2
    rest: Vector = (0,) * spec.width
    gathered = []
    for row in spec.constants[half : half + spec.partial_rounds]:
        total = [(x + c) % p for x, c in zip(rest, row, strict=True)]
        gathered.append(total[0])
        rest = apply(spec.inner, (0, *total[1:]), p)
    return gathered, rest


def _schedule(spec: PoseidonSpec) -> Schedule:
    p, t, half = spec.field.modulus, spec.width, spec.full_rounds // 2
    system = _recurrence(spec.inner, p)
    gathered, rest = _offsets(spec)
    back = inverse(system.basis, p)
    enter: Matrix = ((1, *(0,) * (t - 1)), *((0, *row) for row in back))
    rounds = spec.constants
    head = [Layer(spec.matrix, rounds[i + 1]) for i in range(half - 1)]
    head.append(Layer(multiply(enter, spec.matrix, p), (gathered[0], *(0,) * (t - 1))))
    # λ of a round scales its z, λ⁵ its y and v: λ' = λ⁵ / M₀₀.
    corner = pow(spec.inner[0][0], -1, p)
    scales, z_scale = [1] * (t - 1), 1
    partial = []
    for i in range(spec.partial_rounds):
        y_scale = pow(z_scale, ALPHA, p)
        unscaled = [pow(scale, -1, p) for scale in scales]
        z_scale = y_scale * corner % p
        if i + 1 < spec.partial_rounds:
            feed = tuple(c * y_scale * u % p for c, u in zip(system.feed, unscaled, strict=True))
            out = tuple((c * z_scale * u - f) % p for c, u, f in zip(system.out, unscaled, feed, strict=True))
            partial.append(PartialRound(feed, out, gathered[i + 1] * z_scale % p))
            scales = [y_scale, *scales[:-1]]
    # The last round: state = M · (y, u).
    descale = [pow(y_scale, -1, p), *unscaled]
    leaving: Matrix = ((1, *(0,) * (t - 1)), *((0, *row) for row in system.basis))
    joined = multiply(spec.inner, leaving, p)
    scaled: Matrix = tuple(tuple(c * d % p for c, d in zip(row, descale, strict=True)) for row in joined)
    after = rounds[half + spec.partial_rounds :]
    added = tuple((c + r) % p for c, r in zip(after[0], rest, strict=True))
    tail = [Layer(spec.matrix, row) for row in after[1:]]
    tail.append(Layer(spec.matrix, (0,) * t))
    before = Layer(spec.first, rounds[0]) if spec.first else None
    start = (0,) * t if before else rounds[0]
    return Schedule(before, start, tuple(head), tuple(partial), Layer(scaled, added), tuple(tail))


def permute_by_schedule(spec: PoseidonSpec, state: Vector) -> Vector:
    """The permutation as kernels compute it, with integers: what holds the derivation against the plain rounds."""
    p, schedule = spec.field.modulus, spec.schedule

    def linear(layer: Layer, x: Vector) -> Vector:
        return tuple(
            (value + c) % p for value, c in zip(apply(layer.matrix, x, p), layer.constants, strict=True)
        )

    x = tuple((value + c) % p for value, c in zip(state, schedule.start, strict=True))
    if schedule.before is not None:
        x = linear(schedule.before, x)
    for layer in schedule.head:
        x = linear(layer, tuple(pow(value, ALPHA, p) for value in x))
    z, v = x[0], x[1:]
    for step in schedule.partial:
        latest = pow(z, ALPHA, p) + sum(c * w for c, w in zip(step.feed, v, strict=True))
        z = (latest + sum(c * w for c, w in zip(step.out, v, strict=True)) + step.constant) % p
        v = (latest % p, *v[:-1])
    x = linear(schedule.leave, (pow(z, ALPHA, p), *v))
    for layer in schedule.tail:
        x = linear(layer, tuple(pow(value, ALPHA, p) for value in x))
    return x
