# SPDX-License-Identifier: GPL-3.0-or-later
"""One item alone: every adversarial signature and many lengths of messages as the oracle, and what is refused."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest
from lanes_here import KINDS

from supervm.crypto import ed25519, hashes, one, secp256k1
from supervm.crypto.oracle import hashes as oracle_hashes
from supervm.crypto.schemes import SCHEMES
from supervm.kernels import choices, registry
from supervm.kernels.backend_trace import witness
from supervm.kernels.errors import ArgumentError, BackendUnavailable

HASHES = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "blake2b": hashlib.blake2b,
    "keccak256": None,
}


@pytest.fixture(params=KINDS)
def backend(request):
    """A CPU backend of each multiplier: one item has no other way on a GPU than a batch."""
    return request.param


def _row(value):
    return np.frombuffer(value, np.uint8).reshape(1, -1)


def _check(cases, one_item, of_a_batch, expected):
    """The function for one item and a batch of one say what the oracle says."""
    wrong = []
    for case in cases:
        found, want = of_a_batch(case), expected(case)
        if found != want or one_item(case) != (want == 1):
            wrong.append((case.description, found, want))
    assert not wrong


@pytest.mark.parametrize("rule", ["dalek", "strict", "zip215"])
def test_ed25519(backend, rule, ed25519_cases, oracles):
    def batch(case):
        keys, signatures = _row(case.public_key), _row(case.signature)
        return int(ed25519.verify_batch(keys, [case.message], signatures, rule=rule, backend=backend)[0])

    _check(
        ed25519_cases,
        lambda case: ed25519.verify(*case[:3], rule=rule, backend=backend),
        batch,
        lambda case: oracles.ed25519(*case[:3], rule),
    )


@pytest.mark.parametrize("low_s", [True, False])
def test_ecdsa_verify(backend, low_s, ecdsa_cases, oracles):
    def batch(case):
        columns = map(_row, case[:3])
        return int(secp256k1.ecdsa_verify_batch(*columns, low_s=low_s, backend=backend)[0])

    _check(
        ecdsa_cases,
        lambda case: secp256k1.ecdsa_verify(*case[:3], low_s=low_s, backend=backend),
        batch,
        lambda case: oracles.ecdsa(*case[:3], low_s),
    )


def test_ecdsa_recover(backend, recovery_cases, oracles):
    for case in recovery_cases:
        key, verdict = oracles.recover(*case[:2])
        keys, verdicts = secp256k1.ecdsa_recover_batch(*map(_row, case[:2]), backend=backend)
        assert (keys.shape, keys.dtype, keys.flags.writeable) == ((1, 64), np.uint8, True)
        assert (keys.tobytes(), verdicts.tolist()) == (key or bytes(64), [verdict]), case.description
        assert secp256k1.ecdsa_recover(*case[:2], backend=backend) == key, case.description


def test_schnorr(backend, schnorr_cases, oracles):
    def batch(case):
        keys, signatures = _row(case.public_key), _row(case.signature)
        return int(secp256k1.schnorr_verify_batch(keys, [case.message], signatures, backend=backend)[0])

    _check(
        schnorr_cases,
        lambda case: secp256k1.schnorr_verify(*case[:3], backend=backend),
        batch,
        lambda case: oracles.schnorr(*case[:3]),
    )


@pytest.mark.parametrize("name", HASHES)
def test_hashes(backend, name):
    """Short and long ones by turns: what one leaves in the arrays that are kept must not show in the next."""
    function, batch = getattr(hashes, name), getattr(hashes, f"{name}_batch")
    kept = one.KEPT_BYTES
    for length in (kept, 0, 1, kept + 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 135, 136, 137, kept - 1, 3):
        message = bytes((7 * index + length) % 256 for index in range(length))
        theirs = HASHES[name]
        expected = theirs(message).digest() if theirs else oracle_hashes.keccak256(message)
        assert function(message, backend=backend) == expected
        found = batch([message], backend=backend)
        assert (found.shape, found.dtype) == ((1, len(expected)), np.uint8)
        assert found.tobytes() == expected
        assert function(memoryview(message), backend=backend) == expected
        assert function(bytearray(message), backend=backend) == expected


def test_threads_do_not_share_arrays():
    """Each hashes messages of its own, over and over."""
    wrong = []

    def work(seed):
        for index in range(400):
            message = bytes([seed, index % 256]) * (1 + index % 40)
            if hashes.sha256(message) != hashlib.sha256(message).digest():
                wrong.append((seed, index))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_call_inside_a_call_has_arrays_of_its_own():
    """A signal's handler, say, that checks a signature while another one is checked."""
    outer = one.take_desk()
    try:
        outer.message_view[:3] = b"abc"
        assert hashes.sha256(b"other") == hashlib.sha256(b"other").digest()
        assert bytes(outer.message_view[:3]) == b"abc"
    finally:
        one.put_back(outer)


def test_a_scheduler_is_asked(monkeypatch):
    """And a witness sees which backend computed where none is."""
    asked = []

    def dispatch(work):
        asked.append((work.operation, work.items))
        work.run(registry.resolve(work.operation).function)

    monkeypatch.setattr(registry, "_dispatcher", dispatch)
    assert hashes.sha256(b"abc") == hashlib.sha256(b"abc").digest()
    assert hashes.sha256_batch([b"abc"]).tobytes() == hashlib.sha256(b"abc").digest()
    assert ed25519.verify(bytes(32), b"", bytes(64)) is False
    assert asked == [("sha256", 1), ("sha256", 1), ("ed25519.verify", 1)]
    monkeypatch.setattr(registry, "_dispatcher", None)
    with witness() as seen:
        hashes.sha256(b"abc", backend="scalar")
    assert seen.backend("sha256") == "scalar"
    assert len(asked) == 3


REFUSED = [
    (lambda: hashes.sha256("text"), "message"),
    (lambda: hashes.keccak256(np.zeros(3, np.uint8).tolist()), "message"),
    (lambda: ed25519.verify(bytes(31), b"", bytes(64)), "public_key"),
    (lambda: ed25519.verify(bytes(32), None, bytes(64)), "message"),
    (lambda: ed25519.verify(bytes(32), b"", bytes(65)), "signature"),
    (lambda: ed25519.verify(bytes(32), b"", bytes(64), rule="lax"), "rule"),
    (lambda: secp256k1.ecdsa_verify(bytes(32), bytes(32), bytes(64)), "public_key"),
    (lambda: secp256k1.ecdsa_verify(bytes(33), bytes(31), bytes(64)), "digest"),
    (lambda: secp256k1.ecdsa_verify(bytes(33), bytes(32), bytes(64), low_s=1), "low_s"),
    (lambda: secp256k1.ecdsa_recover(bytes(32), bytes(64)), "signature"),
    (lambda: secp256k1.schnorr_verify(bytes(33), b"", bytes(64)), "public_key"),
    (lambda: hashes.sha256(b"", backend="fast"), "backend"),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refused(index):
    call, argument = REFUSED[index]
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.argument == argument


def test_a_backend_that_cannot_run_is_refused():
    with pytest.raises(BackendUnavailable):
        hashes.sha256(b"", backend="neon" if "neon" not in KINDS else "ifma")


@pytest.mark.parametrize("operation", [*(each.operation for each in SCHEMES), "secp256k1.ecdsa_recover"])
def test_one_signature_alone_takes_one_lane(operation, monkeypatch):
    """Until something is measured."""
    best_one = registry.resolve(operation).name
    found = [registry.resolve(operation, items=items).name for items in (0, 1, 2, 100)]
    assert found == [best_one, "scalar", best_one, best_one]
    monkeypatch.setattr(choices, "_stored", lambda: {operation: ((1, best_one),)})
    assert registry.resolve(operation, items=1).name == best_one, "it was measured"
