# SPDX-License-Identifier: GPL-3.0-or-later
"""Precompiled contracts against Ethereum's own tests, go-ethereum's vectors and py_ecc; failing calls; prices."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lanes_here import FULL
from py_ecc import optimized_bls12_381 as bls
from py_ecc import optimized_bn128 as bn
from py_ecc.bls.hash_to_curve import clear_cofactor_G1, clear_cofactor_G2, map_to_curve_G1, map_to_curve_G2

from supervm.crypto import curves, precompiles
from supervm.crypto.hashes import keccak256
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.kernels.errors import ArgumentError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ETHEREUM_TESTS = SHARED / "evm" / "eest_state.tar.xz"
"""State tests of ethereum/execution-specs: contracts that call a precompiled one with a transaction's data, and what they
store: whether it succeeded, how long the answer is, and its hash."""

CONTRACTS = {
    6: "bn254_add",
    7: "bn254_mul",
    8: "bn254_pairing_check",
    10: "point_evaluation",
    11: "bls12_g1add",
    12: "bls12_g1msm",
    13: "bls12_g2add",
    14: "bls12_g2msm",
    15: "bls12_pairing_check",
    16: "bls12_map_fp_to_g1",
    17: "bls12_map_fp2_to_g2",
}
"""By address."""

CALL = re.compile(r"60(..)(?:5a|60(..)|61(.{4})|62(.{6}))f[124a]")
"""The address and the gas that are pushed before a call."""

N, R, P_BN, P_BLS = bn.curve_order, bls.curve_order, bn.field_modulus, bls.field_modulus


@pytest.fixture(params=FULL)
def backend(request: pytest.FixtureRequest) -> str:
    """A processor's backends: pairings have no other."""
    found: str = request.param
    return found


def call(name: str, data: bytes, backend: str = "auto") -> bytes:
    found: bytes = getattr(precompiles, name)(data, backend=backend)
    return found


def failing(name: str, data: bytes, backend: str = "auto") -> None:
    with pytest.raises(ArgumentError, match="argument 'input'"):
        call(name, data, backend)


def read(path: Path) -> Any:
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return json.loads(path.read_text("utf-8"))


# Published vectors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (VECTORS / "bn256Add.json", "bn254_add"),
        (VECTORS / "bn256ScalarMul.json", "bn254_mul"),
        (SHARED / "vectors" / "bn256Pairing.json", "bn254_pairing_check"),
        (VECTORS / "blsG1Add.json", "bls12_g1add"),
        (VECTORS / "blsG1Mul.json", "bls12_g1msm"),
        (SHARED / "precompiles" / "pointEvaluation.json", "point_evaluation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vectors_of_geth(backend: str, path: Path, name: str) -> None:
    for case in read(path):
        data = bytes.fromhex(case["Input"])
        assert call(name, data, backend).hex() == case["Expected"], case["Name"]
        assert precompiles.gas(name, data) == case["Gas"], case["Name"]


def test_pairing_calls_of_ethereumjs(backend: str) -> None:
    """Short and long inputs among them; an empty output is a call that failed."""
    cases = [
        each for each in read(SHARED / "precompiles" / "eth_dump_give.json") if each["op"] == "EC_PAIRING"
    ]
    assert len(cases) == 23
    for case in cases:
        data, output = (bytes.fromhex(case[key][2:]) for key in ("input", "output"))
        if output:
            assert call("bn254_pairing_check", data, backend) == output
        else:
            failing("bn254_pairing_check", data, backend)


@functools.cache
def ethereum_tests() -> dict[str, dict[str, Any]]:
    """Files about these contracts, by folder and name."""
    if not ETHEREUM_TESTS.exists():
        pytest.skip(f"not here: {ETHEREUM_TESTS.name}")
    found = {}
    wanted = re.compile(
        r"(eip2537|eip19[67]\w*|eip4844)_\w+/test_(call_types|isogeny|eip_2537|invalid|\w*inputs|valid_gas|gas)"
    )
    with tarfile.open(ETHEREUM_TESTS) as archive:
        for member in archive:
            if wanted.search(member.name):
                file = archive.extractfile(member)
                assert file is not None
                found["/".join(member.name.split("/")[-2:])] = json.load(file)
    return found


def calls(file: str) -> dict[tuple[str, bytes], dict[str, str]]:
    """(function, input) → what the calling contract stored. A call with too little gas is left out."""
    found = {}
    for case in ethereum_tests()[file].values():
        contract = case["transaction"]["to"]
        made = CALL.search(case["pre"][contract]["code"])
        assert made is not None
        name = CONTRACTS[int(made[1], 16)]
        given = [group for group in made.groups()[1:] if group]
        data = bytes.fromhex(case["transaction"]["data"][0][2:])
        if not given or int(given[0], 16) >= precompiles.gas(name, data):
            [outcome] = next(iter(case["post"].values()))
            found[name, data] = outcome["state"][contract]["storage"]
    return found


BLS_FOLDER = "eip2537_bls_12_381_precompiles"


def test_valid_calls_of_ethereum(backend: str) -> None:
    """Every contract of EIP-2537, G1MSM with the most terms and elements that an isogeny sends to infinity among them."""
    found = {}
    for name in ("test_call_types", "test_eip_2537", "test_gas", "test_isogeny_kernel_values"):
        found |= calls(f"{BLS_FOLDER}/{name}.json")
    assert {name for name, _ in found} == {name for name in CONTRACTS.values() if name.startswith("bls12")}
    for (name, data), stored in found.items():
        output = call(name, data, backend)
        assert int(stored["0x00"], 16) == 1
        assert int(stored["0x01"], 16) == len(output)
        assert int(stored["0x02"], 16) == int.from_bytes(keccak256(output), "big"), name


def test_failing_calls_of_ethereum(backend: str) -> None:
    """Coordinates of p and above, padding that is not zero, points off the curve and outside the group, lengths."""
    found = calls(f"{BLS_FOLDER}/test_invalid.json")
    assert len(found) > 200
    for (name, data), stored in found.items():
        assert not stored
        failing(name, data, backend)


def test_point_evaluations_of_ethereum(backend: str) -> None:
    valid, invalid = (calls(f"eip4844_blobs/test_{kind}_inputs.json") for kind in ("valid", "invalid"))
    assert valid
    assert len(invalid) == 12
    for (name, data), stored in valid.items():
        output = call(name, data, backend)
        assert [int(stored["0x01"], 16), int(stored["0x02"], 16)] == [4096, R]
        assert output == (4096).to_bytes(32, "big") + R.to_bytes(32, "big")
    for name, data in invalid:
        failing(name, data, backend)


@pytest.mark.parametrize("kind", ["g1msm", "g2msm", "pairing"])
def test_prices_of_ethereum(kind: str) -> None:
    """Contracts that call with the exact gas, for every number of terms."""
    size_and_call = r"60006000(?:60(..)|61(.{4})|62(.{6}))60006000" + CALL.pattern
    seen = set()
    for case in ethereum_tests()[f"{BLS_FOLDER}/test_valid_gas_{kind}.json"].values():
        code = case["pre"][case["transaction"]["to"]]["code"]
        for made in re.finditer(size_and_call, code):
            numbers = [int(group, 16) for group in made.groups() if group]
            size, address, paid = numbers
            assert precompiles.gas(CONTRACTS[address], bytes(size)) == paid
            seen.add(size)
    assert len(seen) >= (9 if kind == "pairing" else 128)


def test_prices_of_eip_1108() -> None:
    files = ("eip196_ec_add_mul/test_gas_costs.json", "eip197_ec_pairing/test_gas_costs.json")
    seen = set()
    for file in files:
        for key, case in ethereum_tests()[file].items():
            if "fork_Cancun" in key and "enough_gas_True" in key:
                made = CALL.search(case["pre"][case["transaction"]["to"]]["code"])
                assert made is not None
                [paid] = [int(group, 16) for group in made.groups()[1:] if group]
                assert precompiles.gas(CONTRACTS[int(made[1], 16)], b"") == paid
                seen.add(int(made[1], 16))
    assert seen == {6, 7, 8}


def test_other_prices() -> None:
    assert precompiles.gas("bls12_g1msm", bytes(159)) == 0
    assert precompiles.gas("bls12_g1msm", bytes(160 * 1000)) == 1000 * 12000 * 519 // 1000
    assert precompiles.gas("bls12_g2msm", bytes(288 * 129)) == 129 * 22500 * 524 // 1000
    assert precompiles.gas("bls12_map_fp_to_g1", b"") == 5500
    assert precompiles.gas("bls12_map_fp2_to_g2", b"") == 23800
    with pytest.raises(ArgumentError, match="argument 'name'"):
        precompiles.gas("bn254_sub", b"")


# py_ecc ----------------------------------------------------------------------------------------------------


def parts(coordinate: Any) -> list[int]:
    return [int(part) for part in coordinate.coeffs] if hasattr(coordinate, "coeffs") else [int(coordinate)]


def bn_bytes(point: Any) -> bytes:
    """EIP-196 and EIP-197: the imaginary part first."""
    two = len(parts(point[0])) == 2
    if bn.is_inf(point):
        return bytes(128 if two else 64)
    return b"".join(
        part.to_bytes(32, "big") for side in bn.normalize(point) for part in reversed(parts(side))
    )


def bls_bytes(point: Any) -> bytes:
    """EIP-2537: the real part first."""
    two = len(parts(point[0])) == 2
    if bls.is_inf(point):
        return bytes(256 if two else 128)
    return b"".join(part.to_bytes(64, "big") for side in bls.normalize(point) for part in parts(side))


def number(value: int, size: int = 32) -> bytes:
    return value.to_bytes(size, "big")


def test_bn254_against_py_ecc(backend: str) -> None:
    drawn = random.Random(1)
    points = [bn.multiply(bn.G1, drawn.randrange(N)) for _ in range(3)]
    p, q = points[:2]
    for a, b in [(p, q), (p, p), (p, bn.neg(p)), (p, bn.Z1), (bn.Z1, q), (bn.Z1, bn.Z1)]:
        assert call("bn254_add", bn_bytes(a) + bn_bytes(b), backend) == bn_bytes(bn.add(a, b))
    for scalar in (0, 1, 2, N - 1, N, N + 1, 2**256 - 1, drawn.getrandbits(256)):
        expected = bn_bytes(bn.multiply(p, scalar % N))
        assert call("bn254_mul", bn_bytes(p) + number(scalar), backend) == expected
        assert call("bn254_mul", bytes(64) + number(scalar), backend) == bytes(64)


@pytest.mark.parametrize("which", ["g1", "g2"])
def test_bls12_against_py_ecc(backend: str, which: str) -> None:
    drawn = random.Random(which)
    base, zero = (bls.G1, bls.Z1) if which == "g1" else (bls.G2, bls.Z2)
    p, q = (bls.multiply(base, drawn.randrange(R)) for _ in range(2))
    for a, b in [(p, q), (p, p), (p, bls.neg(p)), (p, zero), (zero, q), (zero, zero)]:
        assert call(f"bls12_{which}add", bls_bytes(a) + bls_bytes(b), backend) == bls_bytes(bls.add(a, b))
    for scalar in (0, 1, R - 1, R, 2**256 - 1, drawn.getrandbits(256)):
        expected = bls_bytes(bls.multiply(p, scalar % R))
        assert call(f"bls12_{which}msm", bls_bytes(p) + number(scalar), backend) == expected


def test_maps_against_py_ecc(backend: str) -> None:
    drawn = random.Random(5)
    for element in (0, 1, P_BLS - 1, drawn.randrange(P_BLS), drawn.randrange(P_BLS)):
        expected = clear_cofactor_G1(map_to_curve_G1(bls.FQ(element)))
        assert call("bls12_map_fp_to_g1", number(element, 64), backend) == bls_bytes(expected)
    for pair in ([0, 0], [0, 1], [1, 0], [P_BLS - 1, P_BLS - 1], [drawn.randrange(P_BLS) for _ in range(2)]):
        expected = clear_cofactor_G2(map_to_curve_G2(bls.FQ2(pair)))
        data = b"".join(number(part, 64) for part in pair)
        assert call("bls12_map_fp2_to_g2", data, backend) == bls_bytes(expected)
    for bad in (number(P_BLS, 64), number(2**384, 64), b"\xff" * 64):
        failing("bls12_map_fp_to_g1", bad, backend)
        failing("bls12_map_fp2_to_g2", bad + bytes(64), backend)
        failing("bls12_map_fp2_to_g2", bytes(64) + bad, backend)


@pytest.mark.parametrize("terms", [1, 2, 15, 16, 40])
@pytest.mark.parametrize("which", ["g1", "g2"])
def test_sums_of_multiples(backend: str, which: str, terms: int) -> None:
    """Below and above the number of terms from which buckets are used; infinity, and scalars of the order and above."""
    drawn = random.Random(terms)
    base, zero = (bls.G1, bls.Z1) if which == "g1" else (bls.G2, bls.Z2)
    logs = [drawn.randrange(1, 50) for _ in range(terms)]
    scalars = [drawn.choice([0, R, 2**256 - 1, drawn.getrandbits(256)]) for _ in logs]
    data = b"".join(bls_bytes(bls.multiply(base, k)) + number(s) for k, s in zip(logs, scalars, strict=True))
    data += bls_bytes(zero) + number(7)
    total = sum(k * s for k, s in zip(logs, scalars, strict=True)) % R
    assert call(f"bls12_{which}msm", data, backend) == bls_bytes(bls.multiply(base, total))


def test_points_outside_the_group_are_added(backend: str) -> None:
    """EIP-2537 checks the group for sums of multiples and for pairings, not for sums."""
    for which, size in (("g1", 64), ("g2", 128)):
        oracle = GROUPS[f"bls12_381.{which}"]
        point = oracle.curve_point(5)
        assert not oracle.in_subgroup(point)

        def write(found: Any, degree: int = oracle.degree) -> bytes:
            sides = [(side,) if degree == 1 else side for side in found]
            return b"".join(number(part, 64) for side in sides for part in side)

        data = write(point)
        assert len(data) == 2 * size
        assert call(f"bls12_{which}add", data + data, backend) == write(oracle.add(point, point))
        failing(f"bls12_{which}msm", data + number(1), backend)
        failing(f"bls12_{which}msm", data + number(0), backend)
        pair = data + bytes(256) if which == "g1" else bytes(128) + data
        failing("bls12_pairing_check", pair, backend)


def test_pairings(backend: str) -> None:
    """e(3P, 5Q)·e(−15P, Q) = 1, and not with 14; infinity on either side; nothing at all."""
    for name, library, write in (
        ("bn254_pairing_check", bn, bn_bytes),
        ("bls12_pairing_check", bls, bls_bytes),
    ):
        g1, g2 = library.G1, library.G2
        three, five = write(library.multiply(g1, 3)), write(library.multiply(g2, 5))
        for factor, answer in ((15, 1), (14, 0)):
            last = write(library.neg(library.multiply(g1, factor))) + write(g2)
            assert call(name, three + five + last, backend) == number(answer)
        infinite = bytes(len(three)) + five, three + bytes(len(five)), bytes(len(three) + len(five))
        for pair in infinite:
            assert call(name, pair, backend) == number(1)
        assert call(name, three + five, backend) == number(0)
    assert call("bn254_pairing_check", b"", backend) == number(1)
    failing("bls12_pairing_check", b"", backend)


# What fails ------------------------------------------------------------------------------------------------


def test_bn254_inputs_are_filled_and_cut(backend: str) -> None:
    p = bn_bytes(bn.G1)
    for length in (0, 1, 31):
        assert call("bn254_add", p[:length], backend) == bytes(64)
        assert call("bn254_mul", p[:length], backend) == bytes(64)
    for length in (32, 63):  # x without y
        failing("bn254_add", p[:length], backend)
        failing("bn254_mul", p[:length], backend)
    assert call("bn254_add", p, backend) == p
    assert call("bn254_mul", p, backend) == bytes(64)
    assert call("bn254_mul", p + b"\x01", backend) == bn_bytes(bn.multiply(bn.G1, 2**248 % N))
    assert call("bn254_add", p + p + b"\xff" * 40, backend) == bn_bytes(bn.double(bn.G1))
    assert call("bn254_mul", p + number(2) + b"\xff", backend) == bn_bytes(bn.double(bn.G1))


def test_bn254_points_that_are_none(backend: str) -> None:
    good = bn_bytes(bn.G1)
    bad = [
        number(1) + number(3),
        number(P_BN) + number(0),
        number(0) + number(P_BN),
        number(1 + P_BN) + number(2),
        number(1) + number(2 + P_BN),
        b"\xff" * 64,
    ]
    for point in bad:
        failing("bn254_add", point + good, backend)
        failing("bn254_add", good + point, backend)
        failing("bn254_mul", point + number(1), backend)
        failing("bn254_mul", point + number(0), backend)
        failing("bn254_pairing_check", point + bn_bytes(bn.G2), backend)
    second = bn_bytes(bn.G2)
    raised = number(int.from_bytes(second[:32], "big") + P_BN) + second[32:]
    outside = GROUPS["bn254.g2"].curve_point(5)
    stray = b"".join(number(part) for side in outside for part in reversed(side))
    for point in (raised, stray, second[:-1] + b"\x00"):
        failing("bn254_pairing_check", good + point, backend)
        failing("bn254_pairing_check", bytes(64) + point, backend)


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("bls12_g1add", (0, 255, 257)),
        ("bls12_g2add", (0, 511, 513)),
        ("bls12_g1msm", (0, 159, 161, 319)),
        ("bls12_g2msm", (0, 287, 289, 575)),
        ("bls12_pairing_check", (0, 383, 385, 767)),
        ("bls12_map_fp_to_g1", (0, 48, 63, 65)),
        ("bls12_map_fp2_to_g2", (0, 96, 127, 129)),
        ("bn254_pairing_check", (1, 191, 193, 383)),
        ("point_evaluation", (0, 191, 193)),
    ],
)
def test_lengths(name: str, lengths: tuple[int, ...]) -> None:
    for length in lengths:
        failing(name, bytes(length))


def test_point_evaluation_of_wrong_claims(backend: str) -> None:
    """Every byte counts: the hash, z, y, the commitment and the proof."""
    [case] = read(SHARED / "precompiles" / "pointEvaluation.json")
    data = bytes.fromhex(case["Input"])
    for place in (0, 31, 63, 95, 143, 191):
        failing("point_evaluation", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], backend)


def test_point_evaluation_of_a_commitment_outside_the_group(backend: str) -> None:
    """C + T for a point T whose order divides the cofactor: no pairing can tell it from C."""
    [case] = read(SHARED / "precompiles" / "pointEvaluation.json")
    data, group, oracle = bytes.fromhex(case["Input"]), curves.get("bls12_381").g1, GROUPS["bls12_381.g1"]
    small = oracle.multiply(oracle.order, oracle.curve_point(5))
    assert small is not None
    encoded = b"".join(number(part, 48) for part in small)
    torsion, _ = group.from_bytes(np.frombuffer(encoded, np.uint8)[None], "big", "curve")
    for place in (96, 144):
        point, _ = group.from_bytes(
            np.frombuffer(data[place : place + 48], np.uint8)[None], "zcash_compressed"
        )
        moved = group.to_bytes(group.add(point, torsion)[0], "zcash_compressed").tobytes()
        changed = data[:place] + moved + data[place + 48 :]
        versioned = b"\x01" + hashlib.sha256(changed[96:144]).digest()[1:]
        failing("point_evaluation", versioned + changed[32:], backend)


def test_arguments_of_another_type() -> None:
    with pytest.raises(ArgumentError, match="argument 'input'"):
        precompiles.bn254_add("00")
    assert call("bn254_add", bytearray(128)) == bytes(64)
