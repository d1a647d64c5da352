# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host functions answer, against values from other libraries and by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import coincurve
import pytest
from contracts_for_tests import compiled, host_call, imports
from Crypto.Hash import keccak
from judge import Judge, Receipt
from nacl.signing import SigningKey

Runs = Callable[..., Receipt]
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20


def _data(offset: int, data: bytes) -> str:
    text = "".join(f"\\{byte:02x}" for byte in data)
    return f'(data (i32.const {offset}) "{text}")'


def _shown(body: str, offset: int, size: int) -> str:
    """The body, its result dropped, and an output of memory."""
    return f"(drop {body}) {host_call('set_output', offset, size)}"


def test_hashes(run: Runs):
    data = _data(0, b"message")
    assert (
        run(_shown(host_call("sha256", 0, 7, 50), 50, 32), data).output == hashlib.sha256(b"message").digest()
    )
    expected = keccak.new(digest_bits=256, data=b"message").digest()
    assert run(_shown(host_call("keccak256", 0, 7, 3), 3, 32), data).output == expected


def test_addresses_of_keys(run: Runs):
    raw = coincurve.PrivateKey(b"\x05" * 32).public_key.format(compressed=False)
    address = keccak.new(digest_bits=256, data=raw[1:]).digest()[-20:]
    assert run(_shown(host_call("derive_eth_address", 0, 65, 99), 99, 20), _data(0, raw)).output == address
    assert run(_shown(host_call("derive_eth_address", 1, 64, 99), 99, 20), _data(0, raw)).output == address
    for pointer, size, first in ((0, 65, b"\x06"), (0, 63, b"\x04"), (0, 33, b"\x04"), (0, 0, b"\x04")):
        body = host_call("derive_eth_address", pointer, size, 99)
        data = _data(0, first + raw[1:])
        assert run(f"(i32.eq (i32.const -1) {body})", data).return_value == 1
        assert run(_shown(body, 99, 20), data).output == bytes(20)


def test_ed25519(run: Runs):
    key = SigningKey(b"\x07" * 32)
    data = _data(0, b"hello") + _data(100, key.sign(b"hello").signature) + _data(200, bytes(key.verify_key))
    assert run(host_call("verify_ed25519", 0, 5, 100, 200), data).return_value == 1
    assert run(host_call("verify_ed25519", 0, 4, 100, 200), data).return_value == 0
    malformed = data + _data(132, b"\xff" * 32)
    assert run(
        f"(i32.eq (i32.const -1) {host_call('verify_ed25519', 0, 5, 100, 200)})", malformed
    ).return_value


@pytest.mark.parametrize("compressed", [True, False])
def test_secp256k1(run: Runs, compressed: bool):
    secret = coincurve.PrivateKey(b"\x09" * 32)
    digest = hashlib.sha256(b"x").digest()
    signature, key = secret.sign_recoverable(digest, hasher=None), secret.public_key.format(compressed)
    data = _data(0, digest) + _data(100, signature) + _data(200, key)
    assert run(host_call("verify_secp256k1", 0, 100, 200, len(key)), data).return_value == 1
    assert run(host_call("verify_secp256k1", 1, 100, 200, len(key)), data).return_value == 0
    wrong = host_call("verify_secp256k1", 0, 100, 201, 64)
    assert run(f"(i32.eq (i32.const -1) {wrong})", data).return_value == 1
    expected = secret.public_key.format(compressed=False)
    assert run(_shown(host_call("recover_secp256k1_pubkey", 0, 100, 300), 300, 65), data).output == expected
    refused = host_call("recover_secp256k1_pubkey", 0, 100, 300)
    data += _data(164, b"\x04")
    assert run(f"(i32.eq (i32.const -1) {refused})", data).return_value == 1
    assert run(_shown(refused, 300, 65), data).output == bytes(65)


def test_a_value_is_held_until_the_next_one(run: Runs):
    data = _data(0, b"key") + _data(10, b"value")
    body = f"""(drop {host_call("storage_set", 0, 3, 10, 5)})
        (if (i32.ne {host_call("storage_get", 0, 3)} (i32.const 5)) (then (unreachable)))
        (drop {host_call("storage_set", 0, 3, 11, 1)})
        (if (i32.ne {host_call("storage_get", 0, 257)} (i32.const -1)) (then (unreachable)))
        (if (i32.ne {host_call("storage_read_value", 50, 3)} (i32.const 3)) (then (unreachable)))
        (if (i32.ne {host_call("storage_read_value", 60, 99)} (i32.const 5)) (then (unreachable)))
        (drop {host_call("storage_get", 0, 2)})
        (if (i32.ne {host_call("storage_read_value", 60, 99)} (i32.const 0)) (then (unreachable)))
        {host_call("set_output", 50, 20)}"""
    receipt = run(body, data)
    assert receipt.output == b"val" + bytes(7) + b"value" + bytes(5)


def test_an_empty_value_is_present(judge: Judge, run: Runs):
    body = f"""(drop {host_call("storage_set", 0, 0, 0, 0)})
        (i32.add (i32.mul {host_call("storage_has", 0, 0)} (i32.const 10)) {host_call("storage_has", 0, 1)})"""
    receipt = run(body)
    assert receipt.return_value == 10
    (key,) = (key for key in judge.state if key[:1] == b"\x01")
    assert (len(key), judge.state[key]) == (21, b"")
    assert (
        run(f"(drop {host_call('storage_delete', 0, 0)}) {host_call('storage_has', 0, 0)}").return_value == 0
    )


def test_input_is_read_in_pieces(run: Runs):
    body = f"""(drop {host_call("input_read", 0, 2, 3)}) (drop {host_call("input_read", 10, 4, 99)})
        (if {host_call("input_read", 0, 6, 9)} (then (unreachable)))
        (if {host_call("input_read", 0, -1, 9)} (then (unreachable))) {host_call("set_output", 0, 12)}"""
    assert run(body, input=b"012345").output == b"234" + bytes(7) + b"45"


def test_surroundings(judge: Judge, run: Runs):
    calls = "".join(
        f"(drop {host_call(*call)})" for call in (("caller", 0), ("self_address", 20), ("value", 40))
    )
    body = f"""{calls} (i64.store (i32.const 72) (call $block_number))
        (i64.store (i32.const 80) (call $timestamp)) {host_call("set_output", 0, 88)}"""
    output = run(body, value=300).output
    assert output[:20] == ALICE
    assert judge.account(output[20:40]) == (0, 300)
    assert output[40:72] == (300).to_bytes(32, "big")
    # Two credits and the deployment came before the block.
    assert output[72:] == (4).to_bytes(8, "little") + (1).to_bytes(8, "little")


def test_timestamps(judge: Judge):
    assert judge.execute([]) == []
    assert (judge.timestamp, judge.height) == (1, 3)
    judge.execute([], 50)
    judge.execute([])
    judge.credit(ALICE, 1)
    assert (judge.timestamp, judge.height) == (51, 6)


def test_money_moves_out_of_the_contract_alone(judge: Judge, run: Runs):
    data = _data(0, BOB) + _data(51, b"\x07")
    body = f"""(if {host_call("transfer", 0, 20)} (then (unreachable)))
        (if (i32.ne {host_call("transfer", 0, 20)} (i32.const -1)) (then (unreachable)))
        (drop {host_call("balance", 0, 100)}) {host_call("set_output", 100, 32)}"""
    receipt = run(body, data, value=10)
    assert int.from_bytes(receipt.output, "big") == judge.account(BOB)[1] == 10**15 + 7
    assert judge.money() == 2 * 10**15


def test_a_contract_may_pay_itself(judge: Judge, run: Runs):
    body = f"(drop {host_call('self_address', 0)}) {host_call('transfer', 0, 20)}"
    receipt = run(body, _data(51, b"\x07"), value=7)
    assert (receipt.success, receipt.return_value) == (True, 0)
    assert judge.money() == 2 * 10**15


def test_what_was_prepaid_is_not_in_the_balance(judge: Judge, run: Runs):
    body = f"(drop {host_call('balance', 0, 100)}) {host_call('set_output', 100, 32)}"
    receipt = run(body, _data(0, ALICE), value=10, gas_limit=5_000, gas_price=3)
    assert int.from_bytes(receipt.output, "big") == 10**15 - 10 - 15_000
    assert judge.account(ALICE) == (1, 10**15 - 10 - 3 * receipt.gas)


def test_events(run: Runs):
    body = f"""(drop {host_call("emit_event", 0, 5)}) (drop {host_call("emit_event", 0, 0)})
        (if (i32.ne {host_call("read_event", 0, 20, 2)} (i32.const 2)) (then (unreachable)))
        (if {host_call("read_event", 1, 20, 2)} (then (unreachable)))
        (drop {host_call("set_output", 20, 5)}) {host_call("events_len")}"""
    receipt = run(body, _data(0, b"event"))
    assert (receipt.events, receipt.output, receipt.return_value) == ([b"event", b""], b"ev\0\0\0", 2)


@pytest.mark.parametrize("end", [131_072, 131_073, 0xFFFFFFFF])
def test_empty_ranges_may_end_with_memory_and_not_behind_it(run: Runs, end: int):
    assert run(host_call("set_output", end, 0)).success == (end == 131_072)


def test_memory_that_has_grown_is_within_reach(judge: Judge, send: Runs):
    code = compiled(f"""(module {imports()} (memory (export "memory") 1 2) (func (export "f") (result i32)
        (drop (memory.grow (i32.const 1))) {host_call("emit_event", 65_530, 10)}))""")
    assert send(judge.deploy(code, bytes(32)), entry=b"f").events == [bytes(10)]
