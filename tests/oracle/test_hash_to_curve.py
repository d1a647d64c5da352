# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle's hashing to curves, and the parameters of its maps, against RFC 9380, EIP-2537, py_ecc and definitions."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from py_ecc.bls import hash_to_curve as peer

from supervm.crypto.oracle import hash_to_curve as oracle
from supervm.crypto.oracle.pairing_groups import GROUPS, Group, Point
from supervm.crypto.params import bls12_381
from supervm.kernels.spec import Coordinate

RFC = Path(__file__).resolve().parents[3] / "shared" / "data" / "h2c"
VECTORS = Path(__file__).resolve().parents[1] / "vectors"
NAMES = list(oracle.COFACTORS)


@pytest.fixture(params=NAMES)
def group(request: pytest.FixtureRequest) -> Group:
    return GROUPS[request.param]


def _published(name: str) -> Any:
    path = RFC / f"{name}.json"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return json.loads(path.read_text("utf-8"))


def _element(text: str) -> Coordinate:
    parts = [int(part, 16) for part in text.split(",")]
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _point(case: dict[str, str]) -> Point:
    return _element(case["x"]), _element(case["y"])


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        ("BLS12381G1_XMD-SHA-256_SSWU_RO_", "bls12_381.g1"),
        ("BLS12381G2_XMD-SHA-256_SSWU_RO_", "bls12_381.g2"),
        ("BLS12381G2_XMD-SHA-256_SSWU_NU_", "bls12_381.g2"),
    ],
)
def test_the_suites_of_the_rfc(suite: str, name: str) -> None:
    published, group = _published(suite), GROUPS[name]
    hashed = oracle.hash_to_curve if published["randomOracle"] else oracle.encode_to_curve
    assert published["vectors"]
    for case in published["vectors"]:
        message, tag = case["msg"].encode(), published["dst"].encode()
        elements = oracle.hash_to_field(group, message, tag, len(case["u"]))
        assert elements == [_element(u) for u in case["u"]]
        mapped = [_point(case[key]) for key in ("Q", "Q0", "Q1") if key in case]
        assert [oracle.map_to_curve(group, u) for u in elements] == mapped
        assert hashed(name, message, tag) == _point(case["P"])


def test_the_expander_of_the_rfc() -> None:
    published = _published("expand_message_xmd_SHA256_38")
    for case in published["tests"]:
        length = int(case["len_in_bytes"], 16)
        found = oracle.expand_message_xmd(case["msg"].encode(), published["DST"].encode(), length)
        assert found.hex() == case["uniform_bytes"]


@pytest.mark.parametrize("tag", [b"x" * 255, b"x" * 256])
def test_the_expander_agrees_with_py_ecc_at_the_longest_tag(tag: bytes) -> None:
    """py_ecc refuses a longer one, which is hashed first."""
    shown = tag if len(tag) < 256 else hashlib.sha256(b"H2C-OVERSIZE-DST-" + tag).digest()
    for length in (1, 32, 33, 255 * 32):
        expected = peer.expand_message_xmd(b"message", shown, length, hashlib.sha256)
        assert oracle.expand_message_xmd(b"message", tag, length) == expected


def test_what_the_expander_refuses() -> None:
    with pytest.raises(ValueError, match="empty tag"):
        oracle.expand_message_xmd(b"", b"", 32)
    with pytest.raises(ValueError, match="8160"):
        oracle.expand_message_xmd(b"", b"x", 8161)
    with pytest.raises(ValueError, match=r"bn254\.g1"):
        oracle.hash_to_curve("bn254.g1", b"", b"x")


@pytest.mark.parametrize(
    ("file", "name"), [("map_fp_to_G1_bls", "bls12_381.g1"), ("map_fp2_to_G2_bls", "bls12_381.g2")]
)
def test_the_maps_of_eip_2537(file: str, name: str) -> None:
    group = GROUPS[name]
    for case in json.loads((VECTORS / f"{file}.json").read_text("utf-8")):
        data = bytes.fromhex(case["Input"])
        u = group.field.element(int.from_bytes(data[at : at + 64], "big") for at in range(0, len(data), 64))
        point = oracle.map_to_group(group, u)
        assert point is not None
        parts = (*group.field.parts(point[0]), *group.field.parts(point[1]))
        assert b"".join(part.to_bytes(64, "big") for part in parts).hex() == case["Expected"]


def test_a_point_of_py_ecc() -> None:
    tag = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
    x, y, z = peer.hash_to_G2(b"a message", tag, hashlib.sha256)
    expected = tuple(tuple(int(c) for c in (value / z).coeffs) for value in (x, y))
    assert oracle.hash_to_curve("bls12_381.g2", b"a message", tag) == expected


# The parameters --------------------------------------------------------------------------------------------


def test_the_constants_of_the_map(group: Group) -> None:
    """z is no square and not −1, and b/(z·a) is an abscissa; g(x) − z has no root, by the values of the RFC alone."""
    f, swu = group.field, oracle.swu_of(group)
    a, b, z = (oracle._reduced(group, constant) for constant in (swu.a, swu.b, swu.z))
    assert f.sqrt(z) is None
    assert z != f.sub(f.zero, f.one)
    x = f.mul(b, f.inverse(f.mul(z, a)))
    assert oracle._reduced(group, swu.exceptional_x) == x
    assert f.mul(z, x) == f.sub(f.zero, oracle._reduced(group, swu.minus_b_over_a))
    assert f.sqrt(f.add(f.mul(f.add(f.mul(x, x), a), x), b)) is not None
    norm = sum(part * part for part in group.field.parts(z)) if group.degree == 2 else z
    assert (swu.norm_root**2 + norm**3) % group.p == 0


def test_the_isogeny_is_one_of_curves(group: Group) -> None:
    """Images lie on the group's curve, the sum of two is that of their points, and the kernel goes to infinity."""
    f, swu, source = group.field, oracle.swu_of(group), random.Random(group.spec.name)
    a = oracle._reduced(group, swu.a)

    def added(first: Point, second: Point) -> Point:
        (x1, y1), (x2, y2) = first, second
        slope = f.mul(f.sub(y2, y1), f.inverse(f.sub(x2, x1)))
        x3 = f.sub(f.sub(f.mul(slope, slope), x1), x2)
        return x3, f.sub(f.mul(slope, f.sub(x1, x3)), y1)

    points = [
        oracle.simplified_swu(group, f.element(source.randrange(group.p) for _ in range(group.degree)))
        for _ in range(6)
    ]
    for x, y in points:
        cube = f.mul(f.add(f.mul(x, x), a), x)
        assert f.mul(y, y) == f.add(cube, oracle._reduced(group, swu.b))
    for first, second in zip(points[::2], points[1::2], strict=True):
        images = [oracle.isogeny(group, point) for point in (first, second, added(first, second))]
        assert all(group.on_curve(image) for image in images)
        assert group.add(images[0], images[1]) == images[2]
    x = {"bls12_381.g1": bls12_381.ORDER_11, "bls12_381.g2": ((-6) % group.p, 6)}[group.spec.name]
    y = f.sqrt(f.add(f.mul(f.add(f.mul(x, x), a), x), oracle._reduced(group, swu.b)))
    assert y is not None or group.degree == 2
    assert oracle.isogeny(group, (x, y or f.one)) is None


def test_the_terms_that_clear_the_cofactor_are_h_eff(group: Group) -> None:
    """For points of the whole curve, those of an order that divides the cofactor among them."""
    swu, test = oracle.swu_of(group), group.spec.membership
    bar = (lambda c: (c[0], -c[1] % group.p)) if group.degree == 2 else (lambda c: c)
    other = group.curve_point(7)
    for point in (None, group.generator, other, group.multiply(group.order, other)):
        total = None
        for row in reversed(swu.clearing):
            if total is not None:
                total = group.field.mul(test.map.x, bar(total[0])), group.field.mul(test.map.y, bar(total[1]))
            terms = (group.multiply(c * test.multiplier**j, point) for j, c in enumerate(row))
            total = group.add(total, group.sum(terms))
        assert total == oracle.clear_cofactor(group, point)
        assert group.in_subgroup(total)
