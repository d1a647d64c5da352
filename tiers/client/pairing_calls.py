# SPDX-License-Identifier: GPL-3.0-or-later
"""As `calls`, for what rests on pairings: Groth16 proofs, BLS signatures, blobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import index
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages, MessagesLike
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.calls import SEGMENT, Call, named, verdicts, whole
from supervm.tiers.client.columns import RowsLike, cuts, rows, same_count, table, wire_rows
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["InputsLike", "verify_blobs", "verify_bls", "verify_bls_aggregates", "verify_groth16"]

InputsLike: TypeAlias = "Sequence[Sequence[int]] | npt.NDArray[np.uint8]"

VARIANTS = {"min-pk": (pb.BLS_VARIANT_MIN_PK, 48, 96), "min-sig": (pb.BLS_VARIANT_MIN_SIG, 96, 48)}
"""The protocol's number, and the bytes of a key and of a signature."""

SUITES = {"pop": pb.BLS_SUITE_POP, "basic": pb.BLS_SUITE_BASIC, "augmented": pb.BLS_SUITE_AUGMENTED}

PROOF_BYTES = (128, 164, 192, 244, 256, 324, 384, 484)
"""Of a proof, in any format and on either curve; the service knows which."""

BLOB_BYTES, COMMITMENT_BYTES = 131_072, 48


def verify_groth16(
    proofs: RowsLike,
    public_inputs: InputsLike,
    key: bytes | str | None,
    circuit: str,
    curve: str,
    format: str,
    key_format: str,
    limit: int,
) -> Call[Verdicts]:
    """The call of `Client.verify_groth16`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        proofs, public_inputs, key, circuit, curve, format, key_format: as the client's; the service checks the names.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: an argument of wrong form or another number of items; a key and a circuit, or neither; while the
            requests are made, a limit that has no room for one item.
    """
    if (key is None) == (not circuit):
        found = "none, and no circuit" if key is None else "one beside a circuit"
        raise ArgumentError("key", found, "a key, or the id of a circuit")
    stated = _inputs(public_inputs)
    given = rows(proofs, "proofs", PROOF_BYTES, len(stated))
    same_count(len(given), "proofs", public_inputs=len(stated))
    common = pb.VerifyGroth16Request(
        curve=curve,
        verifying_key=key.encode() if isinstance(key, str) else key or b"",
        circuit=circuit,
        format=format,
        key_format=key_format,
    )
    room = limit - SEGMENT - common.ByteSize()
    sent: list[int] = []

    def requests() -> Iterator[pb.VerifyGroth16Request]:
        for start, stop in cuts(len(given), given.shape[1] + stated.shape[1] + 1, room):
            sent.append(stop - start)
            request = pb.VerifyGroth16Request(
                proofs=given[start:stop].tobytes(), public_inputs=stated[start:stop].tobytes()
            )
            request.MergeFrom(common)
            yield request

    return Call("VerifyGroth16", requests(), lambda replies: verdicts(replies, sent))


def _inputs(public_inputs: Any) -> Bytes:
    """Public inputs as rows of numbers of 32 bytes, little-endian, uint8 (n, 32·k)."""
    expected = "as many integers from 0 to before 2^256 for each proof, or uint8 (n, k, 32), big-endian"
    if isinstance(public_inputs, np.ndarray):
        given = table(public_inputs, "public_inputs", np.uint8, -1, 32)
        return np.ascontiguousarray(given[:, :, ::-1]).reshape(len(given), 32 * given.shape[1])
    if not isinstance(public_inputs, (list, tuple)):
        raise ArgumentError("public_inputs", type(public_inputs).__name__, expected)
    counts = {len(row) for row in public_inputs}
    if len(counts) > 1:
        raise ArgumentError("public_inputs", f"rows of {min(counts)} to {max(counts)} numbers", expected)
    try:
        packed = b"".join([index(number).to_bytes(32, "little") for row in public_inputs for number in row])
    except (OverflowError, TypeError):
        raise ArgumentError("public_inputs", "something else in a row", expected) from None
    return np.frombuffer(packed, np.uint8).reshape(len(public_inputs), 32 * (counts.pop() if counts else 0))


def verify_bls(
    public_keys: RowsLike,
    messages: MessagesLike,
    signatures: RowsLike,
    variant: str,
    suite: str,
    dst: bytes | None,
    limit: int,
) -> Call[Verdicts]:
    """The call of `Client.verify_bls`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        public_keys, messages, signatures, variant, suite, dst: as the client's.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: an argument of wrong form or another number of items, an unknown name; while the requests are
            made, an item that alone is over the limit.
    """
    common, keys, batch, signed = _bls(public_keys, messages, signatures, variant, suite, dst)
    same_count(len(signed), "signatures", public_keys=len(keys), messages=len(batch))
    width = keys.shape[1] + signed.shape[1] + 8 + 1
    sent: list[int] = []

    def requests() -> Iterator[pb.VerifyBlsRequest]:
        for start, stop in cuts(len(signed), width, limit - SEGMENT - len(common.dst), batch):
            sent.append(stop - start)
            request = pb.VerifyBlsRequest(
                public_keys=keys[start:stop].tobytes(),
                signatures=signed[start:stop].tobytes(),
                messages=wire_rows(batch, start, stop),
            )
            request.MergeFrom(common)
            yield request

    return Call("VerifyBls", requests(), lambda replies: verdicts(replies, sent))


def verify_bls_aggregates(
    public_keys: RowsLike,
    offsets: Any,
    messages: MessagesLike,
    signatures: RowsLike,
    variant: str,
    suite: str,
    dst: bytes | None,
    limit: int,
) -> Call[Verdicts]:
    """The call of `Client.verify_bls_aggregates`, one request; the result is int8 (n,).

    Args:
        public_keys, offsets, messages, signatures, variant, suite, dst: as the client's; the service checks the offsets.
        limit: bytes of the request, at most.

    Raises:
        ArgumentError: as `verify_bls`; a request over the limit.
    """
    request, keys, batch, signed = _bls(public_keys, messages, signatures, variant, suite, dst)
    bounds = table(np.asarray(offsets, np.int64), "offsets", np.int64)
    same_count(len(signed), "signatures", messages=len(batch), offsets=len(bounds) - 1)
    request.public_keys, request.signatures = keys.tobytes(), signed.tobytes()
    request.messages.CopyFrom(wire_rows(batch, 0, len(batch)))
    request.key_offsets = bounds.astype("<u8").tobytes()
    sent = [len(signed)]
    return Call("VerifyBls", whole(request, "public_keys", limit), lambda replies: verdicts(replies, sent))


def _bls(
    public_keys: RowsLike,
    messages: MessagesLike,
    signatures: RowsLike,
    variant: str,
    suite: str,
    dst: bytes | None,
) -> tuple[pb.VerifyBlsRequest, Bytes, Messages, Bytes]:
    """What all requests have, and the columns."""
    number, key_width, width = named(VARIANTS, "variant", variant)
    if dst is not None and (not isinstance(dst, bytes) or not dst):
        raise ArgumentError("dst", repr(dst), "a byte or more")
    common = pb.VerifyBlsRequest(variant=number, suite=named(SUITES, "suite", suite), dst=dst or b"")
    keys = rows(public_keys, "public_keys", (key_width,))
    return common, keys, Messages.of(messages), rows(signatures, "signatures", (width,))


def verify_blobs(blobs: RowsLike, commitments: RowsLike, proofs: RowsLike, limit: int) -> Call[Verdicts]:
    """The call of `Client.verify_blobs`, as many requests as `limit` asks for; the result is int8 (n,).

    Args:
        blobs, commitments, proofs: as the client's.
        limit: bytes of a request, at most.

    Raises:
        ArgumentError: as `verify_groth16`.
    """
    given = rows(blobs, "blobs", (BLOB_BYTES,))
    committed = rows(commitments, "commitments", (COMMITMENT_BYTES,))
    proved = rows(proofs, "proofs", (COMMITMENT_BYTES,))
    same_count(len(given), "blobs", commitments=len(committed), proofs=len(proved))
    sent: list[int] = []

    def requests() -> Iterator[pb.VerifyBlobsRequest]:
        for start, stop in cuts(len(given), BLOB_BYTES + 2 * COMMITMENT_BYTES + 1, limit - SEGMENT):
            sent.append(stop - start)
            yield pb.VerifyBlobsRequest(
                blobs=given[start:stop].tobytes(),
                commitments=committed[start:stop].tobytes(),
                proofs=proved[start:stop].tobytes(),
            )

    return Call("VerifyBlobs", requests(), lambda replies: verdicts(replies, sent))
