# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions of `crypto_api` (`docs/execution-rules.md`, Host functions), handed to the vm by the engine.

Hashes are compiled. A signature is checked through the public batch functions, with one item on the portable backend: it
takes about 100 µs there, beside which the way into Python does not count.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba import carray, njit

from supervm.crypto import ed25519, secp256k1
from supervm.crypto.params.hashes import KECCAK256, SHA256
from supervm.engine.execution import host_precompiles
from supervm.engine.host_callbacks import callback
from supervm.kernels.cpu.hashes.batch import hash_slice
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.lanes.addresses import as_pointer, call_address, copy, load8
from supervm.kernels.cpu.lanes.lanes import LANES_32, LANES_64
from supervm.kernels.cpu.state.access_set import get
from supervm.vm import context
from supervm.vm.guest import (
    answer32,
    argument,
    at,
    host_function,
    opening,
    priced,
    told,
)
from supervm.vm.host_functions import codes

SHA256_BASE, SHA256_BYTE = priced("sha256")
KECCAK256_BASE, KECCAK256_BYTE = priced("keccak256")
DERIVE_PRICE, _ = priced("derive_eth_address")
ED25519_BASE, ED25519_BYTE = priced("verify_ed25519")
SECP256K1_PRICE, _ = priced("verify_secp256k1")
RECOVER_PRICE, _ = priced("recover_secp256k1_pubkey")

DIGEST_BYTES, KEY_BYTES, SIGNATURE_BYTES, RECOVERABLE_BYTES, ADDRESS_BYTES = 32, 64, 64, 65, 20
UNCOMPRESSED = 4
"""First byte of an uncompressed key (SEC 1, 2.3.3)."""

BACKEND = host_precompiles.BACKEND

OPERATIONS = (
    "ed25519.verify",
    "secp256k1.ecdsa_verify",
    "secp256k1.ecdsa_recover",
    *host_precompiles.OPERATIONS,
)
"""Of the registry, what host functions compute with on that backend."""

_SHA256 = HashKernel(SHA256, LANES_32)
_KECCAK256 = HashKernel(KECCAK256, LANES_64)


@njit(cache=True)
def _sha256(data: Any, size: Any, out: Any) -> None:
    offsets = np.array([0, size], np.int64)
    message, digest = (
        carray(as_pointer(data), (size,), np.uint8),
        carray(as_pointer(out), (DIGEST_BYTES,), np.uint8),
    )
    hash_slice(_SHA256, message, offsets, digest, 0, 1)


@njit(cache=True)
def _keccak256(data: Any, size: Any, out: Any) -> None:
    offsets = np.array([0, size], np.int64)
    message, digest = (
        carray(as_pointer(data), (size,), np.uint8),
        carray(as_pointer(out), (DIGEST_BYTES,), np.uint8),
    )
    hash_slice(_KECCAK256, message, offsets, digest, 0, 1)


@host_function
def sha256(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`sha256(ptr, len, out_ptr)`: write the SHA-256 (FIPS 180-4) of an area of the guest's memory, 32 bytes; answers 0.

    Traps with `BAD_POINTER` where an area leaves the guest's memory, then with `OUT_OF_GAS` where the limit does not cover
    base and bytes.
    """
    pointer, length, out = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    refusal = opening(worker, SHA256_BASE + SHA256_BYTE * length, pointer, length, out, DIGEST_BYTES)
    if refusal:
        return refusal
    digest = get(worker, context.SCRATCH)
    _sha256(at(worker, pointer), length, digest)
    copy(at(worker, out), digest, DIGEST_BYTES)
    return answer32(arguments, 0)


@host_function
def keccak256(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`keccak256(ptr, len, out_ptr)`: as `sha256`, with Ethereum's Keccak-256."""
    pointer, length, out = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    refusal = opening(worker, KECCAK256_BASE + KECCAK256_BYTE * length, pointer, length, out, DIGEST_BYTES)
    if refusal:
        return refusal
    digest = get(worker, context.SCRATCH)
    _keccak256(at(worker, pointer), length, digest)
    copy(at(worker, out), digest, DIGEST_BYTES)
    return answer32(arguments, 0)


@host_function
def derive_eth_address(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`derive_eth_address(pubkey_ptr, pubkey_len, out_ptr)`: write a key's address, 20 bytes, the end of its Keccak-256.

    Answers 0; −1, with nothing written, where the key is neither 64 bytes x ‖ y nor 65 that begin with 04. Nothing checks
    that it lies on the curve. Traps as `sha256` does; the price is fixed.
    """
    pointer, length, out = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    refusal = opening(worker, DERIVE_PRICE, pointer, length, out, ADDRESS_BYTES)
    if refusal:
        return refusal
    key = at(worker, pointer)
    if length == KEY_BYTES + 1 and load8(key) == UNCOMPRESSED:
        key += 1
    elif length != KEY_BYTES:
        return answer32(arguments, -1)
    digest = get(worker, context.SCRATCH)
    _keccak256(key, KEY_BYTES, digest)
    copy(at(worker, out), digest + DIGEST_BYTES - ADDRESS_BYTES, ADDRESS_BYTES)
    return answer32(arguments, 0)


@host_function
def verify_ed25519(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`verify_ed25519(msg_ptr, msg_len, sig_ptr, key_ptr)`: check 64 bytes by the rule `dalek` under a key of 32.

    Answers the verdict: 1 valid, 0 invalid, −1 malformed. Traps as `sha256` does.
    """
    message, length = argument(arguments, 0), argument(arguments, 1)
    signature, key = argument(arguments, 2), argument(arguments, 3)
    refusal = opening(
        worker,
        ED25519_BASE + ED25519_BYTE * length,
        message,
        length,
        signature,
        SIGNATURE_BYTES,
        key,
        DIGEST_BYTES,
    )
    if refusal:
        return refusal
    check = get(worker, context.CHECK_ED25519)
    answer = call_address(check, worker, at(worker, message), length, at(worker, signature), at(worker, key))
    return told(worker, arguments, answer)


@host_function
def verify_secp256k1(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`verify_secp256k1(digest_ptr, sig_ptr, key_ptr, key_len)`: check an ECDSA signature r ‖ s over a digest of 32 bytes.

    Answers the verdict: 1 valid; 0 invalid, also for s above half of the order; −1 malformed, also for keys that are not
    33 or 65 bytes. Traps as `sha256` does; the price is fixed.
    """
    digest, signature = argument(arguments, 0), argument(arguments, 1)
    key, length = argument(arguments, 2), argument(arguments, 3)
    refusal = opening(worker, SECP256K1_PRICE, digest, DIGEST_BYTES, signature, SIGNATURE_BYTES, key, length)
    if refusal:
        return refusal
    check = get(worker, context.CHECK_SECP256K1)
    answer = call_address(check, worker, at(worker, digest), at(worker, signature), at(worker, key), length)
    return told(worker, arguments, answer)


@host_function
def recover_secp256k1_pubkey(worker: Any, caller: Any, arguments: Any, count: Any) -> Any:
    """`recover_secp256k1_pubkey(digest_ptr, sig65_ptr, out_ptr)`: write the key that made r ‖ s ‖ recovery id over a digest.

    Answers 0, and 65 bytes 04 ‖ x ‖ y are written; −1, with nothing written, where there is no such key. Traps as `sha256`
    does; the price is fixed.
    """
    digest, signature, out = argument(arguments, 0), argument(arguments, 1), argument(arguments, 2)
    refusal = opening(
        worker, RECOVER_PRICE, digest, DIGEST_BYTES, signature, RECOVERABLE_BYTES, out, KEY_BYTES + 1
    )
    if refusal:
        return refusal
    recover = get(worker, context.RECOVER_SECP256K1)
    answer = call_address(recover, worker, at(worker, digest), at(worker, signature), at(worker, out))
    return told(worker, arguments, answer)


def _row(address: int, size: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(ctypes.string_at(address, size), np.uint8).reshape(1, size)


@callback
def _check_ed25519(message: int, length: int, signature: int, key: int) -> int:
    said = [ctypes.string_at(message, length)]
    return int(ed25519.verify_batch(_row(key, 32), said, _row(signature, 64), backend=BACKEND)[0])


@callback
def _check_secp256k1(digest: int, signature: int, key: int, length: int) -> int:
    if length not in (33, 65):
        return -1
    keys, digests, signatures = _row(key, length), _row(digest, 32), _row(signature, 64)
    return int(secp256k1.ecdsa_verify_batch(keys, digests, signatures, low_s=True, backend=BACKEND)[0])


@callback
def _recover_secp256k1(digest: int, signature: int, out: int) -> int:
    keys, verdicts = secp256k1.ecdsa_recover_batch(_row(digest, 32), _row(signature, 65), backend=BACKEND)
    if verdicts[0] != 1:
        return -1
    ctypes.memmove(out, bytes([UNCOMPRESSED]) + keys[0].tobytes(), 65)
    return 0


FUNCTIONS = {
    "sha256": sha256,
    "keccak256": keccak256,
    "derive_eth_address": derive_eth_address,
    "verify_ed25519": verify_ed25519,
    "verify_secp256k1": verify_secp256k1,
    "recover_secp256k1_pubkey": recover_secp256k1_pubkey,
    **host_precompiles.FUNCTIONS,
}
"""By name, as `supervm.vm.worker.Worker` takes them."""


def compile_host_functions() -> None:
    """Compile every host function, or load it from the cache, whether a contract uses it or not."""
    for code in codes(FUNCTIONS).values():
        _ = code.address


CHECKS = {
    context.CHECK_ED25519: _check_ed25519,
    context.CHECK_SECP256K1: _check_secp256k1,
    context.RECOVER_SECP256K1: _recover_secp256k1,
    context.CALL_PRECOMPILE: host_precompiles.call_precompile,
}
"""Word of a worker → the C function that host functions ask."""


def check_addresses() -> dict[int, int]:
    """Word of a worker → the address that belongs there."""
    return {word: int(ctypes.cast(check, ctypes.c_void_p).value or 0) for word, check in CHECKS.items()}
