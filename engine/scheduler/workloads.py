# SPDX-License-Identifier: GPL-3.0-or-later
"""Typical batches of every operation, to time executors with: valid signatures, 64-byte messages, blocks of transactions.

Signatures are the valid ones of the known answers, repeated: every backend does the same work for each item, whatever it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from importlib import resources
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from supervm.crypto import merkle_hashes, merkle_work, msm_work
from supervm.crypto.groth16_chain import chain_circuit, chain_values
from supervm.crypto.groth16_proving_key import ProvingKey, load_zkey
from supervm.crypto.groth16_setup import make_test_key
from supervm.crypto.groth16_work import ProofCall, Sums
from supervm.crypto.group_operations import GROUPS, MAPS
from supervm.crypto.group_operations import OPERATIONS as GROUP_OPERATIONS
from supervm.crypto.pairing_operations import OPERATIONS as PAIRING_OPERATIONS
from supervm.crypto.pairing_operations import PAIRINGS, nothing_prepared
from supervm.crypto.params.poseidon import OPERATIONS as POSEIDON
from supervm.crypto.params.poseidon import SPONGES
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.polynomials.transforms import LARGEST_LOG, Transformation
from supervm.engine.conflicts import OPERATION as CONFLICTS
from supervm.engine.conflicts import Detection
from supervm.kernels import registry
from supervm.kernels.accesses import Accesses
from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.msm.msm import multiples
from supervm.kernels.errors import UnknownOperation
from supervm.kernels.point_checks import INFINITE, SUBGROUP
from supervm.kernels.spec import QuadraticSpec
from supervm.kernels.work import Batch, Ragged, Work

MESSAGE_BYTES = 64

ACCESSES = 4
"""Reads, and writes as well, of each transaction."""

CHAIN_WIRES = 1 << 12
"""Of the largest circuit that proofs are timed with: keys of larger ones take longer to make than it takes to measure."""

_GROUP_FIELDS = {
    "decode": ("point",),
    "subgroup": ("point",),
    "add": ("first", "second"),
    "multiply": ("point", "scalar"),
    "normalise": ("coordinates",),
}
"""Fields of the known answers of an operation on points that are its columns; bytes are decoded from points here."""

DIGEST_BYTES = {"sha256": 32, "sha512": 64, "keccak256": 32, "blake2b": 64}


class Workload(Protocol):
    """Makes work to time: `items` items of an operation, with messages of `message_bytes` where it takes messages.

    Raises:
        UnknownOperation: it has no work for this operation.
    """

    def __call__(self, operation: str, items: int, message_bytes: int = MESSAGE_BYTES) -> Work: ...


def workload(operation: str, items: int, message_bytes: int = MESSAGE_BYTES) -> Work:
    """A typical batch of any operation of this project; see `Workload`."""
    if operation in DIGEST_BYTES:
        out = np.empty((items, DIGEST_BYTES[operation]), np.uint8)
        return Batch(operation, (_messages(items, message_bytes),), (out,))
    try:
        make = _MAKERS[operation]
    except KeyError:
        raise UnknownOperation(f"no workload for operation '{operation}'") from None
    return make(items, message_bytes)


def _messages(items: int, length: int) -> Ragged:
    data = np.resize(np.arange(251, dtype=np.uint8), items * length)
    return Ragged(data, np.arange(items + 1, dtype=np.int64) * length)


def _verdicts(items: int) -> npt.NDArray[np.int8]:
    return np.empty(items, np.int8)


def _rows(operation: str) -> list[dict[str, Any]]:
    text = resources.files("supervm.crypto").joinpath("known_answers.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)[operation]
    return rows


@cache
def _valid(operation: str, verdict: str, key_bytes: int) -> dict[str, list[bytes]]:
    """Field → values of the known answers that the oracle finds valid, of one length of key."""
    kept = [row for row in _rows(operation) if row[verdict] == 1 and len(row["public_key"]) == 2 * key_bytes]
    fields = [name for name in ("public_key", "digest", "signature", "message") if name in kept[0]]
    return {name: [bytes.fromhex(row[name]) for row in kept] for name in fields}


def _column(values: list[bytes], items: int) -> Bytes:
    rows = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)
    return np.resize(rows, (items, rows.shape[1]))


def _ragged(values: list[bytes], items: int, message_bytes: int) -> Ragged:
    """The messages that were signed; other ones, of equal length, where another length than usual is asked for."""
    if message_bytes != MESSAGE_BYTES:
        return _messages(items, message_bytes)
    rounds = -(-items // len(values))
    lengths = np.resize(np.array([len(value) for value in values], np.int64), items)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return Ragged(np.frombuffer(b"".join(values) * rounds, np.uint8)[: offsets[-1]].copy(), offsets)


def _ed25519(items: int, message_bytes: int) -> Work:
    rows = _valid("ed25519.verify", "dalek", 32)
    keys, signatures = _column(rows["public_key"], items), _column(rows["signature"], items)
    messages = _ragged(rows["message"], items, message_bytes)
    return Batch("ed25519.verify", (keys, messages, signatures), (_verdicts(items),), (0,))


def _schnorr(items: int, message_bytes: int) -> Work:
    rows = _valid("secp256k1.schnorr_verify", "verdict", 32)
    keys, signatures = _column(rows["public_key"], items), _column(rows["signature"], items)
    messages = _ragged(rows["message"], items, message_bytes)
    return Batch("secp256k1.schnorr_verify", (keys, messages, signatures), (_verdicts(items),))


def _ecdsa_verify(items: int, _: int) -> Work:
    rows = _valid("secp256k1.ecdsa_verify", "low_s", 64)
    columns = tuple(_column(rows[name], items) for name in ("public_key", "digest", "signature"))
    return Batch("secp256k1.ecdsa_verify", columns, (_verdicts(items),), (True,))


def _ecdsa_recover(items: int, _: int) -> Work:
    rows = _valid("secp256k1.ecdsa_recover", "verdict", 64)
    columns = tuple(_column(rows[name], items) for name in ("digest", "signature"))
    return Batch("secp256k1.ecdsa_recover", columns, (np.empty((items, 64), np.uint8), _verdicts(items)))


def _group(operation: str, items: int, _: int) -> Work:
    """Points of the subgroup that the known answers have, as they are added, multiplied and checked."""
    rows = [row for row in _rows(operation) if row["verdict"] == 1]
    kind = operation.rpartition(".")[2]
    if kind == "decode":
        rows = [row for row in rows if row["encoding"] == "little"]
    if kind == "normalise":
        rows = [row for row in rows if "3 coordinates" in row["description"]]
    names = _GROUP_FIELDS[kind]
    columns = tuple(
        _column([bytes.fromhex(row[name]) for row in rows], items).view(np.uint64) for name in names
    )
    if kind == "subgroup":
        return Batch(operation, columns, (_verdicts(items),))
    size = len(rows[0]["point" if kind == "decode" else "result"]) // 16
    results = (np.empty((items, size), np.uint64), _verdicts(items))
    if kind != "decode":
        return Batch(operation, columns, results)
    infinite = np.where(columns[0].any(axis=1), 0, INFINITE).astype(np.int8)
    return Batch(operation, (columns[0], infinite), results, (False, SUBGROUP))


def _map(operation: str, items: int, _: int) -> Work:
    """Two numbers of 512 bits an item, as messages are hashed to them; two pairs of numbers in an extension."""
    field = GROUPS[operation.removesuffix(".map")].field
    words = field.base.words if isinstance(field, QuadraticSpec) else field.words
    halves = np.zeros((items, 4 * field.words // words, words), np.uint64)
    halves[..., :4] = np.random.default_rng(0).integers(0, 1 << 64, (*halves.shape[:2], 4), np.uint64)
    results = (np.empty((items, 2 * field.words), np.uint64), _verdicts(items))
    return Batch(operation, (halves.reshape(items, -1),), results, (2, True))


def _pairing(operation: str, items: int, _: int) -> Work:
    """The pairs, or the values, of one known answer."""
    name = operation.partition(".")[0]
    row, size = _rows(operation)[1], PAIRINGS[name].field.words
    columns = {
        field: np.frombuffer(bytes.fromhex(row[field]), np.uint64).reshape(-1, *shape, size)
        for field, shape in (("first", (2,)), ("second", (2, 2)), ("values", (12,)))
        if field in row
    }
    inputs = tuple(np.repeat(column[None], items, 0) for column in columns.values())
    results = (np.empty((items, 12, size), np.uint64),)
    if "first" not in row:
        return Batch(operation, inputs, results)
    others = np.zeros((items, 0, 2, size), np.uint64)
    return Batch(operation, (*inputs, others), results, (nothing_prepared(PAIRINGS[name]),))


def _x25519(items: int, _: int) -> Work:
    row = _rows("x25519")[0]
    secret = tuple(np.frombuffer(bytes.fromhex(row["secret"]), "<u8").tolist())
    keys = _column([bytes.fromhex(row["abscissa"])], items)
    return Batch("x25519", (keys,), (np.empty((items, 32), np.uint8), _verdicts(items)), (secret,))


def _eth_address(items: int, _: int) -> Work:
    keys = np.resize(np.arange(251, dtype=np.uint8), (items, 64))
    return Batch("eth_address", (keys,), (np.empty((items, 20), np.uint8),))


def _conflicts(items: int, _: int) -> Work:
    """Uniform keys, as many as accesses: a block of little contention."""
    random = np.random.default_rng(0)
    offsets = np.arange(items + 1, dtype=np.int64) * ACCESSES
    keys = [random.integers(0, 2 * ACCESSES * items, ACCESSES * items, np.uint64) for _ in range(2)]
    for column in (offsets, *keys):
        column.flags.writeable = False  # as `detect` hands them over
    return Detection(Accesses(offsets, keys[0], offsets, keys[1]), locking=False, edges=False)


def _merkle(tree_hash: merkle_hashes.TreeHash, items: int, message_bytes: int) -> Work:
    """A binary tree; leaves of 32 bytes where its hash takes no others."""
    width = merkle_hashes.ROW if tree_hash.modulus else message_bytes
    leaves = np.resize(np.arange(251, dtype=np.uint8), (items, width))
    if tree_hash.modulus:
        leaves[:, -1] = 0  # below every modulus
        return merkle_work.whole_tree(tree_hash, leaves.view(np.uint64))
    return merkle_work.whole_tree(tree_hash, leaves)


def _ntt(curve: str, items: int, _: int) -> Work:
    """One transform, or as many as it takes for a number of elements that is no power of two."""
    size = min(items & -items, 1 << LARGEST_LOG)
    words = np.random.default_rng(0).integers(0, 1 << 60, (items // size, size, 4), np.uint64)
    return Transformation(curve, words)


def _msm(operation: str, items: int, _: int) -> Work:
    """Multiples of the base point and uniform scalars."""
    curve = msm_work.CURVES[operation, registry.resolve(operation).name]
    spec = msm_work.GROUPS[operation]
    coordinates = multiples(curve, items)
    shape = (items, 2, 2, -1) if isinstance(spec.field, QuadraticSpec) else (items, 2, -1)
    points = coordinates.reshape(shape)
    scalars = np.random.default_rng(0).integers(0, 1 << 64, (1, items, 4), np.uint64, endpoint=False)
    scalars[..., 3] %= spec.scalar_field.modulus >> 192
    sums = np.empty((1, *points.shape[1:]), np.uint64)
    return msm_work.MsmCall(operation, msm_work.Points(points), scalars, None, sums)


@cache
def _chain_key(curve: str, wires: int) -> ProvingKey:
    """A key of a chain of products."""
    return load_zkey(make_test_key(chain_circuit(curve, wires)), allow_test_only=True)


def _proofs(curve: str, items: int, _: int) -> Work:
    """One witness of so many wires; several of `CHAIN_WIRES` where there are as many times as many."""
    count = items // CHAIN_WIRES if items and items % CHAIN_WIRES == 0 else 1
    key = _chain_key(curve, items // count)
    values = np.tile(chain_values(curve, key.wires), (count, 1, 1))
    blinding = _field_elements(count, 3)
    blinding[:, 2] = blinding[:, 0] = 0  # r = 0, so that −rs is 0 too
    return ProofCall(key, values, blinding, Sums.empty(curve, count))


def _field_elements(items: int, each: int) -> npt.NDArray[np.uint64]:
    """Elements below 2^192, as (items, each, 4) words."""
    elements = np.zeros((items, each, 4), np.uint64)
    elements[..., :3] = np.arange(items * each, dtype=np.uint64).reshape(items, each, 1) * 0x9E3779B97F4A7C15
    return elements


def _poseidon(operation: str, items: int, _: int) -> Work:
    inputs = _field_elements(items, int(operation.rpartition(".t")[2]) - 1)
    return Batch(operation, (inputs,), (np.empty((items, 4), np.uint64),))


def _sponge(operation: str, items: int, message_bytes: int) -> Work:
    """Messages of as many elements of 32 bytes as fit, of no fixed length, through width 3."""
    each = max(1, message_bytes // 32)
    offsets = np.arange(items + 1, dtype=np.int64) * 32 * each
    messages = Ragged(_field_elements(items, each).reshape(-1).view(np.uint8), offsets)
    return Batch(operation, (messages,), (np.empty((items, 4), np.uint64),), (3, True))


_MAKERS: dict[str, Callable[[int, int], Work]] = {
    "ed25519.verify": _ed25519,
    "secp256k1.schnorr_verify": _schnorr,
    "secp256k1.ecdsa_verify": _ecdsa_verify,
    "secp256k1.ecdsa_recover": _ecdsa_recover,
    "x25519": _x25519,
    "eth_address": _eth_address,
    "bn254.ntt": partial(_ntt, "bn254"),
    "bls12_381.ntt": partial(_ntt, "bls12_381"),
    CONFLICTS: _conflicts,
    **{f"{curve}.groth16.prove": partial(_proofs, curve) for curve in SPECS},
    **{operation: partial(_msm, operation) for operation in msm_work.GROUPS},
    **{tree_hash.operation: partial(_merkle, tree_hash) for tree_hash in merkle_hashes.HASHES.values()},
    **{
        f"{group}.{kind}": partial(_group, f"{group}.{kind}") for group in GROUPS for kind in GROUP_OPERATIONS
    },
    **{operation: partial(_map, operation) for operation in MAPS},
    **{
        operation: partial(_pairing, operation)
        for name in PAIRINGS
        for operation in (f"{name}.pairing.{kind}" for kind in PAIRING_OPERATIONS)
    },
    **{name: partial(_poseidon, name) for name in POSEIDON},
    **{name: partial(_sponge, name) for name in SPONGES},
}
