# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in batches against the oracle, geth's vectors, py_ecc's and arkworks' results; wrong arguments."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import numpy as np
import py_arkworks_bls12381 as arkworks
import pytest

from supervm.crypto import curves
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
NAMES = list(GROUPS)
OPERATION = "bn254.g1.add"


def group_of(name):
    curve, _, which = name.partition(".")
    return getattr(curves.get(curve), which)


def array(name, points):
    """Oracle points as this library has them."""
    group = GROUPS[name]
    mask, count = (1 << 64) - 1, group.base.words
    rows = []
    for point in points:
        x, y = point or (group.field.zero, group.field.zero)
        parts = (*group.field.parts(x), *group.field.parts(y))
        rows.append([part >> 64 * index & mask for part in parts for index in range(count)])
    shape = (2, count) if group.degree == 1 else (2, 2, count)
    return np.array(rows, np.uint64).reshape(len(points), *shape)


def words(scalars):
    return np.array([[k >> 64 * index & (1 << 64) - 1 for index in range(4)] for k in scalars], np.uint64)


@functools.cache
def special(name):
    """Points with every relation to each other that a formula could trip over."""
    group = GROUPS[name]
    other = group.curve_point(5)
    small = group.multiply(group.order, other)
    base = group.generator
    return (None, base, group.negate(base), group.add(base, base), other, small, group.add(small, base))


def geth(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


# Published vectors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name", "encoding", "size"),
    [("bn256Add", "bn254.g1", "eip196", 64), ("blsG1Add", "bls12_381.g1", "eip2537", 128)],
)
def test_geth_additions(backend, file, name, encoding, size):
    group = group_of(name)
    cases = geth(file)
    # EIP-196 fills what is missing with zeros and ignores what is too much.
    data = np.array(
        [list(bytes.fromhex(case["Input"])[: 2 * size].ljust(2 * size, b"\0")) for case in cases], np.uint8
    )
    first, valid = group.from_bytes(data[:, :size], encoding, "curve", backend)
    second, also = group.from_bytes(data[:, size:], encoding, "curve", backend)
    assert (valid == 1).all()
    assert (also == 1).all()
    found = group.to_bytes(group.add(first, second, backend=backend), encoding, backend)
    assert [row.tobytes().hex() for row in found] == [case["Expected"] for case in cases]


@pytest.mark.parametrize(
    ("file", "name", "encoding", "size"),
    [("bn256ScalarMul", "bn254.g1", "eip196", 64), ("blsG1Mul", "bls12_381.g1", "eip2537", 128)],
)
def test_geth_multiplications(backend, file, name, encoding, size):
    group = group_of(name)
    cases = geth(file)
    length = size + 32
    data = np.array(
        [list(bytes.fromhex(case["Input"])[:length].ljust(length, b"\0")) for case in cases], np.uint8
    )
    points, valid = group.from_bytes(data[:, :size], encoding, backend=backend)
    assert (valid == 1).all()
    scalars = np.ascontiguousarray(data[:, size:][:, ::-1]).view(np.uint64)
    found = group.to_bytes(group.multiply(points, scalars, backend=backend), encoding, backend)
    assert [row.tobytes().hex() for row in found] == [case["Expected"] for case in cases]


@pytest.mark.parametrize("which", ["g1", "g2"])
def test_arkworks_agrees(which):
    """Sums, multiples and compressed points of a library in Rust."""
    group = group_of(f"bls12_381.{which}")
    kind = arkworks.G1Point if which == "g1" else arkworks.G2Point
    source = random.Random(which)
    scalars = [source.randrange(group.order) for _ in range(20)]
    theirs = [kind() * arkworks.Scalar.from_le_bytes(k.to_bytes(32, "little")) for k in scalars]
    ours = group.multiply(np.repeat(group.generator[None], 20, axis=0), words(scalars))
    written = [bytes(point.to_compressed_bytes()) for point in theirs]
    assert [row.tobytes() for row in group.to_bytes(ours, "zcash_compressed")] == written
    read, verdicts = group.from_bytes(
        np.array([list(data) for data in written], np.uint8), "zcash_compressed"
    )
    assert (verdicts == 1).all()
    assert (read == ours).all()
    pairs = [bytes((a + b).to_compressed_bytes()) for a, b in zip(theirs, theirs[::-1], strict=True)]
    assert [row.tobytes() for row in group.to_bytes(group.add(ours, ours[::-1]), "zcash_compressed")] == pairs


# Arithmetic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_of_special_points(backend, name):
    group, oracle, points = group_of(name), GROUPS[name], special(name)
    first = [a for a in points for _ in points]
    second = [b for _ in points for b in points]
    a, b = array(name, first), array(name, second)
    total = array(name, [oracle.add(p, q) for p, q in zip(first, second, strict=True)])
    assert (group.add(a, b, backend=backend) == total).all()
    some = array(name, points)
    assert (group.double(some, backend=backend) == array(name, [oracle.add(p, p) for p in points])).all()
    assert (group.negate(some, backend=backend) == array(name, [oracle.negate(p) for p in points])).all()
    assert group.on_curve(some, backend).tolist() == [1] * len(points)
    assert group.in_subgroup(some, backend).tolist() == [int(oracle.in_subgroup(p)) for p in points]


@pytest.mark.parametrize("name", NAMES)
def test_multiples(backend, name):
    """Scalars at the edges of digits and of the order, on points in and outside the subgroup."""
    group, oracle = group_of(name), GROUPS[name]
    source = random.Random(name)
    edges = [0, 1, 7, 8, 9, 16, oracle.order - 1, oracle.order, oracle.order + 1, (1 << 256) - 1, 1 << 255]
    scalars = [*edges, int("8" * 64, 16), int("7" * 64, 16), source.getrandbits(256)]
    points = [special(name)[1 + index % 6] for index in range(len(scalars))]
    expected = array(name, [oracle.multiply(k, p) for k, p in zip(scalars, points, strict=True)])
    assert (group.multiply(array(name, points), words(scalars), backend=backend) == expected).all()


@pytest.mark.parametrize("name", NAMES)
def test_sums(backend, name):
    group, oracle, points = group_of(name), GROUPS[name], special(name)
    for count in (0, 1, 2, 3, 7):
        used = points[1 : 1 + count] if count < 7 else points
        expected = array(name, [oracle.sum(used)])[0]
        given = array(name, used) if used else np.zeros((0, *expected.shape), np.uint64)
        assert (group.sum(given, backend=backend) == expected).all()
    cancelling = array(name, [points[1], points[2]] * 5 + [points[3]])
    assert (group.sum(cancelling, backend=backend) == array(name, [points[3]])[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_forms(backend, name):
    """Any Z means the same point; every operation takes and gives every form."""
    group, oracle = group_of(name), GROUPS[name]
    f, source = oracle.field, random.Random(name)
    jacobian, extended = [], []
    for point in special(name):
        z = f.zero if point is None else f.element([source.randrange(oracle.p) for _ in range(oracle.degree)])
        square = f.mul(z, z)
        x, y = point or (f.one, f.one)
        left, right = (x, y) if point is None else (f.mul(x, square), f.mul(y, f.mul(z, square)))
        jacobian.append(((left, right), (z, f.zero)))
        extended.append(((left, right), (square, f.mul(z, square))))

    def joined(rows, coordinates):
        halves = [array(name, [row[side] for row in rows]) for side in (0, 1)]
        return np.concatenate(halves, axis=1)[:, :coordinates]

    affine = array(name, special(name))
    given = {"affine": affine, "jacobian": joined(jacobian, 3), "xyzz": joined(extended, 4)}
    doubled = group.double(affine, backend=backend)
    for form, points in given.items():
        assert (group.normalise(points, backend) == affine).all()
        assert (group.add(points, affine, backend=backend) == doubled).all()
        for other in given:
            converted = group.convert(points, other, backend)
            assert converted.shape == given[other].shape
            assert (group.normalise(converted, backend) == affine).all()
        result = group.double(points, form=form, backend=backend)
        assert result.shape == points.shape
        assert (group.normalise(result, backend) == doubled).all()
    broken = given["xyzz"].copy()
    broken[3].reshape(4, -1)[2, 0] ^= np.uint64(1)
    with pytest.raises(ArgumentError, match="row 3"):
        group.normalise(broken, backend)
    size = oracle.base.words
    for points in (given["jacobian"], given["xyzz"]):
        for part in range(points[4].size // size):  # the same number, p added to it
            broken = points.copy()
            found = broken[4].reshape(-1, size)[part]
            number = int.from_bytes(found.tobytes(), "little") + oracle.p
            found[:] = [number >> 64 * index & (1 << 64) - 1 for index in range(size)]
            with pytest.raises(ArgumentError, match="row 4"):
                group.normalise(broken, backend)


@pytest.mark.parametrize("name", ["bn254.g1", "bls12_381.g2"])
def test_results_do_not_depend_on_threads_or_size(backend, name):
    """More items than a workspace and a slice hold; the items of one call are those of many."""
    group = group_of(name)
    points = np.resize(array(name, special(name)), (2311, *group.generator.shape))
    other = points[::-1].copy()
    alone = group.add(points, other, backend=backend)
    flags = group.in_subgroup(points[:600], backend)
    try:
        set_threads(3)
        assert (group.add(points, other, backend=backend) == alone).all()
        assert (group.in_subgroup(points[:600], backend) == flags).all()
    finally:
        set_threads(1)
    count = len(special(name))
    pieces = [
        group.add(points[at : at + count], other[at : at + count], backend=backend) for at in (0, 700, 2304)
    ]
    for at, piece in zip((0, 700, 2304), pieces, strict=True):
        assert (piece == alone[at : at + count]).all()
    assert flags.tolist() == np.resize(flags[:count], 600).tolist()


@pytest.mark.parametrize("name", ["bn254.g1", "bls12_381.g1"])
def test_no_points(backend, name):
    group = group_of(name)
    none = array(name, [])
    assert none.shape[0] == 0
    for found in (
        group.add(none, none, backend=backend),
        group.multiply(none, words([]).reshape(0, 4), backend=backend),
        group.normalise(none, backend),
        group.from_bytes(none, "limbs", backend=backend)[0],
        group.from_snarkjs(group.to_snarkjs(none, backend), backend=backend)[0],
    ):
        assert found.shape == none.shape
    for verdicts in (group.on_curve(none, backend), group.in_subgroup(none, backend)):
        assert verdicts.shape == (0,)


# Arguments -------------------------------------------------------------------------------------------------


def test_a_curve_and_its_groups():
    for name in ("bn254", "bls12_381"):
        curve = curves.get(name)
        assert curve is curves.get(name)
        assert curve.order == curve.g1.order == curve.g2.order == GROUPS[f"{name}.g1"].order
        for group in (curve.g1, curve.g2):
            assert (group.generator == array(group.name, [GROUPS[group.name].generator])[0]).all()
            assert not group.generator.flags.writeable
    with pytest.raises(ArgumentError, match=r"'name'.*bls12_381, bn254"):
        curves.get("bls12-377")


@pytest.mark.parametrize("name", NAMES)
def test_points_that_are_none(backend, name):
    group, oracle = group_of(name), GROUPS[name]
    x, y = oracle.generator
    field = oracle.field
    off = array(name, [(x, y), (x, field.add(y, field.one)), None])
    large = array(name, [(x, y), (x, y)])
    parts = large[1].reshape(-1, oracle.base.words)
    parts[-1] = [oracle.p >> 64 * index & (1 << 64) - 1 for index in range(oracle.base.words)]
    scalars = words([1, 2, 3])
    for points, row in ((off, 1), (large, 1)):
        good = array(name, [(x, y)] * len(points))
        assert group.on_curve(points, backend).tolist()[row] == -1
        assert group.in_subgroup(points, backend).tolist()[row] == -1
        for call in (
            lambda points=points, good=good: group.add(points, good, backend=backend),
            lambda points=points: group.double(points, backend=backend),
            lambda points=points: group.negate(points, backend=backend),
            lambda points=points: group.multiply(points, scalars[: len(points)], backend=backend),
            lambda points=points: group.sum(points, backend=backend),
            lambda points=points: group.to_bytes(points, "big", backend),
        ):
            with pytest.raises(ArgumentError, match=f"row {row}"):
                call()
        with pytest.raises(ArgumentError, match="'b'"):
            group.add(good, points, backend=backend)


def test_wrong_arguments():
    group = curves.get("bn254").g1
    points, scalars = group.generator[None], words([1])
    wrong = [
        points[0],
        points.astype(np.int64),
        points[:, :, :3],
        points[:, :1],
        points.tolist(),
        np.zeros((1, 2, 2, 4), np.uint64),
    ]
    for given in wrong:
        for call in (group.double, group.sum, group.on_curve, group.in_subgroup, group.normalise):
            with pytest.raises(ArgumentError, match=r"uint64 array of shape \(n, 2, 4\)"):
                call(given)
    for given in (scalars[0], scalars.astype(np.int64), scalars[:, :3], [[1], [2, 3]], None):
        with pytest.raises(ArgumentError, match=r"'scalars'.*\(n, 4\)"):
            group.multiply(points, given)
    with pytest.raises(ArgumentError, match=r"scalars.*1 items"):
        group.multiply(points, words([1, 2]))
    with pytest.raises(ArgumentError, match=r"'b'.*2 items"):
        group.add(points, np.concatenate((points, points)))
    with pytest.raises(ArgumentError, match=r"'form'.*projective.*affine, jacobian, xyzz"):
        group.double(points, form="projective")
    with pytest.raises(ArgumentError, match="'backend'"):
        group.double(points, backend="gpu")
    for call in (
        lambda: group.double(points, form=["affine"]),
        lambda: group.from_bytes(points, "limbs", check=["none"]),
        lambda: group.from_snarkjs([], check=["none"]),
        lambda: curves.get(["bn254"]),
    ):
        with pytest.raises(ArgumentError, match=r"\[.*\]"):
            call()
