# SPDX-License-Identifier: GPL-3.0-or-later
"""The precompiled contracts of the EVM as its machine calls them: Ethereum's own tests, prices fork by fork, refusals."""

from __future__ import annotations

import functools
import json
import random
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit

from supervm.crypto import precompile_code, precompile_gas, precompiles
from supervm.crypto.hashes import keccak256, sha256
from supervm.engine.ethereum.precompiles import entry
from supervm.engine.ethereum.precompiles.prices import MODEXP_BYTES
from supervm.engine.host_callbacks import no_answer
from supervm.kernels.cpu.lanes.addresses import call_address
from supervm.vm.evm import forks, machine
from supervm.vm.evm.precompiles import NUMBERS, PRECOMPILES

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
ETHEREUM_TESTS = SHARED / "evm" / "eest_state.tar.xz"
VECTORS = Path(__file__).resolve().parents[2] / "vectors"

PLENTY, TRANSACTION = 1 << 40, 1_000_000
BY_ADDRESS = {row.address: row.name for row in PRECOMPILES}
MODEXP_RULES = {"Byzantium": "eip198", "Istanbul": "eip198", "Berlin": "eip2565", "Osaka": "eip7883"}


@njit
def _call(function: Any, *arguments: Any) -> Any:
    return call_address(function, *arguments)


class Called:
    """A machine of a fork that calls precompiled contracts, and what the last call left."""

    def __init__(self, fork: str = "Osaka", capacity: int = 1 << 16) -> None:
        self.rules = forks.fork_named(fork).rules.copy()
        self.words = np.zeros(machine.MACHINE_WORDS, np.int64)
        self.room = np.full(capacity, 0xEE, np.uint8)
        self.words[machine.FORK] = self.rules.ctypes.data
        self.words[machine.CALL_PRECOMPILE], self.words[machine.PRECOMPILE_TABLE] = entry.addresses()
        self.words[machine.RETURN_DATA], self.words[machine.RETURN_CAPACITY] = self.room.ctypes.data, capacity

    def __call__(self, name: str, data: bytes, gas: int = PLENTY) -> int:
        held = np.frombuffer(data or b"\0", np.uint8)
        self.words[machine.RETURN_BYTES] = 77
        place = self.words.ctypes.data
        function = int(self.words[machine.CALL_PRECOMPILE])
        numbers = (NUMBERS[name], held.ctypes.data, len(data), gas, self.room.ctypes.data)
        return int(_call(function, place, *numbers))

    @property
    def left(self) -> int:
        return int(self.words[machine.RETURN_BYTES])

    @property
    def output(self) -> bytes:
        return self.room[: self.left].tobytes()


def made(name: str, data: bytes, fork: str = "Osaka") -> bytes:
    """The output of a call that succeeds."""
    called = Called(fork)
    assert called(name, data) >= 0
    return called.output


def test_the_table() -> None:
    """Forks have the contracts that the table says they have, and its names have functions."""
    order = {fork.name: fork.number for fork in forks.FORKS}
    for fork in forks.FORKS:
        mask = sum(1 << row.number for row in PRECOMPILES if order[row.since] <= fork.number)
        assert fork[forks.PRECOMPILES] == mask, fork
    for row in PRECOMPILES:
        assert (
            row.name == "identity" or row.name in precompile_code.FUNCTIONS or hasattr(precompiles, row.name)
        )
        assert row.since == row.prices[0][0]
    assert [row.address for row in PRECOMPILES] == [*range(1, 0x12), 0x100]


# Ethereum's tests ------------------------------------------------------------------------------------------

CALL = re.compile(r"(?:60(..)|61(.{4}))(?:60(..)|61(.{4})|62(.{6})|63(.{8}))f[124a]")
"""The address and the gas that are pushed before a call."""

FILES = {
    "eip7951_p256verify_precompiles/test_valid": (1, 2),
    "eip7951_p256verify_precompiles/test_invalid": (1, 2),
    "eip7951_p256verify_precompiles/test_modular_comparison": (1, 2),
    "eip7951_p256verify_precompiles/test_wycheproof_valid": (1, 2),
    "eip7951_p256verify_precompiles/test_wycheproof_invalid": (1, 2),
    "eip7951_p256verify_precompiles/test_wycheproof_extra": (1, 2),
    "eip7883_modexp_gas_increase/test_modexp_variable_gas_cost": (1, 3),
    "eip7823_modexp_upper_bounds/test_modexp_upper_bounds": (1, None),
}
"""File → the slots where the calling contract stores the output's length, and its hash."""


@functools.cache
def ethereum_tests() -> dict[str, dict[str, Any]]:
    if not ETHEREUM_TESTS.exists():
        pytest.skip(f"not here: {ETHEREUM_TESTS.name}")
    found = {}
    with tarfile.open(ETHEREUM_TESTS) as archive:
        for member in archive:
            name = "/".join(member.name.removesuffix(".json").split("/")[-2:])
            if name in (*FILES, BLAKE2):
                file = archive.extractfile(member)
                assert file is not None
                found[name] = json.load(file)
    return found


BLAKE2 = "eip152_blake2/test_blake2b"


def storages(file: str) -> Any:
    """(fork, name of the contract, gas that the call got, input, storage by number) of each case."""
    for case in ethereum_tests()[file].values():
        caller = case["transaction"]["to"]
        match = CALL.search(case["pre"][caller]["code"])
        data = bytes.fromhex(case["transaction"]["data"][0][2:])
        for fork, [outcome] in case["post"].items():
            stored = outcome["state"].get(caller, {"storage": {}})["storage"]
            numbers = {int(slot, 16): int(value, 16) for slot, value in stored.items()}
            groups = [int(group, 16) for group in match.groups() if group] if match else [9, PLENTY]
            yield fork, BY_ADDRESS[groups[0]], groups[-1], data, numbers


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.partition("/")[2])
def test_calls_of_ethereum(file: str) -> None:
    """Success, length and hash of the output with exactly the gas that the test gives, the price where it is stored."""
    length_slot, hash_slot = FILES[file]
    count = 0
    for fork, name, gas, data, stored in storages(file):
        called = Called(fork)
        cost = called(name, data, gas)
        assert (cost >= 0) == (stored.get(0, 0) >= 1), (fork, data.hex())
        if cost < 0:
            assert cost == entry.FAILED
            continue
        count += 1
        assert called.left == stored.get(length_slot, 0)
        if hash_slot is not None:
            assert int.from_bytes(keccak256(called.output), "big") == stored[hash_slot], data.hex()
    assert count


def test_f_of_ethereum() -> None:
    for fork, name, _, data, stored in storages(BLAKE2):
        called = Called(fork)
        cost = called(name, data, TRANSACTION)
        assert (cost >= 0) == (stored.get(0, 0) == 1)
        if cost >= 0:
            assert [int.from_bytes(called.output[at : at + 32], "big") for at in (0, 32)] == [
                stored.get(1, 0),
                stored.get(2, 0),
            ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (VECTORS / "ecRecover.json", "ecrecover"),
        (VECTORS / "bn256Add.json", "bn254_add"),
        (VECTORS / "bn256ScalarMul.json", "bn254_mul"),
        (SHARED / "vectors" / "bn256Pairing.json", "bn254_pairing_check"),
        (VECTORS / "blsG1Add.json", "bls12_g1add"),
        (SHARED / "precompiles" / "pointEvaluation.json", "point_evaluation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vectors_of_geth(path: Path, name: str) -> None:
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    for case in json.loads(path.read_text("utf-8")):
        called = Called()
        data = bytes.fromhex(case["Input"])
        assert called(name, data, case["Gas"]) == case["Gas"], case["Name"]
        assert called.output.hex() == case["Expected"], case["Name"]


# Each contract ---------------------------------------------------------------------------------------------


def test_hashes_and_identity() -> None:
    source = random.Random(1)
    for length in (0, 1, 31, 32, 55, 56, 64, 200, 5000):
        data = source.randbytes(length)
        assert made("identity", data) == data
        assert made("sha256", data) == sha256(data)
        assert made("ripemd160", data) == precompiles.ripemd160(data)


def test_recovery_of_bad_signatures() -> None:
    """An empty output, and 3,000 gas: v that is no 27 or 28, also by a high byte; r or s of zero or of the order."""
    good = bytes.fromhex(
        "18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"
        "000000000000000000000000000000000000000000000000000000000000001c"
        "73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"
        "eeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"
    )
    assert made("ecrecover", good)[12:].hex() == "a94f5374fce5edbc8e2a8697c15331677e6ebf0b"
    order = (0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141).to_bytes(32, "big")
    for v in (0, 1, 26, 29, 255, 27 << 8, (1 << 248) + 28):
        assert made("ecrecover", good[:32] + v.to_bytes(32, "big") + good[64:]) == b""
    for number in (bytes(32), order, b"\xff" * 32):
        assert made("ecrecover", good[:64] + number + good[96:]) == b""
        assert made("ecrecover", good[:96] + number) == b""
    for length in (0, 32, 64, 96, 127):
        cut = good[:length]
        assert made("ecrecover", cut) == made("ecrecover", cut.ljust(128, b"\0"))
    assert made("ecrecover", good + b"\xff") == made("ecrecover", good)


def test_sums_and_multiples_against_the_functions() -> None:
    """Inputs of every length, points off the curve, coordinates of the modulus and above."""
    source = random.Random(2)
    point = precompiles.bn254_mul((1).to_bytes(32, "big") + (2).to_bytes(32, "big") + source.randbytes(32))
    modulus = 0x30644E72_E131A029_B85045B6_8181585D_97816A91_6871CA8D_3C208C16_D87CFD47
    infinity_again = (modulus.to_bytes(32, "big")) * 2
    for name, tail in (
        ("bn254_add", precompiles.bn254_add(point + point)),
        ("bn254_mul", source.randbytes(32)),
    ):
        whole = point + tail
        inputs = [whole[:length] for length in (0, 1, 63, 64, 65, 96, 127, 128)] + [
            whole + b"\1",
            infinity_again,
        ]
        inputs += [whole[:place] + b"\x2a" + whole[place + 1 :] for place in (0, 31, 33, 63, 64, 95)]
        for data in inputs:
            try:
                expected = getattr(precompiles, name)(data)
            except ValueError:
                assert Called()(name, data) == entry.FAILED
            else:
                assert made(name, data) == expected


def test_failures_cost_all_gas() -> None:
    for name, data in (
        ("blake2f", bytes(212)),
        ("blake2f", bytes(212) + b"\2"),
        ("bn254_add", b"\1" * 64),
        ("bn254_pairing_check", bytes(191)),
        ("point_evaluation", bytes(191)),
        ("bls12_g1add", bytes(255)),
        ("bls12_g1msm", b""),
        ("bls12_pairing_check", b""),
        ("bls12_map_fp_to_g1", b"\xff" * 64),
    ):
        called = Called()
        assert called(name, data) == entry.FAILED, name
        assert called.left == 0


# Prices ----------------------------------------------------------------------------------------------------


def headed(base: int, exponent: int, modulus: int, operands: bytes = b"") -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in (base, exponent, modulus)) + operands


def test_prices_of_powers_against_the_rules() -> None:
    source = random.Random(3)
    lengths = [0, 1, 2, 31, 32, 33, 63, 64, 65, 96, 1023, 1024]
    for _ in range(400):
        head = [source.choice(lengths) for _ in range(3)]
        operands = source.choice(
            [bytes(40), b"\xff" * 300, source.randbytes(100), bytes(31) + b"\1" + bytes(70), b""]
        )
        data = headed(*head, operands)
        data = data[: source.choice([len(data), source.randrange(len(data) + 1)])]
        for fork, rule in MODEXP_RULES.items():
            called = Called(fork)
            expected = precompile_gas.modexp_gas(data, rule)
            if called(name := "modexp", data, expected - 1) >= 0:
                pytest.fail(f"{fork}: {data.hex()} for less than {expected}")
            if expected < 300_000:
                assert called(name, data, expected) == expected


def test_prices_of_long_operands() -> None:
    """No price overflows, nothing is computed, no memory is taken; the limit of EIP-7823 comes before all of it."""
    huge = [1 << 24, 1 << 32, 1 << 56, 1 << 63, (1 << 64) - 1, 1 << 64, (1 << 256) - 1]
    most = (1 << 63) - 1
    for length in huge:
        for fork in MODEXP_RULES:
            for head in ((length, 1, 1), (1, 1, length), (length, length, length)):
                assert Called(fork)("modexp", headed(*head), 1 << 39) == entry.FAILED
        for head in ((1, length, 1), (0, length, 1)):
            assert Called("Berlin")("modexp", headed(*head, b"\1\1\1"), 1 << 20) == entry.FAILED
        assert Called("Berlin")("modexp", headed(0, length, 0), most) == 200
        assert Called("Byzantium")("modexp", headed(0, length, 0), most) == 0
    for head in ((1025, 0, 0), (0, 1025, 0), (0, 0, 1025)):
        assert Called("Osaka")("modexp", headed(*head), most) == entry.FAILED
        assert Called("Prague")("modexp", headed(*head), most) >= 0
    assert precompile_gas.modexp_gas(headed(MODEXP_BYTES, 0, 0), "eip198") > 8 * 10**11
    assert precompile_gas.modexp_gas(headed(0, 0, MODEXP_BYTES), "eip2565") > 8 * 10**11


def test_every_price_is_asked_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One gas less fails; contracts in Python are not even called."""
    refused = []
    for name in NUMBERS:
        if name not in precompile_code.FUNCTIONS and name != "identity":
            monkeypatch.setattr(precompiles, name, lambda data, backend: refused.append(data))
    for name in NUMBERS:
        for length in (0, 1, 32, 33, 160, 192, 193, 213, 288, 384, 5000):
            for fork in ("Byzantium", "Osaka"):
                data = (
                    bytes([1]) * 4 + bytes(length - 4) if name == "blake2f" and length > 3 else bytes(length)
                )
                expected = precompile_gas.gas(name, data)
                if fork == "Byzantium" and name.startswith("bn254"):
                    pairs = length // 192
                    expected = {"bn254_add": 500, "bn254_mul": 40_000}.get(name, 100_000 + 80_000 * pairs)
                if fork == "Byzantium" and name == "modexp":
                    expected = 0
                called = Called(fork)
                assert called(name, data, expected - 1) == entry.FAILED, name
                assert called.left == 0
                assert (called.room == 0xEE).all()
    assert not refused


def test_prices_of_sums_and_pairings() -> None:
    """The compiled prices equal the functions' for every number of terms, without computing: a stand-in answers."""
    for name, size in (("bls12_g1msm", 160), ("bls12_g2msm", 288), ("bls12_pairing_check", 384)):
        for terms in [*range(1, 131), 200]:
            data = bytes(size * terms)
            called = Called()
            assert called(name, data, precompile_gas.gas(name, data) - 1) == entry.FAILED


def test_forks_price_bn254_as_the_functions_do() -> None:
    istanbul = forks.fork_named("Istanbul")
    assert istanbul[forks.BN254_ADD_GAS] == precompile_gas.FIXED["bn254_add"]
    assert istanbul[forks.BN254_MUL_GAS] == precompile_gas.FIXED["bn254_mul"]
    found = istanbul[forks.BN254_PAIR_GAS], istanbul[forks.BN254_PAIRING_GAS]
    assert found == precompile_gas.PER_PAIR["bn254_pairing_check"][1:]


# Room and answers ------------------------------------------------------------------------------------------


def test_room_for_the_output() -> None:
    called = Called(capacity=300)
    assert called("identity", bytes(300)) >= 0
    assert called("identity", bytes(301)) == entry.RETRY
    assert called.left == 301
    assert called("modexp", headed(0, 0, 301)) == entry.RETRY
    assert called.left == 301
    assert (called.room[:300] == 0).all()
    small = Called(capacity=32)
    assert small("p256_verify", b"") == entry.RETRY
    assert small.left > 32


def test_what_fails_on_the_machine_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, backend: str) -> bytes:
        raise MemoryError("no room for the table")

    monkeypatch.setattr(precompiles, "bls12_g1add", broken)
    called = Called()
    assert called("bls12_g1add", bytes(256)) == entry.RETRY
    assert called.left == 0
    error = no_answer(called.words.ctypes.data)
    assert "MemoryError: no room for the table" in str(error)
