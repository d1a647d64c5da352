# SPDX-License-Identifier: GPL-3.0-or-later
"""The CUDA kernels of EdDSA verification on the host twin: verdict for verdict as the oracle, point for point too."""

from __future__ import annotations

import ctypes
import functools
import random
from typing import NamedTuple

import host_twin
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from supervm.crypto.oracle import edwards
from supervm.crypto.oracle.adversarial_ed25519 import torsion
from supervm.crypto.oracle.ed25519 import RULES
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.params.hashes import SHA512
from supervm.kernels.cpu.signatures.eddsa import COFACTORED, COFACTORLESS, STRICT
from supervm.kernels.cuda.constants import edwards as ec
from supervm.kernels.cuda.constants import fixed_base
from supervm.kernels.cuda.constants.fields import words_of

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

P, L, D = edwards.P, edwards.L, edwards.D
CODES = {"dalek": COFACTORLESS, "strict": STRICT, "zip215": COFACTORED}
UNTOUCHED = 77
WINDOWS = ec.windows(EDWARDS25519)

# Steps that no kernel shows alone; the sources take them in with their constants.
STEPS = """
KERNEL(step_multiply, 128, 4)(const u32 *points, const u32 *h, const u32 *s, const u32 *table, u32 *out, u32 count)
{
    using Field = Curve::Field;
    for_items(item, count)
    {
        alignas(16) u32 multiples[MULTIPLES * CACHED_WORDS];
        u32 scalar[8], digits[8];
        const Field x = load_element<Field>(points + 16 * item), y = load_element<Field>(points + 16 * item + 8);
        cached_multiples<Curve>(multiples, x, y);
        UNROLL for (int i = 0; i < 8; ++i) scalar[i] = h[8 * item + i];
        nibble_digits(digits, scalar);
        Extended<Field> P = multiply_nibbles<Field>(multiples, digits);
        UNROLL for (int i = 0; i < 8; ++i) scalar[i] = s[8 * item + i];
        add_base_multiple<Curve>(P, table, scalar);
        store_element(out + 32 * item, P.X);
        store_element(out + 32 * item + 8, P.Y);
        store_element(out + 32 * item + 16, P.Z);
        store_element(out + 32 * item + 24, P.T);
    }
}
KERNEL(step_reduce, 128, 4)(const u32 *values, u32 *out, u32 count)
{
    for_items(item, count)
    {
        u32 low[8], high[8], r[8];
        UNROLL for (int i = 0; i < 8; ++i) low[i] = values[16 * item + i], high[i] = values[16 * item + 8 + i];
        reduce_wide<Curve::Order>(r, low, high);
        UNROLL for (int i = 0; i < 8; ++i) out[8 * item + i] = r[i];
    }
}
"""


class Item(NamedTuple):
    public_key: bytes
    message: bytes
    signature: bytes


@functools.cache
def _library(steps: str = "") -> ctypes.CDLL:
    return host_twin.build("eddsa", ec.eddsa_constants(EDWARDS25519, SHA512) + steps)


@functools.cache
def _table() -> np.ndarray:
    table = np.zeros(ec.table_words(EDWARDS25519), np.uint32)
    bases = ec.window_bases(EDWARDS25519)
    host_twin.call(_library(), "edwards_table", bases, table, fixed_base.table_threads(EDWARDS25519))
    return table


def _words(values, count=8):
    return np.array([words_of(value, count) for value in values], np.uint32).reshape(-1)


def _numbers(words, count=8):
    rows = np.asarray(words, np.uint32).reshape(-1, count)
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def _bytes(parts):
    return np.frombuffer(b"".join(parts) + bytes(64), np.uint8).copy()


def _multiplied(items, rule, first_offset=0):
    """What the first kernel writes, points and flags, with an item's worth behind that must stay as it was."""
    count = len(items)
    keys, data = _bytes(item.public_key for item in items), _bytes(item.message for item in items)
    signatures = _bytes(item.signature for item in items)
    offsets = np.cumsum([first_offset, *(len(item.message) for item in items)], dtype=np.int64)
    points = np.full(24 * count + 1, 0xDEADBEEF, np.uint32)
    flags = np.full(count + 1, UNTOUCHED, np.uint8)
    arguments = (keys, data, offsets, signatures, _table(), CODES[rule], points, flags, count)
    host_twin.call(_library(), "eddsa_multiply", *arguments)
    assert (points[-1], flags[-1]) == (0xDEADBEEF, UNTOUCHED)
    return points, flags


def _verify(items, rule, first_offset=0):
    """Verdicts of the two kernels."""
    count = len(items)
    points, flags = _multiplied(items, rule, first_offset)
    signatures, verdicts = _bytes(item.signature for item in items), np.full(count + 1, UNTOUCHED, np.int8)
    host_twin.call(_library(), "eddsa_finish", points, flags, signatures, CODES[rule], verdicts, count)
    assert verdicts[-1] == UNTOUCHED
    return verdicts[:-1].tolist()


def _expected(oracles, items, rule):
    return [oracles.ed25519(item.public_key, item.message, item.signature, rule) for item in items]


@functools.cache
def _signed(count):
    """Valid signatures over messages of mixed lengths, made by OpenSSL."""
    rnd = random.Random(3)
    lengths = (0, 1, 3, 47, 48, 49, 63, 64, 111, 112, 175, 176, 177, 400)
    items = []
    for index in range(count):
        secret = Ed25519PrivateKey.from_private_bytes(rnd.randbytes(32))
        message = rnd.randbytes(lengths[index % len(lengths)])
        items.append(Item(secret.public_key().public_bytes_raw(), message, secret.sign(message)))
    return items


@pytest.mark.parametrize("rule", RULES)
def test_adversarial_inputs(rule, ed25519_cases, oracles):
    expected = _expected(oracles, ed25519_cases, rule)
    assert set(expected) == {-1, 0, 1}
    verdicts = _verify(ed25519_cases, rule)
    wrong = [
        (case.description, got, want)
        for case, got, want in zip(ed25519_cases, verdicts, expected, strict=True)
        if got != want
    ]
    assert not wrong


@pytest.mark.parametrize("rule", RULES)
def test_published_vectors(rule, ed25519_vectors):
    verdicts = _verify(ed25519_vectors, rule)
    wrong = [v.name for v, got in zip(ed25519_vectors, verdicts, strict=True) if (got == 1) != v.valid[rule]]
    assert not wrong


@pytest.mark.parametrize("rule", RULES)
def test_random_signatures(rule, oracles):
    """Valid ones, and the same with one bit of the key, of R, of s or of the message turned."""
    rnd = random.Random(4)
    items = []
    for item in _signed(56):
        items.append(item)
        parts = list(item)
        which = rnd.choice([part for part in range(3) if parts[part]])
        bit = rnd.randrange(8 * len(parts[which]))
        changed = int.from_bytes(parts[which], "little") ^ 1 << bit
        parts[which] = changed.to_bytes(len(parts[which]), "little")
        items.append(Item(*parts))
    expected = _expected(oracles, items, rule)
    assert expected[::2] == [1] * 56
    assert 1 not in expected[1::2]
    assert _verify(items, rule) == expected
    assert _verify(items[::-1], rule, first_offset=1000) == expected[::-1]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 33, 250])
def test_sizes(rule, count, ed25519_cases, oracles):
    """A thread of the second kernel takes up to sixteen items, as far apart as there are threads."""
    items = [*ed25519_cases[:2], *ed25519_cases[200:]][:count]
    assert _verify(items, rule) == _expected(oracles, items, rule)


def test_table_of_the_base_point():
    rnd = random.Random(5)
    table = _table().reshape(WINDOWS, ec.WINDOW_MULTIPLES, ec.AFFINE_WORDS)
    for window in range(WINDOWS):
        fixed = (1, 2, 15, 16, 17, 1023, 1024, 2047, 2048) if window in (0, WINDOWS - 1) else (1, 16, 2048)
        for multiple in (*fixed, *(rnd.randrange(1, 2049) for _ in range(6))):
            point = edwards.multiply((multiple << ec.WINDOW_BITS * window) % L, edwards.BASE)
            inverse = pow(point[2], -1, P)
            x, y = point[0] * inverse, point[1] * inverse
            expected = [(y + x) % P, (y - x) % P, 2 * D * x * y % P]
            found = [value % P for value in _numbers(table[window, multiple - 1])]
            assert found == expected, (window, multiple)


def _repeated(digit, bits, size=253):
    return sum(digit << place for place in range(0, size, bits))


NIBBLE_EDGES = [_repeated(digit, 4, 252) for digit in (1, 7, 8, 9, 15)]
WINDOW_EDGES = [_repeated(digit, 12, 252) for digit in (1, 0x7FF, 0x800, 0x801, 0xFFF)]
SCALARS = [
    *(0, 1, 2, 7, 8, 9, 15, 16, 17, 2047, 2048, 2049, 4095, 4096, L - 1, L - 2, (L - 1) // 2, (L + 1) // 2),
    *(1 << 251, 1 << 252, (1 << 252) - 1, (1 << 252) + 1, 0xF << 248),
    *NIBBLE_EDGES,
    *WINDOW_EDGES,
]


def test_multiplication_by_edge_scalars():
    """s·B + h·A where digits carry, are zero or extreme, and where A is B, −B, of small or of mixed order."""
    rnd = random.Random(6)
    parts = torsion()
    mixed = edwards.add(edwards.multiply(rnd.randrange(L), edwards.BASE), parts[1])
    points = [edwards.BASE, edwards.negate(edwards.BASE), mixed, edwards.IDENTITY, parts[1], parts[4]]
    cases = [(scalar, 0) for scalar in SCALARS] + [(0, scalar) for scalar in SCALARS]
    cases += [(scalar, L - scalar) for scalar in SCALARS if scalar]
    cases += [(rnd.randrange(L), rnd.randrange(L)) for _ in range(30)]
    cases = [(h, s, points[index % len(points)]) for index, (h, s) in enumerate(cases)]
    cases += [(h, 0, point) for h in (2, 8, L - 1) for point in points]
    affine = []
    for *_, (x, y, z, _t) in cases:
        affine += [x * pow(z, -1, P) % P, y * pow(z, -1, P) % P]
    out = np.zeros(32 * len(cases), np.uint32)
    h, s = _words(case[0] for case in cases), _words(case[1] for case in cases)
    host_twin.call(_library(STEPS), "step_multiply", _words(affine), h, s, _table(), out, len(cases))
    for case, row in zip(cases, out.reshape(-1, 32), strict=True):
        x, y, z, t = (value % P for value in _numbers(row))
        assert z != 0
        assert x * y % P == z * t % P
        expected = edwards.multiply_sum(case[1], edwards.BASE, case[0], case[2])
        assert edwards.equal((x, y, z, t), expected), (hex(case[0]), hex(case[1]))


def test_reduction_of_hashes():
    rnd = random.Random(7)
    top = (1 << 512) - 1
    values = [0, 1, L - 1, L, L + 1, 2 * L - 1, (1 << 256) - 1, 1 << 256, L << 256, L * L, L << 259]
    values += [top, top - 1, top - top % L, top - top % L - 1, *(rnd.getrandbits(512) for _ in range(200))]
    out = np.zeros(8 * len(values), np.uint32)
    host_twin.call(_library(STEPS), "step_reduce", _words(values, 16), out, len(values))
    assert _numbers(out) == [value % L for value in values]


def _not_a_point(key):
    """A key that does not decode, near another one."""
    value = int.from_bytes(key, "little")
    changed = ((value ^ step).to_bytes(32, "little") for step in range(1, 256))
    return next(data for data in changed if edwards.decode(data) is None)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("place", [0, 1, 15, 16, 17, 32])
def test_a_malformed_item_leaves_its_group_alone(rule, place):
    items = list(_signed(33))
    good = items[place]
    large = (int.from_bytes(good.signature[32:], "little") + L).to_bytes(32, "little")
    for bad in (
        good._replace(public_key=_not_a_point(good.public_key)),
        good._replace(signature=good.signature[:32] + large),
        good._replace(signature=good.signature[:32] + bytes([255] * 32)),
    ):
        items[place] = bad
        assert _verify(items, rule) == [-1 if index == place else 1 for index in range(33)]


@pytest.mark.parametrize("rule", ["dalek", "strict"])
def test_every_point_that_is_inverted_lies_on_the_curve(rule, ed25519_cases):
    """So no Z is 0, whatever the key: one that is would take the group's other items along."""
    count = len(ed25519_cases)
    points = _multiplied(ed25519_cases, rule)[0][:-1].reshape(3, 8, count)
    malformed = 0
    for index, case in enumerate(ed25519_cases):
        x, y, z = (value % P for value in _numbers(np.ascontiguousarray(points[:, :, index])))
        assert z != 0
        assert ((y * y - x * x) * z * z - z**4 - D * x * x * y * y) % P == 0, case.description
        malformed += edwards.decode(case.public_key) is None
    assert malformed > 3


def test_constants_of_the_curve():
    assert (WINDOWS, ec.WINDOW_MULTIPLES, fixed_base.table_threads(EDWARDS25519)) == (22, 2048, 2816)
    assert ec.table_words(EDWARDS25519) * 4 == 22 * 2048 * 96
    assert ec.window_bases(EDWARDS25519).shape == (22, 24)
