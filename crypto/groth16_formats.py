# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 keys and proofs as bytes of other tools. Nothing but what the tool itself writes is read: coordinates are below p,
points on the curve and in the subgroup, signs match, lengths are exact.

- arkworks (`CanonicalSerialize`, compressed or not): a proof is A, B, C; a key is α, β, γ, δ, the number of points of IC in
  eight bytes, little-endian, and the points. Those of BLS12-381 are ZCash's, as its crate has them from version 0.4 on.
- gnark (`WriteTo`, compressed, and `WriteRawTo`): a proof is A, B, C, the number of commitments in four bytes, big-endian,
  and one point more; a key is α, β of G1, β, γ of G2, δ of G1, δ of G2, the number of points of IC in four bytes, the
  points, and two numbers more, of committed wires and of commitment keys. Circuits with commitments are refused: their
  proofs need another check. (gnark, backend/groth16/bn254/marshal.go; gnark-crypto, ecc/bn254/marshal.go.)
- ethereum: A, B, C as EIP-197 has points, 256 bytes, which the verifiers of Solidity take.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from supervm.crypto.arguments import rows
from supervm.crypto.curves import Curve, Group
from supervm.crypto.groth16_columns import Key, Proofs, curve_of, kept_key, members
from supervm.crypto.one import bytes_of, row_of
from supervm.crypto.point_encodings import Encoding, encoding_of, write
from supervm.kernels.array_types import Bytes, Verdicts, Words
from supervm.kernels.cuda.runtime.arrays import fetched
from supervm.kernels.errors import ArgumentError

FORMATS = {
    "arkworks_compressed": {"bn254": "arkworks_compressed", "bls12_381": "zcash_compressed"},
    "arkworks_uncompressed": {"bn254": "arkworks", "bls12_381": "zcash_uncompressed"},
    "gnark_compressed": {"bn254": "gnark", "bls12_381": "zcash_compressed"},
    "gnark_uncompressed": {"bn254": "eip197", "bls12_381": "zcash_uncompressed"},
    "ethereum": {"bn254": "eip197"},
}
"""How points are encoded, by format and curve."""

_GNARK_FLAGS = np.array([0xC0, 0x40, 0x00, 0x80], np.uint8)
"""arkworks' flag bits for gnark's 00, 01, 10, 11. The first are no compressed point, and so are arkworks' two at once."""


def load_proofs(data: Any, curve: str, format: str) -> Proofs:
    """Many proofs of one format; a row that is none is malformed.

    Args:
        data: uint8 (n, bytes of a proof).
        curve: `bn254` or `bls12_381`.
        format: one of `FORMATS`.

    Raises:
        ArgumentError: another curve or format, or data of another shape or dtype.
    """
    groups = curve_of(curve)
    encoding = _encoding(curve, format)
    given = rows(fetched(data, "data"), "data", _proof_bytes(groups, format))
    one, two = _size(groups.g1, encoding), _size(groups.g2, encoding)
    a, b, c, rest = np.split(given, (one, one + two, 2 * one + two), axis=1)
    columns = [
        _decoded(group, part, encoding) for group, part in ((groups.g1, a), (groups.g2, b), (groups.g1, c))
    ]
    columns[0][1][(rest != _ending(groups.g1, format)).any(axis=1)] = -1
    return Proofs.decoded(curve, *columns)


def load_arkworks_proof(data: bytes, curve: str) -> Proofs:
    """A proof, compressed or not, as `Proofs` of one row.

    Raises:
        ArgumentError: another curve, a length that is of neither form, or a malformed point, by its name.
    """
    return _proof(data, curve, "arkworks")


def load_gnark_proof(data: bytes, curve: str) -> Proofs:
    """A proof without commitments, compressed or not, as `Proofs` of one row.

    Raises: as `load_arkworks_proof`; and for a proof with commitments.
    """
    return _proof(data, curve, "gnark")


def load_ethereum_proof(data: bytes) -> Proofs:
    """A proof on BN254 in 256 bytes, as `Proofs` of one row.

    Raises: as `load_arkworks_proof`.
    """
    return _proof(data, "bn254", "ethereum")


def load_arkworks_key(data: bytes, curve: str) -> Key:
    """A key, compressed or not. One that was read before is not decoded again.

    Raises:
        ArgumentError: another curve, a length that is of neither form, or a wrong point, by its name.
    """
    curve_of(curve)
    return kept_key(f"arkworks {curve}", bytes_of(data, "data"), partial(_arkworks_key, curve))


def load_gnark_key(data: bytes, curve: str) -> Key:
    """A key of a circuit without commitments, compressed or not. One that was read before is not decoded again.

    Raises: as `load_arkworks_key`; and for a circuit with commitments.
    """
    curve_of(curve)
    return kept_key(f"gnark {curve}", bytes_of(data, "data"), partial(_gnark_key, curve))


# Proofs ------------------------------------------------------------------------------------------------------


def proof_bytes(curve: str, format: str) -> int:
    """Bytes of a proof of one format.

    Raises:
        ArgumentError: another curve or format.
    """
    groups = curve_of(curve)
    _encoding(curve, format)
    return _proof_bytes(groups, format)


def _proof(data: Any, curve: str, tool: str) -> Proofs:
    groups, given = curve_of(curve), bytes_of(data, "data")
    sizes = {_proof_bytes(groups, name): name for name in FORMATS if name.startswith(tool)}
    if len(given) not in sizes:
        expected = " or ".join(map(str, sizes))
        raise ArgumentError(
            "data", f"{len(given)} bytes", f"{expected} bytes, a proof on {curve} from {tool}"
        )
    name = sizes[len(given)]
    encoding = _encoding(curve, name)
    one, two = _size(groups.g1, encoding), _size(groups.g2, encoding)
    found, at = [], 0
    for field, group, size in (("A", groups.g1, one), ("B", groups.g2, two), ("C", groups.g1, one)):
        found.append(_points(group, given[at : at + size], encoding, field))
        at += size
    if given[at:] != _ending(groups.g1, name).tobytes():
        raise ArgumentError("data", "commitments", "a proof without any")
    return Proofs(curve, *found)


def _proof_bytes(groups: Curve, format: str) -> int:
    encoding = FORMATS[format][groups.name]
    return 2 * _size(groups.g1, encoding) + _size(groups.g2, encoding) + len(_ending(groups.g1, format))


def _ending(group: Group, format: str) -> Bytes:
    """What follows C: nothing, or gnark's number of commitments, 0, and infinity in place of their proof."""
    if not format.startswith("gnark"):
        return np.zeros(0, np.uint8)
    encoding = FORMATS[format][group.name.partition(".")[0]]
    infinity = write(
        group.spec, _form(group, encoding), np.zeros((1, 2 * group.spec.field.words), np.uint64)
    )[0]
    return np.concatenate((np.zeros(4, np.uint8), infinity[::-1] if encoding == "gnark" else infinity))


def _encoding(curve: str, format: Any) -> str:
    known = [name for name, of_curve in FORMATS.items() if curve in of_curve]
    if not isinstance(format, str) or format not in known:
        raise ArgumentError("format", repr(format), f"for {curve} one of {', '.join(known)}")
    return FORMATS[format][curve]


# Keys --------------------------------------------------------------------------------------------------------


def _arkworks_key(curve: str, data: bytes) -> Key:
    return _key(curve, data, "arkworks", {"alpha": 1, "beta": 2, "gamma": 2, "delta": 2}, 8, b"")


def _gnark_key(curve: str, data: bytes) -> Key:
    fields = {"alpha": 1, "beta of G1": 1, "beta": 2, "gamma": 2, "delta of G1": 1, "delta": 2}
    return _key(curve, data, "gnark", fields, 4, bytes(8))


def _key(curve: str, data: bytes, tool: str, fields: dict[str, int], counter: int, ending: bytes) -> Key:
    """A key of points, the first `fields`, by name with the group's number, then a counter and those of IC."""
    groups = curve_of(curve)
    for name in (f"{tool}_compressed", f"{tool}_uncompressed"):
        encoding = FORMATS[name][curve]
        sizes = {1: _size(groups.g1, encoding), 2: _size(groups.g2, encoding)}
        head = sum(sizes[group] for group in fields.values())
        order = "little" if tool == "arkworks" else "big"
        count = int.from_bytes(data[head : head + counter], order)  # type: ignore[arg-type]
        if len(data) == head + counter + count * sizes[1] + len(ending):
            break
    else:
        raise ArgumentError(
            "data", f"{len(data)} bytes", f"a key on {curve} from {tool}, of the length it states"
        )
    points: dict[str, Words] = {}
    at = 0
    for field, number in fields.items():
        group = groups.g1 if number == 1 else groups.g2
        (points[field],) = _points(group, data[at : at + sizes[number]], encoding, field)
        at += sizes[number]
    ic = _points(groups.g1, data[head + counter : len(data) - len(ending)], encoding, "ic")
    if data[len(data) - len(ending) :] != ending:
        raise ArgumentError("data", "commitment keys", "a key of a circuit without any")
    return Key(curve, points["alpha"], points["beta"], points["gamma"], points["delta"], ic)


# Points ------------------------------------------------------------------------------------------------------


def _form(group: Group, encoding: str) -> Encoding:
    return encoding_of(group.spec, "arkworks_compressed" if encoding == "gnark" else encoding)


def _size(group: Group, encoding: str) -> int:
    return _form(group, encoding).length(group.spec)


def _decoded(group: Group, data: Bytes, encoding: str) -> tuple[Words, Verdicts]:
    if encoding == "gnark":
        # The same parts, from the other end, with other flags.
        data = data[:, ::-1].copy()
        data[:, -1] = data[:, -1] & 0x3F | _GNARK_FLAGS[data[:, -1] >> 6]
        encoding = "arkworks_compressed"
    points, said = group.from_bytes(data, encoding, "subgroup")
    if encoding == "arkworks":
        # Read as arkworks reads it: more than one way to write a point would pass.
        said[(said == 1) & (group.to_bytes(points, encoding) != data).any(axis=1)] = -1
    return points, said


def _points(group: Group, data: bytes, encoding: str, field: str) -> Words:
    given = row_of(data).reshape(-1, _size(group, encoding))
    return members(group, *_decoded(group, given, encoding), field)
