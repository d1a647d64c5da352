# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call's answer against libraries of others, the oracle, or what is worked out by hand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import coincurve
import numpy as np
import pytest
from Crypto.Hash import keccak
from py_ecc.bn128 import bn128_curve as bn128
from signed_requests import (
    ecdsa_signed,
    ed25519_signed,
    expected,
    over_digests,
    over_messages,
    packed_rows,
    schnorr_signed,
    seed,
    single,
)

from supervm.crypto.oracle import merkle
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.service.calls import detected_conflicts
from supervm.tiers.service.core import Limits, VerificationService
from supervm.tiers.service.v1 import verification_pb2 as pb

PIECES = Limits(batch_items=4)
"""Requests of more than 32 signatures are cut."""


def ask(call: Callable[[VerificationService], Any], limits: Limits | None = None) -> Any:
    """The reply to one call of a service of its own."""

    async def run() -> Any:
        service = VerificationService(limits)
        try:
            return await call(service)
        finally:
            service.close()

    return asyncio.run(run())


@pytest.mark.parametrize("limits", [None, PIECES], ids=["whole", "in pieces"])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_signatures_over_messages(limits: Limits | None, count: int) -> None:
    for scheme, make in (
        (pb.SCHEME_ED25519, ed25519_signed),
        (pb.SCHEME_SCHNORR_SECP256K1, schnorr_signed),
    ):
        signed = [make(index) for index in range(count)]
        request = over_messages(scheme, signed, 7)
        reply = ask(partial(VerificationService.verify, request=request), limits)
        assert (reply.id, reply.verdicts) == (7, expected(signed))


@pytest.mark.parametrize("limits", [None, PIECES], ids=["whole", "in pieces"])
@pytest.mark.parametrize("width", [33, 64, 65])
def test_signatures_over_digests(limits: Limits | None, width: int) -> None:
    signed = [ecdsa_signed(index, width) for index in range(50)]
    assert ask(lambda s: s.verify(over_digests(signed)), limits).verdicts == expected(signed)
    assert ask(lambda s: s.verify(over_digests([]))).verdicts == b""


def test_a_single_message_needs_no_offsets() -> None:
    for index in (1, 3):
        assert ask(lambda s, i=index: s.verify(single(i))).verdicts == expected([ed25519_signed(index)])


def test_rules_and_high_s_reach_the_library(ed25519_cases: Any, oracles: Any) -> None:
    telling = [
        case for case in ed25519_cases if len({oracles.ed25519(*_row(case), rule) for rule in RULES}) > 1
    ]
    assert telling
    for rule, number in RULES.items():
        answers = [_answer_of(case, number) for case in telling]
        assert answers == [oracles.ed25519(*_row(case), rule) for case in telling]
    one = ecdsa_signed(1, 33)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = order - int.from_bytes(one.signature[32:], "big")
    request = over_digests([one._replace(signature=one.signature[:32] + high.to_bytes(32, "big"))])
    assert ask(lambda s: s.verify(request)).verdicts == b"\0"
    request.allow_high_s = True
    assert ask(lambda s: s.verify(request)).verdicts == b"\1"


RULES = {"dalek": pb.ED25519_RULE_DALEK, "strict": pb.ED25519_RULE_STRICT, "zip215": pb.ED25519_RULE_ZIP215}


def _row(case: Any) -> tuple[bytes, bytes, bytes]:
    return case.public_key, case.message, case.signature


def _answer_of(case: Any, rule: pb.Ed25519Rule) -> int:
    request = pb.VerifyRequest(
        scheme=pb.SCHEME_ED25519,
        public_keys=case.public_key,
        signatures=case.signature,
        message=case.message,
        rule=rule,
    )
    return int(np.frombuffer(ask(lambda s: s.verify(request)).verdicts, np.int8)[0])


def test_recovery() -> None:
    keys = [coincurve.PrivateKey(seed(index)) for index in range(5)]
    digests = [seed(100 + index) for index in range(5)]
    signatures = [
        key.sign_recoverable(digest, hasher=None) for key, digest in zip(keys, digests, strict=True)
    ]
    signatures[2] = bytes(65)
    request = pb.RecoverRequest(digests=b"".join(digests), signatures=b"".join(signatures))
    reply = ask(lambda s: s.recover(request))
    public = [key.public_key.format(compressed=False)[1:] for key in keys]
    public[2] = bytes(64)
    assert reply.public_keys == b"".join(public)
    assert np.frombuffer(reply.verdicts, np.int8).tolist() == [1, 1, -1, 1, 1]


@pytest.mark.parametrize(
    ("function", "other"),
    [
        (pb.HASH_FUNCTION_SHA256, lambda data: hashlib.sha256(data).digest()),
        (pb.HASH_FUNCTION_SHA512, lambda data: hashlib.sha512(data).digest()),
        (pb.HASH_FUNCTION_KECCAK256, lambda data: keccak.new(data=data, digest_bits=256).digest()),
        (pb.HASH_FUNCTION_BLAKE2B, lambda data: hashlib.blake2b(data).digest()),
    ],
)
def test_hashes(function: pb.HashFunction, other: Callable[[bytes], bytes]) -> None:
    messages = [b"", b"abc", bytes(1000)]
    request = pb.HashRequest(function=function, messages=packed_rows(messages))
    assert ask(lambda s: s.hash(request)).digests == b"".join(map(other, messages))
    assert ask(lambda s: s.hash(pb.HashRequest(function=function))).digests == b""


@pytest.mark.parametrize("arity", [0, 2, 3])
def test_merkle_roots(arity: int) -> None:
    leaves = [seed(index) for index in range(10)]
    request = pb.MerkleRootRequest(hash="sha256", arity=arity, leaves=b"".join(leaves))
    assert ask(lambda s: s.merkle_root(request)).root == merkle.root(leaves, "sha256", arity or 2)


def test_a_sum_of_points() -> None:
    points = [bn128.multiply(bn128.G1, index + 2) for index in range(5)]
    scalars = [int.from_bytes(seed(index), "big") % bn128.curve_order for index in range(5)]
    total = None
    for point, scalar in zip(points, scalars, strict=True):
        total = bn128.add(total, bn128.multiply(point, scalar))
    request = pb.MsmRequest(
        curve="bn254", scalars=b"".join(scalar.to_bytes(32, "little") for scalar in scalars)
    )
    for encoding, order in (("", "little"), ("limbs", "little"), ("eip196", "big")):
        request.encoding = encoding
        request.points = b"".join(_point(point, order) for point in points)
        assert ask(lambda s: s.msm(request)).point == _point(total, order)


def _point(point: Any, order: Any) -> bytes:
    return b"".join(int(coordinate).to_bytes(32, order) for coordinate in point)


def test_poseidon() -> None:
    """circomlib's published hash of 1 and 2."""
    inputs = (1).to_bytes(32, "little") + (2).to_bytes(32, "little")
    request = pb.PoseidonRequest(field="bn254", inputs_per_hash=2, inputs=inputs)
    found = int.from_bytes(ask(lambda s: s.poseidon(request)).digests, "little")
    assert found == 0x115CC0F5E7D690413DF64C6B9662E9CF2A3617F2743245519E19607A4417189A


def test_conflicts() -> None:
    """0 writes 7; 1 reads 7; 2 writes 7; 3 touches nothing."""
    request = pb.DetectConflictsRequest(
        reads=np.array([7], np.uint64).tobytes(),
        read_offsets=np.array([0, 0, 1, 1, 1], np.int64).tobytes(),
        writes=np.array([7, 7], np.uint64).tobytes(),
        write_offsets=np.array([0, 1, 1, 2, 2], np.int64).tobytes(),
    )
    waves = {pb.CONFLICT_RULE_VERSIONED: [0, 1, 0, 0], pb.CONFLICT_RULE_LOCKING: [0, 1, 2, 0]}
    for rule, expected_waves in waves.items():
        request.rule = rule
        reply = ask(lambda s: s.detect_conflicts(request))
        assert np.frombuffer(reply.waves, np.int32).tolist() == expected_waves
        assert not reply.edges
        assert not reply.hot_keys
    request.want_edges = request.want_hot_keys = True
    reply = ask(lambda s: s.detect_conflicts(request))
    assert np.frombuffer(reply.edge_offsets, np.int64).tolist() == [0, 0, 1, 3, 3]
    assert np.frombuffer(reply.edges, np.int32).tolist() == [0, 0, 1]
    assert np.frombuffer(reply.hot_keys, np.uint64).tolist() == [7]
    assert np.frombuffer(reply.hot_counts, np.uint64).tolist() == [3]


def test_listed_edges_are_counted() -> None:
    metrics = Metrics()

    async def run() -> None:
        service = VerificationService(meter=metrics)
        request = pb.DetectConflictsRequest(
            writes=np.full(3, 7, np.uint64).tobytes(),
            write_offsets=np.arange(4, dtype=np.int64).tobytes(),
            read_offsets=bytes(32),
            rule=pb.CONFLICT_RULE_LOCKING,
        )
        await service.detect_conflicts(request)
        assert metrics.registry.get_sample_value("supervm_conflict_edges_total") == 0
        request.want_edges = True
        await service.detect_conflicts(request)
        assert metrics.registry.get_sample_value("supervm_conflict_edges_total") == 2
        service.close()

    asyncio.run(run())


def test_the_reply_counts_as_many_edges_as_there_may_be() -> None:
    """Under locking, each of many readers between two writers has an edge from the first and one to the second."""
    readers = 50
    one = np.ones(1, np.int64)
    reads = np.concatenate((0 * one, np.arange(readers + 1), readers * one))
    writes = np.concatenate((0 * one, np.ones(readers + 1, np.int64), 2 * one))
    request = pb.DetectConflictsRequest(
        reads=np.full(readers, 7, np.uint64).tobytes(),
        read_offsets=reads.tobytes(),
        writes=np.full(2, 7, np.uint64).tobytes(),
        write_offsets=writes.tobytes(),
        rule=pb.CONFLICT_RULE_LOCKING,
        want_edges=True,
    )
    call = detected_conflicts(request, "auto")
    reply = call.compute()
    assert len(reply.edges) == 4 * (2 * readers + 1)
    assert len(reply.waves) + len(reply.edge_offsets) + len(reply.edges) <= call.reply_size
