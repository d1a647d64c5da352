# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum's precompiled contracts as host functions: published vectors, failing calls, prices, hostile lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Runs, arguments, host_caller
from contracts_for_tests import compiled, imports

from supervm.crypto import kzg_openings, precompiles
from supervm.engine.execution import host_precompiles
from supervm.kernels.backend_trace import witness
from supervm.kernels.errors import ArgumentError
from supervm.tiers import inventory
from supervm.vm import context
from supervm.vm.gas import PRICES
from supervm.vm.interface import PRECOMPILES
from supervm.vm.outcomes import Reason

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

PAGES = 3
END = PAGES * 65_536
DATA, OUT = 1_024, 1_024 + 63_000
"""Where input and output stand in the memory of `host_caller`, whose `out:` entry points show it from `DATA` on."""


def read(path: Path) -> Any:
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def runs():
    with Runs(host_caller(PAGES)) as found:
        yield found


def outcome(runs: Runs, name: str, data: bytes) -> tuple[int, bytes]:
    """The answer, and what stands where the output goes, which was zero before."""
    given = arguments(DATA, len(data), OUT) + data
    answer = runs.call(name, given, gas=10**9)
    assert answer.reason == Reason.NONE
    shown = runs.call(f"out:{name}", given, gas=10**9).output[OUT - DATA :][:256]
    size = host_precompiles.SIZES[name][1]
    assert not any(shown[size:])
    return answer.number, shown[:size]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (VECTORS / "bn256Add.json", "bn254_add"),
        (VECTORS / "bn256ScalarMul.json", "bn254_mul"),
        (SHARED / "vectors" / "bn256Pairing.json", "bn254_pairing_check"),
        (VECTORS / "blsG1Add.json", "bls12_g1add"),
        (VECTORS / "blsG1Mul.json", "bls12_g1msm"),
        (VECTORS / "map_fp_to_G1_bls.json", "bls12_map_fp_to_g1"),
        (VECTORS / "map_fp2_to_G2_bls.json", "bls12_map_fp2_to_g2"),
        (SHARED / "precompiles" / "pointEvaluation.json", "point_evaluation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vectors(runs: Runs, path: Path, name: str) -> None:
    for case in read(path)[:8]:
        answer, written = outcome(runs, name, bytes.fromhex(case["Input"]))
        assert (answer, written.hex()) == (0, case["Expected"]), case["Name"]


def test_pairing_calls_of_ethereumjs(runs: Runs) -> None:
    """An empty output is a call that failed."""
    answers = []
    for case in read(SHARED / "precompiles" / "eth_dump_give.json"):
        if case["op"] == "EC_PAIRING":
            data, output = (bytes.fromhex(case[key][2:]) for key in ("input", "output"))
            expected = (0, output) if output else (-1, bytes(32))
            assert outcome(runs, "bn254_pairing_check", data) == expected
            answers.append(bool(output))
    assert {True, False} <= set(answers)


BLS_G1 = bytes.fromhex(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
    "fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1"
)
"""The generator (EIP-2537)."""


def test_sums_of_multiples_of_the_second_group(runs: Runs) -> None:
    """Against the generator's own multiples: 2·G + 3·G = 5·G, as a sum of points and as a sum of multiples."""
    five = outcome(runs, "bls12_g2msm", second_generator() + (5).to_bytes(32, "big"))
    two, three = (
        outcome(runs, "bls12_g2msm", second_generator() + number.to_bytes(32, "big"))[1] for number in (2, 3)
    )
    assert outcome(runs, "bls12_g2add", two + three) == five
    assert five[0] == 0
    minus = (R - 5).to_bytes(32, "big")
    pairs = BLS_G1 + five[1] + outcome(runs, "bls12_g1msm", BLS_G1 + minus)[1] + second_generator()
    assert outcome(runs, "bls12_pairing_check", pairs) == (0, (1).to_bytes(32, "big"))
    assert outcome(runs, "bls12_pairing_check", BLS_G1 + five[1]) == (0, bytes(32))


R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def second_generator() -> bytes:
    """Of G2 of BLS12-381 (EIP-2537)."""
    parts = (
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
        "13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e",
        "0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801",
        "0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be",
    )
    return b"".join(bytes(16) + bytes.fromhex(part) for part in parts)


FAILING = {
    "bn254_add": (1).to_bytes(32, "big") + (3).to_bytes(32, "big"),
    "bn254_mul": b"\xff" * 96,
    "bn254_pairing_check": bytes(191),
    "bls12_g1add": BLS_G1[:-1] + b"\0" + BLS_G1,
    "bls12_g1msm": b"",
    "bls12_g2add": bytes(511),
    "bls12_g2msm": b"\x01" + bytes(287),
    "bls12_pairing_check": b"",
    "bls12_map_fp_to_g1": b"\xff" * 64,
    "bls12_map_fp2_to_g2": bytes(127),
    "point_evaluation": bytes(192),
}
"""A call of each that the EIP lets fail."""


def used(runs: Runs, entry: str, data: bytes) -> int:
    found = runs.call(entry, data, gas=10**9)
    assert found.reason == Reason.NONE
    return found.gas


@pytest.mark.parametrize("name", PRECOMPILES)
def test_a_call_that_fails_is_paid_and_writes_nothing(runs: Runs, name: str) -> None:
    data = FAILING[name]
    with pytest.raises(ArgumentError):
        getattr(precompiles, name)(data)
    assert outcome(runs, name, data) == (-1, bytes(host_precompiles.SIZES[name][1]))
    price = PRICES[name]
    least = price.base + price.each * (len(data) // price.unit)
    without = used(runs, "sha256", arguments(DATA, 0, OUT) + data) - PRICES["sha256"].base
    assert used(runs, name, arguments(DATA, len(data), OUT) + data) == without + least


@pytest.fixture(scope="module")
def alone():
    """A contract whose entry points call a function with a length and do nothing else; its memory is 16 MiB of zeros."""
    lengths = {"none": 0, "some": 4_000, "all": 16 << 20, "more": (16 << 20) + 1, "most": -1}
    functions = [
        f"""(func (export "{name}:{called}") (result i32)
            (call ${name} (i32.const 0) (i32.const {length}) (i32.const {(16 << 20) - 256})))"""
        for name in PRECOMPILES
        for called, length in lengths.items()
    ]
    code = compiled(f'(module {imports()} (memory (export "memory") 256 256) {" ".join(functions)})')
    with Runs(code, instances=2) as found:
        yield found


@pytest.mark.parametrize("name", PRECOMPILES)
def test_the_price_is_asked_before_anything_is_done(alone: Runs, name: str, monkeypatch) -> None:
    """Exactly at the price it is paid; with one less, for no gas at all, and behind the memory's end nothing is called."""
    called: list[int] = []

    def answer(data: bytes, *, backend: str) -> bytes:
        called.append(len(data))
        return bytes(host_precompiles.SIZES[name][1])

    monkeypatch.setattr(precompiles, name, answer)
    price, (most, _) = PRICES[name], host_precompiles.SIZES[name]
    slot = alone.slot()
    instance = int(slot[context.SLOT_INSTANCE_GAS] + slot[context.SLOT_RESTORE_GAS]) + (16 << 20) // 4
    for entry, length in (("none", 0), ("some", 4_000), ("all", 16 << 20)):
        due = price.base + price.each * (length // price.unit)
        called.clear()
        # With one unit of gas less than instance and price cost, the function is not called.
        refused = alone.call(f"{name}:{entry}", gas=instance + due - 1)
        assert (refused.reason, refused.gas, called) == (Reason.OUT_OF_GAS, instance + due - 1, [])
        short = alone.call(f"{name}:{entry}", gas=instance + due)
        assert (short.reason, called) == (Reason.OUT_OF_GAS, [min(length, most)]), "the fuel is missing"
        gas = alone.call(f"{name}:{entry}", gas=10**15).gas
        assert gas - instance - due == FUEL
        paid = alone.call(f"{name}:{entry}", gas=gas)
        assert (paid.reason, paid.gas) == (Reason.NONE, gas)
        assert alone.call(f"{name}:{entry}", gas=gas - 1).reason == Reason.OUT_OF_GAS
    called.clear()
    for entry in ("more", "most"):
        assert alone.call(f"{name}:{entry}", gas=10**15).reason == Reason.BAD_POINTER
    assert called == []


FUEL = 14 + 5
"""Of the wrapper, the function, three constants and the call."""


@pytest.mark.parametrize("name", ["bn254_add", "bn254_mul"])
def test_what_is_behind_an_input_of_bn254_is_ignored(runs: Runs, name: str) -> None:
    one = (1).to_bytes(32, "big") + (2).to_bytes(32, "big") + (7).to_bytes(32, "big")
    size = host_precompiles.SIZES[name][0]
    data = (one + bytes(64))[:size] if name == "bn254_mul" else one[:64] + one[:64]
    assert outcome(runs, name, data + b"\xff" * 40_000) == outcome(runs, name, data)
    assert outcome(runs, name, data)[0] == 0
    short = outcome(runs, name, data[:64])
    assert short[1] == (one[:64] if name == "bn254_add" else bytes(64))


def test_an_output_may_lie_over_its_input(runs: Runs) -> None:
    one = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    given = arguments(DATA, 128, DATA + 32) + one + one
    shown = runs.call("out:bn254_add", given, gas=10**9).output
    assert shown[32:96] == precompiles.bn254_add(one + one)


@pytest.mark.parametrize("error", [MemoryError(), ArgumentError("backend", "none", "one"), OSError("gone")])
def test_what_a_machine_cannot_compute_is_no_answer(runs: Runs, monkeypatch, error: Exception) -> None:
    """Neither 0 nor −1: the call ends, to be tried again or given up by whoever executes the block."""

    def fail(*_: Any, **__: Any) -> bytes:
        raise error

    monkeypatch.setattr(precompiles, "bn254_add", fail)
    monkeypatch.setattr(Runs, "_make_room", lambda self, worker: None)
    with pytest.raises(AssertionError, match=f"never room enough: {context.NEEDS_ANSWER}"):
        runs.call("bn254_add", arguments(DATA, 128, OUT))
    monkeypatch.undo()
    assert outcome(runs, "bn254_add", bytes(128)) == (0, bytes(64))


def test_what_is_warmed_is_what_is_computed_with() -> None:
    """`OPERATIONS` names all that valid calls ask of the registry, on the backend beside it, and nothing else."""
    one = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    scalar = b"\xff" * 32
    first = [BLS_G1 + scalar] * 40
    [opening] = read(SHARED / "precompiles" / "pointEvaluation.json")
    calls = {
        "bn254_add": one + one,
        "bn254_mul": one + scalar,
        "bn254_pairing_check": one + BN_G2,
        "bls12_g1add": BLS_G1 + BLS_G1,
        "bls12_g1msm": b"".join(first),
        "bls12_g2add": second_generator() * 2,
        "bls12_g2msm": (second_generator() + scalar) * 40,
        "bls12_pairing_check": BLS_G1 + second_generator(),
        "bls12_map_fp_to_g1": (7).to_bytes(64, "big"),
        "bls12_map_fp2_to_g2": (7).to_bytes(128, "big"),
        "point_evaluation": bytes.fromhex(opening["Input"]),
    }
    assert set(calls) == set(PRECOMPILES)
    kzg_openings.mainnet_minus_tau.cache_clear()
    with witness() as seen:
        for name, data in calls.items():
            getattr(precompiles, name)(data, backend=host_precompiles.BACKEND)
        precompiles.bls12_g1msm(first[0], backend=host_precompiles.BACKEND)
        precompiles.bls12_g2msm(second_generator() + scalar, backend=host_precompiles.BACKEND)
    found = {name: seen.backend(name) for name in inventory.operations()}
    used = {name for name, backend in found.items() if backend == host_precompiles.BACKEND}
    assert used == set(host_precompiles.OPERATIONS)
    assert {found[name] for name in set(found) - used} == {"none"}


BN_G2 = bytes.fromhex(
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
)
"""The generator of G2 of BN254 (EIP-197)."""
