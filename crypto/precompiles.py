# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum's precompiled contracts: bytes in, bytes out, ArgumentError (a ValueError) where the call fails.

BN254 by EIP-196 and EIP-197, BLS12-381 by EIP-2537, a blob's value at a point by EIP-4844, modular powers by EIP-198,
BLAKE2b's F by EIP-152, P-256 by EIP-7951, RIPEMD-160 by the Yellow Paper. A call that fails costs all the gas that it was
given; `gas` says what another one costs.

>>> bn254_add((1).to_bytes(32, "big") + (2).to_bytes(32, "big"))[:32] == (1).to_bytes(32, "big")
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import curves, hashes, pairings, precompile_code
from supervm.crypto.calls import compute
from supervm.crypto.hash_to_curve import map_to_g1, map_to_g2
from supervm.crypto.kzg_openings import decoded_all, mainnet_minus_tau, number, verify_openings
from supervm.crypto.msm import msm
from supervm.crypto.one import bytes_of
from supervm.crypto.params.kzg import ELEMENTS, VERSION
from supervm.crypto.precompile_gas import BLS12_G1_TERM, BLS12_G2_TERM, BLS12_PAIR, BN254_PAIR, gas
from supervm.crypto.signatures.batch import VERDICT
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers
from supervm.kernels.choices import alone_in_one_lane
from supervm.kernels.cpu.backends import CPU_BACKENDS
from supervm.kernels.errors import ArgumentError
from supervm.kernels.registry import resolve
from supervm.kernels.transform import words_of

__all__ = [
    "blake2f",
    "bls12_g1add",
    "bls12_g1msm",
    "bls12_g2add",
    "bls12_g2msm",
    "bls12_map_fp2_to_g2",
    "bls12_map_fp_to_g1",
    "bls12_pairing_check",
    "bn254_add",
    "bn254_mul",
    "bn254_pairing_check",
    "gas",
    "modexp",
    "p256_verify",
    "point_evaluation",
    "ripemd160",
]

_BN254, _BLS12 = curves.get("bn254"), curves.get("bls12_381")

_LANES = {each.name: each.lanes.width for each in CPU_BACKENDS}

_MULTIPLIED = 2
"""Terms of a sum for each lane up to which products of their own are sooner made than digits sorted into buckets."""

# One lane is faster for one point than eight of AVX-512 are: 132 beside 213 µs in G1 of BLS12-381, 331 beside 523 in G2.
for _group in (_BN254.g1, _BLS12.g1, _BLS12.g2):
    alone_in_one_lane(f"{_group.name}.multiply")


def bn254_add(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-196, ADD: P + Q.

    Args:
        input: P and Q, 64 bytes each, filled up with zeros; what is behind them is ignored.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        64 bytes.

    Raises:
        ArgumentError: a coordinate is not below p, or a point is not on the curve.
        BackendUnavailable: the named backend cannot run here.
    """
    words = _integers(_filled(input, 128), 32).reshape(2, 8)
    return _bn254_bytes(_point("bn254.g1.add", (words[:1], words[1:]), backend))


def bn254_mul(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-196, MUL: s·P.

    Args:
        input: P in 64 bytes and s in 32, any number, filled up with zeros; what is behind them is ignored.
        backend: as in `bn254_add`.

    Returns:
        64 bytes.

    Raises: as `bn254_add`.
    """
    words = _integers(_filled(input, 96), 32)
    return _bn254_bytes(_point("bn254.g1.multiply", (words[:2].reshape(1, 8), words[2:]), backend))


def bn254_pairing_check(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-197: whether the product of the pairings of all pairs is one.

    Args:
        input: any number of pairs, none too: a point of G1 in 64 bytes and one of G2 in 128, the imaginary part of a
            coordinate first.
        backend: as in `bn254_add`.

    Returns:
        32 bytes: the number 1 or 0.

    Raises:
        ArgumentError: another length, a coordinate that is not below p, a point that is not on its curve or, in G2, not in
            the group.
        BackendUnavailable: the named backend cannot run here.
    """
    data = _whole(input, BN254_PAIR, 0)
    pairs = _integers(data, 32).reshape(-1, 6, 4)
    first, second = pairs[:, :2], pairs[:, [3, 2, 5, 4]].reshape(-1, 2, 2, 4)
    return _pairing_check(_BN254, first, second, backend)


def bls12_g1add(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, G1ADD: P + Q for points of the curve, in the group or not.

    Args:
        input: P and Q, 128 bytes each.
        backend: as in `bn254_add`.

    Returns:
        128 bytes.

    Raises:
        ArgumentError: another length, a coordinate that is not below p or is not filled up with zeros, a point that is not
            on the curve.
        BackendUnavailable: the named backend cannot run here.
    """
    words = _bls12_words(_exactly(input, 256)).reshape(2, 12)
    return _bls12_bytes(_point("bls12_381.g1.add", (words[:1], words[1:]), backend))


def bls12_g2add(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, G2ADD: as `bls12_g1add` with points of 256 bytes."""
    words = _bls12_words(_exactly(input, 512)).reshape(2, 24)
    return _bls12_bytes(_point("bls12_381.g2.add", (words[:1], words[1:]), backend))


def bls12_g1msm(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, G1MSM: Σ sᵢ·Pᵢ.

    Args:
        input: one or more times a point in 128 bytes and a scalar in 32, any number.
        backend: as in `bn254_add`.

    Returns:
        128 bytes.

    Raises:
        ArgumentError: another length, a coordinate that is not below p or is not filled up with zeros, a point that is not
            on the curve or not in the group.
        BackendUnavailable: the named backend cannot run here.
    """
    return _msm(_BLS12.g1, _whole(input, BLS12_G1_TERM, 1), BLS12_G1_TERM, backend)


def bls12_g2msm(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, G2MSM: as `bls12_g1msm` with points of 256 bytes."""
    return _msm(_BLS12.g2, _whole(input, BLS12_G2_TERM, 1), BLS12_G2_TERM, backend)


def bls12_pairing_check(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, PAIRING_CHECK: whether the product of the pairings of all pairs is one.

    Args:
        input: one or more times a point of G1 in 128 bytes and one of G2 in 256.
        backend: as in `bn254_add`.

    Returns:
        32 bytes: the number 1 or 0.

    Raises:
        ArgumentError: another length, a coordinate that is not below p or is not filled up with zeros, a point that is not
            on its curve or not in its group.
        BackendUnavailable: the named backend cannot run here.
    """
    pairs = _bls12_words(_whole(input, BLS12_PAIR, 1)).reshape(-1, 6, 6)
    return _pairing_check(_BLS12, pairs[:, :2], pairs[:, 2:].reshape(-1, 2, 2, 6), backend)


def bls12_map_fp_to_g1(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, MAP_FP_TO_G1: the point of G1 of a field element.

    Args:
        input: 64 bytes.
        backend: as in `bn254_add`.

    Returns:
        128 bytes.

    Raises:
        ArgumentError: another length, or an element that is not below p or is not filled up with zeros.
        BackendUnavailable: the named backend cannot run here.
    """
    return _mapped(map_to_g1, _bls12_words(_exactly(input, 64)), backend)


def bls12_map_fp2_to_g2(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-2537, MAP_FP2_TO_G2: as `bls12_map_fp_to_g1` with an element of 128 bytes and a point of 256."""
    return _mapped(map_to_g2, _bls12_words(_exactly(input, 128))[None], backend)


def point_evaluation(input: bytes, *, backend: str = "auto") -> bytes:
    """EIP-4844: a blob's polynomial has the value y at z, under the setup of Ethereum's ceremony.

    Args:
        input: 192 bytes: the commitment's versioned hash, z and y in 32 bytes each, the commitment and the proof in 48.
        backend: as in `bn254_add`.

    Returns:
        64 bytes: the number of field elements of a blob, and the order of the field.

    Raises:
        ArgumentError: another length, a hash that is not the commitment's, a number that is not below the order, a point
            that does not decode or is not in the group, or a proof that does not hold.
        BackendUnavailable: the named backend cannot run here.
    """
    data = _exactly(input, 192)
    commitment = data[96:144]
    if data[:32] != bytes([VERSION]) + hashes.sha256(commitment, backend=backend)[1:]:
        raise _failure("a versioned hash that is not the commitment's", "that of the commitment")
    z, y = number(data[32:64], "input"), number(data[64:96], "input")
    points = decoded_all(np.frombuffer(data[96:], np.uint8).reshape(2, 48), "input", backend)
    verdicts = verify_openings(points[:1], [z], [y], points[1:], mainnet_minus_tau(), backend)
    if verdicts[0] != 1:
        raise _failure("a proof that does not hold", "one for this commitment, z and y")
    return ELEMENTS.to_bytes(32, "big") + _BLS12.order.to_bytes(32, "big")


def ripemd160(input: bytes) -> bytes:
    """RIPEMD-160 behind 12 zeros, 32 bytes.

    >>> ripemd160(b"abc")[12:].hex()
    '8eb208f7e05d987a9b044a8e98c6b087f15a0bfc'
    """
    return _compiled("ripemd160", bytes_of(input, "input"), 32)


def modexp(input: bytes, *, limit: int = 1024) -> bytes:
    """EIP-198: base^exponent mod modulus.

    Args:
        input: three lengths in 32 bytes each, then base, exponent and modulus, filled up with zeros; what is behind them is
            ignored.
        limit: of each length, EIP-7823's as it stands.

    Returns:
        As many bytes as the modulus has; zeros for the modulus zero.

    Raises:
        ArgumentError: a length above the limit.
    """
    data = bytes_of(input, "input")
    lengths = [int.from_bytes(_filled(data[at:], 32), "big") for at in (0, 32, 64)]
    if max(lengths) > limit:
        raise _failure(
            f"operands of {lengths[0]}, {lengths[1]} and {lengths[2]} bytes", f"at most {limit} bytes each"
        )
    return _compiled("modexp", data, lengths[2])


def blake2f(input: bytes) -> bytes:
    """EIP-152: the compression function F of BLAKE2b.

    Args:
        input: 213 bytes: rounds in 4, big-endian; state in 64, block in 128 and number of bytes in 16, words little-endian;
            1 for the last block, else 0.

    Returns:
        64 bytes, the state.

    Raises:
        ArgumentError: another length, or a last byte above 1.
    """
    data = _exactly(input, precompile_code.BLAKE2F_BYTES)
    if data[-1] > 1:
        raise _failure(f"a last byte of {data[-1]}", "1 for the last block, else 0")
    return _compiled("blake2f", data, 64)


def p256_verify(input: bytes) -> bytes:
    """EIP-7951: ECDSA over secp256r1. It never fails.

    Args:
        input: digest, r, s, x and y in 32 bytes each, big-endian.

    Returns:
        32 bytes, the number 1, if the signature is valid by `docs/verification-rules.md`; b"" otherwise, of inputs of other
        lengths too.
    """
    return _compiled("p256_verify", bytes_of(input, "input"), 32)


def _compiled(name: str, data: bytes, room: int) -> bytes:
    """What a function of `precompile_code` that does not fail writes, `room` bytes at most."""
    given, out = np.frombuffer(data or b"\0", np.uint8), np.empty(max(room, 1), np.uint8)
    made: int = precompile_code.FUNCTIONS[name](given.ctypes.data, len(data), out.ctypes.data, 0)
    return out[: made - 1].tobytes()


# Bytes and words -----------------------------------------------------------------------------------------------


def _failure(found: str, expected: str) -> ArgumentError:
    return ArgumentError("input", found, expected)


def _filled(data: Any, length: int) -> bytes:
    """The first bytes, as many as are read; zeros where there are fewer."""
    return bytes_of(data, "input")[:length].ljust(length, b"\0")


def _exactly(data: Any, length: int) -> bytes:
    return bytes_of(data, "input", length)


def _whole(data: Any, size: int, least: int) -> bytes:
    """The bytes, if they are a whole number of pieces and at least so many."""
    found = bytes_of(data, "input")
    if len(found) % size or len(found) < least * size:
        raise _failure(f"{len(found)} bytes", f"a multiple of {size} bytes, at least {least * size}")
    return found


def _integers(data: bytes, size: int) -> Words:
    """Big-endian numbers of `size` bytes as rows of words, little end first."""
    return np.frombuffer(data[::-1], "<u8").reshape(-1, size // 8)[::-1]


def _bls12_words(data: bytes) -> Words:
    """Numbers of 64 bytes, the upper 16 of them zero, as rows of six words."""
    rows = _integers(data, 64)
    if rows[:, 6:].any():
        raise _failure("a coordinate whose first 16 bytes are not zero", "numbers below p")
    return rows[:, :6]


def _bn254_bytes(point: Words) -> bytes:
    return point.reshape(-1, 4)[::-1].tobytes()[::-1]


def _bls12_bytes(point: Words) -> bytes:
    rows = np.zeros((point.size // 6, 8), np.uint64)
    rows[:, :6] = point.reshape(-1, 6)
    return rows[::-1].tobytes()[::-1]


# What calls have in common -------------------------------------------------------------------------------------


def _point(operation: str, columns: tuple[Words, Words], backend: str) -> Words:
    """The point that an operation makes of one item, whose points it checks."""
    whole = tuple(np.ascontiguousarray(column) for column in columns)
    outputs = ((columns[0].shape[1:], np.uint64), VERDICT)
    points, verdicts = compute(operation, whole, 1, outputs, backend=backend)
    if verdicts[0] != 1:
        raise _failure("a point that is none", "points of the curve, coordinates below p")
    result: Words = points[0]
    return result


def _checked(group: curves.Group, points: Words, backend: str) -> Words:
    """Points, if all are in the group."""
    found, verdicts = group.from_bytes(np.ascontiguousarray(points), "limbs", "subgroup", backend)
    bad = np.flatnonzero(verdicts != 1)
    if bad.size:
        what = "outside the group" if verdicts[bad[0]] == 0 else "not on the curve"
        raise _failure(f"point {bad[0]} of {group.name}, which is {what}", "points of the group")
    return found


def _pairing_check(curve: curves.Curve, first: Words, second: Words, backend: str) -> bytes:
    left, right = _checked(curve.g1, first, backend), _checked(curve.g2, second, backend)
    offsets = np.array([0, len(left)], np.int64)
    (verdict,) = pairings.get(curve.name).check(left, right, offsets, backend=backend)
    return int(verdict).to_bytes(32, "big")


def _mapped(function: Callable[..., Words], elements: Words, backend: str) -> bytes:
    try:
        points = function(np.ascontiguousarray(elements), backend=backend)
    except ArgumentError as error:
        if error.argument != "elements":
            raise
        raise _failure("an element that is not below p", "a canonical one") from None
    return _bls12_bytes(points)


def _msm(group: curves.Group, data: bytes, size: int, backend: str) -> bytes:
    rows: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(-1, size)
    words = _bls12_words(rows[:, :-32].tobytes())
    points = _checked(group, words.reshape(len(rows), *group.generator.shape), backend)
    scalars = np.ascontiguousarray(_integers(rows[:, -32:].tobytes(), 32))
    found = resolve(f"{group.name}.multiply", backend, len(rows)).name
    if len(rows) <= _MULTIPLIED * _LANES.get(found, 1):
        return _bls12_bytes(group.sum(group.multiply(points, scalars, backend=backend), backend=backend))
    reduced = words_of([scalar % group.order for scalar in integers(scalars)]).reshape(-1, 4)
    which = group.name.partition(".")[2]
    return _bls12_bytes(msm(_BLS12.name, points, reduced, group=which, backend=backend))
