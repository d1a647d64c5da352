# SPDX-License-Identifier: GPL-3.0-or-later
"""circom's and snarkjs' binary files: published ones, made ones, and every way in which one can be wrong."""

from __future__ import annotations

import functools
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from circom_circuits import Circuit, container, drawn, ptau, sections_of
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.crypto import groth16_proving_key, groth16_setup, memory
from supervm.crypto.circom_ptau import Ptau
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_witness import Witness, load_witness, write_witness
from supervm.crypto.circom_zkey import Zkey
from supervm.crypto.errors import CircomFileError, MemoryNeeded
from supervm.crypto.groth16_proving_key import load_zkey
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "groth16"


def there(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"not here: {name}")
    return path


def sums(matrix):
    """Rows of a matrix as {wire: coefficient}."""
    values, found = integers(matrix.values), []
    for start, stop in zip(matrix.starts[:-1], matrix.starts[1:], strict=True):
        found.append(dict(zip(matrix.columns[start:stop].tolist(), values[start:stop], strict=True)))
    return found


def parsed(data):
    """(header, constraints) of a `.r1cs`, read one by one."""
    (header, constraints) = (dict(sections_of(data))[number] for number in (1, 2))
    found, at = [], 0
    for _ in range(struct.unpack_from("<I", header, 60)[0]):
        row = []
        for _ in range(3):
            (count,) = struct.unpack_from("<I", constraints, at)
            at += 4
            row.append({})
            for _ in range(count):
                (wire,) = struct.unpack_from("<I", constraints, at)
                row[-1][wire] = int.from_bytes(constraints[at + 4 : at + 36], "little")
                at += 36
        found.append(row)
    return struct.unpack_from("<4I", header, 36), found


# Sound files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("constantine_example.r1cs", "bn254"),
        ("circom_compat/mycircuit.r1cs", "bn254"),
        ("snarkjs_groth16/circuit.r1cs", "bn254"),
        ("taceo_bn254_poseidon/circuit.r1cs", "bn254"),
        ("taceo_bls12_381_multiplier2/circuit.r1cs", "bls12_381"),
        ("made/quad_bls12_381.r1cs", "bls12_381"),
    ],
)
def test_published_circuits(name, curve):
    path = there(name)
    found = load_r1cs(path)
    (wires, outputs, public, private), constraints = parsed(path.read_bytes())
    assert (found.curve, found.wires, found.outputs) == (curve, wires, outputs)
    assert (found.public_inputs, found.private_inputs) == (public, private)
    for place, matrix in enumerate((found.a, found.b, found.c)):
        assert sums(matrix) == [row[place] for row in constraints]
    assert len(found.labels) == wires


@pytest.mark.parametrize("curve", ["bn254", "bls12_381"])
def test_a_circuit_with_empty_sums(curve):
    circuit = drawn(curve, 7)
    found = load_r1cs(circuit.r1cs())
    rows = zip(*(sums(matrix) for matrix in (found.a, found.b, found.c)), strict=True)
    assert list(rows) == circuit.constraints
    assert found.public == 2
    assert load_r1cs(Circuit(curve, 0, 0, 0, [], [1]).r1cs()).constraints == 0


@pytest.mark.parametrize(
    "name", ["snarkjs_groth16/witness.wtns", "made/quad_bls12_381.wtns", "taceo_bn254_poseidon/witness.wtns"]
)
def test_published_witnesses(name):
    path = there(name)
    found, data = load_witness(path), dict(sections_of(path.read_bytes()))[2]
    assert integers(found.values) == [
        int.from_bytes(data[at : at + 32], "little") for at in range(0, len(data), 32)
    ]
    assert write_witness(found) == path.read_bytes()
    assert np.array_equal(load_witness(b"\0" * 0 + path.read_bytes()).values, found.values)


def test_a_witness_is_checked():
    one, r = np.array([[1, 0, 0, 0]], np.uint64), np.full((1, 4), 2**64 - 1, np.uint64)
    assert len(Witness("bn254", one)) == 1
    assert repr(Witness("bn254", one)) == "Witness(curve='bn254')"
    for values in (one[:0], 2 * one, np.concatenate((one, r)), one.astype(np.int64), [[1, 0, 0, 0]]):
        with pytest.raises(ArgumentError, match="values"):
            Witness("bn254", values)
    with pytest.raises(ArgumentError, match="curve"):
        Witness("secp256k1", one)


def test_a_file_on_disk_is_read_as_its_bytes(tmp_path):
    path = tmp_path / "c.r1cs"
    path.write_bytes(drawn("bn254", 5).r1cs())
    assert sums(load_r1cs(path).a) == sums(load_r1cs(str(path)).a) == sums(load_r1cs(path.read_bytes()).a)
    with pytest.raises(FileNotFoundError):
        load_r1cs(tmp_path / "none.r1cs")
    with pytest.raises(ArgumentError, match="source"):
        load_r1cs(7)


def test_bytes_however_they_lie_in_memory():
    """Writable ones, and every second byte of an array."""
    data = drawn("bn254", 5).r1cs()
    spread = np.zeros(2 * len(data), np.uint8)
    spread[::2] = np.frombuffer(data, np.uint8)
    for each in (bytearray(data), memoryview(data), memoryview(spread)[::2], memoryview(spread[::2])):
        assert sums(load_r1cs(each).a) == sums(load_r1cs(data).a)
    with pytest.raises(CircomFileError, match="expected b'r1cs'"):
        load_r1cs(memoryview(spread)[1::2])


def test_more_than_memory_says_how_much(tmp_path, monkeypatch):
    path, data, key = tmp_path / "c.r1cs", drawn("bn254", 5).r1cs(), made("bn254")
    path.write_bytes(data)
    monkeypatch.setattr(memory, "available", lambda: 100)
    with pytest.raises(
        MemoryNeeded, match=rf"{2 * len(data):,} bytes of memory, and 100 are available"
    ) as caught:
        load_r1cs(path)
    assert (caught.value.needed, caught.value.available) == (2 * len(data), 100)
    zkey = tmp_path / "c.zkey"
    zkey.write_bytes(key)
    monkeypatch.setattr(memory, "available", lambda: 2 * len(key))
    with pytest.raises(MemoryNeeded, match=f"{18 * len(key):,} bytes"):
        load_zkey(zkey, allow_test_only=True)


def test_memory_is_that_of_the_machine():
    assert 1 << 20 < memory.available() < 1 << 48


# Broken files ------------------------------------------------------------------------------------------------


def with_section(data, number, change):
    """A file with one section changed, by what it was."""
    magic, (version,) = data[:4], struct.unpack_from("<I", data, 4)
    return container(
        magic, version, [(n, change(part) if n == number else part) for n, part in sections_of(data)]
    )


def overwritten(at, new):
    return lambda part: part[:at] + new + part[at + len(new) :]


@functools.cache
def made(curve):
    """A `.zkey`, whose section that marks it is taken out."""
    key = groth16_setup.make_test_key(load_r1cs(drawn(curve, 5).r1cs()))
    sections = sections_of(key)
    return container(b"zkey", 1, sections[:-1])


FF = b"\xff" * 32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: b"wtns" + d[4:], "byte 0: found b'wtns', expected b'r1cs'"),
        (lambda d: b"", "byte 0: found b''"),
        (lambda d: d[:10], "byte 10: found the end of the file, expected a head of 12 bytes"),
        (lambda d: overwritten(4, b"\2")(d), "byte 4: found version 2, expected version 1"),
        (lambda d: overwritten(8, b"\xff\xff\xff")(d), "1024 at most"),
        (lambda d: overwritten(8, b"\4")(d), "section head 4 of 4"),
        (lambda d: d[:-1], "section 3, byte"),
        (lambda d: d + b"\0", "1 bytes behind the last section"),
        (lambda d: overwritten(12, b"\3")(d), "found it a second time"),
        (lambda d: container(b"r1cs", 1, sections_of(d)[1:]), "section 1 (header), byte"),
        (lambda d: container(b"r1cs", 1, sections_of(d)[:2]), "section 3 (wires to labels)"),
        (lambda d: container(b"r1cs", 1, sections_of(d)[::2]), "section 2 (constraints)"),
        (
            lambda d: with_section(d, 1, overwritten(0, b"\x21")),
            "section 1 (header), byte 24: found elements of 33",
        ),
        (
            lambda d: with_section(d, 1, overwritten(4, b"\2")),
            "section 1 (header), byte 28: found the modulus",
        ),
        (lambda d: with_section(d, 1, lambda p: p[:-1]), "expected 64 bytes, a header"),
        (lambda d: with_section(d, 1, lambda p: p[:3]), "expected 4 bytes"),
        (lambda d: with_section(d, 1, overwritten(36, b"\2\0")), "a wire for each of these"),
        (lambda d: with_section(d, 1, overwritten(60, b"\6")), "expected 6 constraints of three sums"),
        (lambda d: with_section(d, 1, overwritten(60, b"\4")), "as long as its 4 constraints are"),
        (lambda d: with_section(d, 1, overwritten(60, b"\xff\xff\xff\xff")), "section 2 (constraints)"),
        (lambda d: with_section(d, 2, overwritten(0, b"\xff\xff\xff\x7f")), "in a constraint"),
        (
            lambda d: with_section(d, 2, overwritten(4, b"\x99")),
            "section 2 (constraints), byte 104: found wire 153",
        ),
        (
            lambda d: with_section(d, 2, overwritten(8, FF)),
            "byte 108: found a coefficient of the modulus or more",
        ),
        (lambda d: with_section(d, 3, lambda p: p + b"\0"), "a label for each of"),
        (lambda d: container(b"r1cs", 1, [*sections_of(d), (4, b"\1\0\0\0")]), "found custom gates"),
    ],
)
def test_broken_circuits(change, said):
    with pytest.raises(CircomFileError) as caught:
        load_r1cs(change(drawn("bn254", 5).r1cs()))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: overwritten(4, b"\1")(d), "version 1, expected version 2"),
        (lambda d: with_section(d, 1, overwritten(4, FF)), "section 1 (header), byte 28"),
        (lambda d: with_section(d, 1, lambda p: p[:-1]), "a header"),
        (lambda d: with_section(d, 2, lambda p: p[:-1]), "a value for each of"),
        (lambda d: with_section(d, 2, overwritten(32, FF)), "section 2 (values), byte 108: found value 1"),
        (
            lambda d: with_section(d, 2, overwritten(0, b"\2")),
            "byte 76: found another value of wire 0, expected 1",
        ),
        (
            lambda d: with_section(with_section(d, 1, overwritten(36, bytes(4))), 2, lambda p: b""),
            "found no values",
        ),
        (lambda d: container(b"wtns", 2, sections_of(d)[:1]), "section 2 (values)"),
    ],
)
def test_broken_witnesses(change, said):
    with pytest.raises(CircomFileError) as caught:
        load_witness(change(drawn("bn254", 5).wtns()))
    assert said in str(caught.value)


OFF_CURVE = (1).to_bytes(32, "little") + (7).to_bytes(32, "little")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: with_section(d, 1, overwritten(0, b"\2")), "found protocol 2, expected 1, Groth16"),
        (lambda d: with_section(d, 2, overwritten(4, FF)), "section 2 (Groth16 header)"),
        (lambda d: with_section(d, 2, overwritten(40, FF)), "section 2 (Groth16 header)"),
        (lambda d: with_section(d, 2, overwritten(80, b"\7")), "a domain of 7 rows"),
        (lambda d: with_section(d, 2, overwritten(80, bytes(4))), "a domain of 0 rows"),
        (lambda d: with_section(d, 2, overwritten(76, b"\xff")), "255 public numbers"),
        (lambda d: with_section(d, 2, lambda p: p[:-1]), "with its points"),
        (lambda d: with_section(d, 2, overwritten(84, bytes(64))), "found infinity for alpha"),
        (lambda d: with_section(d, 2, overwritten(84, OFF_CURVE)), "point 0 that is not on the curve"),
        (lambda d: with_section(d, 3, lambda p: p[:-64]), "section 3 (IC)"),
        (lambda d: with_section(d, 4, overwritten(0, b"\1")), "1 entries"),
        (lambda d: with_section(d, 4, overwritten(4, b"\2")), "matrix 2 in entry 0, expected 0 … 1"),
        (lambda d: with_section(d, 4, overwritten(8, b"\x08")), "row 8 in entry 0, expected 0 … 7"),
        (lambda d: with_section(d, 4, overwritten(12, b"\xff")), "wire 255 in entry 0"),
        (lambda d: with_section(d, 4, overwritten(16, FF)), "the modulus or more in entry 0"),
        (lambda d: with_section(d, 5, overwritten(64, FF)), "section 5 (A in G1)"),
        (lambda d: with_section(d, 5, overwritten(64, OFF_CURVE)), "point 1 that is not on the curve"),
        (lambda d: with_section(d, 7, overwritten(64, FF)), "a coordinate of p or more in point 0"),
        (
            lambda d: with_section(d, 7, overwritten(128 * 8, 2 * OFF_CURVE)),
            "point 8 that is not on the curve",
        ),
        (lambda d: with_section(d, 8, lambda p: p + bytes(64)), "section 8 (C)"),
        (lambda d: with_section(d, 9, lambda p: p[64:]), "section 9 (H)"),
        *(
            (lambda d, n=n: container(b"zkey", 1, [s for s in sections_of(d) if s[0] != n]), f"section {n} (")
            for n in range(1, 10)
        ),
    ],
)
def test_broken_keys(change, said):
    with pytest.raises(CircomFileError) as caught:
        load_zkey(change(made("bn254")), allow_test_only=True)
    assert said in str(caught.value)


def test_a_header_alone_asks_for_no_memory(monkeypatch):
    """Of a key for 2^26 rows without their points, nothing of so many rows is made."""
    monkeypatch.setattr(groth16_proving_key, "places", lambda *of: pytest.fail(f"rows were made: {of}"))
    key = with_section(made("bn254"), 2, overwritten(80, (1 << 26).to_bytes(4, "little")))
    with pytest.raises(CircomFileError, match=r"section 2 .* 67108864 rows and \d+ bytes of section 9 \(H\)"):
        load_zkey(key, allow_test_only=True)


def test_what_is_no_regular_file_is_refused_and_closed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(CircomFileError, match="a directory, device or pipe, expected a regular file"):
            load_witness(path)
    assert os.listdir("/proc/self/fd") == before


def test_an_error_says_the_byte():
    key = made("bn254")
    at = 12
    for number, part in sections_of(key):
        at += 12
        if number == 5:
            break
        at += len(part)
    with pytest.raises(CircomFileError) as caught:
        load_zkey(with_section(key, 5, overwritten(3 * 64 + 32, FF)), allow_test_only=True)
    assert caught.value.offset == at + 3 * 64
    assert caught.value.place == "section 5 (A in G1)"


def test_points_outside_the_subgroup_are_found_on_demand():
    """(x, y) on BLS12-381's curve of G1, outside its subgroup: x = 4, as y² = 68 is a square modulo p."""
    from circom_circuits import PRIMES

    p = PRIMES["bls12_381"]
    y = pow(4**3 + 4, (p + 1) // 4, p)
    assert y * y % p == 68
    point = b"".join((part * (1 << 384) % p).to_bytes(48, "little") for part in (4, y))
    key = with_section(made("bls12_381"), 8, overwritten(0, point))
    load_zkey(key, allow_test_only=True)
    with pytest.raises(
        CircomFileError, match=r"section 8 \(C\), byte \d+: found point 0 outside the subgroup"
    ):
        load_zkey(key, check="subgroup", allow_test_only=True)
    with pytest.raises(ArgumentError, match="check"):
        Zkey(key, check="none")


@settings(max_examples=60)
@given(st.data())
def test_no_damage_ends_in_another_error(data):
    """Cut anywhere, or with any byte of its head or section heads changed, a file is refused or read."""
    kind, read = data.draw(st.sampled_from([("r1cs", load_r1cs), ("wtns", load_witness), ("zkey", Zkey)]))
    circuit = drawn("bn254", 4)
    whole = {"r1cs": circuit.r1cs, "wtns": circuit.wtns, "zkey": lambda: made("bn254")}[kind]()
    at = data.draw(st.integers(0, min(len(whole) - 1, 400)))
    cut = (
        whole[:at]
        if data.draw(st.booleans())
        else overwritten(at, bytes([data.draw(st.integers(0, 255))]))(whole)
    )
    try:
        read(cut)
    except CircomFileError as error:
        assert 0 <= error.offset <= len(whole)  # noqa: PT017


def test_powers_of_tau_that_are_not_prepared():
    data = ptau("bn254", 2, 5, 7, 11)
    unprepared = container(b"ptau", 1, [part for part in sections_of(data) if part[0] < 12])
    with (
        Ptau(unprepared) as found,
        pytest.raises(CircomFileError, match=r"section 12 \(Lagrange polynomials, tau\)"),
    ):
        found.lagrange("tau", 2)
    short = with_section(data, 12, lambda part: part[:-64])
    with Ptau(short) as found, pytest.raises(CircomFileError, match="bytes or more"):
        found.lagrange("tau", 3)
    with pytest.raises(CircomFileError, match="a power of 77"):
        Ptau(with_section(data, 1, overwritten(36, b"\x4d")))
