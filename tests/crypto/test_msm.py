# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication against the oracle, py_ecc, published vectors, and identities that make large sizes cheap."""

from __future__ import annotations

import json
import random
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from lanes_here import FULL
from msm_oracles import ORACLES
from py_ecc import optimized_bls12_381, optimized_bn128

from supervm.crypto import msm
from supervm.crypto.msm_work import CURVES, GROUPS, MsmCall, Points
from supervm.crypto.oracle.msm import ed25519_msm
from supervm.crypto.oracle.msm import msm as oracle_msm
from supervm.kernels import threads
from supervm.kernels.cpu.msm import msm as kernels
from supervm.kernels.cpu.msm.plan import choose
from supervm.kernels.errors import ArgumentError
from supervm.kernels.registry import resolve
from supervm.kernels.signed_windows import offset, windows_of

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


@pytest.fixture(params=FULL)
def backend(request):
    """Backends of the processor; the CUDA sources have tests of their own."""
    return request.param


@pytest.fixture(params=list(GROUPS))
def operation(request):
    return request.param


def split(operation):
    return {"curve": operation.split(".")[0], "group": "g2" if ".g2." in operation else "g1"}


def words(value, count):
    return [value >> (64 * index) & (2**64 - 1) for index in range(count)]


def array(operation, points):
    """Affine points, None for infinity, as the functions take them."""
    group = ORACLES[operation]
    zero = (0,) * group.degree
    neutral = (0, 1) if operation == "ed25519.msm" else (zero, zero)
    rows = [
        [words(part, group.base.words) for value in (point or neutral) for part in parts(group, value)]
        for point in points
    ]
    shape = (2, group.base.words) if group.degree == 1 else (2, 2, group.base.words)
    return np.array(rows, np.uint64).reshape(len(points), *shape)


def parts(group, value):
    return value if isinstance(value, tuple) else group.field.parts(value)


def scalars(values):
    return np.array([words(value, 4) for value in values], np.uint64).reshape(-1, 4)


def some(operation, count, seed=0):
    """`count` multiples of the generator, and the factors."""
    group = ORACLES[operation]
    source = random.Random(seed)
    step = source.randrange(1, group.order)
    point = group.multiply(step, group.generator)
    points, factors = [point], [step]
    while len(points) < count:
        points.append(group.add(points[-1], point))
        factors.append((factors[-1] + step) % group.order)
    return points[:count], factors[:count]


def compute(operation, points, values, backend, **options):
    return msm.msm(
        points=array(operation, points),
        scalars=scalars(values),
        backend=backend,
        **split(operation),
        **options,
    )


def times(operation, factor):
    """factor · generator as a result."""
    group = ORACLES[operation]
    return array(operation, [group.multiply(factor % group.order, group.generator)])[0]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33])
def test_small_sizes(operation, count, backend):
    points, factors = some(operation, count, count) if count else ([], [])
    values = [random.Random(count + 1 + index).randrange(ORACLES[operation].order) for index in range(count)]
    found = compute(operation, points, values, backend)
    expected = times(operation, sum(f * v for f, v in zip(factors, values, strict=True)))
    assert found.tolist() == expected.tolist()
    assert found.dtype == np.uint64


def test_against_the_definition(operation, backend):
    """Scalars of every length, and points at infinity in between."""
    group = ORACLES[operation]
    points, _ = some(operation, 6)
    points[2] = None
    values = [0, 1, group.order - 1, 2, 1 << 64, group.order // 3]
    if operation == "ed25519.msm":
        total = ed25519_msm([point or (0, 1) for point in points], values)
    else:
        total = oracle_msm(group, points, values)
    assert compute(operation, points, values, backend).tolist() == array(operation, [total])[0].tolist()


def test_py_ecc(backend):
    for operation, library in (("bn254.g1.msm", optimized_bn128), ("bls12_381.g1.msm", optimized_bls12_381)):
        values = [3, 5, 2**200 + 1]
        points = [library.multiply(library.G1, factor) for factor in (7, 11, 13)]
        total = library.Z1
        for point, value in zip(points, values, strict=True):
            total = library.add(total, library.multiply(point, value))
        affine = [tuple(int(c) for c in library.normalize(point)) for point in (*points, total)]
        assert (
            compute(operation, affine[:3], values, backend).tolist()
            == array(operation, affine[3:])[0].tolist()
        )


SKEWED = {
    "all zero": lambda n, r: [0] * n,
    "all one": lambda n, r: [1] * n,
    "all equal": lambda n, r: [r // 3] * n,
    "largest": lambda n, r: [r - 1] * n,
    "tiny": lambda n, r: [index % 5 for index in range(n)],
    "powers of two": lambda n, r: [1 << (index % 250) for index in range(n)],
    "one is long": lambda n, r: [r - 7] + [1] * (n - 1),
}


@pytest.mark.parametrize("kind", SKEWED)
def test_skewed_scalars(kind, backend):
    operation = "bls12_381.g1.msm"
    points, factors = some(operation, 120)
    values = SKEWED[kind](120, ORACLES[operation].order)
    expected = times(operation, sum(f * v for f, v in zip(factors, values, strict=True)))
    assert compute(operation, points, values, backend).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["repeated", "opposite", "infinite", "cancel", "mixed"])
def test_skewed_points(kind, operation, backend):
    group = ORACLES[operation]
    (point, other), (factor, more) = some(operation, 2)
    source = random.Random(3)
    values = [source.randrange(group.order) for _ in range(80)]
    if kind == "cancel":
        values = [values[0]] * 80
    signed = {
        "repeated": [(point, factor)] * 80,
        "opposite": [(point, factor), (group.negate(point), -factor)] * 40,
        "cancel": [(point, factor), (group.negate(point), -factor)] * 40,
        "infinite": [(None, 0)] * 80,
        "mixed": [(point, factor), (None, 0), (group.negate(point), -factor), (other, more)] * 20,
    }[kind]
    expected = times(operation, sum(f * v for (_, f), v in zip(signed, values, strict=True)))
    found = compute(operation, [p for p, _ in signed], values, backend)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("count", [4095, 4096, 4097])
@pytest.mark.parametrize("operation", ["bn254.g1.msm", "bls12_381.g1.msm", "ed25519.msm"])
def test_large_sizes(operation, count, backend):
    """Σ sᵢ·(i·G) = (Σ i·sᵢ)·G, with one thread and with two, whole and in pieces, as one of several sums."""
    curve = CURVES[operation, backend]
    points = kernels.multiples(curve, count).reshape(count, 2, -1)
    numbers = np.random.default_rng(count).integers(0, 2**60, (2, count, 4), np.uint64)
    sums = [sum(k * (i + 1) for i, k in enumerate(integers(row))) for row in numbers]
    expected = [times(operation, total).tolist() for total in sums]
    both = msm.msm(points=points, scalars=numbers, backend=backend, **split(operation))
    assert both.tolist() == expected
    if count == 4097:
        threads.set_threads(2)
        try:
            again = msm.msm(points=points, scalars=numbers[0], backend=backend, **split(operation))
        finally:
            threads.set_threads(1)
        assert again.tolist() == expected[0]
        pieces = msm.msm(
            points=points, scalars=numbers[1], backend=backend, memory_limit=1_500_000, **split(operation)
        )
        assert pieces.tolist() == expected[1]


def integers(rows):
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


@pytest.mark.parametrize("precompute", [1, 2, 5, 200])
def test_tables(operation, precompute, backend):
    if precompute > 2 and operation != "bn254.g1.msm":
        pytest.skip("the number of multiples means nothing to a group; one is tried with all")
    points, factors = some(operation, 40)
    points[7], factors[7] = None, 0
    table = msm.prepare(
        points=array(operation, points), precompute=precompute, backend=backend, **split(operation)
    )
    assert len(table) == 40
    order = ORACLES[operation].order
    values = [[random.Random(seed).randrange(order) for _ in range(40)] for seed in range(3)]
    values[2] = [value % 7 for value in values[2]]
    expected = [
        times(operation, sum(f * v for f, v in zip(factors, row, strict=True))).tolist() for row in values
    ]
    many = np.array([scalars(row) for row in values])
    assert table.msm(many).tolist() == expected
    assert table.msm(many[1]).tolist() == expected[1]
    assert table.msm(many[:0]).shape == (0, *array(operation, points).shape[1:])


@pytest.mark.parametrize(("precompute", "missing", "shared"), [(3, (), 1), (3, (5,), 2), (2, (), 2)])
def test_tables_beside_each_other(precompute, missing, shared, backend, monkeypatch):
    """Sums in G1 and G2 with the same scalars, which are sorted once for both if the tables are alike."""
    sorted_for: list[int] = []
    monkeypatch.setattr(kernels, "multiply_alike", _counting(kernels.multiply_alike, sorted_for))
    tables, factors = [], []
    for operation, multiples, absent in (
        ("bn254.g1.msm", 3, ()),
        ("bn254.g2.msm", precompute, missing),
    ):
        points, of = some(operation, 20, seed=len(tables))
        for row in absent:
            points[row], of[row] = None, 0
        given = array(operation, points)
        tables.append(msm.prepare(points=given, precompute=multiples, backend=backend, **split(operation)))
        factors.append(of)
    values = [[random.Random(seed).randrange(ORACLES[operation].order) for _ in range(20)] for seed in (1, 2)]
    found = tables[0].msm_beside(tables[1], np.array([scalars(row) for row in values]), backend)
    assert len(sorted_for) == 2 * shared
    for operation, of, sums in zip(("bn254.g1.msm", "bn254.g2.msm"), factors, found, strict=True):
        expected = [times(operation, sum(f * v for f, v in zip(of, row, strict=True))) for row in values]
        assert sums.tolist() == np.array(expected).tolist()
    alone = tables[0].msm_beside(tables[1], scalars(values[0]), backend)
    assert [each.tolist() for each in alone] == [each[0].tolist() for each in found]
    with pytest.raises(ArgumentError, match="order"):
        tables[0].msm_beside(tables[1], scalars([ORACLES[operation].order] * 20), backend)


def _counting(inner, calls):
    def counted(packed, *arguments):
        calls.append(len(packed))
        return inner(packed, *arguments)

    return counted


def test_points_outside_the_subgroup(backend):
    """Sums are of points, not of multiples modulo the order."""
    operation = "bls12_381.g1.msm"
    group = ORACLES[operation]
    outside = outside_point(operation, group)
    small = group.multiply(group.order, outside)
    points = [outside, small, group.generator] * 11
    values = [random.Random(index).randrange(group.order) for index in range(33)]
    expected = array(operation, [oracle_msm(group, points, values)])[0]
    assert compute(operation, points, values, backend).tolist() == expected.tolist()


def test_subgroup_on_request(operation, backend):
    """Points of the subgroup pass; one beside it is named, and no other check of it is lost."""
    group = ORACLES[operation]
    points, _ = some(operation, 9)
    points[4] = (0, 1) if operation == "ed25519.msm" else None
    good, values = array(operation, points), scalars(range(9))
    options = {"scalars": values, "backend": backend, "subgroup": True, **split(operation)}
    expected = msm.msm(points=good, **(options | {"subgroup": False}))
    assert msm.msm(points=good, **options).tolist() == expected.tolist()
    none = options | {"scalars": values[:0]}
    assert (
        msm.msm(points=good[:0], **none).tolist()
        == msm.msm(points=good, **options | {"scalars": 0 * values}).tolist()
    )
    if operation == "bn254.g1.msm":
        return
    outside = array(operation, [outside_point(operation, group)])[0]
    good[6] = outside
    with pytest.raises(ArgumentError, match="outside the subgroup in row 6"):
        msm.msm(points=good, **options)
    with pytest.raises(ArgumentError, match="outside the subgroup in row 6"):
        msm.prepare(points=good, backend=backend, subgroup=True, **split(operation))
    good.reshape(9, -1)[2, 0] ^= np.uint64(1)
    with pytest.raises(ArgumentError, match="row"):
        msm.msm(points=good, **options)


def outside_point(operation, group):
    if operation == "ed25519.msm":
        return ed25519_msm([(0, group.p - 1), group.generator], [1, 1])
    x = 1
    while True:
        point = group.lift_x(group.field.element([x] * group.degree), False)
        if point is not None and not group.in_subgroup(point):
            return point
        x += 1


def vector_cases(name, size):
    for case in json.loads((VECTORS / name).read_text(encoding="utf-8")):
        data = bytes.fromhex(case["Input"])
        data += bytes(2 * size + 32 - len(data))
        expected = bytes.fromhex(case["Expected"])
        numbers = [int.from_bytes(part, "big") for part in (data[:size], data[size : 2 * size])]
        result = [int.from_bytes(part, "big") for part in (expected[:size], expected[size:])]
        yield numbers, int.from_bytes(data[2 * size : 2 * size + 32], "big"), result


@pytest.mark.parametrize(
    ("name", "operation", "size"),
    [("bn256ScalarMul.json", "bn254.g1.msm", 32), ("blsG1Mul.json", "bls12_381.g1.msm", 64)],
)
def test_published_vectors(name, operation, size, backend):
    order = ORACLES[operation].order
    ran = 0
    for point, scalar, result in vector_cases(name, size):
        ours, theirs = (array(operation, [None if pair == [0, 0] else pair]) for pair in (point, result))
        found = msm.msm(points=ours, scalars=scalars([scalar % order]), backend=backend, **split(operation))
        assert found.tolist() == theirs[0].tolist()
        ran += 1
    assert ran > 10


def refused(match, operation, backend, points, values):
    with pytest.raises(ArgumentError, match=match):
        msm.msm(points=points, scalars=values, backend=backend, **split(operation))


def test_bad_points(operation, backend):
    group = ORACLES[operation]
    points, _ = some(operation, 20)
    good, values = array(operation, points), scalars(range(20))
    above = good.copy()
    above.reshape(20, -1)[13, -group.base.words :] = words(group.p, group.base.words)
    refused("a coordinate ≥ p in row 13", operation, backend, above, values)
    off = good.copy()
    off.reshape(20, -1)[17, 0] ^= np.uint64(1)
    refused("not on the curve in row 17", operation, backend, off, values)
    off.reshape(20, -1)[3] = 0
    off.reshape(20, -1)[3, 0] = 3
    refused("not on the curve in row 3", operation, backend, off, values)
    with pytest.raises(ArgumentError, match="not on the curve in row 3"):
        msm.prepare(points=off, backend=backend, **split(operation))


def test_bad_arguments(operation, backend):
    points, _ = some(operation, 3)
    good, order = array(operation, points), ORACLES[operation].order
    refused("row 1", operation, backend, good, scalars([1, order, order + 1]))
    refused(r"row \(1, 2\)", operation, backend, good, np.array([scalars([1, 2, 3]), scalars([1, 2, order])]))
    refused("2 items, expected 3", operation, backend, good, scalars([1, 2]))
    refused("int64", operation, backend, good, scalars([1, 2, 3]).astype(np.int64))
    refused("list", operation, backend, good, [1, 2, 3])
    refused("shape", operation, backend, good, np.zeros((3, 5), np.uint64))
    refused("shape", operation, backend, good[..., :-1], scalars([1, 2, 3]))
    refused("shape", operation, backend, good.astype(np.float64), scalars([1, 2, 3]))


def test_bad_options():
    good, values = array("bn254.g1.msm", some("bn254.g1.msm", 3)[0]), scalars([1, 2, 3])
    for argument, value in (
        ("curve", "secp256k1"),
        ("curve", ["bn254"]),
        ("curve", np.array(["bn254", "bn254"])),
        ("group", ["g1"]),
        ("group", np.array(["g1", "g1"])),
        ("group", "g3"),
        ("group", "x"),
        ("memory_limit", 0),
        ("memory_limit", "much"),
        ("memory_limit", 1000),
        ("backend", "fpga"),
    ):
        options = {"curve": "bn254", argument: value}
        with pytest.raises(ArgumentError) as caught:
            msm.msm(points=good, scalars=values, **options)
        assert caught.value.argument == argument
    for precompute in (0, True, 2.0, 1000):
        with pytest.raises(ArgumentError, match="precompute"):
            msm.prepare("bn254", good, precompute=precompute)


def test_arguments_are_left_alone(backend):
    """Read-only arrays, and views with strides, give what copies of them give."""
    operation = "bn254.g1.msm"
    points, factors = some(operation, 10)
    wide = np.repeat(array(operation, points), 2, axis=0)
    values = scalars(range(10))
    for one in (wide, values):
        one.flags.writeable = False
    found = msm.msm("bn254", wide[::2], values, backend=backend)
    assert (
        found.tolist()
        == times(operation, sum(f * v for f, v in zip(factors, range(10), strict=True))).tolist()
    )


def test_work(backend):
    """What a scheduler does with a call: a twin of its own, publishing, checking again."""
    operation = "bn254.g1.msm"
    points = Points(array(operation, some(operation, 5)[0]))
    values = scalars(range(5)).reshape(1, 5, 4)
    call = MsmCall(operation, points, values, None, np.zeros((1, 2, 4), np.uint64))
    assert (call.items, call.bytes) == (5, 5 * 64 + 5 * 32)
    function = resolve(operation, backend).function
    twin = call.twin()
    twin.run(function)
    assert not call.result.any()
    call.publish(twin)
    source = np.random.default_rng(0)
    assert call.mismatches(function, 1.0, source) == 0
    call.result[0, 0, 0] += 1
    assert call.mismatches(function, 1.0, source) == 1
    checked = sum(call.mismatches(function, 0.01, source) for _ in range(2000))
    assert 10 < checked < 70, "one in 64"


def test_memory_stays_within_the_limit(backend):
    """What NumPy allocates; half of what the whole takes is given."""
    operation, count = "bn254.g1.msm", 6000
    curve = CURVES[operation, backend]
    points = kernels.multiples(curve, count).reshape(count, 2, -1)
    values = np.random.default_rng(1).integers(0, 2**60, (count, 4), np.uint64)
    call = partial(msm.msm, "bn254", points, values, backend=backend)
    whole = call().tolist()
    plan = choose(count, 8, GROUPS[operation].order - 1)
    peaks = {}
    for limit in (None, plan.bytes(1, 1)):
        tracemalloc.start()
        assert call(memory_limit=limit).tolist() == whole
        peaks[limit] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    most = plan.bytes(1, plan.group(1))
    assert peaks[None] <= most
    limit = plan.bytes(1, 1)
    assert limit < most
    assert peaks[limit] <= limit


def test_plans():
    """Every scalar has its digits, and memory stays within what is asked."""
    order = GROUPS["bls12_381.g1.msm"].order
    for bits in range(2, 21):
        for largest in (1, 2, 3, 255, 256, 2**64 - 1, order - 1):
            windows = windows_of(largest, bits)
            assert largest + offset(bits, windows) < 1 << (bits * windows)
            digits = [
                ((largest + offset(bits, windows)) >> (bits * w) & ((1 << bits) - 1)) - (1 << (bits - 1))
                for w in range(windows)
            ]
            assert sum(d << (bits * w) for w, d in enumerate(digits)) == largest
    bits = [choose(1 << log, 8, order - 1).bits for log in range(0, 27, 2)]
    assert bits == sorted(bits)
    assert bits[0] < 6 < 12 < bits[-1]
