# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashing to G1 and G2 in batches: against the oracle on edges, arkworks in bulk, the RFC's and EIP-2537's vectors."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import numpy as np
import py_arkworks_bls12381 as arkworks
import pytest
from lanes_here import FULL, KINDS

from supervm.crypto import hash_to_curve
from supervm.crypto.calls import compute
from supervm.crypto.messages import Messages
from supervm.crypto.oracle import hash_to_curve as oracle
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.signatures.batch import VERDICT
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.threads import get_threads, set_threads

RFC = Path(__file__).resolve().parents[3] / "shared" / "data" / "h2c"
VECTORS = Path(__file__).resolve().parents[1] / "vectors"
TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
P = GROUPS["bls12_381.g1"].p

on_kinds = pytest.mark.parametrize("backend", KINDS, indirect=True)
on_processors = pytest.mark.parametrize("backend", FULL, indirect=True)


def words(number, count=6):
    return [number >> 64 * index & (1 << 64) - 1 for index in range(count)]


def elements(group, values):
    """Field elements as `map_to_g1` and `map_to_g2` take them."""
    shape = (len(values), 6) if group.degree == 1 else (len(values), 2, 6)
    return np.array([[words(part) for part in group.field.parts(u)] for u in values], np.uint64).reshape(
        shape
    )


def points(group, expected):
    """Oracle points as this library has them."""
    zero = group.field.zero
    rows = [
        [words(part) for c in point or (zero, zero) for part in group.field.parts(c)] for point in expected
    ]
    return np.array(rows, np.uint64).reshape(len(expected), 2, *(2, 6)[2 - group.degree :])


def map_of(group):
    return hash_to_curve.map_to_g1 if group.degree == 1 else hash_to_curve.map_to_g2


def exceptional():
    """u with z²u⁴ + zu² = 0 beside 0, in G1 alone: z = 11 and −1/11 is a square; −1/z is none in G2."""
    root = GROUPS["bls12_381.g1"].field.sqrt(-pow(11, -1, P) % P)
    assert root is not None
    return [root, P - root]


@functools.cache
def cases(name):
    """(elements, their points)."""
    group, source = GROUPS[name], random.Random(name)
    if group.degree == 1:
        edges = [0, 1, 2, 3, P - 1, P - 2, (P - 1) // 2, (P + 1) // 2, 1 << 256, *exceptional()]
    else:
        few = (0, 1, 2, P - 1)
        edges = [(a, b) for a in few for b in few]
    drawn = [group.field.element(source.randrange(P) for _ in range(group.degree)) for _ in range(20)]
    drawn += [group.field.sub(group.field.zero, u) for u in drawn[:8]]
    values = [*edges, *drawn]
    return values, [oracle.map_to_group(group, u) for u in values]


@pytest.fixture(params=list(oracle.COFACTORS))
def group(request):
    return GROUPS[request.param]


# The map ---------------------------------------------------------------------------------------------------


@on_kinds
def test_elements_at_the_edges(backend, group):
    values, expected = cases(group.spec.name)
    found = map_of(group)(elements(group, values), backend=backend)
    assert (found == points(group, expected)).all()


@on_processors
@pytest.mark.parametrize("threads", [1, 2])
def test_batches_of_many_chunks(backend, group, threads):
    values, expected = cases(group.spec.name)
    drawn = np.random.default_rng(5).integers(0, len(values), 1100)
    before = get_threads()
    set_threads(threads)
    try:
        found = map_of(group)(elements(group, values)[drawn], backend=backend)
    finally:
        set_threads(before)
    assert (found == points(group, expected)[drawn]).all()
    for count in (0, 1, 7, 9):
        found = map_of(group)(elements(group, values)[:count], backend=backend)
        assert (found == points(group, expected)[:count]).all()


@functools.cache
def sums(name):
    """(pairs of elements, the points of their sums): the same twice, one and its opposite, and others."""
    group, (values, _) = GROUPS[name], cases(name)
    pairs = []
    for u, w in zip(values[-6:], values, strict=False):
        pairs += [(u, u), (u, group.field.sub(group.field.zero, u)), (u, w)]
    mapped = [[oracle.map_to_curve(group, u) for u in pair] for pair in pairs]
    return pairs, [oracle.clear_cofactor(group, group.add(*both)) for both in mapped]


@on_kinds
def test_sums_of_equal_and_opposite_points(backend, group):
    pairs, expected = sums(group.spec.name)
    rows = elements(group, [u for pair in pairs for u in pair]).reshape(len(pairs), -1)
    found, verdicts = _compute(group, rows, 2, False, backend)
    assert (verdicts == 1).all()
    assert (found == points(group, expected).reshape(len(pairs), -1)).all()
    assert expected.count(None) == 6


def _compute(group, rows, each, wide, backend):
    outputs = (((2 * group.spec.field.words,), np.uint64), VERDICT)
    return compute(
        f"{group.spec.name}.map", (rows,), len(rows), outputs, options=(each, wide), backend=backend
    )


@functools.cache
def wide_numbers(name):
    """(rows of halves of 256 bits of numbers of 512, their points)."""
    group, full, source = GROUPS[name], 1 << 512, random.Random(3)
    numbers = [
        0,
        1,
        P - 1,
        P,
        P + 1,
        2 * P,
        full - 1,
        full // P * P,
        full // P * P - 1,
        1 << 256,
        (1 << 256) - 1,
    ]
    numbers += [source.randrange(full) for _ in range(3)]
    rows, expected = [], []
    for number in numbers:
        parts = [number, numbers[6]][: group.degree]
        low = [word for part in parts for word in words(part % (1 << 256))]
        high = [word for part in parts for word in words(part >> 256)]
        rows.append(low + high)
        expected.append(oracle.map_to_group(group, group.field.element(part % P for part in parts)))
    return np.array(rows, np.uint64), expected


@on_kinds
def test_wide_numbers_are_reduced(backend, group):
    rows, expected = wide_numbers(group.spec.name)
    found, verdicts = _compute(group, rows, 1, True, backend)
    assert (verdicts == 1).all()
    assert (found == points(group, expected).reshape(len(rows), -1)).all()


@on_kinds
def test_what_is_not_below_p_is_refused(backend, group):
    values, expected = cases(group.spec.name)
    rows = elements(group, values[:20]).reshape(20, -1)
    rows[3, -6:] = words(P)
    rows[8, :6] = words((1 << 384) - 1)
    found, verdicts = _compute(group, rows, 1, False, backend)
    assert [index for index in range(20) if verdicts[index] != 1] == [3, 8]
    assert verdicts[3] == verdicts[8] == -1
    wanted = points(group, expected[:20]).reshape(20, -1)
    wanted[[3, 8]] = 0
    assert (found == wanted).all()
    for each, wide in ((2, False), (1, True)):
        _, verdicts = _compute(group, rows.reshape(10, -1), each, wide, backend)
        assert np.flatnonzero(verdicts != 1).tolist() == [1, 4]
    with pytest.raises(ArgumentError, match="row 3"):
        map_of(group)(rows.reshape(elements(group, values[:20]).shape), backend=backend)


@on_processors
@pytest.mark.parametrize(
    ("file", "name"), [("map_fp_to_G1_bls", "bls12_381.g1"), ("map_fp2_to_G2_bls", "bls12_381.g2")]
)
def test_the_maps_of_eip_2537(backend, file, name):
    group = GROUPS[name]
    published = json.loads((VECTORS / f"{file}.json").read_text("utf-8"))
    inputs, outputs = (
        [[int(case[key][at : at + 128], 16) for at in range(0, len(case[key]), 128)] for case in published]
        for key in ("Input", "Expected")
    )
    found = map_of(group)(elements(group, [group.field.element(parts) for parts in inputs]), backend=backend)
    assert (
        found.reshape(len(published), -1, 6) == [[words(part) for part in parts] for parts in outputs]
    ).all()


# Messages --------------------------------------------------------------------------------------------------


@on_processors
@pytest.mark.parametrize(
    ("suite", "function", "name"),
    [
        ("BLS12381G1_XMD-SHA-256_SSWU_RO_", hash_to_curve.hash_to_g1, "bls12_381.g1"),
        ("BLS12381G2_XMD-SHA-256_SSWU_RO_", hash_to_curve.hash_to_g2, "bls12_381.g2"),
        ("BLS12381G2_XMD-SHA-256_SSWU_NU_", hash_to_curve.encode_to_g2, "bls12_381.g2"),
    ],
)
def test_the_suites_of_the_rfc(backend, suite, function, name):
    path = RFC / f"{suite}.json"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    published, group = json.loads(path.read_text("utf-8")), GROUPS[name]
    messages = [case["msg"].encode() for case in published["vectors"]]

    def coordinate(text):
        return group.field.element(int(part, 16) for part in text.split(","))

    expected = [(coordinate(case["P"]["x"]), coordinate(case["P"]["y"])) for case in published["vectors"]]
    found = function(messages, published["dst"].encode(), backend=backend)
    assert (found == points(group, expected)).all()


@on_processors
@pytest.mark.parametrize("tag", [b"x", TAG, b"t" * 255, b"t" * 256, b"t" * 1000], ids=len)
def test_uniform_bytes(backend, tag):
    """Messages of the lengths around a block, after the 64 zeros that come first, and before what comes last."""
    lengths = (0, 1, 9, 55, 56, 63, 64, 65, 127, 128, 129, 1000)
    messages = [bytes((7 * i + n) & 255 for i in range(n)) for n in lengths]
    for length in (1, 31, 32, 33, 128, 256, 255 * 32):
        found = hash_to_curve.expand_message_xmd(messages, tag, length, backend=backend)
        expected = [oracle.expand_message_xmd(message, tag, length) for message in messages]
        assert [row.tobytes() for row in found] == expected


@on_processors
def test_a_suite_without_published_vectors_here(backend):
    messages = [b"", b"a", b"b" * 64, b"c" * 300]
    found = hash_to_curve.encode_to_g1(messages, TAG, backend=backend)
    name = "bls12_381.g1"
    expected = [oracle.encode_to_curve(name, message, TAG) for message in messages]
    assert (found == points(GROUPS[name], expected)).all()


@on_processors
@pytest.mark.parametrize("which", ["g1", "g2"])
def test_arkworks_agrees_on_many_messages(backend, which):
    """Hundreds of messages of all lengths up to 200 bytes, in every form that batches have."""
    source = random.Random(which)
    messages = [source.randbytes(index % 200) for index in range(400)]
    function = hash_to_curve.hash_to_g1 if which == "g1" else hash_to_curve.hash_to_g2
    kind = arkworks.G1Point if which == "g1" else arkworks.G2Point
    found = function(messages, TAG, backend=backend)
    written = [bytes(kind.hash_to_curve(message, TAG).to_xy_bytes_le()) for message in messages]
    assert [row.tobytes() for row in found] == written
    batch = Messages.of(messages)
    later = Messages(batch.data, batch.offsets[100:200])
    assert (function(later, TAG, backend=backend) == found[100:199]).all()
    assert (function((batch.data, batch.offsets), TAG, backend=backend)[-1] == found[-1]).all()
    alike = np.frombuffer(b"".join(m for m in messages if len(m) == 32), np.uint8).reshape(-1, 32)
    rows = [index for index, message in enumerate(messages) if len(message) == 32]
    assert (function(alike, TAG, backend=backend) == found[rows]).all()
    assert function([], TAG, backend=backend).shape == (0, *found.shape[1:])


# Arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dst", [b"", "text", None, 5])
def test_tags_that_are_refused(dst):
    for function in (hash_to_curve.hash_to_g1, hash_to_curve.hash_to_g2, hash_to_curve.encode_to_g2):
        with pytest.raises(ArgumentError, match="dst"):
            function([b"m"], dst)


def test_other_arguments_that_are_refused():
    with pytest.raises(ArgumentError, match="messages"):
        hash_to_curve.hash_to_g1("text", TAG)
    for length in (0, -1, 255 * 32 + 1):
        with pytest.raises(ArgumentError, match="length"):
            hash_to_curve.expand_message_xmd([b""], TAG, length)
    for wrong in (
        np.zeros((2, 4), np.uint64),
        np.zeros(6, np.uint64),
        np.zeros((2, 6), np.int64),
        np.zeros((2, 2, 6), np.uint64),
        [1, 2],
    ):
        with pytest.raises(ArgumentError, match="elements"):
            hash_to_curve.map_to_g1(wrong)
    with pytest.raises(ArgumentError, match="elements"):
        hash_to_curve.map_to_g2(np.zeros((2, 6), np.uint64))
    with pytest.raises(BackendUnavailable, match="cuda"):
        hash_to_curve.map_to_g1(np.zeros((1, 6), np.uint64), backend="cuda")
    with pytest.raises(ArgumentError, match="backend"):
        hash_to_curve.hash_to_g2([b""], TAG, backend="oracle")
