# SPDX-License-Identifier: GPL-3.0-or-later
"""`ed25519.verify_batch`: every backend and rule, verdict for verdict as the oracle, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import on_kinds_and_twin

from supervm.crypto import ed25519
from supervm.crypto.messages import Messages
from supervm.kernels import get_threads, set_threads
from supervm.kernels.errors import ArgumentError

RULES = ("dalek", "strict", "zip215")


def _arrays(items):
    keys = np.array([np.frombuffer(item.public_key, np.uint8) for item in items])
    signatures = np.array([np.frombuffer(item.signature, np.uint8) for item in items])
    return keys, [item.message for item in items], signatures


def _oracle(oracles, items, rule):
    return [oracles.ed25519(item.public_key, item.message, item.signature, rule) for item in items]


@on_kinds_and_twin
@pytest.mark.parametrize("rule", RULES)
def test_adversarial_inputs(backend, rule, ed25519_cases, oracles):
    verdicts = ed25519.verify_batch(*_arrays(ed25519_cases), rule=rule, backend=backend)
    assert verdicts.dtype == np.int8
    assert verdicts.shape == (len(ed25519_cases),)
    expected = _oracle(oracles, ed25519_cases, rule)
    assert set(expected) == {-1, 0, 1}
    wrong = [
        (case.description, got, want)
        for case, got, want in zip(ed25519_cases, verdicts.tolist(), expected, strict=True)
        if got != want
    ]
    assert not wrong


@on_kinds_and_twin
@pytest.mark.parametrize("rule", RULES)
def test_published_vectors(backend, rule, ed25519_vectors):
    verdicts = ed25519.verify_batch(*_arrays(ed25519_vectors), rule=rule, backend=backend)
    wrong = [v.name for v, got in zip(ed25519_vectors, verdicts, strict=True) if (got == 1) != v.valid[rule]]
    assert not wrong


def test_default_rule_is_dalek(ed25519_cases, oracles):
    cases = ed25519_cases[:200]
    assert ed25519.verify_batch(*_arrays(cases)).tolist() == _oracle(oracles, cases, "dalek")


def test_order_is_kept(backend, ed25519_cases):
    cases = ed25519_cases[::3]
    keys, messages, signatures = _arrays(cases)
    in_order = ed25519.verify_batch(keys, messages, signatures, backend=backend)
    shuffled = np.random.default_rng(1).permutation(len(cases))
    verdicts = ed25519.verify_batch(
        keys[shuffled], [messages[i] for i in shuffled], signatures[shuffled], backend=backend
    )
    assert verdicts.tolist() == in_order[shuffled].tolist()


@on_kinds_and_twin
def test_every_small_size(backend, ed25519_cases, oracles):
    """Lanes are filled up with something when a batch does not divide; that something must not show."""
    cases = [case for case in ed25519_cases if "torsion" in case.description][:19]
    expected = _oracle(oracles, cases, "zip215")
    for size in range(1, len(cases) + 1):
        verdicts = ed25519.verify_batch(*_arrays(cases[:size]), rule="zip215", backend=backend)
        assert verdicts.tolist() == expected[:size]


def test_empty_batch(backend):
    verdicts = ed25519.verify_batch(
        np.empty((0, 32), np.uint8), [], np.empty((0, 64), np.uint8), backend=backend
    )
    assert verdicts.dtype == np.int8
    assert verdicts.shape == (0,)


def test_forms_of_input(backend, ed25519_cases, oracles):
    cases = ed25519_cases[-60:]
    keys, messages, signatures = _arrays(cases)
    expected = _oracle(oracles, cases, "dalek")
    packed = Messages.of(messages)
    wide = np.zeros((len(cases), 100), np.uint8)
    wide[:, 3:35], wide[:, 36:] = keys, signatures
    keys.setflags(write=False)
    for args in (
        (keys, packed, signatures),
        (keys, (packed.data, packed.offsets), signatures),
        (wide[:, 3:35], messages, wide[:, 36:]),
        (np.asfortranarray(keys), tuple(messages), np.asfortranarray(signatures)),
        (keys[::-1][::-1], messages, signatures[::-1][::-1]),
    ):
        assert ed25519.verify_batch(*args, backend=backend).tolist() == expected


def test_inputs_are_left_alone(backend, ed25519_cases):
    keys, messages, signatures = _arrays(ed25519_cases[:40])
    before = keys.copy(), signatures.copy()
    ed25519.verify_batch(keys, messages, signatures, backend=backend)
    assert np.array_equal(keys, before[0])
    assert np.array_equal(signatures, before[1])


@on_kinds_and_twin
def test_threads_change_nothing(backend, ed25519_cases):
    arrays = _arrays(ed25519_cases * 3)
    alone = ed25519.verify_batch(*arrays, rule="strict", backend=backend)
    threads = get_threads()
    set_threads(3)
    try:
        together = ed25519.verify_batch(*arrays, rule="strict", backend=backend)
    finally:
        set_threads(threads)
    assert np.array_equal(alone, together)


KEYS, SIGNATURES = np.zeros((2, 32), np.uint8), np.zeros((2, 64), np.uint8)


@pytest.mark.parametrize(
    ("keys", "messages", "signatures", "options", "named"),
    [
        (np.zeros((2, 31), np.uint8), [b"", b""], SIGNATURES, {}, {"public_keys"}),
        (np.zeros(64, np.uint8), [b"", b""], SIGNATURES, {}, {"public_keys"}),
        (np.zeros((2, 32), np.int64), [b"", b""], SIGNATURES, {}, {"public_keys"}),
        ([bytes(32)] * 2, [b"", b""], SIGNATURES, {}, {"public_keys"}),
        (None, [b"", b""], SIGNATURES, {}, {"public_keys"}),
        (KEYS, [b"", b""], np.zeros((2, 63), np.uint8), {}, {"signatures"}),
        (KEYS, [b"", b""], np.zeros((2, 64), np.float64), {}, {"signatures"}),
        (KEYS, [b"", b""], np.zeros((3, 64), np.uint8), {}, {"signatures"}),
        (KEYS, [b""], SIGNATURES, {}, {"messages"}),
        (KEYS, [b"", "text"], SIGNATURES, {}, {"messages"}),
        (KEYS, (np.zeros(3, np.uint8), np.array([0, 5, 3])), SIGNATURES, {}, {"messages"}),
        (KEYS, [b"", b""], SIGNATURES, {"rule": "lenient"}, {"rule"}),
        (KEYS, [b"", b""], SIGNATURES, {"backend": "avx"}, {"backend"}),
    ],
)
def test_bad_arguments_are_named(keys, messages, signatures, options, named):
    with pytest.raises(ValueError, match=r"found .*, expected ") as raised:
        ed25519.verify_batch(keys, messages, signatures, **options)
    assert isinstance(raised.value, ArgumentError)
    assert raised.value.argument in named
