# SPDX-License-Identifier: GPL-3.0-or-later
"""What every encoding accepts and writes, against the oracle, at the edges of its rule."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from host_device import HostStream, ResidentArray
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import point_compression

from supervm.crypto import curves, point_encodings
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.oracle.point_encodings import ENCODINGS, decode, encode, length
from supervm.kernels.cuda.runtime import batch
from supervm.kernels.errors import ArgumentError

OPERATION = "bn254.g1.decode"
CASES = [(name, encoding) for encoding, form in ENCODINGS.items() for name in form.groups]
BYTES = [pytest.param(*case, id="-".join(case)) for case in CASES]


def group_of(name):
    curve, _, which = name.partition(".")
    return getattr(curves.get(curve), which)


def rows(items):
    return np.array([np.frombuffer(item, np.uint8) for item in items])


def raw(name, point):
    """The bytes of a point's words, as an array of this library has them."""
    group = GROUPS[name]
    x, y = point or (group.field.zero, group.field.zero)
    size = 8 * group.base.words
    return b"".join(part.to_bytes(size, "little") for part in (*group.field.parts(x), *group.field.parts(y)))


@functools.cache
def points(name):
    """Infinity, both signs, real and imaginary coordinates, points outside the subgroup and of small order."""
    group = GROUPS[name]
    other = group.curve_point(5)
    base = group.generator
    found = [
        None,
        base,
        group.negate(base),
        group.multiply(3, base),
        other,
        group.multiply(group.order, other),
    ]
    if group.spec.name == "bls12_381.g1":
        found += [(0, 2), (0, group.p - 2)]  # of order three, and the abscissa is zero
    return found


@functools.cache
def inputs(name, encoding):
    """Bytes at every edge of the rule, with what the oracle says of them."""
    form, group = ENCODINGS[encoding], GROUPS[name]
    size = form.padding + 8 * group.base.words
    good = encode(name, group.generator, encoding)
    items = [encode(name, point, encoding) for point in points(name)]
    for at in range(0, len(good), size):
        masked = bytearray(good[at : at + size])
        if form.flags and at == (0 if form.flags == "zcash" else len(good) - size):
            masked[0 if form.flags == "zcash" else -1] &= 0x1F
        again = int.from_bytes(masked, form.order) + group.p  # the same point, if p were let pass
        for part in (0, 1, group.p - 1, group.p, group.p + 1, again, (1 << 8 * group.base.words) - 1):
            changed = bytearray(good)
            changed[at : at + size] = part.to_bytes(size, form.order)
            if form.flags == "zcash" and at == 0:
                changed[0] |= good[0] & 0xE0
            items.append(bytes(changed))
        if form.padding:
            for place in (0, form.padding - 1):
                changed = bytearray(good)
                changed[at + place] = 1
                items.append(bytes(changed))
                items.append(bytes(changed[: at + size]) + bytes(len(good) - at - size))
    flagged = {"zcash": (0, (0x80, 0x40, 0x20)), "arkworks": (-1, (0x80, 0x40))}
    place, bits = flagged.get(form.flags, (0, (0x80, 0x40, 0x20)))
    infinite = bytearray(encode(name, None, encoding))
    almost = bytearray(infinite)
    almost[len(almost) // 2] ^= 1
    for source in (bytearray(good), infinite, almost, bytearray(len(good))):
        for chosen in itertools.product((False, True), repeat=len(bits)):
            changed = bytearray(source)
            changed[place] &= 0xFF ^ sum(bits)
            changed[place] |= sum(bit for bit, taken in zip(bits, chosen, strict=True) if taken)
            items.append(bytes(changed))
    items.append(b"\xff" * len(good))
    return items, [decode(name, item, encoding) for item in items]


@pytest.mark.parametrize(("name", "encoding"), BYTES)
def test_every_edge_is_the_oracles(backend, name, encoding):
    items, expected = inputs(name, encoding)
    found, verdicts = group_of(name).from_bytes(rows(items), encoding, backend=backend)
    assert verdicts.tolist() == [verdict for verdict, _ in expected]
    assert [row.tobytes() for row in found] == [raw(name, point) for _, point in expected]
    assert set(verdicts.tolist()) >= ({-1, 0, 1} if GROUPS[name].cofactor > 1 else {-1, 1})


@functools.cache
def abscissas_of_real_squares():
    """x = s + t·u where x³ + b has no imaginary part, and that it is a square in Fp of, and those where it is none."""
    group = GROUPS["bls12_381.g2"]
    p, (_, imaginary) = group.p, group.spec.b
    found = {True: [], False: []}
    for t in range(1, 60):
        square = (t**3 - imaginary) * pow(3 * t, -1, p) % p
        if (s := group.base.sqrt(square)) is not None:
            real, rest = group.right_side((s, t))
            assert rest == 0
            found[group.base.sqrt(real) is not None].append((s, t))
    return found


@pytest.mark.parametrize("square", [True, False])
def test_roots_of_elements_of_the_prime_field(backend, square):
    """Where the norm's root is the opposite of the element itself, and where it is not."""
    name, encoding = "bls12_381.g2", "zcash_compressed"
    group = GROUPS[name]
    points = [
        group.lift_x(x, larger) for x in abscissas_of_real_squares()[square] for larger in (True, False)
    ]
    assert len(points) > 10
    data = rows([encode(name, point, encoding) for point in points])
    found, verdicts = group_of(name).from_bytes(data, encoding, check="curve", backend=backend)
    assert set(verdicts.tolist()) == {1}
    assert [row.tobytes() for row in found] == [raw(name, point) for point in points]


@pytest.mark.twin
@pytest.mark.parametrize(("name", "encoding"), BYTES)
def test_bytes_on_a_gpu_stay_there(name, encoding, device, monkeypatch):
    """Wherever they begin; nothing but results of fixed size is copied."""
    monkeypatch.setattr(HostStream, "upload", None)
    monkeypatch.setattr(HostStream, "download", None)
    monkeypatch.setattr(batch, "PIECE_ITEMS", 50)
    group, (items, expected) = group_of(name), inputs(name, encoding)
    for shift in (0, 1):
        memory = np.frombuffer(bytes(shift) + b"".join(items), np.uint8)
        data = ResidentArray(memory[shift:].reshape(len(items), -1))
        found, verdicts = group.from_bytes(data, encoding)
        assert verdicts.get().tolist() == [verdict for verdict, _ in expected]
        assert [row.tobytes() for row in found.get()] == [raw(name, point) for _, point in expected]
    again, verdicts = group.from_bytes(found, "limbs")
    assert np.array_equal(again.get(), found.get())
    assert set(verdicts.get().tolist()) == {1}
    with pytest.raises(ArgumentError, match=r"backend.*'scalar'"):
        group.from_bytes(data, encoding, backend="scalar")
    with pytest.raises(ArgumentError, match=r"data.*uint64"):
        group.from_bytes(data, "limbs")
    with pytest.raises(ArgumentError, match=r"data.*uint8"):
        group.from_bytes(found, encoding)


@pytest.mark.twin
@pytest.mark.parametrize(("name", "encoding"), BYTES)
def test_checks_on_a_gpu_are_those_of_the_processor(name, encoding, device):
    group, data = group_of(name), rows(inputs(name, encoding)[0])
    for check in ("none", "field", "curve"):
        here = group.from_bytes(data, encoding, check, "scalar")
        for found in (
            group.from_bytes(data, encoding, check, "cuda"),
            [array.get() for array in group.from_bytes(ResidentArray(data), encoding, check)],
        ):
            assert all(np.array_equal(one, other) for one, other in zip(here, found, strict=True))


@pytest.mark.parametrize(("name", "encoding"), BYTES)
def test_points_come_back(backend, name, encoding):
    group = group_of(name)
    written = rows([encode(name, point, encoding) for point in points(name)])
    assert written.shape[1] == length(name, encoding)
    found, verdicts = group.from_bytes(written, encoding, "curve", backend)
    assert (verdicts == 1).all()
    assert [row.tobytes() for row in found] == [raw(name, point) for point in points(name)]
    assert (group.to_bytes(found, encoding, backend) == written).all()
    assert (group.to_bytes(found[1], encoding, backend) == written[1]).all()
    none, verdicts = group.from_bytes(written[:0], encoding, backend=backend)
    assert none.shape == (0, *group.generator.shape)
    assert verdicts.shape == (0,)
    assert group.to_bytes(none, encoding).shape == (0, written.shape[1])


@pytest.mark.parametrize(("name", "encoding"), BYTES)
def test_what_is_written_for_every_sign(name, encoding):
    """y with one part zero or at the half of p: whether it lies on the curve is not asked here."""
    group = GROUPS[name]
    half = (group.p - 1) // 2
    edges = [0, 1, half - 1, half, half + 1, group.p - 1]
    parts = [(a, b) for a in edges for b in edges] if group.degree == 2 else [(a,) for a in edges[1:]]
    x = group.generator[0]
    given = [(x, group.field.element(own)) for own in parts]
    limbs = rows([raw(name, point) for point in given]).view(np.uint64)
    spec = group_of(name).spec
    found = point_encodings.write(spec, point_encodings.encoding_of(spec, encoding), limbs)
    assert [row.tobytes() for row in found] == [encode(name, point, encoding) for point in given]


@pytest.mark.parametrize("name", GROUPS)
def test_each_check_includes_those_before(backend, name):
    group, oracle = group_of(name), GROUPS[name]
    x, y = oracle.generator
    field = oracle.field
    outside = points(name)[4]
    out = bytearray(raw(name, (x, y)))
    out[-8 * oracle.base.words :] = oracle.p.to_bytes(8 * oracle.base.words, "little")
    items = [
        raw(name, (x, y)),
        raw(name, None),
        raw(name, outside),
        raw(name, (x, field.add(y, field.one))),
        bytes(out),
    ]
    inside = int(oracle.in_subgroup(outside))
    expected = {
        "none": [1, 1, 1, 1, 1],
        "field": [1, 1, 1, 1, -1],
        "curve": [1, 1, 1, -1, -1],
        "subgroup": [1, 1, inside, -1, -1],
    }
    limbs = rows(items).view(np.uint64).reshape(len(items), *group.generator.shape)
    for check, verdicts in expected.items():
        for data, encoding in ((rows(items), "little"), (limbs, "limbs")):
            found, said = group.from_bytes(data, encoding, check, backend)
            assert said.tolist() == verdicts
            kept = [
                item if verdict == 1 else bytes(len(item))
                for item, verdict in zip(items, verdicts, strict=True)
            ]
            assert [row.tobytes() for row in found] == kept
    assert (group.to_bytes(limbs[:3], "limbs", backend) == limbs[:3]).all()


@pytest.mark.parametrize("name", ["bls12_381.g1", "bls12_381.g2"])
def test_compressed_points_are_py_eccs(name):
    """py_ecc writes the same bytes for both signs, and infinity."""
    write = {"bls12_381.g1": point_compression.compress_G1, "bls12_381.g2": point_compression.compress_G2}[
        name
    ]
    from py_ecc import optimized_bls12_381 as peer

    base, group = getattr(peer, name[-2:].upper()), GROUPS[name]
    theirs = [peer.multiply(base, k) for k in (1, 2, 5, group.order - 1, group.order - 5)]
    whole = [write(point) for point in theirs]
    data = [
        b"".join(part.to_bytes(48, "big") for part in (item if isinstance(item, tuple) else (item,)))
        for item in whole
    ]
    ours = [group.multiply(k, group.generator) for k in (1, 2, 5, -1, -5)]
    assert data == [encode(name, point, "zcash_compressed") for point in ours]


@pytest.mark.parametrize("name", ["bls12_381.g1", "bls12_381.g2"])
def test_roots_of_every_kind(backend, name):
    """Abscissas in a row, of which about half are of points: what has no root is malformed, signs are as asked for."""
    group = GROUPS[name]
    encoded = []
    for start in range(120):
        parts = [start, start % 3] if start < 60 else [group.p - start, 0]
        x = group.field.element(parts[: group.degree])
        point = (x, group.field.zero)
        data = bytearray(encode(name, point, "zcash_compressed"))
        data[0] |= 0x20 * (start % 2)
        encoded.append((bytes(data), group.lift_x(x, start % 2 == 1)))
    found, verdicts = group_of(name).from_bytes(
        rows([data for data, _ in encoded]), "zcash_compressed", "curve", backend
    )
    assert verdicts.tolist() == [-1 if point is None else 1 for _, point in encoded]
    assert [row.tobytes() for row in found] == [raw(name, point) for _, point in encoded]
    assert {-1, 1} == set(verdicts.tolist())


@given(st.data())
@settings(max_examples=60)
def test_any_bytes(data):
    """Whatever the bytes, the verdict is the oracle's, and what is valid is written as it was read or as infinity."""
    name, encoding = data.draw(st.sampled_from(CASES))
    size = length(name, encoding)
    item = bytearray(encode(name, data.draw(st.sampled_from(points(name))), encoding))
    for _ in range(data.draw(st.integers(0, 3))):
        item[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    group = group_of(name)
    found, verdicts = group.from_bytes(rows([bytes(item)]), encoding, backend="scalar")
    verdict, point = decode(name, bytes(item), encoding)
    assert verdicts.tolist() == [verdict]
    assert found.tobytes() == raw(name, point)


# snarkjs -----------------------------------------------------------------------------------------------------


def as_json(name, point):
    group = GROUPS[name]
    zero, one = group.field.zero, group.field.one
    triple = (zero, one, zero) if point is None else (*point, one)
    texts = [[str(part) for part in group.field.parts(value)] for value in triple]
    return texts if group.degree == 2 else [text for (text,) in texts]


@pytest.mark.parametrize("name", GROUPS)
def test_snarkjs(name):
    group, oracle = group_of(name), GROUPS[name]
    written = [as_json(name, point) for point in points(name)]
    found, verdicts = group.from_snarkjs(written)
    assert verdicts.tolist() == [int(oracle.in_subgroup(point)) for point in points(name)]
    found, verdicts = group.from_snarkjs(written, "curve")
    assert (verdicts == 1).all()
    assert [row.tobytes() for row in found] == [raw(name, point) for point in points(name)]
    assert group.to_snarkjs(found) == written
    assert group.to_snarkjs(found[:0]) == []
    assert group.from_snarkjs([])[0].shape == (0, *group.generator.shape)


@pytest.mark.parametrize("name", ["bn254.g1", "bls12_381.g2"])
def test_snarkjs_refuses(name):
    group, oracle = group_of(name), GROUPS[name]
    good = as_json(name, oracle.generator)
    pair = (lambda text: [text, "0"]) if oracle.degree == 2 else (lambda text: text)
    wrong = [
        good[:2],
        [*good, good[0]],
        [good[0], good[1], pair("2")],
        [pair(str(oracle.p)), good[1], good[2]],
        [pair("-1"), good[1], good[2]],
        [pair("0x1"), good[1], good[2]],
        [pair(" 1"), good[1], good[2]],
        [pair("٣"), good[1], good[2]],
        [pair(1), good[1], good[2]],
        [pair("9" * 5000), good[1], good[2]],
        [pair(str(oracle.p)), good[1], pair("0")],
        [pair("0"), pair("0"), pair("1")],
        [good[0], good[0], good[2]],
        [["1"], ["2"], ["1"]],
        "1",
        None,
    ]
    for check in ("none", "subgroup"):
        _, verdicts = group.from_snarkjs([good, *wrong], check)
        expected = [1] + [-1] * len(wrong)
        if check == "none":
            expected[1 + 12] = 1  # in the field, and no more was asked
        assert verdicts.tolist() == expected
    for given_points in ("", None, {}, iter([])):
        with pytest.raises(ArgumentError, match="'points'"):
            group.from_snarkjs(given_points)
    with pytest.raises(ArgumentError, match="'check'"):
        group.from_snarkjs([good], "everything")


# Arguments -------------------------------------------------------------------------------------------------


def test_wrong_arguments():
    group, other = curves.get("bn254").g1, curves.get("bls12_381").g2
    data = rows([encode("bn254.g1", GROUPS["bn254.g1"].generator, "eip196")])
    for encoding in ("eip2537", "zcash_compressed", "zcash_uncompressed", "sec1", ""):
        with pytest.raises(ArgumentError, match=r"'encoding'.*bn254\.g1 one of limbs, big, little, eip196"):
            group.from_bytes(data, encoding)
        with pytest.raises(ArgumentError, match="'encoding'"):
            group.to_bytes(group.generator, encoding)
    for encoding in ("eip196", "eip197"):
        with pytest.raises(ArgumentError, match="'encoding'"):
            other.from_bytes(data, encoding)
    with pytest.raises(ArgumentError, match=r"'check'.*none, field, curve, subgroup"):
        group.from_bytes(data, "eip196", "all")
    for wrong in (data[:, :63], data[0], data.astype(np.int8), data.tobytes(), None):
        with pytest.raises(ArgumentError, match=r"'data'.*\(n, 64\)"):
            group.from_bytes(wrong, "eip196")
    for wrong in (data, group.generator, group.generator[None].astype(float)):
        with pytest.raises(ArgumentError, match=r"'data'.*\(n, 2, 4\)"):
            group.from_bytes(wrong, "limbs")
    with pytest.raises(ArgumentError, match="'points'"):
        group.to_bytes(other.generator, "big")
