# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum's precompiled contracts of curves once more, from the text of the EIPs, on the points of py_ecc."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from py_ecc import optimized_bls12_381 as bls
from py_ecc import optimized_bn128 as bn
from py_ecc.bls.hash_to_curve import clear_cofactor_G1, clear_cofactor_G2, map_to_curve_G1, map_to_curve_G2
from py_ecc.bls.point_compression import decompress_G1, decompress_G2

TAU = (
    "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72"
    "185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
)
"""The ceremony's secret in G2, compressed: g2_monomial[1] of the consensus specifications' trusted_setup_4096.json."""


class Fails(Exception):
    """The EIP lets the call fail."""


def _require(condition: bool) -> None:
    if not condition:
        raise Fails


def _numbers(data: bytes, size: int, modulus: int) -> list[int]:
    found = [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]
    _require(all(number < modulus for number in found))
    return found


def _point(library: Any, x: Any, y: Any, b: Any, zero: Any, group: bool) -> Any:
    if x == x.zero() and y == y.zero():
        return zero
    point = (x, y, x.one())
    _require(library.is_on_curve(point, b))
    _require(not group or library.is_inf(library.multiply(point, library.curve_order)))
    return point


def _bn_first(data: bytes) -> Any:
    x, y = map(bn.FQ, _numbers(data, 32, bn.field_modulus))
    return _point(bn, x, y, bn.b, bn.Z1, group=False)


def _bn_second(data: bytes) -> Any:
    """The imaginary parts stand first (EIP-197)."""
    numbers = _numbers(data, 32, bn.field_modulus)
    x, y = bn.FQ2([numbers[1], numbers[0]]), bn.FQ2([numbers[3], numbers[2]])
    return _point(bn, x, y, bn.b2, bn.Z2, group=True)


def _first(data: bytes, group: bool = True) -> Any:
    x, y = map(bls.FQ, _numbers(data, 64, bls.field_modulus))
    return _point(bls, x, y, bls.b, bls.Z1, group)


def _second(data: bytes, group: bool = True) -> Any:
    numbers = _numbers(data, 64, bls.field_modulus)
    return _point(bls, bls.FQ2(numbers[:2]), bls.FQ2(numbers[2:]), bls.b2, bls.Z2, group)


def _written(library: Any, point: Any, size: int, width: int) -> bytes:
    """A point of `width` numbers."""
    if library.is_inf(point):
        return bytes(size * width)
    sides = [getattr(side, "coeffs", [side]) for side in library.normalize(point)]
    return b"".join(int(part).to_bytes(size, "big") for side in sides for part in side)


def _parts(data: bytes, size: int, least: int) -> list[bytes]:
    _require(len(data) % size == 0 and len(data) >= least * size)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _one(library: Any, pairs: list[tuple[Any, Any]]) -> bool:
    product = library.FQ12.one()
    for first, second in pairs:
        product *= library.pairing(second, first)
    return bool(product == library.FQ12.one())


def bn254_add(data: bytes) -> bytes:
    data = data[:128].ljust(128, b"\0")
    return _written(bn, bn.add(_bn_first(data[:64]), _bn_first(data[64:])), 32, 2)


def bn254_mul(data: bytes) -> bytes:
    data = data[:96].ljust(96, b"\0")
    return _written(bn, bn.multiply(_bn_first(data[:64]), int.from_bytes(data[64:], "big")), 32, 2)


def bn254_pairing_check(data: bytes) -> bytes:
    pairs = [(_bn_first(part[:64]), _bn_second(part[64:])) for part in _parts(data, 192, 0)]
    return _one(bn, pairs).to_bytes(32, "big")


def bls12_g1add(data: bytes) -> bytes:
    _require(len(data) == 256)
    return _written(bls, bls.add(_first(data[:128], False), _first(data[128:], False)), 64, 2)


def bls12_g2add(data: bytes) -> bytes:
    _require(len(data) == 512)
    return _written(bls, bls.add(_second(data[:256], False), _second(data[256:], False)), 64, 4)


def _msm(data: bytes, size: int, read: Callable[[bytes], Any], zero: Any, width: int) -> bytes:
    total = zero
    for part in _parts(data, size + 32, 1):
        total = bls.add(total, bls.multiply(read(part[:size]), int.from_bytes(part[size:], "big")))
    return _written(bls, total, 64, width)


def bls12_g1msm(data: bytes) -> bytes:
    return _msm(data, 128, _first, bls.Z1, 2)


def bls12_g2msm(data: bytes) -> bytes:
    return _msm(data, 256, _second, bls.Z2, 4)


def bls12_pairing_check(data: bytes) -> bytes:
    pairs = [(_first(part[:128]), _second(part[128:])) for part in _parts(data, 384, 1)]
    return _one(bls, pairs).to_bytes(32, "big")


def bls12_map_fp_to_g1(data: bytes) -> bytes:
    _require(len(data) == 64)
    [number] = _numbers(data, 64, bls.field_modulus)
    return _written(bls, clear_cofactor_G1(map_to_curve_G1(bls.FQ(number))), 64, 2)


def bls12_map_fp2_to_g2(data: bytes) -> bytes:
    _require(len(data) == 128)
    numbers = _numbers(data, 64, bls.field_modulus)
    return _written(bls, clear_cofactor_G2(map_to_curve_G2(bls.FQ2(numbers))), 64, 4)


def point_evaluation(data: bytes) -> bytes:
    _require(len(data) == 192)
    _require(data[:32] == b"\x01" + hashlib.sha256(data[96:144]).digest()[1:])
    z, y = _numbers(data[32:96], 32, bls.curve_order)
    points = []
    for encoded in (data[96:144], data[144:]):
        try:
            point = decompress_G1(int.from_bytes(encoded, "big"))  # type: ignore[arg-type]
        except ValueError:
            raise Fails from None
        _require(bls.is_inf(point) or bls.is_inf(bls.multiply(point, bls.curve_order)))
        points.append(point)
    commitment, proof = points
    tau = decompress_G2((int(TAU[:96], 16), int(TAU[96:], 16)))  # type: ignore[arg-type]
    left = bls.add(bls.add(commitment, bls.neg(bls.multiply(bls.G1, y))), bls.multiply(proof, z))
    _require(_one(bls, [(left, bls.G2), (bls.neg(proof), tau)]))
    return (4096).to_bytes(32, "big") + bls.curve_order.to_bytes(32, "big")


FUNCTIONS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    function.__name__: (function, size)
    for function, size in (
        (bn254_add, 64),
        (bn254_mul, 64),
        (bn254_pairing_check, 32),
        (bls12_g1add, 128),
        (bls12_g1msm, 128),
        (bls12_g2add, 256),
        (bls12_g2msm, 256),
        (bls12_pairing_check, 32),
        (bls12_map_fp_to_g1, 128),
        (bls12_map_fp2_to_g2, 256),
        (point_evaluation, 64),
    )
}
"""By name: the contract, and bytes of its output."""
