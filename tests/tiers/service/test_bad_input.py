# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a request is INVALID_ARGUMENT that names the field, for every field of every call."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from signed_requests import ecdsa_signed, ed25519_signed, over_digests, over_messages

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import VerificationService
from supervm.tiers.service.v1 import verification_pb2 as pb

ED25519 = over_messages(pb.SCHEME_ED25519, [ed25519_signed(index) for index in range(3)])
ECDSA = over_digests([ecdsa_signed(index, 33) for index in range(3)])
DIGESTS = pb.RecoverRequest(digests=bytes(64), signatures=bytes(130))
HASHED = pb.HashRequest(function=pb.HASH_FUNCTION_SHA256)
TREE = pb.MerkleRootRequest(hash="poseidon_bn254", leaves=bytes(64))
SUM = pb.MsmRequest(curve="bn254", points=bytes(128), scalars=bytes(64))
FIELD = pb.PoseidonRequest(field="bn254", inputs_per_hash=2, inputs=bytes(128))
OFFSETS = np.array([0, 1, 1], np.int64).tobytes()
BLOCK = pb.DetectConflictsRequest(
    reads=bytes(8), read_offsets=OFFSETS, writes=bytes(8), write_offsets=OFFSETS
)


def numbers(*values: int) -> bytes:
    return np.array(values, np.uint64).tobytes()


BAD: list[tuple[str, Message, dict[str, Any], str]] = [
    ("verify", ED25519, {"scheme": 0}, "scheme"),
    ("verify", ED25519, {"scheme": 9}, "scheme"),
    ("verify", ED25519, {"rule": 3}, "rule"),
    ("verify", ED25519, {"signatures": bytes(191)}, "signatures"),
    ("verify", ED25519, {"public_keys": bytes(95)}, "public_keys"),
    ("verify", ED25519, {"public_keys": bytes(64)}, "public_keys"),
    ("verify", ED25519, {"digests": bytes(32)}, "digests"),
    ("verify", ED25519, {"message": b"x"}, "message"),
    ("verify", ED25519, {"messages": None, "message": b"x"}, "message"),
    ("verify", ED25519, {"messages": None}, "messages"),
    ("verify", ED25519, {"messages": pb.Rows(offsets=numbers(0, 0))}, "messages"),
    ("verify", ED25519, {"messages": pb.Rows(data=b"x")}, "messages.offsets"),
    ("verify", ED25519, {"messages": pb.Rows(offsets=bytes(31))}, "messages.offsets"),
    ("verify", ED25519, {"messages": pb.Rows(data=b"xy", offsets=numbers(1, 1, 1, 2))}, "messages.offsets"),
    ("verify", ED25519, {"messages": pb.Rows(data=b"xy", offsets=numbers(0, 1, 1, 1))}, "messages.offsets"),
    ("verify", ED25519, {"messages": pb.Rows(data=b"xy", offsets=numbers(0, 2, 1, 2))}, "messages.offsets"),
    (
        "verify",
        ED25519,
        {"messages": pb.Rows(data=b"x", offsets=numbers(0, 1 << 63, 1, 1))},
        "messages.offsets",
    ),
    ("verify", ECDSA, {"public_keys": bytes(3 * 34)}, "public_keys"),
    ("verify", ECDSA, {"public_keys": bytes(100)}, "public_keys"),
    ("verify", ECDSA, {"public_keys": b""}, "public_keys"),
    ("verify", ECDSA, {"digests": bytes(64)}, "digests"),
    ("verify", ECDSA, {"digests": bytes(95)}, "digests"),
    ("verify", ECDSA, {"message": b"x"}, "messages"),
    ("recover", DIGESTS, {"digests": bytes(63)}, "digests"),
    ("recover", DIGESTS, {"signatures": bytes(129)}, "signatures"),
    ("recover", DIGESTS, {"signatures": bytes(65)}, "signatures"),
    ("hash", HASHED, {"function": 0}, "function"),
    ("hash", HASHED, {"function": 5}, "function"),
    ("hash", HASHED, {"messages": pb.Rows(data=b"x", offsets=numbers(0, 2))}, "messages.offsets"),
    ("merkle_root", TREE, {"hash": "md5"}, "hash"),
    ("merkle_root", TREE, {"arity": 1}, "arity"),
    ("merkle_root", TREE, {"arity": 17}, "arity"),
    ("merkle_root", TREE, {"leaves": bytes(33)}, "leaves"),
    ("merkle_root", TREE, {"leaves": bytes(32) + b"\xff" * 32}, "leaves"),
    ("msm", SUM, {"curve": "bn25"}, "curve"),
    ("msm", SUM, {"group": "g3"}, "group"),
    ("msm", SUM, {"curve": "ed25519", "group": "g2"}, "group"),
    ("msm", SUM, {"encoding": "zcash_compressed"}, "encoding"),
    ("msm", SUM, {"curve": "ed25519", "encoding": "big"}, "encoding"),
    ("msm", SUM, {"points": bytes(127)}, "points"),
    ("msm", SUM, {"points": b"\1" * 128}, "points"),
    ("msm", SUM, {"encoding": "eip196", "points": b"\xff" * 128}, "points"),
    ("msm", SUM, {"scalars": bytes(63)}, "scalars"),
    ("msm", SUM, {"scalars": bytes(32)}, "scalars"),
    ("msm", SUM, {"scalars": b"\xff" * 64}, "scalars"),
    ("poseidon", FIELD, {"field": "ed25519"}, "field"),
    ("poseidon", FIELD, {"inputs_per_hash": 0}, "inputs_per_hash"),
    ("poseidon", FIELD, {"inputs_per_hash": 17}, "inputs_per_hash"),
    ("poseidon", FIELD, {"inputs": bytes(96)}, "inputs"),
    ("poseidon", FIELD, {"inputs": b"\xff" * 64}, "inputs"),
    ("detect_conflicts", BLOCK, {"rule": 2}, "rule"),
    ("detect_conflicts", BLOCK, {"reads": bytes(7)}, "reads"),
    ("detect_conflicts", BLOCK, {"writes": bytes(9)}, "writes"),
    ("detect_conflicts", BLOCK, {"reads": bytes(16)}, "read_offsets"),
    ("detect_conflicts", BLOCK, {"read_offsets": b""}, "read_offsets"),
    ("detect_conflicts", BLOCK, {"write_offsets": numbers(0, 2, 1)}, "write_offsets"),
    ("detect_conflicts", BLOCK, {"write_offsets": numbers(0, 1)}, "write_offsets"),
]


@pytest.mark.parametrize(
    ("call", "good", "changes", "field"),
    BAD,
    ids=[f"{call}-{number}-{field}" for number, (call, _, _, field) in enumerate(BAD)],
)
def test_the_field_is_named(call: str, good: Message, changes: dict[str, Any], field: str) -> None:
    request = type(good)()
    request.CopyFrom(good)
    for name, value in changes.items():
        if value is None:
            request.ClearField(name)
        elif isinstance(value, Message):
            getattr(request, name).CopyFrom(value)
        else:
            setattr(request, name, value)

    async def run() -> tuple[int, int]:
        service = VerificationService()
        try:
            await getattr(service, call)(good)
            with pytest.raises(ServiceError) as caught:
                await getattr(service, call)(request)
            assert (caught.value.code, caught.value.field) == (Code.INVALID_ARGUMENT, field)
            assert field in caught.value.text
        finally:
            service.close()
        return service.queue.items, service.queue.requests

    assert asyncio.run(run()) == (0, 0)


def test_every_field_is_among_them() -> None:
    """But the caller's id, and flags, of which every value is good."""
    left_out = {"id", "allow_high_s", "check_subgroup", "want_edges", "want_hot_keys"}
    for good in (ED25519, DIGESTS, HASHED, TREE, SUM, FIELD, BLOCK):
        named = {field.split(".")[0] for _, other, _, field in BAD if type(other) is type(good)}
        fields = {field.name for field in good.DESCRIPTOR.fields}
        assert fields - left_out == named
