# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashing to G1 and G2 of BLS12-381 in batches (RFC 9380, with SHA-256).

`hash_to_g1` and `hash_to_g2` are the suites BLS12381G1_XMD:SHA-256_SSWU_RO_ and BLS12381G2_XMD:SHA-256_SSWU_RO_,
`encode_to_g1` and `encode_to_g2` those that end in NU_. `map_to_g1` and `map_to_g2` are MAP_FP_TO_G1 and MAP_FP2_TO_G2 of
EIP-2537. `supervm.crypto.oracle.hash_to_curve` has the steps one by one.

Points are as `supervm.crypto.curves` has them, in affine form, and always of the subgroup. Public data only: nothing here is
constant-time.

>>> tag = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
>>> hex(hash_to_g1([b""], tag)[0, 0, 5])
'0x52926add2207b76'
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.calls import compute
from supervm.crypto.group_operations import GROUPS
from supervm.crypto.hashes import sha256, sha256_batch
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.params.hashes import SHA256
from supervm.crypto.point_encodings import base_field
from supervm.crypto.signatures.batch import VERDICT
from supervm.kernels.array_types import Bytes
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.hashes.concatenate import surrounded
from supervm.kernels.cuda.runtime.arrays import DeviceArray, fetched
from supervm.kernels.errors import ArgumentError

__all__ = [
    "encode_to_g1",
    "encode_to_g2",
    "expand_message_xmd",
    "hash_to_g1",
    "hash_to_g2",
    "map_to_g1",
    "map_to_g2",
]

Points = npt.NDArray[np.uint64]
Elements = npt.NDArray[np.uint64]

_G1, _G2 = "bls12_381.g1", "bls12_381.g2"

_PART_BYTES = 64
"""L of the RFC: bytes that are reduced to an integer modulo p, ⌈(381 + 128)/8⌉."""

_MOST_TAG_BYTES = 255
_MOST_BLOCKS = 255

_surrounded = Bound(surrounded)


def hash_to_g1(messages: MessagesLike, dst: bytes, *, backend: str = "auto") -> Points:
    """The point of G1 of each message, as if drawn from all of them.

    Args:
        messages: n messages, in any form that `Messages.of` takes; those on a GPU are copied to the host.
        dst: the domain separation tag, a byte or more; one of more than 255 bytes is hashed, as the RFC says.
        backend: `auto`, or a processor's that the registry lists for `bls12_381.g1.map`.

    Returns:
        uint64 (n, 2, 6).

    Raises:
        ArgumentError: messages in another form, an empty tag.
        BackendUnavailable: the named backend cannot run here.
    """
    return _hashed(_G1, messages, dst, 2, backend)


def hash_to_g2(messages: MessagesLike, dst: bytes, *, backend: str = "auto") -> Points:
    """The point of G2 of each message, uint64 (n, 2, 2, 6); arguments and errors as `hash_to_g1`."""
    return _hashed(_G2, messages, dst, 2, backend)


def encode_to_g1(messages: MessagesLike, dst: bytes, *, backend: str = "auto") -> Points:
    """A point of G1 for each message, not evenly drawn, at about half the cost; all else as `hash_to_g1`."""
    return _hashed(_G1, messages, dst, 1, backend)


def encode_to_g2(messages: MessagesLike, dst: bytes, *, backend: str = "auto") -> Points:
    """A point of G2 for each message, not evenly drawn, uint64 (n, 2, 2, 6); all else as `hash_to_g1`."""
    return _hashed(_G2, messages, dst, 1, backend)


def map_to_g1(elements: Elements, *, backend: str = "auto") -> Points:
    """The point of G1 of each field element.

    Args:
        elements: uint64 (n, 6), below p, little end first.
        backend: as in `hash_to_g1`.

    Returns:
        uint64 (n, 2, 6).

    Raises:
        ArgumentError: another shape or dtype, or an element that is not below p, by its row.
        BackendUnavailable: the named backend cannot run here.
    """
    return _mapped(_G1, elements, backend)


def map_to_g2(elements: Elements, *, backend: str = "auto") -> Points:
    """The point of G2 of each element of the extension, uint64 (n, 2, 6) with c₀ first; all else as `map_to_g1`.

    Returns:
        uint64 (n, 2, 2, 6).
    """
    return _mapped(_G2, elements, backend)


def expand_message_xmd(messages: MessagesLike, dst: bytes, length: int, *, backend: str = "auto") -> Bytes:
    """Uniform bytes of each message (RFC 9380, section 5.3.1).

    Args:
        messages, dst: as in `hash_to_g1`.
        length: bytes for each message, 1 … 8160.
        backend: `auto`, or a processor's that the registry lists for `sha256`.

    Returns:
        uint8 (n, length).

    Raises:
        ArgumentError: messages in another form, an empty tag, another length.
        BackendUnavailable: the named backend cannot run here.
    """
    block = SHA256.digest_bytes
    if not 1 <= length <= _MOST_BLOCKS * block:
        raise ArgumentError("length", str(length), f"1 … {_MOST_BLOCKS * block}")
    batch, tag = Messages.of(messages), _tag(dst)
    data = batch.data.fetched() if isinstance(batch.data, DeviceArray) else batch.data
    before = np.zeros(SHA256.block_bytes, np.uint8)
    behind = np.frombuffer(length.to_bytes(2, "big") + b"\0" + tag, np.uint8)
    first = sha256_batch(
        Messages(*_surrounded(before, borrow(behind), borrow(data), borrow(batch.offsets))), backend=backend
    )
    count = -(-length // block)
    uniform = np.empty((len(batch), count, block), np.uint8)
    rows = np.empty((len(batch), block + 1 + len(tag)), np.uint8)
    rows[:, :block] = first
    rows[:, block + 1 :] = np.frombuffer(tag, np.uint8)
    for index in range(count):
        rows[:, block] = index + 1
        uniform[:, index] = sha256_batch(rows, backend=backend)
        np.bitwise_xor(first, uniform[:, index], out=rows[:, :block])
    return uniform.reshape(len(batch), count * block)[:, :length]


def _tag(dst: bytes) -> bytes:
    """The tag and its length, DST_prime of the RFC."""
    if not isinstance(dst, (bytes, bytearray, memoryview)):
        raise ArgumentError("dst", type(dst).__name__, "bytes")
    tag = bytes(dst)
    if not tag:
        raise ArgumentError("dst", "empty", "a domain separation tag of a byte or more")
    if len(tag) > _MOST_TAG_BYTES:
        tag = sha256(b"H2C-OVERSIZE-DST-" + tag)
    return tag + bytes([len(tag)])


def _hashed(name: str, messages: MessagesLike, dst: bytes, each: int, backend: str) -> Points:
    """Points of `each` field elements a message, added up."""
    field = GROUPS[name].field
    words = base_field(GROUPS[name]).words
    degree = field.words // words
    uniform = expand_message_xmd(messages, dst, each * degree * _PART_BYTES, backend=backend)
    count, half = len(uniform), _PART_BYTES // 16
    numbers = np.ascontiguousarray(uniform.reshape(-1, _PART_BYTES)[:, ::-1]).view("<u8")
    numbers = numbers.reshape(count, each, degree, 2, half).transpose(0, 1, 3, 2, 4)
    rows = np.zeros((count, each, 2, degree, words), np.uint64)
    rows[..., :half] = numbers
    return _points(name, rows.reshape(count, 2 * each * field.words), each, True, backend)


def _mapped(name: str, elements: Elements, backend: str) -> Points:
    field = GROUPS[name].field
    words = base_field(GROUPS[name]).words
    shape = (words,) if field.words == words else (field.words // words, words)
    given: Any = fetched(elements, "elements")
    if (
        not isinstance(given, np.ndarray)
        or given.dtype != np.uint64
        or given.shape[1:] != shape
        or not given.ndim
    ):
        known = isinstance(given, np.ndarray)
        came = f"{given.dtype} {given.shape}" if known else type(given).__name__
        raise ArgumentError("elements", came, f"a uint64 array of shape (n, {', '.join(map(str, shape))})")
    rows = np.ascontiguousarray(given).reshape(len(given), field.words)
    return _points(name, rows, 1, False, backend)


def _points(name: str, rows: Elements, each: int, wide: bool, backend: str) -> Points:
    size, words = GROUPS[name].field.words, base_field(GROUPS[name]).words
    outputs = (((2 * size,), np.uint64), VERDICT)
    points, verdicts = compute(
        f"{name}.map", (rows,), len(rows), outputs, options=(each, wide), backend=backend
    )
    bad = np.flatnonzero(verdicts != 1)
    if bad.size:
        raise ArgumentError("elements", f"row {bad[0]}, which is not below p", "canonical field elements")
    shape = (len(rows), 2, words) if size == words else (len(rows), 2, size // words, words)
    found: Points = points.reshape(shape)
    return found
