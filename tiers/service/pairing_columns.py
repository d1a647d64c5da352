# SPDX-License-Identifier: GPL-3.0-or-later
"""What rests on pairings, as columns that are gathered: proofs, BLS signatures, blobs. Whatever is wrong names its field.

A kind says how its columns lie, and verifies them on a thread. A key that came with a call is read there too: what is wrong
with it is told to all who sent the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from supervm.crypto import groth16
from supervm.crypto.errors import CircuitError, TestOnlyKey
from supervm.crypto.groth16_formats import FORMATS, proof_bytes
from supervm.kernels.array_types import Offsets, Verdicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import (
    offsets,
    part_of,
    quoted,
    ragged,
    refuse,
    rows,
    same_count,
    shortened,
    table,
)
from supervm.tiers.service.kept_keys import KeptKeys
from supervm.tiers.service.v1 import verification_pb2 as pb

if TYPE_CHECKING:
    from supervm.crypto.kzg import TrustedSetup

NUMBER_BYTES = 32
MOST_KEY_BYTES = 256 << 10
"""Of a key that comes with a call: reading one takes the time of as many points, and the server's own may be larger."""

DEFAULT_FORMATS = {"bn254": "ethereum", "bls12_381": "arkworks_compressed"}
KEY_FORMATS: dict[str, Callable[[bytes, str], groth16.Key]] = {
    "snarkjs": lambda data, curve: groth16.load_snarkjs_key(data),
    "arkworks": groth16.load_arkworks_key,
    "gnark": groth16.load_gnark_key,
}


class PairingKind(Protocol):
    """What items have in common that one call can verify; hashable.

    Attributes:
        name: the label of what is counted.
        operations: of the registry, those of which the first says where a batch was computed.
        widths: of each column's rows; negative where an item has several rows of this width, or bytes of any number.
    """

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> tuple[str, ...]: ...

    @property
    def widths(self) -> tuple[int, ...]: ...

    def __hash__(self) -> int: ...

    def verify(self, *columns: Any, backend: str) -> Verdicts:
        """The verdicts on columns, as `PairingColumns.arrays` makes them.

        Raises:
            ServiceError: what all of them have in common cannot be right.
        """


class PairingColumns(NamedTuple):
    """The items of one request; see `gathering.Columns`.

    Args:
        kind: of all of them.
        items: n.
        weight: n, or the rows of which an item has several.
        columns: the rows of each, one after the other.
        lengths: n little-endian int64 of each, in bytes; empty for one with a row an item.
    """

    kind: PairingKind
    items: int
    weight: int
    columns: tuple[bytes, ...]
    lengths: tuple[bytes, ...]

    def joined(self, others: Sequence[PairingColumns]) -> PairingColumns:
        """See `gathering.Columns`."""
        every = (self, *others)
        return PairingColumns(
            self.kind,
            sum([one.items for one in every]),
            sum([one.weight for one in every]),
            tuple(map(b"".join, zip(*[one.columns for one in every], strict=True))),
            tuple(map(b"".join, zip(*[one.lengths for one in every], strict=True))),
        )

    def arrays(self, first: int, after: int) -> tuple[Any, ...]:
        """Of each column uint8 (n, width), or (data, offsets)."""
        return tuple(
            part_of(data, lengths, first, after) if width < 0 else table(data, width, self.items)[first:after]
            for data, lengths, width in zip(self.columns, self.lengths, self.kind.widths, strict=True)
        )


# Groth16 -----------------------------------------------------------------------------------------------------


class SentKey(NamedTuple):
    """A key that came with a call."""

    format: str
    data: bytes

    def read(self, curve: str) -> groth16.Key:
        """Decode it, unless that was done lately.

        Raises:
            ServiceError: INVALID_ARGUMENT.
        """
        try:
            key = KEY_FORMATS[self.format](self.data, curve)
            if key.test_only:  # in a format that has no mark
                raise TestOnlyKey("the key")
        except TestOnlyKey:
            refuse(
                "verifying_key", "a key for tests alone, or that nobody contributed to", "one of a ceremony"
            )
        except ArgumentError as error:
            found = shortened(f"'{error.argument}': {error.found}")
            refuse("verifying_key", found, error.expected)
        if key.curve != curve:
            refuse("verifying_key", f"a key on {key.curve}", f"one on {curve}")
        return key


class Groth16Kind(NamedTuple):
    """Proofs of one key and format; see `PairingKind`.

    Args:
        curve, format: of the proofs.
        inputs: public inputs of a proof.
        key: the server's own, or one that was sent.
    """

    curve: str
    format: str
    inputs: int
    key: groth16.Key | SentKey

    @property
    def name(self) -> str:
        return "groth16"

    @property
    def operations(self) -> tuple[str, ...]:
        return _of_pairing(self.curve)

    @property
    def widths(self) -> tuple[int, ...]:
        return proof_bytes(self.curve, self.format), NUMBER_BYTES * self.inputs

    def verify(self, *columns: Any, backend: str) -> Verdicts:
        """See `PairingKind`; proofs and public inputs."""
        proofs, numbers = columns
        key = self.key.read(self.curve) if isinstance(self.key, SentKey) else self.key
        if key.inputs != self.inputs:
            refuse("public_inputs", f"{self.inputs} numbers for each proof", f"{key.inputs}")
        stated = numbers.reshape(len(numbers), self.inputs, NUMBER_BYTES)[:, :, ::-1]
        decoded = groth16.load_proofs(np.ascontiguousarray(proofs), self.curve, self.format)
        return groth16.verify_batch(key, decoded, stated, backend=backend)


def groth16_columns(request: pb.VerifyGroth16Request, circuits: groth16.Circuits) -> PairingColumns:
    """The columns of a request.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    key = _key(request, circuits)
    curve = key.curve if isinstance(key, groth16.Key) else request.curve
    if curve not in DEFAULT_FORMATS or request.curve not in ("", curve):
        refuse("curve", quoted(request.curve), " or ".join(DEFAULT_FORMATS) + ", the curve of the key")
    format = request.format or DEFAULT_FORMATS[curve]
    known = [name for name, of_curve in FORMATS.items() if curve in of_curve]
    if format not in known:
        refuse("format", quoted(format), f"on {curve} one of {', '.join(known)}")
    items = len(rows("proofs", request.proofs, proof_bytes(curve, format)))
    size = len(request.public_inputs)
    if size % (NUMBER_BYTES * max(1, items)) or (size and not items):
        refuse("public_inputs", f"{size} bytes", f"{items} rows of as many numbers of {NUMBER_BYTES} bytes")
    inputs = size // (NUMBER_BYTES * items) if items else 0
    if isinstance(key, groth16.Key) and items and inputs != key.inputs:
        refuse("public_inputs", f"{inputs} numbers for each proof", f"{key.inputs}, as {request.circuit} has")
    kind = Groth16Kind(curve, format, inputs, key)
    return PairingColumns(kind, items, items, (request.proofs, request.public_inputs), (b"", b""))


def _key(request: pb.VerifyGroth16Request, circuits: groth16.Circuits) -> groth16.Key | SentKey:
    if request.circuit:
        if request.verifying_key:
            refuse("verifying_key", "a key beside 'circuit'", "one of them")
        try:
            return circuits.key(request.circuit)
        except CircuitError as error:
            refuse(
                "circuit",
                f"{quoted(request.circuit)}, {error.reason}",
                "a circuit that the server has a key for",
            )
    sent, format = request.verifying_key, request.key_format or "snarkjs"
    if format not in KEY_FORMATS:
        refuse("key_format", quoted(format), f"one of {', '.join(KEY_FORMATS)}")
    if not sent:
        refuse("verifying_key", "none", "a key, or the id of one in 'circuit'")
    if len(sent) > MOST_KEY_BYTES:
        refuse("verifying_key", f"{len(sent)} bytes", f"{MOST_KEY_BYTES} at most, or a key of the server's")
    return SentKey(format, sent)


# BLS ---------------------------------------------------------------------------------------------------------

BLS_VARIANTS = {pb.BLS_VARIANT_MIN_PK: "min-pk", pb.BLS_VARIANT_MIN_SIG: "min-sig"}
BLS_SUITES = {pb.BLS_SUITE_POP: "pop", pb.BLS_SUITE_BASIC: "basic", pb.BLS_SUITE_AUGMENTED: "augmented"}
BLS_WIDTHS = {"min-pk": (48, 96), "min-sig": (96, 48)}
"""Bytes of a key and of a signature."""

MOST_TAG_BYTES = 255
"""Of a domain separation tag (RFC 9380, section 5.3.1)."""


class BlsKind(NamedTuple):
    """Signatures of one variant, suite and tag; see `PairingKind`.

    Args:
        variant, suite: as `supervm.crypto.bls` has them.
        dst: in place of the suite's tag; empty for that.
        aggregates: whether a signature has several keys.
        kept: keys of this variant that came before.
    """

    variant: str
    suite: str
    dst: bytes
    aggregates: bool
    kept: KeptKeys

    @property
    def name(self) -> str:
        return f"bls-{self.variant}"

    @property
    def operations(self) -> tuple[str, ...]:
        return _of_pairing("bls12_381")

    @property
    def widths(self) -> tuple[int, ...]:
        keys, signatures = BLS_WIDTHS[self.variant]
        return -keys if self.aggregates else keys, -1, signatures

    def verify(self, *columns: Any, backend: str) -> Verdicts:
        """See `PairingKind`; keys, messages and signatures."""
        from supervm.crypto import bls

        keys, messages, signatures = columns
        rules: dict[str, Any] = {
            "variant": self.variant,
            "suite": self.suite,
            "dst": self.dst or None,
            "backend": backend,
        }
        signatures = np.ascontiguousarray(signatures)
        if not self.aggregates:
            own = self.kept.decode(np.ascontiguousarray(keys), backend)
            return bls.verify_batch(own, messages, signatures, **rules)
        width = -self.widths[0]
        data, bounds = keys
        encoded, places = data[bounds[0] : bounds[-1]].reshape(-1, width), (bounds - bounds[0]) // width
        own = self.kept.decode(encoded, backend)
        return bls.fast_aggregate_verify_batch(own, places, messages, signatures, **rules)


def bls_columns(request: pb.VerifyBlsRequest, kept: Mapping[str, KeptKeys]) -> PairingColumns:
    """The columns of a request.

    Args:
        request: as it came.
        kept: keys that came before, by variant.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    if request.variant not in BLS_VARIANTS:
        refuse("variant", str(request.variant), "0 (keys of 48 bytes) or 1 (signatures of 48 bytes)")
    if request.suite not in BLS_SUITES:
        refuse("suite", str(request.suite), "0 (proof of possession), 1 (basic) or 2 (augmented)")
    if len(request.dst) > MOST_TAG_BYTES:
        refuse("dst", f"{len(request.dst)} bytes", f"{MOST_TAG_BYTES} at most")
    variant, suite = BLS_VARIANTS[request.variant], BLS_SUITES[request.suite]
    key_width, width = BLS_WIDTHS[variant]
    items = len(rows("signatures", request.signatures, width))
    keys = len(rows("public_keys", request.public_keys, key_width))
    data, bounds = ragged("messages", request.messages)
    same_count("messages", len(bounds) - 1, items, "signatures")
    aggregates, key_lengths = bool(request.key_offsets), b""
    if aggregates:
        if suite == "augmented":
            refuse("suite", "2 (augmented) beside 'key_offsets'", "0 or 1: augmented messages differ")
        places: Offsets = offsets("key_offsets", request.key_offsets, keys, "number of keys")
        same_count("key_offsets", len(places) - 1, items, "signatures")
        key_lengths = (key_width * np.diff(places)).tobytes()
    else:
        same_count("public_keys", keys, items, "signatures")
    columns = request.public_keys, data, request.signatures
    lengths = key_lengths, np.diff(bounds).tobytes(), b""
    kind = BlsKind(variant, suite, request.dst, aggregates, kept[variant])
    return PairingColumns(kind, items, max(items, keys), columns, lengths)


# Blobs -------------------------------------------------------------------------------------------------------

BLOB_BYTES, COMMITMENT_BYTES = 131_072, 48


class BlobKind(NamedTuple):
    """Blobs under a trusted setup; see `PairingKind`."""

    setup: TrustedSetup

    @property
    def name(self) -> str:
        return "kzg"

    @property
    def operations(self) -> tuple[str, ...]:
        return _of_pairing("bls12_381")

    @property
    def widths(self) -> tuple[int, ...]:
        return BLOB_BYTES, COMMITMENT_BYTES, COMMITMENT_BYTES

    def verify(self, *columns: Any, backend: str) -> Verdicts:
        """See `PairingKind`; blobs, commitments and proofs."""
        from supervm.crypto import kzg

        blobs, commitments, proofs = map(np.ascontiguousarray, columns)
        return kzg.verify_blob_batch(blobs, commitments, proofs, self.setup, backend=backend)


def blob_columns(request: pb.VerifyBlobsRequest, setup: TrustedSetup | None) -> PairingColumns:
    """The columns of a request.

    Raises:
        ServiceError: INVALID_ARGUMENT; UNIMPLEMENTED without a setup.
    """
    if setup is None:
        text = "this server has no trusted setup, without which nothing can be said of blobs: set service.kzg.setup"
        raise ServiceError(Code.UNIMPLEMENTED, "", text)
    items = len(rows("blobs", request.blobs, BLOB_BYTES))
    for field in ("commitments", "proofs"):
        same_count(field, len(rows(field, getattr(request, field), COMMITMENT_BYTES)), items, "blobs")
    columns = request.blobs, request.commitments, request.proofs
    return PairingColumns(BlobKind(setup), items, items, columns, (b"", b"", b""))


def _of_pairing(curve: str) -> tuple[str, ...]:
    return f"{curve}.pairing.final_exponentiation", f"{curve}.pairing.miller_loop"
