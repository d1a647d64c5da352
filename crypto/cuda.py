# SPDX-License-Identifier: GPL-3.0-or-later
"""The cryptographic operations as GPU programs: sources of `supervm.kernels.cuda` with the parameters of `params/`."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda_groups, cuda_pairings
from supervm.crypto.calls import compute_there, place_of
from supervm.crypto.params import bls12_381, bn254, poseidon
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.params.hashes import BLAKE2B, KECCAK256, SHA256, SHA512
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.cuda import ntt, sparse_products
from supervm.kernels.cuda.constants import edwards, fixed_base, weierstrass
from supervm.kernels.cuda.constants import hashes as hash_constants
from supervm.kernels.cuda.merkle import ByteHasher, Hasher, ItemHasher
from supervm.kernels.cuda.merkle import grow as grow_tree
from supervm.kernels.cuda.msm import GroupProgram
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.cuda.runtime.batch import Constants, ItemProgram, Launch, Table, run
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.merkle_levels import Growth
from supervm.kernels.poseidon_spec import form_of
from supervm.kernels.registry import register

_SHA256 = Program("sha2", hash_constants.sha2(SHA256))
_SHA512 = Program("sha2", hash_constants.sha2(SHA512))
_KECCAK256 = Program("keccak", hash_constants.keccak(KECCAK256))
_BLAKE2B = Program("blake2b", hash_constants.blake2b(BLAKE2B))
_TREE_SHA256 = Program("merkle_sha2", hash_constants.sha2(SHA256))
_TREE_KECCAK256 = Program("merkle_keccak", hash_constants.keccak(KECCAK256))
_EDDSA = Program("eddsa", edwards.eddsa_constants(EDWARDS25519, SHA512))
_CURVE = weierstrass.curve(SECP256K1)
_MULTIPLY = Program("double_multiply", _CURVE)
_ECDSA = Program("ecdsa", _CURVE)
_TAG = hashlib.sha256(b"BIP0340/challenge").digest()
_SCHNORR = Program("schnorr", _CURVE + weierstrass.tagged_hash(SHA256, _TAG))
_POSEIDON = {
    curve: Program("poseidon", hash_constants.poseidon(field)) for curve, field in poseidon.FIELDS.items()
}
_SPONGE = {
    curve: Program("poseidon_sponge", hash_constants.poseidon(field))
    for curve, field in poseidon.FIELDS.items()
}


def _hashing(program: Program) -> ItemProgram:
    hashed = Launch(program, "hash_messages", ("messages.data", "messages.offsets", "digests"))
    return ItemProgram(inputs=("messages",), outputs=("digests",), launches=(hashed,))


def _addresses() -> ItemProgram:
    hashed = Launch(_KECCAK256, "addresses", ("keys", "addresses"))
    return ItemProgram(inputs=("keys",), outputs=("addresses",), launches=(hashed,))


def _eddsa() -> ItemProgram:
    columns = ("keys", "messages.data", "messages.offsets", "signatures")
    verdict = ("points", "flags", "signatures", "rule", "verdicts")
    table = Table(
        _EDDSA,
        "edwards_table",
        edwards.window_bases(EDWARDS25519),
        edwards.table_words(EDWARDS25519),
        fixed_base.table_threads(EDWARDS25519),
    )
    return ItemProgram(
        inputs=("keys", "messages", "signatures"),
        options=("rule",),
        outputs=("verdicts",),
        scratch={"points": 96, "flags": 1},
        tables={"table": table},
        launches=(
            Launch(_EDDSA, "eddsa_multiply", (*columns, "table", "rule", "points", "flags")),
            Launch(_EDDSA, "eddsa_finish", verdict, fixed_base.GROUP),
        ),
    )


_BASE_TABLE = Table(
    _MULTIPLY,
    "weierstrass_table",
    weierstrass.window_bases(SECP256K1),
    weierstrass.table_words(SECP256K1),
    fixed_base.table_threads(SECP256K1),
)


def _double_multiply(before: tuple[Launch, ...], after: Launch, **columns: tuple[str, ...]) -> ItemProgram:
    """What ECDSA and BIP-340 have in common: u₁·G + u₂·Q between reading and comparing."""
    summed = ("points", "scalars", "table", "results", "verdicts")
    again = ("points", "scalars", "results", "verdicts")
    return ItemProgram(
        launches=(
            *before,
            Launch(_MULTIPLY, "double_multiply", summed),
            Launch(_MULTIPLY, "double_multiply_complete", again),
            after,
        ),
        scratch={
            "points": 4 * weierstrass.POINT_WORDS,
            "scalars": 4 * weierstrass.SCALAR_WORDS,
            "results": 4 * weierstrass.RESULT_WORDS,
        },
        tables={"table": _BASE_TABLE},
        **columns,
    )


def _ecdsa_verify() -> ItemProgram:
    prepare = ("signatures", "signatures.width", "digests", 0, "low_s", "scalars", "verdicts")
    return _double_multiply(
        (
            Launch(_ECDSA, "ecdsa_prepare", prepare, fixed_base.GROUP),
            Launch(_ECDSA, "ecdsa_keys", ("keys", "keys.width", "points", "verdicts")),
        ),
        Launch(_ECDSA, "ecdsa_compare", ("signatures", "results", "verdicts")),
        inputs=("keys", "digests", "signatures"),
        options=("low_s",),
        outputs=("verdicts",),
    )


def _ecdsa_recover() -> ItemProgram:
    prepare = ("signatures", "signatures.width", "digests", 1, 0, "scalars", "verdicts")
    return _double_multiply(
        (
            Launch(_ECDSA, "ecdsa_prepare", prepare, fixed_base.GROUP),
            Launch(_ECDSA, "ecdsa_nonces", ("signatures", "points", "verdicts")),
        ),
        Launch(_ECDSA, "ecdsa_finish_recover", ("results", "recovered", "verdicts"), fixed_base.GROUP),
        inputs=("digests", "signatures"),
        outputs=("recovered", "verdicts"),
    )


def _schnorr() -> ItemProgram:
    columns = ("keys", "messages.data", "messages.offsets", "signatures")
    return _double_multiply(
        (Launch(_SCHNORR, "schnorr_prepare", (*columns, "points", "scalars", "verdicts")),),
        Launch(_SCHNORR, "schnorr_finish", ("signatures", "results", "verdicts"), fixed_base.GROUP),
        inputs=("keys", "messages", "signatures"),
        outputs=("verdicts",),
    )


def _round_constants(operation: str) -> npt.NDArray[np.uint32]:
    return hash_constants.round_constants(poseidon.named(operation))


def _permutation(operation: str) -> tuple[int, ...]:
    """What kernels are told of a permutation: t, full and partial rounds, the form, where the capacity is."""
    curve, variant, last = operation.split(".")
    width, second = int(last[1:]), variant == "poseidon2"
    partial = poseidon.rounds(curve, width, variant)
    return width, poseidon.FULL_ROUNDS, partial, form_of(width, second), (width - 1) * second


def _poseidon(operation: str) -> ItemProgram:
    """Hashes of rows of t − 1 elements, and permutations of rows of t."""
    numbers = _permutation(operation)
    kernel = "poseidon_3" if numbers[0] == 3 else "poseidon_any"
    arguments: tuple[str | int, ...] = ("inputs", "inputs.width", "constants", *numbers, "outputs")
    return ItemProgram(
        inputs=("inputs",),
        outputs=("outputs",),
        launches=(Launch(_POSEIDON[operation.split(".")[0]], kernel, arguments),),
        tables={"constants": Constants(operation, functools.partial(_round_constants, operation))},
    )


@functools.cache
def _sponge(operation: str) -> ItemProgram:
    """Messages of elements through the permutation of that operation."""
    numbers = _permutation(operation)
    kernel = "sponge_3" if numbers[0] == 3 else "sponge_any"
    columns = ("messages.data", "messages.offsets", "padded", "constants")
    arguments: tuple[str | int, ...] = (*columns, *numbers, "digests")
    return ItemProgram(
        inputs=("messages",),
        options=("padded",),
        outputs=("digests",),
        launches=(Launch(_SPONGE[operation.split(".")[0]], kernel, arguments),),
        tables={"constants": Constants(operation, functools.partial(_round_constants, operation))},
    )


PROGRAMS: dict[str, ItemProgram] = {
    "sha256": _hashing(_SHA256),
    "sha512": _hashing(_SHA512),
    "keccak256": _hashing(_KECCAK256),
    "blake2b": _hashing(_BLAKE2B),
    "eth_address": _addresses(),
    "ed25519.verify": _eddsa(),
    "secp256k1.ecdsa_verify": _ecdsa_verify(),
    "secp256k1.ecdsa_recover": _ecdsa_recover(),
    "secp256k1.schnorr_verify": _schnorr(),
    **{operation: _poseidon(operation) for operation in poseidon.OPERATIONS},
    **cuda_groups.OPERATIONS,
}
"""What runs on a GPU, by operation."""


LEAF_BYTE, NODE_BYTE = 0, 1
"""What stands in front of a leaf's data and of a node's children where a tree's hash is over bytes."""


def _poseidon_of(curve: str, arity: int) -> ItemProgram:
    """What hashes groups of a Poseidon tree."""
    return PROGRAMS[f"{curve}.poseidon.t{arity + 1}"]


TREES: dict[str, Hasher] = {
    "merkle.sha256": ByteHasher(_TREE_SHA256, LEAF_BYTE, NODE_BYTE),
    "merkle.keccak256": ByteHasher(_TREE_KECCAK256, LEAF_BYTE, NODE_BYTE),
    **{
        f"merkle.poseidon_{curve}": ItemHasher(functools.partial(_poseidon_of, curve))
        for curve in poseidon.FIELDS
    },
}
"""What hashes Merkle trees on a GPU, by operation."""


MSM = {
    "ed25519.msm": GroupProgram(EDWARDS25519),
    **{f"{name}.msm": GroupProgram(spec) for name, spec in cuda_groups.GROUPS.items()},
}
"""Groups whose multi-scalar multiplications run on a GPU, by operation."""


def programs() -> dict[str, Program]:
    """Every program of this room by a name of its own, for whoever compiles them all."""
    return {
        "sha256": _SHA256,
        "sha512": _SHA512,
        "keccak256": _KECCAK256,
        "blake2b": _BLAKE2B,
        "eddsa": _EDDSA,
        "double_multiply": _MULTIPLY,
        "ecdsa": _ECDSA,
        "schnorr": _SCHNORR,
        "merkle_sha256": _TREE_SHA256,
        "merkle_keccak256": _TREE_KECCAK256,
        "ntt.bn254": ntt.program_of(bn254.FR),
        "ntt.bls12_381": ntt.program_of(bls12_381.FR),
        "sparse_products.bn254": sparse_products.program_of(bn254.FR),
        "sparse_products.bls12_381": sparse_products.program_of(bls12_381.FR),
        **{f"poseidon.{curve}": program for curve, program in _POSEIDON.items()},
        **{f"poseidon.{curve}.sponge": program for curve, program in _SPONGE.items()},
        **cuda_groups.PROGRAMS,
        **cuda_pairings.PROGRAMS,
        **{operation: group.program for operation, group in MSM.items()},
    }


def _compute(program: ItemProgram, *arguments: Any) -> None:
    run(program, devices.working_device(), *arguments)


def _grow(hasher: Hasher, growth: Growth) -> None:
    grow_tree(hasher, devices.working_device(), growth)


def register_tree(operation: str) -> None:
    """List the GPU among the backends of building a tree."""
    register(operation, "cuda", functools.partial(_grow, TREES[operation]), devices.unavailable)


_CANONICAL = {
    curve: ItemProgram(
        inputs=("inputs",),
        outputs=("verdicts",),
        launches=(Launch(program, "canonical_rows", ("inputs", "inputs.width", "verdicts")),),
    )
    for curve, program in _POSEIDON.items()
}


def first_row_above(curve: str, elements: DeviceArray) -> int:
    """The first row, on a GPU, with a value that is not below the order of a curve; −1 if there is none.

    Args:
        curve: one of `params.poseidon.FIELDS`.
        elements: uint64 (n, …, 4), canonical little-endian words or not.
    """
    verdicts = np.empty(len(elements), np.int8)
    device = elements.device()
    with device.use():
        device.synchronize()  # whatever writes the elements may be on a stream that nobody named
        run(_CANONICAL[curve], device, elements, verdicts)
    wrong = np.flatnonzero(verdicts != 1)
    return int(wrong[0]) if wrong.size else -1


def points_there(
    name: str, given: DeviceArray, options: tuple[int, ...], row: tuple[int, ...], backend: str
) -> tuple[Any, Any]:
    """Points and verdicts of what lies on a GPU, which stay there; `curves.Group.from_bytes` checks the arguments.

    Args:
        name: one of `cuda_groups.GROUPS`.
        given: uint8 rows of bytes, or uint64 points.
        options: the numbers of the encoding, for bytes, and the check.
        row: shape of a point.
        backend: as the caller gave it.
    """
    programs = cuda_groups.FROM_BYTES if given.dtype == np.uint8 else cuda_groups.FROM_WORDS
    outputs = ((row, np.uint64), ((), np.int8))
    function = functools.partial(_compute, programs[name])
    device = place_of([given], backend)
    assert device is not None
    points, verdicts = compute_there(function, (given,), len(given), outputs, options, device)
    return points, verdicts


def register_operation(operation: str) -> None:
    """List the GPU among the operation's backends."""
    register(operation, "cuda", functools.partial(_compute, PROGRAMS[operation]), devices.unavailable)


def _compute_sponge(operation: str, messages: Any, width: int, padded: bool, digests: Any) -> None:
    _compute(_sponge(operation.replace("sponge", f"t{width}")), messages, padded, digests)


def register_sponge(operation: str) -> None:
    """List the GPU among the backends of a sponge, whose width is an option."""
    register(operation, "cuda", functools.partial(_compute_sponge, operation), devices.unavailable)
