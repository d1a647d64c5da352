# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum's precompiled contracts that are compiled functions, without Python on their way.

Each takes (data, size, out, table): addresses of the input and of room for the output, which do not overlap, and `table`,
the address of two words: the address of secp256k1's multiples (`recovery_table`) and how many words they have. It answers
`FAILED` where the call fails, else one more than the output's bytes. A compiled C function that raises answers 0, which is
neither. Prices are charged elsewhere. ecRecover, SHA-256 and RIPEMD-160: Yellow Paper, appendix E.1; the others: the EIPs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, njit

from supervm.crypto.group_operations import CURVES as GROUP_CURVES
from supervm.crypto.params.hashes import BLAKE2B, KECCAK256, RIPEMD160, SHA256
from supervm.crypto.params.secp256r1 import SECP256R1
from supervm.crypto.signatures.ecdsa import CURVES
from supervm.crypto.signatures.ecdsa import table as multiples
from supervm.kernels.cpu.curves.batch_operations import ADD, MULTIPLY, batch_slice
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.fields.modular_power import power, read_big_endian, write_big_endian
from supervm.kernels.cpu.hashes import blake2f as blake2
from supervm.kernels.cpu.hashes import ripemd160 as ripemd
from supervm.kernels.cpu.hashes.batch import hash_slice
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.lanes.addresses import (
    as_pointer,
    copy,
    fill,
    load8,
    load64,
    stack_room,
    store8,
    store64,
    swap_bytes,
)
from supervm.kernels.cpu.lanes.lanes import LANES_32, LANES_64
from supervm.kernels.cpu.signatures import ecdsa, ecdsa_minus_three

# mypy: disallow_untyped_defs=False

FAILED = -1

WORD = 32
"""Bytes of a word of the EVM."""

MODEXP_HEADER = 3 * WORD
"""Bytes of the three lengths before the operands of a modular power."""

ENDLESS = 1 << 56
"""Stands for every length that is as large: no input and no memory is."""

BLAKE2F_BYTES, P256_BYTES = 213, 160
"""Bytes of the inputs (EIP-152, EIP-7951)."""

_FIRST_V = 27
"""v of the recovery id 0 (Yellow Paper, appendix F)."""

_SHA256, _KECCAK256 = HashKernel(SHA256, LANES_32), HashKernel(KECCAK256, LANES_64)
_RIPEMD160, _BLAKE2B = HashKernel(RIPEMD160, LANES_32), HashKernel(BLAKE2B, LANES_64)
_SECP256K1, _BN254 = CURVES["scalar"], GROUP_CURVES["bn254.g1", "scalar"]
_SECP256R1 = Curve(SECP256R1, LANES_64)


@functools.cache
def recovery_table() -> npt.NDArray[np.uint64]:
    """The multiples of secp256k1's generator."""
    found: npt.NDArray[np.uint64] = multiples("scalar")
    return found


@njit(cache=True)
def take(data, size, at, out, wanted):
    """Copy `wanted` bytes of the input from byte `at` on; where it is shorter there are zeros."""
    given = min(max(size - at, 0), wanted)
    if given:
        copy(out, data + at, given)
    fill(out + given, 0, wanted - given)


@njit(cache=True)
def _hash(kernel, data, size, out, digest_bytes):
    offsets = np.array([0, size], np.int64)
    message = carray(as_pointer(data), (size,), np.uint8)
    hash_slice(kernel, message, offsets, carray(as_pointer(out), (digest_bytes,), np.uint8), 0, 1)


@njit(cache=True)
def _words(address, count):
    return carray(as_pointer(address), (count,), np.uint64)


@njit(cache=True)
def _bytes(address, count):
    return carray(as_pointer(address), (count,), np.int8)


@njit(cache=True)
def sha256(data: Any, size: Any, out: Any, table: Any) -> Any:
    """SHA-256, 32 bytes."""
    _hash(_SHA256, data, size, out, WORD)
    return WORD + 1


@njit(cache=True)
def ripemd160(data: Any, size: Any, out: Any, table: Any) -> Any:
    """RIPEMD-160 behind 12 zeros."""
    store64(out, 0)
    store64(out + 8, 0)
    ripemd.digest(_RIPEMD160, data, size, out + 12)
    return WORD + 1


@njit(cache=True)
def ecrecover(data: Any, size: Any, out: Any, table: Any) -> Any:
    """The address that signed: hash, v, r and s in words, filled up with zeros; nothing where there is none."""
    item, key, spare = stack_room(128), stack_room(64), stack_room(64)
    take(data, size, 0, item, 128)
    for index in range(31):
        if load8(item + 32 + index) != 0:
            return 1
    store8(spare, load8(item + 63) - _FIRST_V)
    if load8(spare) > 1:
        return 1
    base = _words(load64(table), load64(table + 8))
    ids, verdict = _bytes(spare, 1), _bytes(spare + 8, 1)
    signature = _words(item + 64, 8)
    ecdsa.recover_slice(_SECP256K1, base, _words(item, 4), signature, ids, 0, 1, _words(key, 8), verdict)
    if verdict[0] != 1:
        return 1
    _hash(_KECCAK256, key, 64, out, WORD)
    store64(out, 0)
    fill(out + 8, 0, 4)
    return WORD + 1


@njit(cache=True)
def operand_bytes(data: Any, size: Any, index: Any) -> Any:
    """Length 0, 1 or 2 of a modular power: of the base, of the exponent, of the modulus; `ENDLESS` at most."""
    word = stack_room(WORD)
    take(data, size, WORD * index, word, WORD)
    length = swap_bytes(load64(word + 24))
    above = load64(word) | load64(word + 8) | load64(word + 16)
    return ENDLESS if above != 0 or length < 0 or length > ENDLESS else length


@njit(cache=True)
def modexp(data: Any, size: Any, out: Any, table: Any) -> Any:
    """EIP-198: base^exponent mod modulus in as many bytes as the modulus has, zero for the modulus zero.

    The lengths must be such that the operands fit into memory: the price says so.
    """
    base_bytes, exponent_bytes = operand_bytes(data, size, 0), operand_bytes(data, size, 1)
    modulus_bytes = operand_bytes(data, size, 2)
    base_words, words = (base_bytes + 7) // 8, (modulus_bytes + 7) // 8
    if modulus_bytes:
        room = np.empty(base_words + 2 * words + 1, np.int64)
        _modexp(room, data, size, base_bytes, exponent_bytes, modulus_bytes, out)
    return modulus_bytes + 1


@njit(cache=True)
def _modexp(room, data, size, base_bytes, exponent_bytes, modulus_bytes, out):
    base_words, words = (base_bytes + 7) // 8, (modulus_bytes + 7) // 8
    base = room.ctypes.data
    modulus, result = base + 8 * base_words, base + 8 * (base_words + words)
    at = MODEXP_HEADER
    read_big_endian(base, base_words, data + at, max(size - at, 0), base_bytes)
    at += base_bytes
    exponent, given = data + at, min(max(size - at, 0), exponent_bytes)
    at += exponent_bytes
    read_big_endian(modulus, words, data + at, max(size - at, 0), modulus_bytes)
    fill(result, 0, 8 * words)
    power(result, base, base_words, exponent, given, exponent_bytes, modulus, words)
    write_big_endian(out, modulus_bytes, result)


@njit(cache=True)
def _coordinates(item, points, count):
    """Big-endian numbers of 32 bytes as words, little end first."""
    for number in range(count):
        for index in range(4):
            word = swap_bytes(load64(item + WORD * number + 8 * (3 - index)))
            store64(points + WORD * number + 8 * index, word)


@njit(cache=True)
def _bn254(operation, data, size, given, out):
    """An operation on a point of BN254 and what is behind it."""
    item, numbers, point, spare = stack_room(128), stack_room(128), stack_room(64), stack_room(8)
    take(data, size, 0, item, given)
    _coordinates(item, numbers, given // WORD)
    verdict = _bytes(spare, 1)
    second = _words(numbers + 64, (given - 64) // 8)
    batch_slice(_BN254, operation, _words(numbers, 8), second, 0, 1, _words(point, 8), verdict)
    if verdict[0] != 1:
        return FAILED
    _coordinates(point, out, 2)
    return 2 * WORD + 1


@njit(cache=True)
def bn254_add(data: Any, size: Any, out: Any, table: Any) -> Any:
    """EIP-196: the sum of two points, filled up with zeros."""
    return _bn254(ADD, data, size, 128, out)


@njit(cache=True)
def bn254_mul(data: Any, size: Any, out: Any, table: Any) -> Any:
    """EIP-196: the multiple of a point by a number, filled up with zeros."""
    return _bn254(MULTIPLY, data, size, 96, out)


@njit(cache=True)
def blake2f(data: Any, size: Any, out: Any, table: Any) -> Any:
    """EIP-152: BLAKE2b's F for rounds, state, block, byte count and whether it is the last block."""
    if size != BLAKE2F_BYTES or load8(data + BLAKE2F_BYTES - 1) > 1:
        return FAILED
    rounds = swap_bytes(load64(data)) >> 32
    if rounds < 0:
        rounds += 1 << 32
    copy(out, data + 4, 64)
    low, high = load64(data + 196), load64(data + 204)
    blake2.compress(_BLAKE2B, out, data + 68, low, high, -load8(data + BLAKE2F_BYTES - 1), rounds)
    return 64 + 1


@njit(cache=True)
def p256_verify(data: Any, size: Any, out: Any, table: Any) -> Any:
    """EIP-7951: the number 1 where digest, r, s, x and y are a signature and its key; nothing else."""
    if size != P256_BYTES:
        return 1
    item = stack_room(P256_BYTES)
    copy(item, data, P256_BYTES)
    if not ecdsa_minus_three.verify(_SECP256R1, _words(item, ecdsa_minus_three.WORDS)):
        return 1
    fill(out, 0, WORD - 1)
    store8(out + WORD - 1, 1)
    return WORD + 1


FUNCTIONS = {
    "ecrecover": ecrecover,
    "sha256": sha256,
    "ripemd160": ripemd160,
    "modexp": modexp,
    "bn254_add": bn254_add,
    "bn254_mul": bn254_mul,
    "blake2f": blake2f,
    "p256_verify": p256_verify,
}
"""By name."""
