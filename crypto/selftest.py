# SPDX-License-Identifier: GPL-3.0-or-later
"""Known-answer tests: does this backend, on this machine, now, give the oracle's answers?

The items are in `known_answers.json`, which `tests/generators/known_answer_vectors.py` writes: valid, invalid
and malformed ones of every kind. A few dozen per operation, so that a warm check takes milliseconds.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import (
    ed25519,
    hashes,
    merkle,
    merkle_hashes,
    ntt,
    poseidon,
    secp256k1,
    selftest_groups,
    selftest_proofs,
    x25519,
)
from supervm.crypto.params.poseidon import OPERATIONS, SPONGES
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import UnknownOperation
from supervm.kernels.transform import words_of

Row = dict[str, Any]
Comparison = tuple[str, Row, Any, Any]
"""What is compared (a rule, or ''), the row, what came, and what the oracle says."""


@dataclass(frozen=True)
class SelfTest:
    """The outcome of one known-answer test.

    Args:
        operation: as in the registry.
        backend: the name that was asked for.
        ok: every answer was right.
        detail: how many items agree, or the first that does not, or why the backend did not run.
    """

    operation: str
    backend: str
    ok: bool
    detail: str


def operations() -> list[str]:
    """The operations that have known answers."""
    return list(_CHECKS)


def known_answers(operation: str, backend: str = "auto") -> SelfTest:
    """Run the known-answer test of `operation` on `backend`; a backend that fails to run is a failed test.

    Raises:
        UnknownOperation: there are no known answers for this operation.
    """
    check = _check(operation)
    rows = _rows()[operation]
    try:
        compared = list(check(rows, backend))
    except Exception as error:  # whatever goes wrong in a backend is the answer to the question asked
        return SelfTest(operation, backend, False, f"{type(error).__name__}: {error}")
    wrong = [comparison for comparison in compared if comparison[2] != comparison[3]]
    if not wrong:
        return SelfTest(operation, backend, True, f"{len(compared)} answers agree with the oracle")
    rule, row, found, expected = wrong[0]
    item = row["description"] if "description" in row else f"{len(row['message']) // 2}-byte message"
    what = f"{item}, {rule}" if rule else item
    detail = (
        f"{len(wrong)} of {len(compared)} answers differ; the first: {what}: {found}, expected {expected}"
    )
    return SelfTest(operation, backend, False, detail)


def warm(operation: str, backend: str = "auto") -> None:
    """Run `operation` once on a few items, which compiles it or loads it from the cache.

    Raises:
        UnknownOperation: there are no known answers for this operation.
        BackendUnavailable: the backend cannot run here.
    """
    for _ in _check(operation)(_rows()[operation], backend):
        pass


def _check(operation: str) -> Callable[[list[Row], str], Iterable[Comparison]]:
    try:
        return _CHECKS[operation]
    except KeyError:
        raise UnknownOperation(
            f"no known answers for operation '{operation}'; there are for {', '.join(_CHECKS)}"
        ) from None


@functools.cache
def _rows() -> dict[str, list[Row]]:
    text = resources.files(__package__).joinpath("known_answers.json").read_text(encoding="utf-8")
    loaded: dict[str, list[Row]] = json.loads(text)
    return loaded


def _column(rows: list[Row], name: str) -> Bytes:
    """A field of equal length in every row, as an (n, length) array."""
    return np.array([np.frombuffer(bytes.fromhex(row[name]), np.uint8) for row in rows])


def _messages(rows: list[Row]) -> list[bytes]:
    return [bytes.fromhex(row["message"]) for row in rows]


def _ed25519(rows: list[Row], backend: str) -> Iterable[Comparison]:
    keys, signatures, messages = _column(rows, "public_key"), _column(rows, "signature"), _messages(rows)
    for rule in ("dalek", "strict", "zip215"):
        verdicts = ed25519.verify_batch(keys, messages, signatures, rule=rule, backend=backend)
        for row, verdict in zip(rows, verdicts.tolist(), strict=True):
            yield f"rule {rule}", row, verdict, row[rule]


def _ecdsa_verify(rows: list[Row], backend: str) -> Iterable[Comparison]:
    for length in (33, 64, 65):
        group = [row for row in rows if len(row["public_key"]) == 2 * length]
        keys, digests = _column(group, "public_key"), _column(group, "digest")
        signatures = _column(group, "signature")
        for name, low_s in (("low_s", True), ("any_s", False)):
            verdicts = secp256k1.ecdsa_verify_batch(keys, digests, signatures, low_s=low_s, backend=backend)
            for row, verdict in zip(group, verdicts.tolist(), strict=True):
                yield f"{length}-byte keys, low_s={low_s}", row, verdict, row[name]


def _ecdsa_recover(rows: list[Row], backend: str) -> Iterable[Comparison]:
    keys, verdicts = secp256k1.ecdsa_recover_batch(
        _column(rows, "digest"), _column(rows, "signature"), backend=backend
    )
    for row, key, verdict in zip(rows, keys, verdicts.tolist(), strict=True):
        yield "", row, (verdict, key.tobytes().hex()), (row["verdict"], row["public_key"])


def _schnorr_verify(rows: list[Row], backend: str) -> Iterable[Comparison]:
    verdicts = secp256k1.schnorr_verify_batch(
        _column(rows, "public_key"), _messages(rows), _column(rows, "signature"), backend=backend
    )
    for row, verdict in zip(rows, verdicts.tolist(), strict=True):
        yield "", row, verdict, row["verdict"]


def _x25519(rows: list[Row], backend: str) -> Iterable[Comparison]:
    """Abscissas of one secret are a batch."""
    for secret in dict.fromkeys(row["secret"] for row in rows):
        own = [row for row in rows if row["secret"] == secret]
        shared, verdicts = x25519.multiply_batch(
            bytes.fromhex(secret), _column(own, "abscissa"), backend=backend
        )
        for row, found, verdict in zip(own, shared, verdicts.tolist(), strict=True):
            yield "", row, (verdict, found.tobytes().hex()), (row["verdict"], row["result"])


def _hash(batch: Callable[..., Bytes]) -> Callable[[list[Row], str], Iterable[Comparison]]:
    def check(rows: list[Row], backend: str) -> Iterable[Comparison]:
        digests = batch(_messages(rows), backend=backend)
        for row, digest in zip(rows, digests, strict=True):
            yield "", row, digest.tobytes().hex(), row["digest"]

    return check


def _eth_address(rows: list[Row], backend: str) -> Iterable[Comparison]:
    addresses = hashes.eth_address_batch(_column(rows, "message"), backend=backend)
    for row, address in zip(rows, addresses, strict=True):
        yield "", row, address.tobytes().hex(), row["digest"]


def _merkle(hash: str) -> Callable[[list[Row], str], Iterable[Comparison]]:
    """The root over leaves; every leaf's proof, and that of the next leaf, which proves it only if both are equal."""

    def check(rows: list[Row], backend: str) -> Iterable[Comparison]:
        _, dtype = merkle_hashes.get(hash).row
        for row in rows:
            column = _column([{"leaf": leaf} for leaf in row["leaves"]], "leaf")
            leaves: NDArray[Any] = column.view(dtype)
            tree = merkle.build(leaves, hash, row["arity"], backend=backend)
            yield "root", row, tree.root.value.tobytes().hex(), row["root"]
            proofs = tree.prove_batch(range(len(leaves)))
            for rule, shift in (("own proofs", 0), ("the next leaf's proofs", 1)):
                turned = np.roll(leaves, shift, axis=0)
                verdicts = merkle.verify_batch(tree.root, turned, proofs, backend=backend)
                yield rule, row, verdicts.tolist(), (turned == leaves).all(axis=1).astype(int).tolist()

    return check


def _elements(values: list[str]) -> NDArray[np.uint64]:
    """Field elements in hexadecimal as four words each."""
    numbers = (int(value, 16).to_bytes(32, "little") for value in values)
    return np.frombuffer(b"".join(numbers), np.uint64).reshape(-1, 4)


def _numbers(elements: NDArray[np.uint64]) -> list[str]:
    return [hex(int.from_bytes(row.tobytes(), "little")) for row in elements]


def _poseidon(operation: str) -> Callable[[list[Row], str], Iterable[Comparison]]:
    curve, variant, _ = operation.split(".")

    def check(rows: list[Row], backend: str) -> Iterable[Comparison]:
        inputs = np.array([_elements(row["inputs"]) for row in rows])
        digests = poseidon.hash_batch(curve, inputs, variant=variant, backend=backend)
        for row, digest in zip(rows, _numbers(digests), strict=True):
            yield "hash", row, digest, row["digest"]
        states = np.array([_elements([*row["inputs"], row["inputs"][0]]) for row in rows])
        permuted = poseidon.permute_batch(curve, states, variant=variant, backend=backend)
        for row, state in zip(rows, permuted, strict=True):
            yield "permutation", row, _numbers(state), row["permuted"]

    return check


def _ntt(curve: str) -> Callable[[list[Row], str], Iterable[Comparison]]:
    """Transforms of start · step^i, there and back; the values are compared by their digest."""
    modulus = SPECS[curve].modulus

    def check(rows: list[Row], backend: str) -> Iterable[Comparison]:
        for row in rows:
            start, step = int(row["start"], 16), int(row["step"], 16)
            numbers = [start * pow(step, index, modulus) % modulus for index in range(row["size"])]
            coefficients = words_of(numbers).reshape(-1, 4)
            values = ntt.ntt(curve, coefficients, coset=row["coset"], order=row["order"], backend=backend)
            yield "", row, hashlib.sha256(values.astype("<u8").tobytes()).hexdigest(), row["digest"]
            back = ntt.ntt(
                curve, values, inverse=True, coset=row["coset"], order=row["order"], backend=backend
            )
            yield "inverse", row, back.tolist(), coefficients.tolist()

    return check


def _sponge(operation: str) -> Callable[[list[Row], str], Iterable[Comparison]]:
    curve, variant, _ = operation.split(".")

    def check(rows: list[Row], backend: str) -> Iterable[Comparison]:
        elements = _elements([value for row in rows for value in row["inputs"]])
        offsets = np.cumsum([0, *(len(row["inputs"]) for row in rows)], dtype=np.int64)
        digests = poseidon.sponge_batch(curve, (elements, offsets), variant=variant, backend=backend)
        for row, digest in zip(rows, _numbers(digests), strict=True):
            yield "any length", row, digest, row["digest"]
        for row in rows:
            one = _elements(row["inputs"]).reshape(1, -1, 4)
            fixed = poseidon.sponge_batch(curve, one, variant=variant, backend=backend)
            yield "fixed length", row, _numbers(fixed)[0], row["fixed"]

    return check


_CHECKS: dict[str, Callable[[list[Row], str], Iterable[Comparison]]] = {
    "ed25519.verify": _ed25519,
    "secp256k1.ecdsa_verify": _ecdsa_verify,
    "secp256k1.ecdsa_recover": _ecdsa_recover,
    "secp256k1.schnorr_verify": _schnorr_verify,
    "x25519": _x25519,
    "sha256": _hash(hashes.sha256_batch),
    "sha512": _hash(hashes.sha512_batch),
    "keccak256": _hash(hashes.keccak256_batch),
    "blake2b": _hash(hashes.blake2b_batch),
    "eth_address": _eth_address,
    **{tree_hash.operation: _merkle(name) for name, tree_hash in merkle_hashes.HASHES.items()},
    "bn254.ntt": _ntt("bn254"),
    "bls12_381.ntt": _ntt("bls12_381"),
    **selftest_groups.CHECKS,
    **selftest_proofs.CHECKS,
    **{operation: _poseidon(operation) for operation in OPERATIONS},
    **{operation: _sponge(operation) for operation in SPONGES},
}
