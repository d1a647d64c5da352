# SPDX-License-Identifier: GPL-3.0-or-later
"""Point formulas in lanes against the oracle, special points included."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from lanes_here import HERE, raw_value
from nacl.signing import SigningKey
from numba import njit

from supervm.crypto import ed25519
from supervm.crypto.oracle import edwards as edwards_oracle
from supervm.crypto.oracle import weierstrass as weierstrass_oracle
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels import exponents
from supervm.kernels.cpu.curves import edwards as ed
from supervm.kernels.cpu.curves import weierstrass_prime_order as ws
from supervm.kernels.cpu.curves.curve import Curve, base_field, curve_constant
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import powers
from supervm.kernels.cpu.fields.lookup import SLACK
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.lanes import LANES_64
from supervm.kernels.cpu.signatures import eddsa

P = EDWARDS25519.field.modulus
Q = SECP256K1.field.modulus


def apply(
    function, curve: Curve, rows: list[list[int]], results: int, flags: int = 0
) -> list[tuple[list[int], list[bool]]]:
    """Run a compiled function on rows of field elements; for each row its result elements and flags."""
    width, limbs, p = curve.lanes.width, curve.field.limbs, curve.spec.field.modulus
    padded = rows + [rows[-1]] * (-len(rows) % width)
    groups, count = len(padded) // width, len(rows[0])
    represented = np.array([[curve.field.represent(value) for value in row] for row in padded], np.uint64)
    array = np.ascontiguousarray(
        represented.reshape(groups, width, count, limbs).transpose(0, 2, 3, 1)
    ).reshape(-1)
    out, bits = (
        np.empty(groups * results * limbs * width, np.uint64),
        np.zeros(groups * max(flags, 1), np.int64),
    )
    function(curve, array, groups, out, bits)
    stored = out.reshape(groups, results, limbs, width).transpose(0, 3, 1, 2).reshape(-1, results, limbs)
    code = curve.field.element.code
    numbers = [[raw_value(code, element) % p for element in row] for row in stored]
    masks = [
        [bool(int(bits[flags * (i // width) + k]) >> i % width & 1) for k in range(flags)]
        for i in range(len(rows))
    ]
    return list(zip(numbers, masks, strict=False))


# Edwards -------------------------------------------------------------------------------------------------


@njit(nogil=True)
def edwards_all(curve, array, groups, out, bits):  # type: ignore[no-untyped-def]
    """Of extended A and B and affine C: A + B, A + C and 2A extended, and whether A is of small order."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        at = 10 * group * size
        A = (
            fe.load(F, array, at),
            fe.load(F, array, at + size),
            fe.load(F, array, at + 2 * size),
            fe.load(F, array, at + 3 * size),
        )
        at += 4 * size
        B = (
            fe.load(F, array, at),
            fe.load(F, array, at + size),
            fe.load(F, array, at + 2 * size),
            fe.load(F, array, at + 3 * size),
        )
        x, y = fe.load(F, array, at + 4 * size), fe.load(F, array, at + 5 * size)
        C = (fe.add(y, x), fe.sub(y, x), fe.mul(fe.mul(x, y), curve_constant(curve, "d2")))
        E, F_, G, H = ed.add_cached(A, ed.cached(curve, B))
        first = ed.extended(E, F_, G, H)
        E, F_, G, H = ed.add_affine(A, C)
        second = ed.extended(E, F_, G, H)
        E, F_, G, H = ed.double(A[0], A[1], A[2])
        third = ed.extended(E, F_, G, H)
        X, Y, Z = ed.projective(E, F_, G, H)
        same = ln.and_(fe.equal(X, third[0]), ln.and_(fe.equal(Y, third[1]), fe.equal(Z, third[2])))
        at = 12 * group * size
        for part in range(4):
            fe.store(out, at + part * size, first[part])
            fe.store(out, at + (4 + part) * size, second[part])
            fe.store(out, at + (8 + part) * size, third[part])
        bits[2 * group] = ln.mask_bits(ed.small_order(A[0], A[1], A[2]))
        bits[2 * group + 1] = ln.mask_bits(same)


def torsion() -> list[edwards_oracle.Point]:
    """The eight points of small order: multiples of L·R for a point R of full order 8·L."""
    for start in range(2, 50):
        point = edwards_oracle.decode(start.to_bytes(32, "little"))
        if point is not None:
            generator = edwards_oracle.multiply(edwards_oracle.L, point)
            points = [edwards_oracle.multiply(k, generator) for k in range(8)]
            if len({edwards_oracle.encode(p) for p in points}) == 8:
                return points
    raise AssertionError("no point of order eight")


def test_edwards(backend):
    curve = Curve(EDWARDS25519, HERE[backend])
    source = random.Random(2)
    small = torsion()
    others = [edwards_oracle.multiply(source.getrandbits(252), edwards_oracle.BASE) for _ in range(6)]
    others += [edwards_oracle.add(others[0], small[k]) for k in (1, 4)] + [edwards_oracle.negate(others[0])]
    points = small + others
    pairs = [(a, b) for a in points for b in points]

    def scaled(point):
        factor = source.choice((1, P - 1, source.randrange(1, P)))
        return [coordinate * factor % P for coordinate in point]

    def affine(point):
        inverse = pow(point[2], -1, P)
        return [point[0] * inverse % P, point[1] * inverse % P]

    rows = [[*scaled(a), *scaled(b), *affine(b)] for a, b in pairs]
    found = apply(edwards_all, curve, rows, 12, 2)
    for (a, b), (numbers, (is_small, same)) in zip(pairs, found, strict=True):
        for at, wanted in (
            (0, edwards_oracle.add(a, b)),
            (4, edwards_oracle.add(a, b)),
            (8, edwards_oracle.double(a)),
        ):
            X, Y, Z, T = numbers[at : at + 4]
            assert Z != 0
            assert edwards_oracle.equal((X, Y, Z, T), wanted)
            assert X * Y % P == Z * T % P
        assert is_small == edwards_oracle.is_small_order(a)
        assert same


@njit(nogil=True)
def decompress_all(curve, array, groups, out, bits):  # type: ignore[no-untyped-def]
    """y below 2^255 and a sign, as two elements, decompressed: x and y."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        y, sign = fe.load(F, array, 2 * group * size), fe.load(F, array, (2 * group + 1) * size)
        words = fe.to_words(y)
        top = ln.shift_left(fe.to_words(sign)[0], 63)
        packed = (words[0], words[1], words[2], ln.or_(words[3], top))
        root = powers.power(ed.root_argument(curve, packed), exponents.ROOT)
        decodes, x, y = ed.decompress(curve, packed, root)
        fe.store(out, 2 * group * size, x)
        fe.store(out, (2 * group + 1) * size, y)
        bits[group] = ln.mask_bits(decodes)


def test_base_table():
    """0·B, 1·B, … as the kernels look them up."""
    found = eddsa.base_table(EDWARDS25519)
    assert len(found) == eddsa.TABLE_POINTS
    for index, (plus, minus, product) in enumerate(found):
        x, y = (plus - minus) * pow(2, -1, P) % P, (plus + minus) * pow(2, -1, P) % P
        point = edwards_oracle.from_affine(x, y)
        assert edwards_oracle.equal(point, edwards_oracle.multiply(index, edwards_oracle.BASE))
        assert product == EDWARDS25519.d2 * x * y % P


# Weierstrass ---------------------------------------------------------------------------------------------


@njit(nogil=True)
def weierstrass_all(curve, array, groups, out, bits):  # type: ignore[no-untyped-def]
    """Of Jacobian A and affine b: 2A, A + b, and 2(A + b) + b."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        at = 5 * group * size
        X, Y, Z = fe.load(F, array, at), fe.load(F, array, at + size), fe.load(F, array, at + 2 * size)
        x, y = fe.load(F, array, at + 3 * size), fe.load(F, array, at + 4 * size)
        twice, total = ws.double(X, Y, Z), ws.add_mixed(X, Y, Z, x, y)
        X, Y, Z = ws.double(total[0], total[1], total[2])
        after = ws.add_mixed(X, Y, Z, x, y)
        at = 9 * group * size
        for part in range(3):
            fe.store(out, at + part * size, twice[part])
            fe.store(out, at + (3 + part) * size, total[part])
            fe.store(out, at + (6 + part) * size, after[part])
        bits[group] = ln.mask_bits(ws.on_curve(curve, x, y))


def from_jacobian(X: int, Y: int, Z: int) -> tuple[int, int] | None:
    if Z == 0:
        return None
    inverse = pow(Z, -1, Q)
    return X * inverse**2 % Q, Y * inverse**3 % Q


def test_jacobian(backend):
    """Exceptional sums give Z ≡ 0, and no later operation leaves it; all others are right."""
    curve = Curve(SECP256K1, HERE[backend])
    source = random.Random(4)
    G = SECP256K1.base
    points = [
        weierstrass_oracle.multiply(k, G)
        for k in (1, 2, 3, 4, -1, -2, *(source.getrandbits(255) for _ in range(4)))
    ]
    beta = SECP256K1.endomorphism.beta
    points.append((G[0] * beta % Q, G[1]))
    pairs = [(a, b) for a in points for b in points]
    rows = []
    for a, b in pairs:
        z = source.choice((1, Q - 1, source.randrange(1, Q)))
        rows.append([a[0] * z * z % Q, a[1] * z**3 % Q, z, *b])
    add = weierstrass_oracle.add
    exceptional = 0
    for (a, b), (numbers, (on_curve,)) in zip(pairs, apply(weierstrass_all, curve, rows, 9, 1), strict=True):
        assert on_curve
        assert from_jacobian(*numbers[:3]) == add(a, a)
        total, after = from_jacobian(*numbers[3:6]), from_jacobian(*numbers[6:])
        if a[0] == b[0]:  # equal or opposite
            exceptional += 1
            assert total is None
            assert after is None
        else:
            assert total == add(a, b)
            # 2(A + b) + b fails only where A + b is half of ±b.
            wanted = add(add(total, total), b)
            assert after == (None if add(total, total)[0] == b[0] else wanted)
    assert exceptional >= 2 * 2 + len(points)


def test_infinity_stays(backend):
    """Any X, Y with Z ≡ 0, also stored as p: doubling and adding keep Z ≡ 0."""
    curve = Curve(SECP256K1, HERE[backend])
    source = random.Random(6)
    rows = [[source.randrange(Q), source.randrange(Q), 0, *SECP256K1.base] for _ in range(8)]
    rows += [[1, 1, 0, *SECP256K1.base], [0, 0, 0, *SECP256K1.base], [*SECP256K1.base, 0, *SECP256K1.base]]
    for numbers, _ in apply(weierstrass_all, curve, rows, 9, 1):
        assert numbers[2] == numbers[5] == numbers[8] == 0


@njit(nogil=True)
def complete_all(curve, array, groups, out, bits):  # type: ignore[no-untyped-def]
    """A + B of homogeneous points by the complete formula, and whether Z ≡ 0."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        at = 6 * group * size
        A = (fe.load(F, array, at), fe.load(F, array, at + size), fe.load(F, array, at + 2 * size))
        at += 3 * size
        B = (fe.load(F, array, at), fe.load(F, array, at + size), fe.load(F, array, at + 2 * size))
        S = ws.complete_add(curve, A, B)
        for part in range(3):
            fe.store(out, (3 * group + part) * size, S[part])
        bits[group] = ln.mask_bits(fe.is_zero(S[2]))


def test_complete_addition(backend):
    """All pairs, infinity and opposite points among them, each in several representations."""
    curve = Curve(SECP256K1, HERE[backend])
    source = random.Random(8)
    multiply, add = weierstrass_oracle.multiply, weierstrass_oracle.add
    scalars = (
        0,
        1,
        2,
        -1,
        -2,
        3,
        SECP256K1.endomorphism.lambda_,
        source.getrandbits(255),
        source.getrandbits(255),
    )
    points = [multiply(k, SECP256K1.base) for k in scalars]

    def homogeneous(point):
        z = source.choice((1, Q - 1, source.randrange(1, Q)))
        return [0, z, 0] if point is None else [point[0] * z % Q, point[1] * z % Q, z]

    pairs = [(a, b) for a in points for b in points]
    rows = [[*homogeneous(a), *homogeneous(b)] for a, b in pairs]
    for (a, b), ((X, Y, Z), (zero,)) in zip(pairs, apply(complete_all, curve, rows, 3, 1), strict=True):
        wanted = add(a, b)
        assert zero == (Z == 0) == (wanted is None)
        if wanted is None:
            assert X == 0
            assert Y != 0
        else:
            inverse = pow(Z, -1, Q)
            assert (X * inverse % Q, Y * inverse % Q) == wanted


@njit(nogil=True)
def lift_all(curve, array, groups, out, bits):  # type: ignore[no-untyped-def]
    """Of x and a parity: the y that `lift` finds, and whether there is one."""
    F = base_field(curve)
    size = fe.storage(F)
    for group in range(groups):
        x = fe.load(F, array, 2 * group * size)
        odd = ln.bit_set(fe.to_words(fe.load(F, array, (2 * group + 1) * size))[0], 0)
        exists, y = ws.lift(curve, x, powers.power(ws.right_side(curve, x), exponents.ROOT), odd)
        fe.store(out, group * size, y)
        bits[group] = ln.mask_bits(exists)


def test_lift(backend):
    curve = Curve(SECP256K1, HERE[backend])
    source = random.Random(9)
    rows = [
        [x, odd] for x in (0, 1, 2, 5, Q - 1, *(source.randrange(Q) for _ in range(40))) for odd in (0, 1)
    ]
    results = apply(lift_all, curve, rows, 1, 1)
    for (x, odd), (numbers, (exists,)) in zip(rows, results, strict=True):
        wanted = weierstrass_oracle.lift_x(x, odd)
        assert exists == (wanted is not None)
        if wanted is not None:
            assert numbers == [wanted[1]]


def test_decompression(backend):
    """Every y with both signs, x = 0 among them, against the oracle's permissive decoding."""
    curve = Curve(EDWARDS25519, HERE[backend])
    source = random.Random(10)
    ordinates = [
        edwards_oracle.from_affine(0, 1)[1],
        0,
        P - 1,
        2,
        3,
        *(source.randrange(P) for _ in range(40)),
    ]
    ordinates += [point[1] * pow(point[2], -1, P) % P for point in torsion()]
    rows = [[y, sign] for y in ordinates for sign in (0, 1)]
    for (y, sign), (numbers, (decodes,)) in zip(rows, apply(decompress_all, curve, rows, 2, 1), strict=True):
        point = edwards_oracle.decode((y | sign << 255).to_bytes(32, "little"))
        assert decodes == (point is not None)
        if point is not None:
            assert numbers == [point[0], y]


FORGED = bytes.fromhex("2895090216c8529b97ba1d7846b6813993d65f126fbb609ea95760919c220a55")
"""A y that belongs to no point, a root of 1 ± d·x₄·y₄·x·y as a polynomial in y², where (x₄, y₄) stands for four times the
(x, y) that `decompress` leaves. That is off the curve, where the formulas are not complete: five times it has Z = 0."""

MESSAGE = b"evil12"
"""With R = 0 and this message, the first digit of the challenge is ±5: zero plus that multiple is (0, 0, 0) for good."""


def test_the_forged_key():
    assert edwards_oracle.decode(FORGED) is None
    challenge = (
        int.from_bytes(hashlib.sha512(bytes(32) + FORGED + MESSAGE).digest(), "little") % edwards_oracle.L
    )
    shifted = challenge + sum(8 << (4 * k) for k in range(64))
    digits = [(shifted >> (4 * k) & 15) - 8 for k in reversed(range(64))]
    assert abs(next(digit for digit in digits if digit)) == 5


@pytest.mark.parametrize("rule", ["dalek", "strict"])
def test_a_key_that_does_not_decode_spoils_no_other(backend, rule):
    """Groups share one inversion: a Z of 0 in one of them would take every other item of its lane along."""
    key = SigningKey(bytes(32))
    keys = np.frombuffer(bytes(key.verify_key) * 256, np.uint8).reshape(256, 32).copy()
    signatures = np.frombuffer(key.sign(b"valid").signature * 256, np.uint8).reshape(256, 64).copy()
    keys[100], signatures[100] = np.frombuffer(FORGED, np.uint8), 0
    messages = [b"valid"] * 256
    messages[100] = MESSAGE
    verdicts = ed25519.verify_batch(keys, messages, signatures, rule=rule, backend=backend)
    assert verdicts[100] == -1
    assert np.flatnonzero(verdicts != 1).tolist() == [100]


@pytest.mark.parametrize("curve", [SECP256K1, EDWARDS25519], ids=lambda spec: spec.name)
def test_tables_in_memory(curve):
    """`Curve.table`: one padded row a point, limbs in order."""
    marker = Curve(curve, LANES_64)
    points = [(1, 2), (curve.field.modulus - 1, 1 << 200)]
    words = marker.table(points)
    assert not words[-SLACK:].any()
    rows = words[:-SLACK].reshape(2, -1)
    assert rows.shape[1] % 8 == 0
    for row, point in zip(rows, points, strict=True):
        assert row[: 2 * marker.field.limbs].tolist() == [
            limb for c in point for limb in marker.field.represent(c)
        ]
        assert not row[2 * marker.field.limbs :].any()
