# SPDX-License-Identifier: GPL-3.0-or-later
"""BLS signatures on BLS12-381 (draft-irtf-cfrg-bls-signature-05): single, aggregated, and in batches with exact verdicts.

Two variants, `min-pk` (keys of 48 bytes in G1, signatures of 96 in G2) and `min-sig` (the other way round), and three
suites: `basic`, `augmented` (the key stands in front of its message) and `pop` (proof of possession). A suite gives the
domain separation tag; `dst` replaces it. Points are in the compressed form of Zcash. What is accepted, exactly, is in
docs/bls.md. Public data only, and `sign` too is not constant-time: it is for tests and tools.

>>> key = 0x2a << 240
>>> signature = np.frombuffer(sign(key, b"message"), np.uint8)[None]
>>> verify_batch(np.frombuffer(public_key(key), np.uint8)[None], [b"message"], signature).tolist()
[1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import curves
from supervm.crypto.arguments import bounds, rows, same_count
from supervm.crypto.bls_equations import Signed, equal_rows, signed_verdicts
from supervm.crypto.hash_to_curve import hash_to_g1, hash_to_g2
from supervm.crypto.hashes import sha256_batch
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.weighted import row_sums
from supervm.kernels.array_types import Bytes, Flags, Offsets, Verdicts, Words
from supervm.kernels.cpu.hashes.concatenate import prefixed
from supervm.kernels.errors import ArgumentError

__all__ = [
    "Keys",
    "aggregate",
    "aggregate_verify",
    "decode_keys",
    "fast_aggregate_verify",
    "fast_aggregate_verify_batch",
    "prove_possession",
    "public_key",
    "sign",
    "verify_batch",
    "verify_possession_batch",
]

VARIANTS = {"min-pk": ("g1", "g2"), "min-sig": ("g2", "g1")}
"""Variant → groups of keys and of signatures."""

SUITES = {"basic": "NUL", "augmented": "AUG", "pop": "POP"}
"""Suite → how its tag ends."""

_CURVE = curves.get("bls12_381")
_HASH = {"g1": hash_to_g1, "g2": hash_to_g2}
_ENCODING = "zcash_compressed"
_BYTES = {"g1": 48, "g2": 96}


@dataclass(frozen=True, eq=False)
class Keys:
    """Public keys, decoded and checked once for many calls. Made by `decode_keys`.

    Args:
        variant: `min-pk` or `min-sig`.
        encoded: uint8 (n, 48) or (n, 96).
        points: affine, zeros where a key is refused.
        verdicts: int8 (n,): 1, or −1 for a key that is malformed, infinity or outside the subgroup.
    """

    variant: str
    encoded: Bytes
    points: Words
    verdicts: Verdicts

    def __len__(self) -> int:
        return len(self.encoded)

    def take(self, indices: npt.ArrayLike) -> Keys:
        """The keys at these places, in this order, for instance those of a committee."""
        chosen = np.asarray(indices)
        return Keys(self.variant, self.encoded[chosen], self.points[chosen], self.verdicts[chosen])


def decode_keys(public_keys: Any, *, variant: str = "min-pk", backend: str = "auto") -> Keys:
    """Decode and validate keys (KeyValidate of the draft).

    Args:
        public_keys: uint8 (n, 48) for `min-pk`, (n, 96) for `min-sig`; or `Keys`, which are returned.
        variant: as above.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Raises:
        ArgumentError: another shape or dtype, an unknown variant, `Keys` of the other one.
        BackendUnavailable: the named backend cannot run here.
    """
    name, _ = _groups(variant)
    if isinstance(public_keys, Keys):
        if public_keys.variant != variant:
            raise ArgumentError("public_keys", f"keys of {public_keys.variant}", f"keys of {variant}")
        return public_keys
    encoded = rows(public_keys, "public_keys", _BYTES[name])
    points, verdicts = getattr(_CURVE, name).from_bytes(encoded, _ENCODING, backend=backend)
    refused = (verdicts != 1) | _infinite(points)
    points[refused] = 0
    return Keys(variant, encoded, points, np.where(refused, -1, 1).astype(np.int8))


def verify_batch(
    public_keys: Any,
    messages: MessagesLike,
    signatures: Any,
    *,
    variant: str = "min-pk",
    suite: str = "pop",
    dst: bytes | None = None,
    backend: str = "auto",
) -> Verdicts:
    """Verify one signature by one key on one message, n times.

    All well-formed items are checked as one equation with random weights of 128 bits; where it fails, parts are, and at last
    single items: the verdicts are those of single checks.

    Args:
        public_keys: uint8 (n, 48) or (n, 96), or `Keys`.
        messages: n messages, in any form that `Messages.of` takes.
        signatures: uint8 (n, 96) or (n, 48).
        variant, suite, dst: as above.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        int8 (n,): 1 valid; 0 invalid, which a signature outside the subgroup is; −1 where the key is malformed, infinity or
        outside the subgroup, or the signature malformed.

    Raises:
        ArgumentError: another shape or dtype, other counts, an unknown variant or suite, an empty tag.
        BackendUnavailable: the named backend cannot run here.
    """
    keys = decode_keys(public_keys, variant=variant, backend=backend)
    batch = Messages.of(messages)
    points, verdicts = _signatures(signatures, variant, backend)
    same_count(len(keys), "public_keys", {"messages": len(batch), "signatures": len(points)})
    verdicts = np.where(keys.verdicts != 1, np.int8(-1), verdicts)
    items = np.flatnonzero(verdicts == 1)
    hashed, which = _hashed(keys, batch, items, variant, suite, dst, backend)
    signed = Signed(variant, keys.points[items], hashed, which, points[items], backend)
    verdicts[items] = signed_verdicts(signed)
    return verdicts


def fast_aggregate_verify_batch(
    public_keys: Any,
    offsets: Any,
    messages: MessagesLike,
    signatures: Any,
    *,
    variant: str = "min-pk",
    suite: str = "pop",
    dst: bytes | None = None,
    backend: str = "auto",
) -> Verdicts:
    """Verify signatures that several keys made together on one message each.

    Args:
        public_keys: m keys, as in `verify_batch`: those of item i are keys offsets[i] … offsets[i + 1] − 1. Their
            possession must have been proved (`verify_possession_batch`), without which the sum of keys says nothing.
        offsets: n + 1 ascending whole numbers from 0 to m.
        messages, signatures, variant, suite, dst, backend: of n items, as in `verify_batch`.

    Returns:
        int8 (n,): as `verify_batch`; 0 besides for no keys and where the sum of the keys is infinity, −1 where any of the
        keys is refused.

    Raises:
        ArgumentError: as `verify_batch`; other offsets; the suite `augmented`, whose messages differ.
    """
    keys = decode_keys(public_keys, variant=variant, backend=backend)
    ends = bounds(offsets, len(keys))
    if suite == "augmented":
        raise ArgumentError("suite", repr(suite), "'pop' or 'basic': augmented messages differ")
    batch = Messages.of(messages)
    points, verdicts = _signatures(signatures, variant, backend)
    same_count(len(ends) - 1, "offsets", {"messages": len(batch), "signatures": len(points)})
    refused = np.concatenate(([0], np.cumsum(keys.verdicts != 1)))
    name, _ = _groups(variant)
    sums = row_sums(getattr(_CURVE, name), keys.points.copy(), np.diff(ends), backend)
    verdicts = np.where((verdicts == 1) & _infinite(sums), np.int8(0), verdicts)
    verdicts = np.where(refused[ends[1:]] != refused[ends[:-1]], np.int8(-1), verdicts)
    items = np.flatnonzero(verdicts == 1)
    hashed, which = _hashed(keys, batch, items, variant, suite, dst, backend)
    verdicts[items] = signed_verdicts(Signed(variant, sums[items], hashed, which, points[items], backend))
    return verdicts


def fast_aggregate_verify(public_keys: Any, message: bytes, signature: bytes, **options: Any) -> int:
    """The verdict on one signature that all these keys made together on one message; see `fast_aggregate_verify_batch`.

    Args:
        public_keys: as in `verify_batch`.
        message: bytes.
        signature: bytes of the signature.
        options: `variant`, `suite`, `dst` and `backend`, as in `verify_batch`.
    """
    keys = decode_keys(
        public_keys, variant=options.get("variant", "min-pk"), backend=options.get("backend", "auto")
    )
    given = _row(signature, options.get("variant", "min-pk"))
    if given is None:
        return -1
    return int(fast_aggregate_verify_batch(keys, [0, len(keys)], [message], given, **options)[0])


def aggregate_verify(
    public_keys: Any,
    messages: MessagesLike,
    signature: bytes,
    *,
    variant: str = "min-pk",
    suite: str = "pop",
    dst: bytes | None = None,
    backend: str = "auto",
) -> int:
    """The verdict on one signature that n keys made together, each on its own message.

    Returns:
        1 valid; 0 invalid, which it is for no keys and, in the suite `basic`, for equal messages; −1 where any key is
        refused or the signature is malformed.

    Raises:
        ArgumentError: as `verify_batch`.
    """
    keys = decode_keys(public_keys, variant=variant, backend=backend)
    batch = Messages.of(messages)
    same_count(len(keys), "public_keys", {"messages": len(batch)})
    given = _row(signature, variant)
    if given is None:
        return -1
    points, verdicts = _signatures(given, variant, backend)
    if verdicts[0] == -1 or (keys.verdicts != 1).any():
        return -1
    items = np.arange(len(keys))
    hashed, which = _hashed(keys, batch, items, variant, suite, dst, backend)
    if verdicts[0] == 0 or not len(keys) or (suite == "basic" and len(hashed) < len(keys)):
        return 0
    return Signed(variant, keys.points, hashed, which, points, backend).together()


def aggregate(signatures: Any, *, variant: str = "min-pk", backend: str = "auto") -> bytes:
    """The sum of signatures.

    Args:
        signatures: uint8 (n, 96) or (n, 48), one or more.

    Raises:
        ArgumentError: another shape or dtype, no signatures, or one that is malformed or outside the subgroup, by its row.
    """
    points, verdicts = _signatures(signatures, variant, backend)
    if not len(points):
        raise ArgumentError("signatures", "none", "one or more")
    wrong = np.flatnonzero(verdicts != 1)
    if wrong.size:
        raise ArgumentError("signatures", f"no point of the group in row {wrong[0]}", "signatures")
    group = getattr(_CURVE, _groups(variant)[1])
    total: bytes = group.to_bytes(group.sum(points, backend=backend), _ENCODING).tobytes()
    return total


def public_key(secret_key: int, *, variant: str = "min-pk") -> bytes:
    """The public key of a secret one.

    Raises:
        ArgumentError: it is not in 1 … r − 1; an unknown variant.
    """
    group = getattr(_CURVE, _groups(variant)[0])
    return _multiple(group, group.generator[None], secret_key)


def sign(
    secret_key: int,
    message: bytes,
    *,
    variant: str = "min-pk",
    suite: str = "pop",
    dst: bytes | None = None,
) -> bytes:
    """A signature, for tests and tools: the time that it takes tells about the key.

    Raises:
        ArgumentError: a key that is not in 1 … r − 1; an unknown variant or suite; an empty tag.
    """
    own = public_key(secret_key, variant=variant) if suite == "augmented" else b""
    _, name = _groups(variant)
    hashed = _HASH[name]([own + message], _tag(variant, suite, dst), backend="scalar")
    return _multiple(getattr(_CURVE, name), hashed, secret_key)


def prove_possession(secret_key: int, *, variant: str = "min-pk") -> bytes:
    """The proof that whoever made it has the secret key; as `sign`."""
    own = public_key(secret_key, variant=variant)
    return sign(secret_key, own, variant=variant, dst=_possession(variant))


def verify_possession_batch(
    public_keys: Any, proofs: Any, *, variant: str = "min-pk", backend: str = "auto"
) -> Verdicts:
    """Verify a proof of possession for each key; arguments, verdicts and errors as `verify_batch`."""
    keys = decode_keys(public_keys, variant=variant, backend=backend)
    return verify_batch(
        keys, keys.encoded, proofs, variant=variant, dst=_possession(variant), backend=backend
    )


# Inside --------------------------------------------------------------------------------------------------------


def _groups(variant: Any) -> tuple[str, str]:
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise ArgumentError("variant", repr(variant), " or ".join(map(repr, VARIANTS)))
    return VARIANTS[variant]


def _tag(variant: str, suite: Any, dst: Any) -> bytes:
    """The domain separation tag (section 4.2 of the draft)."""
    if dst is not None:
        if not isinstance(dst, bytes) or not dst:
            raise ArgumentError("dst", repr(dst), "a byte or more")
        return dst
    if not isinstance(suite, str) or suite not in SUITES:
        raise ArgumentError("suite", repr(suite), ", ".join(map(repr, SUITES)))
    return b"BLS_SIG_" + _suite_id(variant, SUITES[suite])


def _possession(variant: str) -> bytes:
    return b"BLS_POP_" + _suite_id(variant, SUITES["pop"])


def _suite_id(variant: str, end: str) -> bytes:
    _, name = _groups(variant)
    return f"BLS12381{name.upper()}_XMD:SHA-256_SSWU_RO_{end}_".encode()


def _row(signature: Any, variant: str) -> Bytes | None:
    """One signature as a row, None if it has another length, which is malformed."""
    if not isinstance(signature, bytes):
        raise ArgumentError("signature", type(signature).__name__, "bytes")
    given = np.frombuffer(signature, np.uint8)[None]
    return given if given.shape[1] == _BYTES[_groups(variant)[1]] else None


def _signatures(signatures: Any, variant: str, backend: str) -> tuple[Words, Verdicts]:
    _, name = _groups(variant)
    encoded = rows(signatures, "signatures", _BYTES[name])
    points, verdicts = getattr(_CURVE, name).from_bytes(encoded, _ENCODING, backend=backend)
    return points, verdicts


def _infinite(points: Words) -> Flags:
    flags: Flags = np.logical_not(points.any(axis=tuple(range(1, points.ndim))))
    return flags


def _hashed(
    keys: Keys,
    messages: Messages,
    items: npt.NDArray[np.int64],
    variant: str,
    suite: str,
    dst: bytes | None,
    backend: str,
) -> tuple[Words, npt.NDArray[np.int64]]:
    """The points of the messages of these items, each message once, and the number of each item's point."""
    tag = _tag(variant, suite, dst)
    chosen = messages.take(items)
    if suite == "augmented":
        chosen = Messages(*_prefixed(keys.encoded[items], chosen))
    unique, which = equal_rows(sha256_batch(chosen, backend=backend))
    _, name = _groups(variant)
    # Messages become points on the processor, whoever computes what follows.
    return _HASH[name](chosen.take(unique), tag, backend="auto" if backend == "cuda" else backend), which


def _prefixed(encoded: Bytes, messages: Messages) -> tuple[Bytes, Offsets]:
    """Each key and its message."""
    nothing, count, width = np.zeros(0, np.uint8), *encoded.shape
    made: tuple[Bytes, Offsets] = prefixed(
        nothing, encoded.reshape(-1), width, width, nothing, 0, 0, messages.data, messages.offsets, 0, count
    )
    return made


def _multiple(group: curves.Group, point: Words, secret_key: Any) -> bytes:
    if not isinstance(secret_key, int) or not 0 < secret_key < group.order:
        raise ArgumentError("secret_key", "a number outside that range", "a whole number in 1 … r − 1")
    scalar = np.frombuffer(secret_key.to_bytes(32, "little"), "<u8").astype(np.uint64)[None]
    product = group.multiply(point, scalar, backend="scalar")
    encoded: bytes = group.to_bytes(product, _ENCODING, backend="scalar").tobytes()
    return encoded
