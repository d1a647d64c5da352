# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies to the protocol's requests, and its replies to answers.

Each function of a body raises `ServiceError`, INVALID_ARGUMENT, and names the member of the body that is wrong. What a
request means is checked by the service, as for gRPC.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec
import numpy as np

from supervm.crypto.schemes import DIGEST_BYTES, ED25519, SIGNATURE_BYTES
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import SCHEMES
from supervm.tiers.service.http.columns import numbers, packed, ragged
from supervm.tiers.service.http.lists import Nested, Words, texts
from supervm.tiers.service.http.texts import Texts
from supervm.tiers.service.http.writing import HexRows, Integers, Members, as_hex, number_rows
from supervm.tiers.service.pairing_columns import BLOB_BYTES, BLS_WIDTHS, COMMITMENT_BYTES
from supervm.tiers.service.v1 import verification_pb2 as pb

NUMBERS = {scheme.name: number for number, scheme in SCHEMES.items()}
RULES = {
    "dalek": pb.ED25519_RULE_DALEK,
    "strict": pb.ED25519_RULE_STRICT,
    "zip215": pb.ED25519_RULE_ZIP215,
}
HASHES = {
    "sha256": pb.HASH_FUNCTION_SHA256,
    "sha512": pb.HASH_FUNCTION_SHA512,
    "keccak256": pb.HASH_FUNCTION_KECCAK256,
    "blake2b": pb.HASH_FUNCTION_BLAKE2B,
}
HASH_BYTES = {
    pb.HASH_FUNCTION_SHA256: 32,
    pb.HASH_FUNCTION_SHA512: 64,
    pb.HASH_FUNCTION_KECCAK256: 32,
    pb.HASH_FUNCTION_BLAKE2B: 64,
}
BLS_VARIANTS = {"min-pk": pb.BLS_VARIANT_MIN_PK, "min-sig": pb.BLS_VARIANT_MIN_SIG}
BLS_SUITES = {
    "pop": pb.BLS_SUITE_POP,
    "basic": pb.BLS_SUITE_BASIC,
    "augmented": pb.BLS_SUITE_AUGMENTED,
}
CONFLICT_RULES = {"versioned": pb.CONFLICT_RULE_VERSIONED, "locking": pb.CONFLICT_RULE_LOCKING}

Body: TypeAlias = Any
"""What `parsing.parse` returns: the members of a model, of which lists are columns."""


def verify(body: Body) -> pb.VerifyRequest:
    """The request of a body: keys, signatures and digests as packed rows, messages as ragged ones.

    Raises:
        ServiceError: INVALID_ARGUMENT: messages where the scheme signs digests, or digests where it signs messages; lists
            of different lengths; a text that is no row of the right width.
    """
    request = pb.VerifyRequest(scheme=NUMBERS[body.scheme], allow_high_s=body.allow_high_s)
    scheme = SCHEMES[request.scheme]
    over_digests = scheme.signs == "digest"
    signed, unsigned = ("digests", "messages") if over_digests else ("messages", "digests")
    texts = getattr(body, signed)
    if texts is None or getattr(body, unsigned) is not None:
        member, found = (signed, "none") if texts is None else (unsigned, "a list")
        expected = f"'{signed}', and no '{unsigned}', for {body.scheme}"
        raise ServiceError(Code.INVALID_ARGUMENT, member, f"found {found}, expected {expected}")
    _same("signatures", len(body.signatures), public_keys=len(body.public_keys), **{signed: len(texts)})
    request.public_keys = packed(
        "public_keys", body.public_keys, 0 if len(scheme.key_bytes) > 1 else scheme.key_bytes[0]
    )
    request.signatures = packed("signatures", body.signatures, SIGNATURE_BYTES)
    if over_digests:
        request.digests = packed("digests", texts, DIGEST_BYTES)
    else:
        request.messages.CopyFrom(ragged("messages", texts))
    if scheme is ED25519:
        request.rule = RULES[body.rule]
    return request


def verdicts(request: Any, reply: pb.VerifyReply) -> Members:
    """A list of 1, 0 or −1, one for each signature or proof of any call that verifies."""
    return {"verdicts": Integers(reply.verdicts, "i1")}


def recover(body: Body) -> pb.RecoverRequest:
    """The request of a body: digests as rows of 32 bytes, signatures as rows of 65.

    Raises:
        ServiceError: INVALID_ARGUMENT: lists of different lengths, or a text that is no row of that width.
    """
    _same("digests", len(body.digests), signatures=len(body.signatures))
    return pb.RecoverRequest(
        digests=packed("digests", body.digests, 32), signatures=packed("signatures", body.signatures, 65)
    )


def recovered(request: pb.RecoverRequest, reply: pb.RecoverReply) -> Members:
    """Keys of 64 bytes, x ‖ y, and a verdict for each."""
    return {"public_keys": HexRows(reply.public_keys, 64), "verdicts": Integers(reply.verdicts, "i1")}


def hashed(body: Body) -> pb.HashRequest:
    """The request of a body, its messages as ragged rows.

    Raises:
        ServiceError: INVALID_ARGUMENT: a message that is not hexadecimal.
    """
    return pb.HashRequest(function=HASHES[body.function], messages=ragged("messages", body.messages))


def digests(request: pb.HashRequest, reply: pb.HashReply) -> Members:
    """A digest for each message, of the width of the function in `request`."""
    return {"digests": HexRows(reply.digests, HASH_BYTES[request.function])}


def merkle_root(body: Body) -> pb.MerkleRootRequest:
    """The request of a body: leaves as rows of 32 bytes; for Poseidon they are numbers, little-endian.

    Raises:
        ServiceError: INVALID_ARGUMENT: a leaf that is neither; RESOURCE_EXHAUSTED: as `columns.numbers`.
    """
    of_numbers = body.hash.startswith("poseidon")
    leaves = numbers("leaves", body.leaves) if of_numbers else packed("leaves", body.leaves, 32)
    return pb.MerkleRootRequest(hash=body.hash, arity=body.arity, leaves=leaves)


def root(request: pb.MerkleRootRequest, reply: pb.MerkleRootReply) -> Members:
    """The root in hexadecimal: bytes in their order, or, for Poseidon, the number, highest digit first."""
    of_numbers = request.hash.startswith("poseidon")
    return {"root": as_hex(reply.root[::-1] if of_numbers else reply.root)}


def msm(body: Body) -> pb.MsmRequest:
    """The request of a body: points as rows of the first one's width, scalars as rows of 32 bytes, little-endian.

    Raises:
        ServiceError: INVALID_ARGUMENT: lists of different lengths, a point of another width, or a scalar that is no
            number below 2^256; RESOURCE_EXHAUSTED: as `columns.numbers`.
    """
    _same("points", len(body.points), scalars=len(body.scalars))
    return pb.MsmRequest(
        curve=body.curve,
        group=body.group,
        encoding=body.encoding,
        points=packed("points", body.points, 0),
        scalars=numbers("scalars", body.scalars),
        check_subgroup=body.check_subgroup,
    )


def point(request: pb.MsmRequest, reply: pb.MsmReply) -> Members:
    """The sum in hexadecimal, in the encoding of the request."""
    return {"point": as_hex(reply.point)}


def poseidon(body: Body) -> pb.PoseidonRequest:
    """The request of a body: rows of as many inputs as the first one, each input 32 bytes, little-endian.

    Raises:
        ServiceError: INVALID_ARGUMENT: a row with another number of inputs, or an input that is no number below 2^256;
            RESOURCE_EXHAUSTED: as `columns.numbers`.
    """
    width = _width("inputs", body.inputs, 1)
    inputs = _numbers("inputs", body.inputs, width)
    return pb.PoseidonRequest(field=body.field, inputs_per_hash=width, inputs=inputs)


def field_digests(request: pb.PoseidonRequest, reply: pb.PoseidonReply) -> Members:
    """A number for each row of inputs."""
    return {"digests": number_rows(reply.digests)}


def conflicts(body: Body) -> pb.DetectConflictsRequest:
    """The request of a body: the keys of all transactions one after the other, and where each one's begin.

    Raises:
        ServiceError: INVALID_ARGUMENT: more or fewer lists of writes than of reads.
    """
    _same("reads", len(body.reads), writes=len(body.writes))
    request = pb.DetectConflictsRequest(
        rule=CONFLICT_RULES[body.rule], want_edges=body.want_edges, want_hot_keys=body.want_hot_keys
    )
    request.reads, request.read_offsets = _keys(body.reads)
    request.writes, request.write_offsets = _keys(body.writes)
    return request


def waves(request: pb.DetectConflictsRequest, reply: pb.DetectConflictsReply) -> Members:
    """The wave of each transaction, and the edges and hot keys that `request` asks for."""
    columns = {
        "waves": (reply.waves, "<i4", True),
        "edge_offsets": (reply.edge_offsets, "<i8", request.want_edges),
        "edges": (reply.edges, "<i4", request.want_edges),
        "hot_keys": (reply.hot_keys, "<u8", request.want_hot_keys),
        "hot_counts": (reply.hot_counts, "<i8", request.want_hot_keys),
    }
    return {name: Integers(data, dtype) for name, (data, dtype, wish) in columns.items() if wish}


def groth16(body: Body) -> pb.VerifyGroth16Request:
    """The request of a body: key and proofs as bytes, all public inputs one after the other as rows of 32 bytes.

    Raises:
        ServiceError: INVALID_ARGUMENT: lists of different lengths, a text that is no hexadecimal or no number below 2^256,
            proofs of different lengths; RESOURCE_EXHAUSTED: as `columns.numbers`.
    """
    _same("proofs", len(body.proofs), public_inputs=len(body.public_inputs))
    width = _width("public_inputs", body.public_inputs, 0)
    return pb.VerifyGroth16Request(
        circuit=body.circuit,
        curve=body.curve or "",
        verifying_key=_single("verifying_key", body.verifying_key),
        key_format=body.key_format,
        format=body.format or "",
        proofs=packed("proofs", body.proofs, 0),
        public_inputs=_numbers("public_inputs", body.public_inputs, width),
    )


def bls(body: Body) -> pb.VerifyBlsRequest:
    """The request of a body: keys and signatures as rows of their widths, messages as ragged rows.

    Raises:
        ServiceError: INVALID_ARGUMENT: keys and committees, or neither; lists of different lengths; a text that is no
            hexadecimal, or a key or signature of another width.
    """
    grouped = body.committees is not None
    if grouped == (body.public_keys is not None):
        member, found = ("committees", "a list beside 'public_keys'") if grouped else ("public_keys", "none")
        expected = "'public_keys' or 'committees'"
        raise ServiceError(Code.INVALID_ARGUMENT, member, f"found {found}, expected {expected}")
    member, lists = ("committees", body.committees) if grouped else ("public_keys", body.public_keys)
    _same("signatures", len(body.signatures), messages=len(body.messages), **{member: len(lists)})
    keys, signatures = BLS_WIDTHS[body.variant]
    request = pb.VerifyBlsRequest(
        variant=BLS_VARIANTS[body.variant],
        suite=BLS_SUITES[body.suite],
        dst=_single("dst", body.dst),
        public_keys=packed(member, lists.flat if grouped else lists, keys),
        signatures=packed("signatures", body.signatures, signatures),
        messages=ragged("messages", body.messages),
    )
    if grouped:
        request.key_offsets = _offsets(lists)
    return request


def blobs(body: Body) -> pb.VerifyBlobsRequest:
    """The request of a body: blobs, commitments and proofs as rows of their widths.

    Raises:
        ServiceError: INVALID_ARGUMENT: lists of different lengths, or a text that is no row of that width.
    """
    _same("blobs", len(body.blobs), commitments=len(body.commitments), proofs=len(body.proofs))
    return pb.VerifyBlobsRequest(
        blobs=packed("blobs", body.blobs, BLOB_BYTES),
        commitments=packed("commitments", body.commitments, COMMITMENT_BYTES),
        proofs=packed("proofs", body.proofs, COMMITMENT_BYTES),
    )


def _single(member: str, text: str) -> bytes:
    """The bytes of a text of hexadecimal digits that stands alone."""
    try:
        return packed(member, texts(msgspec.json.encode([text])), 0)
    except ServiceError as error:
        raise ServiceError(error.code, member, error.message) from None


def _numbers(member: str, lists: Nested[Texts], width: int) -> bytes:
    """Numbers of lists that have `width` each, as `columns.numbers` packs them."""
    try:
        return numbers(member, lists.flat)
    except ServiceError as error:
        at = re.fullmatch(rf"{member}\[(\d+)\]", error.field)
        if at is None:
            raise
        row, place = divmod(int(at[1]), width)
        raise ServiceError(error.code, f"{member}[{row}][{place}]", error.message) from None


def _width(member: str, lists: Nested[Texts], otherwise: int) -> int:
    """How many numbers each list has; `otherwise` where there is none."""
    lengths = lists.lengths
    width = int(lengths[0]) if lengths.size else otherwise
    wrong = np.flatnonzero(lengths != width)
    if wrong.size:
        at = int(wrong[0])
        expected = f"{width}, as in the first row"
        raise ServiceError(
            Code.INVALID_ARGUMENT, f"{member}[{at}]", f"found {lengths[at]} numbers, expected {expected}"
        )
    return width


def _same(of: str, expected: int, **others: int) -> None:
    for member, found in others.items():
        if found != expected:
            wanted = f"{expected}, as many as '{of}'"
            raise ServiceError(Code.INVALID_ARGUMENT, member, f"found {found} items, expected {wanted}")


def _keys(lists: Nested[Words]) -> tuple[bytes, bytes]:
    """Keys of all transactions one after the other, and where those of each begin."""
    return lists.flat.tobytes(), _offsets(lists)


def _offsets(lists: Nested[Any]) -> bytes:
    """Where the items of each list begin among those of all."""
    offsets = np.zeros(len(lists) + 1, "<i8")
    np.cumsum(lists.lengths, out=offsets[1:])
    return offsets.tobytes()
