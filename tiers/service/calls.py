# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that are not gathered: a request's columns, checked, become a computation, and its result a reply.

Each function takes a request and a backend, and returns the number of items, the bytes of the answer to come, and what
computes the reply on a thread.

Raises:
    ServiceError: INVALID_ARGUMENT; what only the computation finds is an `ArgumentError` of the library, whose argument
        `FIELDS` turns into the field.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from supervm.crypto import curves, hashes, merkle, msm, poseidon, secp256k1
from supervm.crypto.merkle_hashes import HASHES, MOST_ARITY
from supervm.crypto.point_encodings import encoding_of
from supervm.engine import conflicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import offsets, quoted, ragged, refuse, rows, same_count, shortened, words
from supervm.tiers.service.v1 import verification_pb2 as pb

Reply = TypeVar("Reply")

FIELDS = {
    "read_keys": "reads",
    "write_keys": "writes",
    "data": "points",
    "subgroup": "check_subgroup",
}
"""The request's field where it is not called as the library's argument."""

HASH_FUNCTIONS: dict[int, tuple[Callable[..., Any], int]] = {
    pb.HASH_FUNCTION_SHA256: (hashes.sha256_batch, 32),
    pb.HASH_FUNCTION_SHA512: (hashes.sha512_batch, 64),
    pb.HASH_FUNCTION_KECCAK256: (hashes.keccak256_batch, 32),
    pb.HASH_FUNCTION_BLAKE2B: (hashes.blake2b_batch, 64),
}
"""Function and bytes of a digest."""

CONFLICT_RULES = {pb.CONFLICT_RULE_VERSIONED: "versioned", pb.CONFLICT_RULE_LOCKING: "locking"}
POINT_SHAPES = {
    ("bn254", "g1"): (2, 4),
    ("bn254", "g2"): (2, 2, 4),
    ("bls12_381", "g1"): (2, 6),
    ("bls12_381", "g2"): (2, 2, 6),
    ("ed25519", "g1"): (2, 4),
}
"""Curve and group → an affine point in words of 64 bits."""
POSEIDON_FIELDS = ("bn254", "bls12_381")
MOST_POSEIDON_INPUTS = 16
FIELD_WORDS = 4
EDGE_BYTES = 4


class Call(NamedTuple, Generic[Reply]):
    """A checked request.

    Args:
        items: n.
        reply_size: bytes of the reply, at most, about.
        compute: makes the reply.
    """

    items: int
    reply_size: int
    compute: Callable[[], Reply]


def recover(request: pb.RecoverRequest, backend: str) -> Call[pb.RecoverReply]:
    """The keys that made signatures over digests."""
    digests = rows("digests", request.digests, 32)
    signatures = rows("signatures", request.signatures, 65)
    same_count("signatures", len(signatures), len(digests), "digests")

    def compute() -> pb.RecoverReply:
        keys, verdicts = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
        return pb.RecoverReply(public_keys=keys.tobytes(), verdicts=verdicts.tobytes())

    return Call(len(digests), 65 * len(digests), compute)


def hashes_of(request: pb.HashRequest, backend: str) -> Call[pb.HashReply]:
    """A hash function over messages of any lengths."""
    if request.function not in HASH_FUNCTIONS:
        refuse("function", str(request.function), "1 (SHA-256), 2 (SHA-512), 3 (Keccak-256) or 4 (BLAKE2b)")
    function, width = HASH_FUNCTIONS[request.function]
    data, bounds = ragged("messages", request.messages)
    messages = (np.frombuffer(data, np.uint8), bounds)

    def compute() -> pb.HashReply:
        return pb.HashReply(digests=function(messages, backend=backend).tobytes())

    return Call(len(bounds) - 1, width * len(bounds), compute)


def merkle_root(request: pb.MerkleRootRequest, backend: str) -> Call[pb.MerkleRootReply]:
    """`supervm.crypto.merkle.root` over rows of 32 bytes."""
    name, arity = request.hash, request.arity or 2
    if name not in HASHES:
        refuse("hash", quoted(name), f"one of {', '.join(HASHES)}")
    if not 2 <= arity <= MOST_ARITY:
        refuse("arity", str(arity), f"2 to {MOST_ARITY}, or 0 for 2")
    packed = request.leaves
    leaves: Any = (
        words("leaves", packed, (FIELD_WORDS,)) if HASHES[name].curve else rows("leaves", packed, 32)
    )

    def compute() -> pb.MerkleRootReply:
        return pb.MerkleRootReply(root=merkle.root(leaves, name, arity, backend=backend).value.tobytes())

    return Call(len(leaves), 32, compute)


def sum_of_products(request: pb.MsmRequest, backend: str) -> Call[pb.MsmReply]:
    """`supervm.crypto.msm` over points in any encoding."""
    curve, name = request.curve, request.group or "g1"
    if curve not in {curve for curve, _ in POINT_SHAPES}:
        refuse("curve", quoted(curve), f"one of {', '.join(sorted({curve for curve, _ in POINT_SHAPES}))}")
    if (curve, name) not in POINT_SHAPES:
        refuse("group", quoted(name), "g1 (or nothing), or g2 where the curve has one")
    shape, encoding, subgroup = POINT_SHAPES[curve, name], request.encoding or "limbs", request.check_subgroup
    scalars = words("scalars", request.scalars, (FIELD_WORDS,))
    if encoding == "limbs":
        points: Any = words("points", request.points, shape)
        group, width = None, points.itemsize * math.prod(shape)
    elif curve == "ed25519":
        refuse("encoding", quoted(encoding), "limbs (or nothing) for ed25519")
    else:
        group = getattr(curves.get(curve), name)
        try:
            width = encoding_of(group.spec, encoding).length(group.spec)
        except ArgumentError as error:
            raise of_argument(error) from None
        points = rows("points", request.points, width)
    same_count("scalars", len(scalars), len(points), "points")

    def compute() -> pb.MsmReply:
        affine = points if group is None else _decoded(group, points, encoding, backend)
        total = msm.msm(curve, affine, scalars, group=name, backend=backend, subgroup=subgroup)
        return pb.MsmReply(point=(total if group is None else group.to_bytes(total, encoding)).tobytes())

    return Call(len(points), width, compute)


def field_hashes(request: pb.PoseidonRequest, backend: str) -> Call[pb.PoseidonReply]:
    """`supervm.crypto.poseidon` over rows of one width."""
    field, width = request.field, request.inputs_per_hash
    if field not in POSEIDON_FIELDS:
        refuse("field", quoted(field), f"one of {', '.join(POSEIDON_FIELDS)}")
    if not 1 <= width <= MOST_POSEIDON_INPUTS:
        refuse("inputs_per_hash", str(width), f"1 to {MOST_POSEIDON_INPUTS}")
    inputs = words("inputs", request.inputs, (width, FIELD_WORDS))

    def compute() -> pb.PoseidonReply:
        return pb.PoseidonReply(digests=poseidon.hash_batch(field, inputs, backend=backend).tobytes())

    return Call(len(inputs), 32 * len(inputs), compute)


def detected_conflicts(request: pb.DetectConflictsRequest, backend: str) -> Call[pb.DetectConflictsReply]:
    """`supervm.engine.conflicts` over keys of 8 bytes."""
    if request.rule not in CONFLICT_RULES:
        refuse("rule", str(request.rule), "0 (versioned) or 1 (locking)")
    rule, edges, hot = CONFLICT_RULES[request.rule], request.want_edges, request.want_hot_keys
    reads, writes = words("reads", request.reads, ()), words("writes", request.writes, ())
    read_offsets = offsets("read_offsets", request.read_offsets, len(reads), "number of reads")
    write_offsets = offsets("write_offsets", request.write_offsets, len(writes), "number of writes")
    same_count("write_offsets", len(write_offsets), len(read_offsets), "read_offsets")

    def compute() -> pb.DetectConflictsReply:
        found = conflicts.detect(
            read_offsets, reads, write_offsets, writes, rule=rule, edges=edges, backend=backend
        )
        reply = pb.DetectConflictsReply(waves=found.wave.tobytes())
        if edges:
            reply.edge_offsets, reply.edges = found.edge_offsets.tobytes(), found.edges.tobytes()
        if hot:
            reply.hot_keys, reply.hot_counts = found.hot_keys.tobytes(), found.hot_counts.tobytes()
        return reply

    # An edge to what a read reads, to the writer after it, and from a write to the one after it: no access has more.
    most_edges = 2 * len(reads) + len(writes)
    edge_size = 8 * len(read_offsets) + EDGE_BYTES * most_edges if edges else 0
    return Call(len(read_offsets) - 1, 4 * len(read_offsets) + edge_size, compute)


def of_argument(error: ArgumentError) -> ServiceError:
    """What the library says about an argument, about the request's field."""
    field = FIELDS.get(error.argument, error.argument)
    found = shortened(error.found)
    return ServiceError(Code.INVALID_ARGUMENT, field, f"found {found}, expected {error.expected}")


def _decoded(group: curves.Group, data: Any, encoding: str, backend: str) -> Any:
    """Affine points; which of them are on the curve, and in the subgroup, the sum asks."""
    points, verdicts = group.from_bytes(data, encoding, "field", backend)
    if (verdicts != 1).any():
        refuse("points", f"a malformed point in row {int((verdicts != 1).argmax())}", f"points in {encoding}")
    return points
