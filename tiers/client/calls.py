# SPDX-License-Identifier: GPL-3.0-or-later
"""What each method of a client sends and how its replies become a result: pure functions, for both kinds of client.

A batch becomes as many requests as the message limit asks for; they are made when they are sent, so that a batch is not
held twice, and their replies are put together in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.schemes import ECDSA
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.columns import RowsLike, cuts, numbers, rows, same_count, table, wire_rows
from supervm.tiers.client.errors import ServiceRefused
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = [
    "ED25519_RULES",
    "HASH_FUNCTIONS",
    "SEGMENT",
    "Call",
    "Conflicts",
    "detect_conflicts",
    "hash_messages",
    "merkle_root",
    "msm",
    "named",
    "poseidon",
    "recover",
    "verdicts",
    "verify_ecdsa",
    "verify_ed25519",
    "verify_schnorr",
    "whole",
]

Result = TypeVar("Result")

ED25519_RULES = {
    "dalek": pb.ED25519_RULE_DALEK,
    "strict": pb.ED25519_RULE_STRICT,
    "zip215": pb.ED25519_RULE_ZIP215,
}
HASH_FUNCTIONS = {
    "sha256": (pb.HASH_FUNCTION_SHA256, 32),
    "sha512": (pb.HASH_FUNCTION_SHA512, 64),
    "keccak256": (pb.HASH_FUNCTION_KECCAK256, 32),
    "blake2b": (pb.HASH_FUNCTION_BLAKE2B, 64),
}
"""The protocol's number of each function, and the bytes of its digest."""

CONFLICT_RULES = {"versioned": pb.CONFLICT_RULE_VERSIONED, "locking": pb.CONFLICT_RULE_LOCKING}
SEGMENT = 256
"""Bytes that a request may take beside its items: tags, lengths, names."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call of a client.

    Args:
        method: of the service.
        requests: its requests, made one by one.
        join: from all replies, in the order of the requests, to the result.
    """

    method: str
    requests: Iterator[Message]
    join: Callable[[Sequence[Any]], Result]


@dataclass(frozen=True)
class Conflicts:
    """What depends on what in a block of n transactions, as `supervm.engine.conflicts.Conflicts` has it.

    Args:
        wave: int32 (n,), the longest path from the start of the block to each transaction, from 0.
        wave_count: how many waves there are; 0 for an empty block.
        edge_offsets: int64 (n + 1,); (0,) if edges were not asked for.
        edges: int32; those of transaction i are `edges[edge_offsets[i]:edge_offsets[i + 1]]`.
        hot_keys, hot_counts: uint64 and int64 (h,), the most accessed keys; empty if they were not asked for.
    """

    wave: npt.NDArray[np.int32]
    wave_count: int
    edge_offsets: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int32]
    hot_keys: npt.NDArray[np.uint64]
    hot_counts: npt.NDArray[np.int64]


def verify_ed25519(
    public_keys: RowsLike, messages: MessagesLike, signatures: RowsLike, rule: str, limit: int
) -> Call[Verdicts]:
    """The call of `Client.verify_ed25519`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        public_keys, messages, signatures, rule: as the client's.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: an argument of wrong form or another number of items, or an unknown rule; while the requests are
            made, an item that alone is over the limit.
    """
    return _over_messages(
        pb.VerifyRequest(scheme=pb.SCHEME_ED25519, rule=named(ED25519_RULES, "rule", rule)),
        public_keys,
        messages,
        signatures,
        limit,
    )


def verify_schnorr(
    public_keys: RowsLike, messages: MessagesLike, signatures: RowsLike, limit: int
) -> Call[Verdicts]:
    """The call of `Client.verify_schnorr`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        public_keys, messages, signatures: as the client's.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: as `verify_ed25519`.
    """
    request = pb.VerifyRequest(scheme=pb.SCHEME_SCHNORR_SECP256K1)
    return _over_messages(request, public_keys, messages, signatures, limit)


def _over_messages(
    common: pb.VerifyRequest,
    public_keys: RowsLike,
    messages: MessagesLike,
    signatures: RowsLike,
    limit: int,
) -> Call[Verdicts]:
    signed, keys = rows(signatures, "signatures", (64,)), rows(public_keys, "public_keys", (32,))
    batch = Messages.of(messages)
    same_count(len(signed), "signatures", public_keys=len(keys), messages=len(batch))
    sent: list[int] = []

    def requests() -> Iterator[pb.VerifyRequest]:
        for start, stop in cuts(len(signed), 32 + 64 + 8 + 1, limit - SEGMENT, batch):
            sent.append(stop - start)
            yield pb.VerifyRequest(
                scheme=common.scheme,
                rule=common.rule,
                public_keys=keys[start:stop].tobytes(),
                signatures=signed[start:stop].tobytes(),
                messages=wire_rows(batch, start, stop),
            )

    return Call("Verify", requests(), lambda replies: verdicts(replies, sent))


def verify_ecdsa(
    public_keys: RowsLike, digests: RowsLike, signatures: RowsLike, low_s: bool, limit: int
) -> Call[Verdicts]:
    """The call of `Client.verify_ecdsa`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        public_keys, digests, signatures, low_s: as the client's.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: an argument of wrong form or another number of items; while the requests are made, a limit that
            has no room for one item.
    """
    signed, hashed = rows(signatures, "signatures", (64,)), rows(digests, "digests", (32,))
    keys = rows(public_keys, "public_keys", ECDSA.key_bytes, len(signed))
    same_count(len(signed), "signatures", public_keys=len(keys), digests=len(hashed))
    sent: list[int] = []

    def requests() -> Iterator[pb.VerifyRequest]:
        for start, stop in cuts(len(signed), keys.shape[1] + 32 + 64 + 1, limit - SEGMENT):
            sent.append(stop - start)
            yield pb.VerifyRequest(
                scheme=pb.SCHEME_ECDSA_SECP256K1,
                allow_high_s=not low_s,
                public_keys=keys[start:stop].tobytes(),
                digests=hashed[start:stop].tobytes(),
                signatures=signed[start:stop].tobytes(),
            )

    return Call("Verify", requests(), lambda replies: verdicts(replies, sent))


def verdicts(replies: Sequence[pb.VerifyReply | pb.RecoverReply], sent: Sequence[int]) -> Verdicts:
    """Those of all replies, int8 (n,).

    Args:
        sent: items of each request.

    Raises:
        ServiceRefused: INTERNAL, where a reply has more or fewer than its request had items.
    """
    return _answers([reply.verdicts for reply in replies], sent, "i1")


def _answers(packed: Sequence[bytes], sent: Sequence[int], dtype: str, *shape: int) -> npt.NDArray[Any]:
    """One answer for each item, an array (n, *shape): too few from one reply would shift those of the next.

    Args:
        packed: of each reply.
        sent: items of each request.

    Raises:
        ServiceRefused: INTERNAL, where a reply has more or fewer answers than its request had items.
    """
    width = np.dtype(dtype).itemsize * math.prod(shape)
    for data, items in zip(packed, sent, strict=True):
        if len(data) != width * items:
            raise ServiceRefused("INTERNAL", "", f"{len(data)} bytes came for {items} items of {width}")
    return numbers(packed, dtype, *shape)


def recover(digests: RowsLike, signatures: RowsLike, limit: int) -> Call[tuple[Bytes, Verdicts]]:
    """The call of `Client.recover`, as many requests as `limit` asks for.

    Args:
        digests, signatures: as the client's.
        limit: bytes of a request, at most.

    Returns:
        The call, whose result is uint8 (n, 64) keys and int8 (n,) verdicts.

    Raises:
        ArgumentError: as `verify_ecdsa`.
    """
    hashed, signed = rows(digests, "digests", (32,)), rows(signatures, "signatures", (65,))
    same_count(len(hashed), "digests", signatures=len(signed))
    sent: list[int] = []

    def requests() -> Iterator[pb.RecoverRequest]:
        for start, stop in cuts(len(hashed), 32 + 65 + 64 + 1, limit - SEGMENT):
            sent.append(stop - start)
            yield pb.RecoverRequest(
                digests=hashed[start:stop].tobytes(), signatures=signed[start:stop].tobytes()
            )

    def join(replies: Sequence[pb.RecoverReply]) -> tuple[Bytes, Verdicts]:
        keys = _answers([reply.public_keys for reply in replies], sent, "u1", 64)
        return keys, verdicts(replies, sent)

    return Call("Recover", requests(), join)


def hash_messages(function: str, messages: MessagesLike, limit: int) -> Call[Bytes]:
    """The call of `Client.hash`, as many requests as `limit` asks for; the result is uint8 (n, 32 or 64).

    Args:
        function: a key of `HASH_FUNCTIONS`.
        messages: as the client's.
        limit: bytes of a request, and of its answer, at most.

    Raises:
        ArgumentError: an unknown function, or messages of wrong form; while the requests are made, an item that
            alone is over the limit.
    """
    number, width = named(HASH_FUNCTIONS, "function", function)
    batch = Messages.of(messages)
    sent: list[int] = []

    def requests() -> Iterator[pb.HashRequest]:
        for start, stop in cuts(len(batch), 8 + width, limit - SEGMENT, batch):
            sent.append(stop - start)
            yield pb.HashRequest(function=number, messages=wire_rows(batch, start, stop))

    def join(replies: Sequence[pb.HashReply]) -> Bytes:
        return _answers([reply.digests for reply in replies], sent, "u1", width)

    return Call("Hash", requests(), join)


def merkle_root(
    leaves: RowsLike | npt.NDArray[np.uint64], hash: str, arity: int, limit: int
) -> Call[npt.NDArray[Any]]:
    """The call of `Client.merkle_root`, one request; the result is uint8 (32,), or uint64 (4,) for leaves of uint64.

    Args:
        leaves: rows of 32 bytes, or uint64 (n, 4), which only Poseidon takes; the service checks that.
        hash, arity: as the client's.
        limit: bytes of the request, at most.

    Raises:
        ArgumentError: leaves of wrong form, or a request over the limit.
    """
    elements = isinstance(leaves, np.ndarray) and leaves.dtype == np.uint64
    data = (
        table(leaves, "leaves", np.uint64, 4) if elements else rows(cast(RowsLike, leaves), "leaves", (32,))
    )
    request = pb.MerkleRootRequest(hash=hash, arity=arity, leaves=data.tobytes())

    def join(replies: Sequence[pb.MerkleRootReply]) -> npt.NDArray[Any]:
        return numbers([replies[0].root], "<u8" if elements else "u1")

    return Call("MerkleRoot", whole(request, "leaves", limit), join)


def msm(
    curve: str,
    points: npt.NDArray[Any],
    scalars: npt.NDArray[np.uint64],
    group: str,
    encoding: str,
    subgroup: bool,
    limit: int,
) -> Call[npt.NDArray[Any]]:
    """The call of `Client.msm`, one request; the result is one point, of the points' dtype and shape.

    Args:
        curve, points, scalars, group, encoding, subgroup: as the client's; the service checks the names.
        limit: bytes of the request, at most.

    Raises:
        ArgumentError: points or scalars of wrong form or number, or a request over the limit.
    """
    limbs = encoding == "limbs"
    dtype: type[np.generic] = np.uint64 if limbs else np.uint8
    shape = ((2, 2, -1) if group == "g2" else (2, -1)) if limbs else (-1,)
    given, factors = table(points, "points", dtype, *shape), table(scalars, "scalars", np.uint64, 4)
    same_count(len(given), "points", scalars=len(factors))
    request = pb.MsmRequest(
        curve=curve,
        group=group,
        encoding="" if limbs else encoding,
        points=given.tobytes(),
        scalars=factors.tobytes(),
        check_subgroup=subgroup,
    )

    def join(replies: Sequence[pb.MsmReply]) -> npt.NDArray[Any]:
        return numbers([replies[0].point], "<u8" if limbs else "u1").reshape(given.shape[1:])

    return Call("Msm", whole(request, "points", limit), join)


def poseidon(curve: str, inputs: npt.NDArray[np.uint64], limit: int) -> Call[npt.NDArray[np.uint64]]:
    """The call of `Client.poseidon`, as many requests as `limit` asks for; the result is uint64 (n, 4).

    Args:
        curve, inputs: as the client's.
        limit: bytes of a request, and of its answer, at most.

    Raises:
        ArgumentError: inputs that are not uint64 (n, k, 4); while the requests are made, a limit that has no room for
            one row.
    """
    given = table(inputs, "inputs", np.uint64, -1, 4)
    each = given.shape[1]
    sent: list[int] = []

    def requests() -> Iterator[pb.PoseidonRequest]:
        for start, stop in cuts(len(given), 32 * (each + 1), limit - SEGMENT):
            sent.append(stop - start)
            yield pb.PoseidonRequest(field=curve, inputs_per_hash=each, inputs=given[start:stop].tobytes())

    def join(replies: Sequence[pb.PoseidonReply]) -> npt.NDArray[np.uint64]:
        return _answers([reply.digests for reply in replies], sent, "<u8", 4)

    return Call("Poseidon", requests(), join)


def detect_conflicts(
    read_offsets: npt.NDArray[Any],
    read_keys: npt.NDArray[np.uint64],
    write_offsets: npt.NDArray[Any],
    write_keys: npt.NDArray[np.uint64],
    rule: str,
    edges: bool,
    hot_keys: bool,
    limit: int,
) -> Call[Conflicts]:
    """The call of `Client.detect_conflicts`, one request.

    Args:
        read_offsets, read_keys, write_offsets, write_keys, rule, edges, hot_keys: as the client's.
        limit: bytes of the request, at most.

    Raises:
        ArgumentError: an array of wrong dtype or shape, an unknown rule, or a request over the limit. What the arrays
            say is checked by the service.
    """
    request = pb.DetectConflictsRequest(
        rule=named(CONFLICT_RULES, "rule", rule),
        reads=table(read_keys, "read_keys", np.uint64).tobytes(),
        read_offsets=table(read_offsets, "read_offsets", np.int64).tobytes(),
        writes=table(write_keys, "write_keys", np.uint64).tobytes(),
        write_offsets=table(write_offsets, "write_offsets", np.int64).tobytes(),
        want_edges=edges,
        want_hot_keys=hot_keys,
    )
    return Call("DetectConflicts", whole(request, "read_keys", limit), _conflicts)


def _conflicts(replies: Sequence[pb.DetectConflictsReply]) -> Conflicts:
    (reply,) = replies
    wave = numbers([reply.waves], "<i4")
    return Conflicts(
        wave,
        int(wave.max()) + 1 if wave.size else 0,
        numbers([reply.edge_offsets], "<i8"),
        numbers([reply.edges], "<i4"),
        numbers([reply.hot_keys], "<u8"),
        numbers([reply.hot_counts], "<i8"),
    )


def whole(request: Message, argument: str, limit: int) -> Iterator[Message]:
    """A request that cannot be cut.

    Raises:
        ArgumentError: it is over the limit.
    """
    size = request.ByteSize()
    if size > limit:
        raise ArgumentError(argument, f"a request of {size} bytes", f"at most 'message_bytes', {limit}")
    return iter((request,))


def named(table: dict[str, Any], argument: str, name: str) -> Any:
    """What a name stands for.

    Raises:
        ArgumentError: an unknown one.
    """
    if not isinstance(name, str) or name not in table:
        raise ArgumentError(argument, repr(name), ", ".join(map(repr, table)))
    return table[name]
