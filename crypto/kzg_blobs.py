# SPDX-License-Identifier: GPL-3.0-or-later
"""EIP-4844: commitments to blobs, their proofs, and the checks of these.

A blob is 4,096 field elements of 32 bytes, big end first: the values of a polynomial at the roots of unity in bit-reversed
order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.arguments import same_count
from supervm.crypto.kzg_bytes import (
    AT_ONCE,
    BLOB_BYTES,
    POINT_BYTES,
    answered,
    bytes_of_elements,
    columns,
    elements_of,
    lenient_columns,
    lenient_elements,
    pieces,
)
from supervm.crypto.kzg_openings import CURVE, ORDER, decoded, decoded_all, number, verify_openings
from supervm.crypto.kzg_setup import TrustedSetup, required
from supervm.crypto.ntt import ntt
from supervm.crypto.one import bytes_of
from supervm.crypto.params.kzg import BLOB_DOMAIN, ELEMENTS
from supervm.crypto.polynomials.products import divide_by_linear
from supervm.crypto.polynomials.values import value_at
from supervm.kernels.array_types import Bytes, Verdicts, Words
from supervm.kernels.errors import ArgumentError


def blob_to_commitment(blobs: Any, setup: TrustedSetup, *, backend: str = "auto") -> Any:
    """Commitments to blobs.

    Args:
        blobs: uint8 (n, 131072), a list of bytes, or one blob as bytes.
        setup: from `load_trusted_setup`.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        uint8 (n, 48), or 48 bytes for one blob as bytes.

    Raises:
        ArgumentError: another shape, dtype or length, an element that is not below the order, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready = required(setup)
    found = columns(blobs, "blobs", BLOB_BYTES)
    parts = [ready.commit(elements_of(part, "blobs"), backend) for part in pieces(found)]
    return answered(_encoded(parts, backend), blobs)


def compute_proof(blobs: Any, points: Any, setup: TrustedSetup, *, backend: str = "auto") -> tuple[Any, Any]:
    """Values of blobs' polynomials at points, and the proofs of them.

    Args:
        blobs: as in `blob_to_commitment`.
        points: z of each blob, uint8 (n, 32), a list of bytes, or bytes for one.
        setup, backend: as in `blob_to_commitment`.

    Returns:
        (proofs, values): uint8 (n, 48) and (n, 32), or bytes for one blob as bytes.

    Raises: as `blob_to_commitment`; and other numbers of items, or a point that is not below the order.
    """
    ready = required(setup)
    found, at = columns(blobs, "blobs", BLOB_BYTES), columns(points, "points", 32)
    same_count(len(found), "blobs", {"points": len(at)})
    proofs, values = _proved(found, [number(row.tobytes(), "points") for row in at], ready, backend)
    return answered(proofs, blobs), answered(bytes_of_elements(values), blobs)


def compute_blob_proof(blobs: Any, commitments: Any, setup: TrustedSetup, *, backend: str = "auto") -> Any:
    """Proofs that commitments are those of blobs: of the values at points that are hashes of both.

    Args:
        blobs: as in `blob_to_commitment`.
        commitments: uint8 (n, 48), a list of bytes, or bytes for one. Whether they are the blobs' is not checked.
        setup, backend: as in `blob_to_commitment`.

    Returns:
        uint8 (n, 48), or 48 bytes for one blob as bytes.

    Raises: as `blob_to_commitment`; and other numbers of items, or a commitment that does not decode.
    """
    ready = required(setup)
    found, committed = columns(blobs, "blobs", BLOB_BYTES), columns(commitments, "commitments", POINT_BYTES)
    same_count(len(found), "blobs", {"commitments": len(committed)})
    decoded_all(committed, "commitments", backend)
    return answered(_proved(found, challenges(found, committed, backend), ready, backend)[0], blobs)


def verify_proof(
    commitment: bytes, point: bytes, value: bytes, proof: bytes, setup: TrustedSetup, *, backend: str = "auto"
) -> bool:
    """Whether a committed polynomial has this value at this point.

    Args:
        commitment, proof: 48 bytes.
        point, value: 32 bytes, big end first.
        setup, backend: as in `blob_to_commitment`.

    Raises:
        ArgumentError: another length, a number that is not below the order, a point that does not decode or is not in the
            group, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready = required(setup)
    z = number(bytes_of(point, "point", 32), "point")
    y = number(bytes_of(value, "value", 32), "value")
    both = bytes_of(commitment, "commitment", POINT_BYTES) + bytes_of(proof, "proof", POINT_BYTES)
    encoded = np.frombuffer(both, np.uint8).reshape(2, POINT_BYTES)
    points = decoded_all(encoded, "commitment, proof", backend)
    return bool(verify_openings(points[:1], [z], [y], points[1:], ready.minus_tau, backend)[0] == 1)


def verify_blob(
    blob: bytes, commitment: bytes, proof: bytes, setup: TrustedSetup, *, backend: str = "auto"
) -> bool:
    """Whether a commitment is that of a blob.

    Args:
        blob: 131,072 bytes.
        commitment, proof: 48 bytes.
        setup, backend: as in `blob_to_commitment`.

    Raises:
        ArgumentError: another length, an element that is not below the order, a point that does not decode or is not in the
            group, or no setup: what has the verdict −1 in a batch.
        BackendUnavailable: the named backend cannot run here.
    """
    for data, argument, length in (
        (blob, "blob", BLOB_BYTES),
        (commitment, "commitment", POINT_BYTES),
        (proof, "proof", POINT_BYTES),
    ):
        bytes_of(data, argument, length)
    verdict = int(verify_blob_batch([blob], [commitment], [proof], setup, backend=backend)[0])
    if verdict < 0:
        raise ArgumentError(
            "blob, commitment, proof", "one that is malformed", "canonical elements, points of the group G1"
        )
    return verdict == 1


def verify_blob_batch(
    blobs: Any, commitments: Any, proofs: Any, setup: TrustedSetup, *, backend: str = "auto"
) -> Verdicts:
    """Whether each commitment is that of its blob.

    Args:
        blobs: n of them, as in `blob_to_commitment`.
        commitments, proofs: uint8 (n, 48), or lists of bytes.
        setup, backend: as in `blob_to_commitment`.

    Returns:
        int8 (n,): 1 valid, 0 invalid, −1 malformed: an element that is not below the order, a point that does not decode or
        is not in the group or, in a list, another length.

    Raises:
        ArgumentError: arrays of another shape or dtype, other numbers of items, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready = required(setup)
    (found, sound), (committed, second), (proved, third) = (
        lenient_columns(data, argument, length)
        for data, argument, length in (
            (blobs, "blobs", BLOB_BYTES),
            (commitments, "commitments", POINT_BYTES),
            (proofs, "proofs", POINT_BYTES),
        )
    )
    count = len(found)
    same_count(count, "blobs", {"commitments": len(committed), "proofs": len(proved)})
    points, verdicts = decoded(np.concatenate((committed, proved)), backend)
    sound = sound & second & third & (verdicts[:count] == 1) & (verdicts[count:] == 1)
    at, values = [0] * count, [0] * count
    for start in range(0, count, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        elements, canonical = lenient_elements(found[part])
        sound[part] &= canonical
        at[part] = challenges(found[part], committed[part], backend)
        coefficients = ntt(CURVE.name, elements, inverse=True, order="bit_reversed", backend=backend)
        values[part] = [value_at(CURVE.name, row, z) for row, z in zip(coefficients, at[part], strict=True)]
    result = np.full(count, -1, np.int8)
    good = np.flatnonzero(sound)
    if good.size:
        claims = [at[index] for index in good], [values[index] for index in good]
        result[good] = verify_openings(
            points[:count][good], *claims, points[count:][good], ready.minus_tau, backend
        )
    return result


# Inside --------------------------------------------------------------------------------------------------


def challenges(blobs: Bytes, commitments: Bytes, backend: str) -> list[int]:
    """The points at which blobs are evaluated: SHA-256 of the domain, the degree, the blob and its commitment, reduced."""
    prefix = BLOB_DOMAIN + ELEMENTS.to_bytes(16, "big")
    digests = []
    for start in range(0, len(blobs), AT_ONCE):
        part = blobs[start : start + AT_ONCE]
        joined = np.empty((len(part), len(prefix) + BLOB_BYTES + POINT_BYTES), np.uint8)
        joined[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
        joined[:, len(prefix) : -POINT_BYTES] = part
        joined[:, -POINT_BYTES:] = commitments[start : start + AT_ONCE]
        digests.append(hashes.sha256_batch(joined, backend=backend))
    return [int.from_bytes(digest.tobytes(), "big") % ORDER for part in digests for digest in part]


def _encoded(parts: list[Words], backend: str) -> Bytes:
    points = np.concatenate(parts) if parts else np.zeros((0, 2, 6), np.uint64)
    return CURVE.g1.to_bytes(points, "zcash_compressed", backend)


def _proved(blobs: Bytes, at: list[int], setup: TrustedSetup, backend: str) -> tuple[Bytes, Words]:
    """Proofs as bytes, and the values."""
    points, values = [], [np.zeros((0, 4), np.uint64)]
    for start in range(0, len(blobs), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        elements = elements_of(blobs[part], "blobs")
        coefficients = ntt(CURVE.name, elements, inverse=True, order="bit_reversed", backend=backend)
        quotients = np.zeros_like(coefficients)
        quotients[:, :-1], found = divide_by_linear(CURVE.name, coefficients, at[part])
        points.append(setup.commit_coefficients(quotients, backend))
        values.append(found)
    return _encoded(points, backend), np.concatenate(values)
