# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash functions over batches of messages: SHA-256, SHA-512, Keccak-256, BLAKE2b and Ethereum addresses.

SHA-2 is FIPS 180-4. Keccak-256 uses the original padding, as Ethereum does, so it is not SHA3-256. BLAKE2b is
RFC 7693 without a key and with 64 bytes of digest. Nothing here is constant-time: messages are public.

Every function accepts messages in any form that `Messages.of` accepts; lengths may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from supervm.crypto import cuda
from supervm.crypto.arguments import rows
from supervm.crypto.calls import compute
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.one import backend_of_one, bytes_of, put_back, row_of, take_desk
from supervm.crypto.params.hashes import BLAKE2B, KECCAK256, SHA256, SHA512
from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.backends import CPU_BACKENDS, CpuBackend, register_on_cpu
from supervm.kernels.cpu.hashes.batch import digest_into, hasher
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.hash_spec import KnownSpec
from supervm.kernels.work import Ragged

__all__ = [
    "blake2b",
    "blake2b_batch",
    "eth_address_batch",
    "keccak256",
    "keccak256_batch",
    "sha256",
    "sha256_batch",
    "sha512",
    "sha512_batch",
]

SPECS: dict[str, KnownSpec] = {spec.name: spec for spec in (SHA256, SHA512, KECCAK256, BLAKE2B)}
"""Every hash function by the name of its operation."""

KERNELS: dict[tuple[str, str], HashKernel] = {
    (spec.name, backend.name): HashKernel(spec, backend.of_bits(spec.word_bits))
    for backend in CPU_BACKENDS
    for spec in SPECS.values()
}
"""The marker that compiled code takes, by operation and backend."""

DEDICATED = {
    backend.name: HashKernel(SHA256, backend.of_bits(SHA256.word_bits), dedicated=True)
    for backend in CPU_BACKENDS
}
"""Markers of SHA-256 by backend: the backend's lanes, and for a Merkle tree the processor's own instructions."""

_ADDRESS_BYTES = 20


def sha256_batch(messages: MessagesLike, *, backend: str = "auto") -> Bytes:
    """SHA-256 of each message.

    Args:
        messages: n messages, in any form that `Messages.of` takes.
        backend: `auto`, or one that the registry lists for `sha256`.

    Returns:
        uint8 (n, 32).

    Raises:
        ArgumentError: messages in another form.
        BackendUnavailable: the named backend cannot run here.

    >>> sha256_batch([b"abc", b""])[:, :4].tobytes().hex()
    'ba7816bfe3b0c442'
    """
    return _digests("sha256", messages, backend)


def sha512_batch(messages: MessagesLike, *, backend: str = "auto") -> Bytes:
    """SHA-512 of each message, uint8 (n, 64); arguments and errors as `sha256_batch`.

    >>> sha512_batch([b"abc"])[0, :4].tobytes().hex()
    'ddaf35a1'
    """
    return _digests("sha512", messages, backend)


def keccak256_batch(messages: MessagesLike, *, backend: str = "auto") -> Bytes:
    """Keccak-256 of each message as Ethereum has it, uint8 (n, 32); arguments and errors as `sha256_batch`.

    >>> keccak256_batch([b""])[0, :4].tobytes().hex()
    'c5d24601'
    """
    return _digests("keccak256", messages, backend)


def blake2b_batch(messages: MessagesLike, *, backend: str = "auto") -> Bytes:
    """BLAKE2b-512 of each message, uint8 (n, 64); arguments and errors as `sha256_batch`.

    >>> blake2b_batch([b"abc"])[0, :4].tobytes().hex()
    'ba80a53f'
    """
    return _digests("blake2b", messages, backend)


def eth_address_batch(public_keys: Bytes, *, backend: str = "auto") -> Bytes:
    """Ethereum addresses: the last 20 bytes of Keccak-256 of each key (Yellow Paper, appendix F).

    Args:
        public_keys: uint8 (n, 64), x and y big-endian. Whether a key lies on the curve is not asked.
        backend: `auto`, or one that the registry lists for `eth_address`.

    Returns:
        uint8 (n, 20).

    Raises:
        ArgumentError: another shape or dtype.
        BackendUnavailable: the named backend cannot run here.

    >>> eth_address_batch(np.zeros((1, 64), np.uint8)).tobytes().hex()
    '3f17f1962b36e491b30a40b2405849e597ba5fb5'
    """
    keys = rows(public_keys, "public_keys", 64)
    addresses: Bytes
    (addresses,) = compute(
        "eth_address", (keys,), len(keys), (((_ADDRESS_BYTES,), np.uint8),), backend=backend
    )
    return addresses


def sha256(message: bytes, *, backend: str = "auto") -> bytes:
    """SHA-256 of one message: the 32 bytes of its digest, in a few microseconds.

    Args:
        message: bytes, or a bytearray or memoryview.
        backend: as for `sha256_batch`.

    Raises:
        ArgumentError: no bytes.
        BackendUnavailable: the named backend cannot run here.

    >>> sha256(b"abc").hex()[:8]
    'ba7816bf'
    """
    return _digest("sha256", message, backend)


def sha512(message: bytes, *, backend: str = "auto") -> bytes:
    """SHA-512 of one message, 64 bytes; arguments and errors as `sha256`.

    >>> sha512(b"abc").hex()[:8]
    'ddaf35a1'
    """
    return _digest("sha512", message, backend)


def keccak256(message: bytes, *, backend: str = "auto") -> bytes:
    """Keccak-256 of one message as Ethereum has it, 32 bytes; arguments and errors as `sha256`.

    >>> keccak256(b"").hex()[:8]
    'c5d24601'
    """
    return _digest("keccak256", message, backend)


def blake2b(message: bytes, *, backend: str = "auto") -> bytes:
    """BLAKE2b-512 of one message, 64 bytes; arguments and errors as `sha256`.

    >>> blake2b(b"abc").hex()[:8]
    'ba80a53f'
    """
    return _digest("blake2b", message, backend)


def _digest(operation: str, message: bytes, backend: str) -> bytes:
    message = bytes_of(message, "message")
    name = backend_of_one(operation, backend)
    return _digest_on(name, operation, message) if name else _digests(operation, [message], backend).tobytes()


def _digest_on(backend: str, operation: str, message: bytes) -> bytes:
    """Of one message, on a CPU backend."""
    desk = take_desk()
    try:
        desk.hash(hasher(KERNELS[operation, backend]), message, desk.digest_bytes)
        return desk.digest_view[: SPECS[operation].digest_bytes].tobytes()
    finally:
        put_back(desk)


def _digests(operation: str, messages: MessagesLike, backend: str) -> Bytes:
    if type(messages) is list and len(messages) == 1 and type(messages[0]) is bytes:
        name = backend_of_one(operation, backend)
        if name:
            return row_of(bytearray(_digest_on(name, operation, messages[0])))
    batch = Messages.of(messages)
    digest = ((SPECS[operation].digest_bytes,), np.uint8)
    digests: Bytes
    (digests,) = compute(operation, (batch.ragged,), len(batch), (digest,), backend=backend)
    return digests


def _addresses(keccak: Callable[[Ragged, Bytes], None], keys: Bytes, addresses: Bytes) -> None:
    digests = np.empty((len(keys), KECCAK256.digest_bytes), np.uint8)
    keccak(Messages.of(keys).ragged, digests)
    # As one item of 20 bytes a row: NumPy copies rows of single bytes at half the speed.
    item = np.dtype((np.void, _ADDRESS_BYTES))
    addresses.view(item)[:] = digests[:, -_ADDRESS_BYTES:].view(item)


def _register() -> None:
    def digest(operation: str, backend: CpuBackend) -> Callable[..., None]:
        return partial(digest_into, KERNELS[operation, backend.name])

    for operation in SPECS:
        register_on_cpu(operation, partial(digest, operation))
    register_on_cpu("eth_address", lambda backend: partial(_addresses, digest("keccak256", backend)))
    for operation in (*SPECS, "eth_address"):
        cuda.register_operation(operation)


_register()
