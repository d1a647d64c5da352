# SPDX-License-Identifier: GPL-3.0-or-later
"""Host functions one by one, called by compiled code: pointers at the edge of memory, and cryptography by the oracles."""

from __future__ import annotations

import hashlib
import random

import pytest
from contract_runs import CALLER, SELF, Runs, arguments, host_caller
from Crypto.Hash import keccak

from supervm.engine.execution.host_precompiles import SIZES
from supervm.vm.interface import HOST_FUNCTIONS
from supervm.vm.outcomes import Reason

PAGES = 3
END = PAGES * 65_536
"""The memory's size."""
DATA = 1_024
"""Where the rest of the input stands in memory."""

FIXED = {
    ("caller", "out_ptr"): 20,
    ("self_address", "out_ptr"): 20,
    ("value", "out_ptr"): 32,
    ("balance", "addr_ptr"): 20,
    ("balance", "out_ptr"): 32,
    ("transfer", "to_ptr"): 20,
    ("transfer", "amount_ptr"): 32,
    ("sha256", "out_ptr"): 32,
    ("keccak256", "out_ptr"): 32,
    ("derive_eth_address", "out_ptr"): 20,
    ("verify_ed25519", "sig_ptr"): 64,
    ("verify_ed25519", "pubkey_ptr"): 32,
    ("verify_secp256k1", "digest_ptr"): 32,
    ("verify_secp256k1", "sig_ptr"): 64,
    ("recover_secp256k1_pubkey", "digest_ptr"): 32,
    ("recover_secp256k1_pubkey", "sig65_ptr"): 65,
    ("recover_secp256k1_pubkey", "out_ptr"): 65,
    **{(name, "out_ptr"): size for name, (_, size) in SIZES.items()},
}
"""Bytes behind a pointer whose length is no parameter."""


def areas() -> list[tuple[str, int, int | None, int]]:
    """Of every pointer: function, place of the pointer, place of its length or None, bytes if the length is fixed."""
    found: list[tuple[str, int, int | None, int]] = []
    for function in HOST_FUNCTIONS:
        for place, name in enumerate(function.parameters):
            if name.endswith("ptr"):
                size = FIXED.get((function.name, name))
                length = None
                if size is None:
                    length = next(
                        i for i in range(place, len(function.parameters)) if "len" in function.parameters[i]
                    )
                found.append((function.name, place, length, size or 0))
    return found


@pytest.fixture(scope="module")
def runs():
    with Runs(host_caller(PAGES)) as found:
        yield found


@pytest.mark.parametrize(("function", "pointer", "length", "size"), areas())
def test_areas_end_with_the_memory(runs, function, pointer, length, size):
    parameters = next(each.parameters for each in HOST_FUNCTIONS if each.name == function)
    base = [0 if name == "index" else 2_000 if name.endswith("ptr") else 0 for name in parameters]

    def outcome(at: int, bytes_: int) -> Reason:
        numbers = list(base)
        numbers[pointer] = at
        if length is not None:
            numbers[length] = bytes_
        return runs.call(function, arguments(*numbers), gas=10**9).reason

    for many in [0, 1, 7, 256, 300, 65_536] if length is not None else [size]:
        assert outcome(END - many, many) != Reason.BAD_POINTER
        assert outcome(END - many + 1, many) == Reason.BAD_POINTER
        assert outcome((1 << 32) - 1, many) == Reason.BAD_POINTER
        assert outcome((1 << 31), many) == Reason.BAD_POINTER
    if length is not None:
        for many in ((1 << 32) - 1, (1 << 31), END + 1):
            assert outcome(0, many) == Reason.BAD_POINTER
            assert outcome(END, many) == Reason.BAD_POINTER
        assert outcome(1, END) == Reason.BAD_POINTER
        assert outcome(0, END) != Reason.BAD_POINTER


def test_offsets_of_the_input(runs):
    data = bytes(range(1, 100))
    whole = arguments(DATA, 12, 50) + data
    for offset, size in ((0, 50), (12, 50), (len(whole) - 1, 1), (len(whole), 0), (1 << 31, 0), (-1, 0)):
        given = arguments(DATA, offset, 50) + data
        assert runs.call("input_read", given).number == size
        expected = given[offset : offset + 50] if 0 <= offset < len(given) else b""
        assert runs.call("out:input_read", given).output[:size] == expected


def test_addresses(runs):
    assert runs.call("out:caller", arguments(DATA)).output[:21] == CALLER + b"\0"
    assert runs.call("out:self_address", arguments(DATA)).output[:21] == SELF + b"\0"


def test_events_are_read_back(runs):
    given = arguments(0, DATA + 100, 60) + b"event"
    assert runs.call("out:read_event", given).output[100:106] == b"event\0"
    assert runs.call("read_event", arguments(0, DATA, 3) + b"event").number == 3
    for index in (1, 1 << 31, -1):
        assert runs.call("read_event", arguments(index, DATA, 3)).reason == Reason.EVENT_INDEX


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 135, 136, 137, 271, 272, 273, 5_000, 60_000])
def test_hashes(runs, size):
    """Also where the digest is written over the message."""
    data = random.Random(size).randbytes(size)
    for function, digest in (
        ("sha256", hashlib.sha256(data).digest()),
        ("keccak256", keccak.new(digest_bits=256, data=data).digest()),
    ):
        for out in (0, 5, 32):
            given = arguments(DATA, size, DATA + out) + data
            assert runs.call("out:" + function, given).output[out : out + 32] == digest


def test_a_hash_of_the_whole_memory(runs):
    outcome = runs.call("out:sha256", arguments(0, END, DATA))
    before = bytearray(END)
    before[:12] = arguments(0, END, DATA)
    assert outcome.output[:32] == hashlib.sha256(before).digest()


def test_ed25519_is_the_oracles(runs, ed25519_cases, oracles):
    verdicts = []
    for case in ed25519_cases:
        if len(case.signature) != 64 or len(case.public_key) != 32:
            continue
        message = DATA + 96
        given = arguments(message, len(case.message), DATA, DATA + 64)
        found = runs.call("verify_ed25519", given + case.signature + case.public_key + case.message).number
        assert found == oracles.ed25519(case.public_key, case.message, case.signature), case
        verdicts.append(found)
    assert {verdicts.count(verdict) > 3 for verdict in (1, 0, -1)} == {True}


def test_ecdsa_is_the_oracles(runs, ecdsa_cases, oracles):
    verdicts = []
    for case in ecdsa_cases:
        if len(case.signature) != 64 or len(case.digest) != 32:
            continue
        given = arguments(DATA, DATA + 32, DATA + 96, len(case.public_key))
        found = runs.call("verify_secp256k1", given + case.digest + case.signature + case.public_key).number
        expected = -1
        if len(case.public_key) in (33, 65):
            expected = oracles.ecdsa(case.public_key, case.digest, case.signature, True)
        assert found == expected, case
        verdicts.append(found)
    assert {verdicts.count(verdict) > 3 for verdict in (1, 0, -1)} == {True}


@pytest.mark.parametrize("size", [0, 1, 32, 34, 64, 66, 1_000])
def test_keys_of_other_lengths_are_malformed(runs, size):
    assert runs.call("verify_secp256k1", arguments(DATA, DATA, DATA, size) + b"\x04" * 1_000).number == -1


def test_recovery_is_the_oracles(runs, recovery_cases, oracles):
    found = []
    for case in recovery_cases:
        if len(case.signature) != 65 or len(case.digest) != 32:
            continue
        given = arguments(DATA, DATA + 32, DATA + 200) + case.digest + case.signature
        number = runs.call("recover_secp256k1_pubkey", given).number
        key, verdict = oracles.recover(case.digest, case.signature)
        assert number == (0 if verdict == 1 else -1), case
        written = runs.call("out:recover_secp256k1_pubkey", given).output[200:265]
        assert written == (b"\x04" + key[-64:] if verdict == 1 and key is not None else bytes(65))
        found.append(number)
    assert found.count(0) > 3
    assert found.count(-1) > 3
