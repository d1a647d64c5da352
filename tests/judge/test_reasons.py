# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason of the rules is reached, the first that applies is given, and the undone is undone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contracts_for_tests import MISDEEDS, OBSERVERS, compiled, imports, misdeed
from judge import Judge, Reason, Receipt, Tx
from judge.rules import ACCOUNT, CODE, OBJECT

from supervm.vm.errors import ContractRejected

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
FEW = (4).to_bytes(4, "little")

FAILURES = {
    "infinite_loop": Reason.OUT_OF_GAS,
    "unreachable": Reason.UNREACHABLE,
    "load_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "store_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "fill_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "copy_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "init_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "table_copy_out_of_bounds": Reason.INDIRECT_CALL,
    "endless_recursion": Reason.STACK_OVERFLOW,
    "integer_overflow": Reason.INTEGER_OVERFLOW,
    "division_by_zero": Reason.DIVISION_BY_ZERO,
    "remainder_by_zero": Reason.DIVISION_BY_ZERO,
    "conversion_out_of_range": Reason.INTEGER_OVERFLOW,
    "conversion_of_nan": Reason.BAD_CONVERSION,
    "indirect_call_out_of_range": Reason.INDIRECT_CALL,
    "indirect_call_of_null": Reason.INDIRECT_CALL,
    "indirect_call_of_another_type": Reason.INDIRECT_CALL,
    "read_value_before_get": Reason.NO_HELD_VALUE,
    "event_index": Reason.EVENT_INDEX,
    "event_index_of_minus_one": Reason.EVENT_INDEX,
    "too_many_event_bytes": Reason.LIMIT_EXCEEDED,
    "big_output": Reason.LIMIT_EXCEEDED,
    "big_value": Reason.LIMIT_EXCEEDED,
    "long_key_set": Reason.LIMIT_EXCEEDED,
    "long_key_delete": Reason.LIMIT_EXCEEDED,
    "long_key_get": Reason.CONTRACT_ERROR,
    "long_key_has": Reason.CONTRACT_ERROR,
    "returns_negative": Reason.CONTRACT_ERROR,
    "returns_least": Reason.CONTRACT_ERROR,
    "write_then_return_negative": Reason.CONTRACT_ERROR,
    **{name: Reason.UNREACHABLE for name in MISDEEDS if name.endswith("_then_trap")},
    **{name: Reason.BAD_POINTER for name in MISDEEDS if name.startswith("bad_pointer/")},
}


@pytest.mark.parametrize("by_number", [False, True], ids=["by name", "by number"])
def test_each_misdeed_fails_for_its_reason_and_only_the_fee_stays(judge: Judge, bad: bytes, by_number: bool):
    for name, reason in FAILURES.items():
        before, (nonce, balance) = dict(judge.state), judge.account(ALICE)
        entry, call_input = misdeed(name, by_number=by_number)
        tx = Tx(ALICE, nonce, bad, 5, 400_000, 2, entry, call_input)
        receipt = judge.execute([tx])[0]
        code = receipt.return_value
        assert receipt == Receipt(True, False, int(reason), receipt.gas, code), name
        assert (code < 0) == (reason is Reason.CONTRACT_ERROR), name
        assert code <= 0, name
        assert 1_000 < receipt.gas <= 400_000
        assert (receipt.gas == 400_000) == (reason is Reason.OUT_OF_GAS), name
        assert judge.account(ALICE) == (nonce + 1, balance - 2 * receipt.gas), name
        assert receipt.writes == [ACCOUNT + ALICE]
        same = {key for key in before | judge.state if before.get(key) == judge.state.get(key)}
        assert (before | judge.state).keys() - same == {ACCOUNT + ALICE, ACCOUNT + bytes(19) + b"\xfe"}


def test_misdeeds_are_listed_or_harmless(judge: Judge, bad: bytes):
    for name in MISDEEDS.keys() - FAILURES.keys():
        entry, call_input = misdeed(name, FEW)
        nonce, _ = judge.account(ALICE)
        assert judge.execute([Tx(ALICE, nonce, bad, entry=entry, input=call_input)])[0].success, name


@pytest.mark.parametrize("observer", list(OBSERVERS))
def test_no_instance_is_seen_twice(judge: Judge, bad: bytes, observer: str):
    for nonce, deed in enumerate(deed for dirty in OBSERVERS[observer][1:] for deed in (dirty, observer)):
        entry, call_input = misdeed(deed)
        receipt = judge.execute([Tx(ALICE, nonce, bad, entry=entry, input=call_input)])[0]
        if deed == observer:
            assert (receipt.success, receipt.return_value) == (True, 0)


def _count(judge: Judge, bad: bytes, name: str, count: int) -> int:
    entry, call_input = misdeed(name, count.to_bytes(4, "little"))
    nonce, _ = judge.account(ALICE)
    tx = Tx(ALICE, nonce, bad, gas_limit=30_000_000, entry=entry, input=call_input)
    return judge.execute([tx])[0].reason


def test_limits_are_met_exactly(judge: Judge, bad: bytes):
    assert _count(judge, bad, "many_events", 1_024) == Reason.NONE
    assert _count(judge, bad, "many_events", 1_025) == Reason.LIMIT_EXCEEDED
    # The entry point and `deeper` with 1,022 more calls below it are 1,024 deep.
    assert _count(judge, bad, "recursion", 1_022) == Reason.NONE
    assert _count(judge, bad, "recursion", 1_023) == Reason.STACK_OVERFLOW


@pytest.mark.parametrize("name", ["write_keys", "read_keys", "has_keys"])
def test_state_keys_are_limited(judge: Judge, bad: bytes, name: str):
    """The sender's account is one of the transaction's 16,384, the code's hash is not."""
    assert _count(judge, bad, name, 16_383) == Reason.NONE
    assert _count(judge, bad, name, 16_384) == Reason.LIMIT_EXCEEDED


@pytest.mark.parametrize(
    ("objects", "value", "reason"),
    [
        (16_383, 0, Reason.NONE),
        (16_383, 1, Reason.LIMIT_EXCEEDED),
        (16_382, 1, Reason.NONE),
        (16_384, 0, Reason.LIMIT_EXCEEDED),
    ],
)
def test_state_keys_of_a_transfer_are_limited(judge: Judge, objects: int, value: int, reason: Reason):
    ids = [index.to_bytes(32, "big") for index in range(objects)]
    judge.state.update({OBJECT + id: b"\0" + ALICE for id in ids})
    tx = Tx(ALICE, 0, BOB, value, gas_limit=10**7, objects=[*ids, ids[0]])
    assert judge.execute([tx])[0].reason == reason


REJECTIONS: list[tuple[Reason, dict[str, object]]] = [
    (Reason.MALFORMED_SIGNATURE, {"scheme": 1}),
    (Reason.BAD_SIGNATURE, {"scheme": 2}),
    (Reason.WRONG_SENDER, {"scheme": 3}),
    (Reason.WRONG_CHAIN, {"chain_id": 2}),
    (Reason.BAD_PROOF, {"private": True, "proof": b"bad"}),
    (Reason.TOO_LARGE, {"input": bytes(2**20)}),
    (Reason.GAS_LIMIT_TOO_HIGH, {"gas_limit": 10**9 + 1}),
    (Reason.GAS_LIMIT_TOO_LOW, {"gas_limit": 999}),
    (Reason.UNKNOWN_CONTRACT, {"to": BOB, "entry": b"main"}),
    (Reason.UNKNOWN_ENTRY, {"entry": b"memory"}),
    (Reason.BAD_NONCE, {"nonce": 1}),
    (Reason.INSUFFICIENT_BALANCE, {"value": 10**15 + 1}),
]


def _strict(judge: Judge) -> Judge:
    strict = Judge(verify=lambda tx: tx.scheme, verifier=lambda tx: tx.proof == b"good")
    strict.state, strict.height, strict._contracts = dict(judge.state), judge.height, judge._contracts
    return strict


@pytest.mark.parametrize("first", range(len(REJECTIONS)), ids=lambda index: REJECTIONS[index][0].name)
def test_the_first_reason_that_applies_rejects(judge: Judge, bad: bytes, first: int):
    strict = _strict(judge)
    before = dict(strict.state)
    tx = Tx(ALICE, 0, bad, entry=b"read_global", input=b"", gas_limit=100_000)
    for reason, fields in reversed(REJECTIONS[first:]):
        # An entry point makes a transaction a call, and two faults of one field cannot be had at once.
        tx = replace(tx, **fields)  # type: ignore[arg-type]
        receipt = strict.execute([tx])[0]
        assert receipt == Receipt(False, False, int(reason)), reason
    assert strict.state == before


def test_private_transactions_need_a_verifier(judge: Judge, bad: bytes):
    tx = Tx(ALICE, 0, BOB, private=True, proof=b"good")
    assert judge.execute([tx])[0].reason == Reason.NO_VERIFIER
    assert _strict(judge).execute([tx])[0].success


def test_the_last_nonce_is_never_used(judge: Judge):
    judge.state[ACCOUNT + ALICE] = b"\xff" * 8 + judge.state[ACCOUNT + ALICE][8:]
    assert judge.execute([Tx(ALICE, 2**64 - 1, BOB)])[0].reason == Reason.BAD_NONCE


def test_entry_points_are_functions_without_parameters_that_return_an_i32(judge: Judge, bad: bytes):
    names = (b"memory", b"supervm:depth", b"deeper", b"main\0", b"\xff\xff")
    receipts = judge.execute([Tx(ALICE, 0, bad, entry=name) for name in names])
    assert [receipt.reason for receipt in receipts] == [Reason.UNKNOWN_ENTRY] * len(names)


def test_an_exported_import_is_no_entry_point(judge: Judge):
    code = compiled(f"""(module {imports()} (memory (export "memory") 1 1) (export "size" (func $input_len))
        (func (export "f") (result i32) (i32.const 7)))""")
    address = judge.deploy(code, bytes(32))
    receipts = judge.execute([Tx(ALICE, 0, address, entry=name) for name in (b"size", b"f")])
    assert [receipt.reason for receipt in receipts] == [Reason.UNKNOWN_ENTRY, Reason.NONE]


@pytest.mark.parametrize("text", ['(data (i32.const 65535) "ab")', "(start 0)"])
def test_contracts_that_cannot_be_instantiated_or_break_a_rule_are_refused(judge: Judge, text: str):
    code = compiled(
        f'(module (memory (export "memory") 1 1) (func) (func (export "f") (result i32) (i32.const 7)) {text})'
    )
    height = judge.height
    with pytest.raises((ValueError, ContractRejected)):
        judge.deploy(code, bytes(32))
    assert judge.height == height


OBJECTS = {"own": (0, ALICE), "another's": (0, BOB), "shared": (1, ALICE), "immutable": (2, ALICE)}


def test_only_own_objects_move(judge: Judge):
    ids = {name: index.to_bytes(32, "big") for index, name in enumerate(OBJECTS)}
    for name, (kind, owner) in OBJECTS.items():
        judge.create_object(ids[name], kind, owner)
    for nonce, wrong in enumerate([*list(ids.values())[1:], b"\xee" * 32]):
        receipt = judge.execute([Tx(ALICE, nonce, BOB, 5, objects=[ids["own"], wrong], gas_price=1)])[0]
        assert receipt == Receipt(True, False, int(Reason.OBJECT_NOT_OWNED), 1_200)
        assert judge.state[OBJECT + ids["own"]] == b"\0" + ALICE
    assert judge.account(BOB) == (0, 10**15)
    twice = Tx(ALICE, 4, BOB, 5, objects=[ids["own"]] * 2)
    sent_on = Tx(BOB, 0, b"\xca" * 20, objects=[ids["own"], ids["another's"]])
    receipts = judge.execute([twice, sent_on])
    assert [(r.success, r.gas) for r in receipts] == [(True, 1_200), (True, 1_200)]
    assert judge.state[OBJECT + ids["own"]] == b"\0" + b"\xca" * 20


def test_a_call_moves_no_objects(judge: Judge, bad: bytes):
    judge.create_object(bytes(32), 0, BOB)
    receipt = judge.execute([Tx(ALICE, 0, bad, entry=b"read_global", objects=[bytes(32)])])[0]
    assert receipt.success
    assert judge.state[OBJECT + bytes(32)] == b"\0" + BOB
    assert receipt.reads == sorted([ACCOUNT + ALICE, CODE + bad])
