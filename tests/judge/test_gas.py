# SPDX-License-Identifier: GPL-3.0-or-later
"""Gas of small modules, computed by hand: intrinsic gas, fuel of the instrumented form, prices of host functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from contracts_for_tests import HOST_FUNCTIONS, host_call
from judge import Judge, Reason, Receipt, Tx
from judge.rules import PRECOMPILES, PRICES

Runs = Callable[..., Receipt]
BOB = b"\xb0" * 20
INTRINSIC = 1_004
"""A call of `f` without input."""

WRAPPER = 14
"""A function costs 1, and so does each instruction, but for `nop`, `drop`, `block`, `loop`, `else` and `end`. The
wrapper counts up (4), compares (3), branches (1), calls (1) and counts down (4)."""


@pytest.mark.parametrize(
    ("body", "fuel"),
    [
        ("(i32.const 7)", 2),
        ("(drop (i32.const 1)) (i32.const 7)", 3),
        ("(i32.add (i32.const 1) (i32.const 2))", 4),
        ("(nop) (block (nop)) (i32.const 7)", 2),
    ],
)
def test_fuel(run: Runs, body: str, fuel: int):
    receipt = run(body)
    assert receipt.success
    assert receipt.gas == INTRINSIC + WRAPPER + fuel


def test_intrinsic_gas(judge: Judge, send: Runs):
    assert send(BOB).gas == 1_000
    judge.create_object(bytes(32), 0, b"\xa1" * 20)
    assert send(BOB, objects=[bytes(32)]).gas == 1_100


def test_data_are_paid_by_the_byte_and_objects_each(run: Runs):
    assert (
        run("(i32.const 7)", input=b"abc", objects=[bytes(32)]).gas == INTRINSIC + 3 * 4 + 100 + WRAPPER + 2
    )


@pytest.mark.parametrize(
    ("fields", "bytes_of_data"),
    [
        ({"input": bytes(500)}, 500),
        ({"proof": bytes(70)}, 70),
        ({"signature": bytes(96)}, 0),
        ({"signature": bytes(100)}, 4),
        ({"declared": True}, 0),
        ({"declared": True, "reads": [bytes(500)], "writes": [b"", bytes(518)]}, 0),
        ({"declared": True, "reads": [bytes(500)], "writes": [bytes(2), bytes(518)]}, 2),
    ],
)
def test_whatever_a_sender_can_make_long_is_paid_by_the_byte(send: Runs, fields: Any, bytes_of_data: int):
    least = 1_000 + 4 * bytes_of_data
    assert send(BOB, gas_limit=least, **fields).gas == least
    assert send(BOB, gas_limit=least - 1, **fields).reason == Reason.GAS_LIMIT_TOO_LOW


@pytest.mark.parametrize(
    ("proof", "price"),
    [
        (b"", 122_000),
        (b"\1", 122_000),
        (b"\1\3", 122_000),
        (b"\1\1x" + bytes([0, 128]) + bytes(128), 122_000),
        (b"\1\1x" + bytes([0, 128]) + bytes(128 + 64), 126_000),
        (b"\1\1x" + bytes([0, 128]) + bytes(128 + 63), 124_000),
        (b"\1\1x" + bytes([0, 128]) + bytes(100), 122_000),
        (b"\1\1x" + bytes([0, 192]) + bytes(192 + 32), 184_000),
        (b"\1\1x" + bytes([0, 191]) + bytes(192 + 32), 124_000),
        (b"\1\1x" + bytes([255, 255]) + bytes(10), 182_000),
        (b"\1\xff" + bytes(255) + bytes([1, 0]) + bytes(256 + 320), 202_000),
        (b"\1\xff" + bytes(255) + b"\1", 122_000),
    ],
)
def test_a_proof_is_paid_by_curve_and_public_inputs(proof: bytes, price: int):
    """Whatever the verifier thinks of the field."""
    judge = Judge(verifier=lambda tx: 1)
    judge.credit(BOB, 10**9)
    least = 1_000 + 4 * len(proof) + price
    tx = Tx(BOB, 0, BOB, private=True, proof=proof, gas_limit=least - 1)
    assert judge.execute([tx])[0].reason == Reason.GAS_LIMIT_TOO_LOW
    [receipt] = judge.execute([replace(tx, gas_limit=least)])
    assert (receipt.success, receipt.gas) == (True, least)
    assert judge.execute([replace(tx, nonce=1, private=False)])[0].gas == 1_000 + 4 * len(proof)


def test_a_value_that_makes_an_account_pays_for_it(judge: Judge, send: Runs):
    stranger, other = b"\x51" * 20, b"\x52" * 20
    assert send(stranger, gas_limit=1_000).gas == 1_000
    assert send(stranger, value=1, gas_limit=1_976).gas == 1_976
    assert send(stranger, value=1, gas_limit=1_000).gas == 1_000
    receipt = send(other, value=1, gas_price=3, gas_limit=1_975)
    assert (receipt.reason, receipt.gas) == (Reason.OUT_OF_GAS, 1_975)
    assert judge.account(other) == (0, 0)
    assert send(b"\xa1" * 20, value=1, gas_limit=1_000).gas == 1_000


def test_a_call_pays_for_the_account_that_its_value_makes(judge: Judge, run: Runs):
    assert run("(i32.const 7)", value=1, gas_limit=INTRINSIC + 975).reason == Reason.OUT_OF_GAS
    assert run("(i32.const 7)", value=1).gas == INTRINSIC + 976 + WRAPPER + 2
    assert run("(i32.const 7)", value=1).gas == INTRINSIC + WRAPPER + 2


def test_stored_values_pay_for_growth_alone(run: Runs):
    """Twice in a transaction: the second value is longer by 20 bytes, or by none."""
    for first, second, growth in ((10, 30, 20), (30, 10, 0), (10, 10, 0)):
        body = host_call("storage_delete", 0, 4)
        assert run(f"(drop {body}) (i32.const 0)").success
        sets = [host_call("storage_set", 0, 4, 0, size) for size in (first, second)]
        receipt = run(f"(drop {sets[0]}) (drop {sets[1]}) (i32.const 0)")
        prices = 2 * (500 + 4 * 4) + 4 * (first + second) + 16 * (21 + 4 + first + growth)
        assert receipt.gas == INTRINSIC + WRAPPER + 1 + 11 + prices


HOST_GAS: list[tuple[str, int]] = [
    (host_call("storage_get", 0, 10), 210),
    (host_call("storage_has", 0, 10), 160),
    (host_call("storage_set", 0, 10, 0, 20), 620 + 16 * (21 + 10 + 20)),
    (host_call("storage_delete", 0, 10), 310),
    (host_call("block_number"), 10),
    (host_call("timestamp"), 10),
    (host_call("caller", 0), 15),
    (host_call("self_address", 0), 15),
    (host_call("value", 0), 15),
    (host_call("input_len"), 10),
    (host_call("input_read", 0, 0, 100), 15),
    (host_call("input_read", 0, 3, 100), 12),
    (host_call("input_read", 0, 5, 100), 10),
    (host_call("input_read", 0, 2, 2), 12),
    (host_call("set_output", 0, 30), 70),
    (host_call("balance", 0, 0), 200),
    (host_call("transfer", 0, 100), 500),
    (host_call("emit_event", 0, 5), 120),
    (host_call("events_len"), 10),
    (host_call("sha256", 0, 9, 100), 69),
    (host_call("keccak256", 0, 9, 100), 89),
    (host_call("derive_eth_address", 0, 64, 100), 150),
    (host_call("derive_eth_address", 0, 5_000, 100), 150),
    (host_call("verify_ed25519", 0, 11, 100, 200), 20_011),
    (host_call("verify_secp256k1", 0, 100, 200, 33), 15_000),
    (host_call("recover_secp256k1_pubkey", 0, 100, 200), 18_000),
    (host_call("bn254_add", 0, 5, 1_000), 6_000),
    (host_call("bn254_mul", 0, 200, 1_000), 30_000),
    (host_call("bn254_pairing_check", 0, 0, 1_000), 220_000),
    (host_call("bn254_pairing_check", 0, 384, 1_000), 390_000),
    (host_call("bn254_pairing_check", 0, 383, 1_000), 305_000),
    (host_call("bls12_g1add", 0, 256, 1_000), 7_000),
    (host_call("bls12_g1msm", 0, 160, 1_000), 166_000),
    (host_call("bls12_g1msm", 0, 479, 1_000), 202_000),
    (host_call("bls12_g2add", 0, 512, 1_000), 8_000),
    (host_call("bls12_g2msm", 0, 576, 1_000), 350_000),
    (host_call("bls12_pairing_check", 0, 384, 1_000), 490_000),
    (host_call("bls12_map_fp_to_g1", 0, 64, 1_000), 27_000),
    (host_call("bls12_map_fp2_to_g2", 0, 64, 1_000), 72_000),
    (host_call("point_evaluation", 0, 192, 1_000), 730_000),
    (f"(drop {host_call('emit_event', 0, 5)}) {host_call('read_event', 0, 0, 3)}", 120 + 23),
    (f"(drop {host_call('emit_event', 0, 5)}) {host_call('read_event', 0, 0, 99)}", 120 + 25),
    (f"(drop {host_call('storage_get', 0, 4)}) {host_call('storage_read_value', 0, 9)}", 204 + 20),
    (
        f"(drop {host_call('storage_set', 0, 4, 0, 7)}) (drop {host_call('storage_get', 0, 4)})"
        f" {host_call('storage_read_value', 0, 5)}",
        544 + 16 * (21 + 4 + 7) + 211 + 25,
    ),
    (f"(drop {host_call('storage_get', 0, 300)}) (i32.const 0)", 500),
]


def _fuel(body: str) -> int:
    """The function, and each instruction that the body names."""
    return 1 + sum(body.count(f"({name}") for name in ("i32.const", "call", "i32.wrap_i64"))


@pytest.mark.parametrize(("body", "price"), HOST_GAS)
def test_prices_of_host_functions(run: Runs, body: str, price: int):
    receipt = run(f"{body} (drop) (i32.const 0)", input=b"12345")
    assert receipt.success
    assert receipt.gas == INTRINSIC + 5 * 4 + WRAPPER + _fuel(body) + 1 + price


def test_every_host_function_has_a_price_and_one_that_is_checked():
    names = {name for functions in HOST_FUNCTIONS.values() for name in functions}
    assert PRICES.keys() | PRECOMPILES.keys() == names
    assert all(any(f"${name} " in body for body, _ in HOST_GAS) for name in names)


@pytest.mark.parametrize("missing", [0, 1, 2, 170])
def test_the_limit_may_be_used_up_to_the_last_unit(run: Runs, missing: int):
    """What the wasm code and the host used exceeds the limit together, although neither does alone."""
    body = f"(drop {host_call('storage_has', 0, 10)}) (i32.const 3)"
    gas = run(body).gas
    receipt = run(body, gas_limit=gas - missing)
    reason = Reason.OUT_OF_GAS if missing else Reason.NONE
    assert (receipt.reason, receipt.gas) == (reason, gas - missing)


def test_a_host_function_that_cannot_be_paid_does_nothing(run: Runs):
    receipt = run(host_call("storage_set", 0, 1, 0, 1), gas_limit=INTRINSIC + 507)
    assert (receipt.reason, receipt.gas) == (Reason.OUT_OF_GAS, INTRINSIC + 507)
    assert not any(key[:1] == b"\x01" for key in receipt.reads + receipt.writes)


def test_another_failure_beyond_the_limit_is_out_of_gas(run: Runs):
    """The wasm code alone has enough, the host alone has enough; the negative result does not count."""
    body = f"(drop {host_call('storage_has', 0, 10)}) (i32.const -3)"
    assert run(body).reason == Reason.CONTRACT_ERROR
    assert run(body, gas_limit=INTRINSIC + 165).reason == Reason.OUT_OF_GAS


def test_a_bad_pointer_is_not_charged(run: Runs):
    body = host_call("verify_ed25519", 0, 1, 0, 131_072 - 31)
    receipt = run(body)
    assert receipt.reason == Reason.BAD_POINTER
    assert receipt.gas == INTRINSIC + WRAPPER - 4 + _fuel(body)


@pytest.mark.parametrize("missing", [1, 50])
def test_fuel_that_ends_behind_the_last_check_is_not_missed(run: Runs, missing: int):
    """wasmtime checks fuel where functions and loops begin; a call that traps nowhere has not run out of it."""
    body = "(drop (i32.const 1)) " * 100 + "(i32.const 7)"
    receipt = run(body, gas_limit=INTRINSIC + WRAPPER + 102 - missing)
    assert (receipt.reason, receipt.gas) == (Reason.NONE, INTRINSIC + WRAPPER + 102 - missing)
