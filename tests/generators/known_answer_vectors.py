# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `crypto/known_answers.json`: a few items per operation, answered by the oracle, for the self-test.

Run it after the adversarial inputs or the oracle's rules change, with this project's Python.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from group_answers import group_rows
from msm_answers import msm_answers
from pairing_answers import pairing_answers
from proof_answers import proof_answers

from supervm.crypto.oracle import (
    adversarial_ecdsa,
    adversarial_ed25519,
    adversarial_schnorr,
    ecdsa,
    ed25519,
    hashes,
    merkle,
    ntt,
    poseidon,
    schnorr,
    x25519,
)
from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.params.poseidon import OPERATIONS, SPONGES, named
from supervm.kernels.spec import FieldSpec

TARGET = Path(__file__).resolve().parents[2] / "crypto" / "known_answers.json"
Item = TypeVar("Item")
HASH_LENGTHS = (0, 1, 55, 56, 63, 64, 65, 111, 112, 119, 127, 128, 129, 135, 136, 137, 272, 400)


def spread(items: Sequence[Item], answer: Callable[[Item], Any], each: int) -> list[tuple[Item, Any]]:
    """Up to `each` items of every different answer, evenly spread over those that have it."""
    classes: dict[Any, list[Item]] = {}
    for item in items:
        classes.setdefault(answer(item), []).append(item)
    return [
        (group[index * len(group) // min(each, len(group))], key)
        for key, group in sorted(classes.items(), key=str)
        for index in range(min(each, len(group)))
    ]


def ed25519_rows() -> list[dict[str, Any]]:
    """Seven items for each combination of the three rules' verdicts."""

    def answer(case: adversarial_ed25519.Ed25519Case) -> tuple[int, ...]:
        return tuple(ed25519.verify(case.public_key, case.message, case.signature, r) for r in ed25519.RULES)

    return [
        _hex(case) | dict(zip(ed25519.RULES, verdicts, strict=True))
        for case, verdicts in spread(adversarial_ed25519.cases(), answer, 7)
    ]


def ecdsa_rows() -> list[dict[str, Any]]:
    """Four items for each key length and combination of verdicts with and without the low-s rule."""

    def answer(case: adversarial_ecdsa.EcdsaCase) -> tuple[int, ...]:
        verdicts = (
            ecdsa.verify(case.public_key, case.digest, case.signature, low_s) for low_s in (True, False)
        )
        return (len(case.public_key), *verdicts)

    return [
        _hex(case) | {"low_s": low_s, "any_s": any_s}
        for case, (_, low_s, any_s) in spread(adversarial_ecdsa.cases(), answer, 4)
    ]


def recovery_rows() -> list[dict[str, Any]]:
    """Sixteen items that recover and sixteen that do not."""

    def verdict(case: adversarial_ecdsa.RecoveryCase) -> int:
        return ecdsa.recover(case.digest, case.signature)[1]

    rows = []
    for case, value in spread(adversarial_ecdsa.recovery_cases(), verdict, 16):
        key = ecdsa.recover(case.digest, case.signature)[0] or bytes(64)
        rows.append(_hex(case) | {"public_key": key.hex(), "verdict": value})
    return rows


def schnorr_rows() -> list[dict[str, Any]]:
    """Ten items of each verdict."""

    def verdict(case: adversarial_schnorr.SchnorrCase) -> int:
        return schnorr.verify(case.public_key, case.message, case.signature)

    cases = [case for case in adversarial_schnorr.cases() if len(case.message) <= 200]
    return [_hex(case) | {"verdict": value} for case, value in spread(cases, verdict, 10)]


def hash_rows(function: Callable[[bytes], bytes], lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Messages of the lengths around every padding edge."""
    messages = [bytes((i * 13 + n) & 255 for i in range(length)) for n, length in enumerate(lengths)]
    return [{"message": message.hex(), "digest": function(message).hex()} for message in messages]


MERKLE_SHAPES = ((2, 1, 32), (2, 2, 0), (2, 5, 64), (2, 33, 32), (3, 10, 5), (16, 17, 32), (16, 40, 200))
"""Arity, leaves, and bytes of a leaf."""


def merkle_rows(hash: str) -> list[dict[str, Any]]:
    """Trees of several arities; all leaves of one are different, if they have bytes."""
    rows = []
    for arity, size, width in MERKLE_SHAPES:
        leaves = [bytes((i * 7 + 3 * n + width) & 255 for i in range(width)) for n in range(size)]
        root = merkle.root(leaves, hash, arity)
        description = f"{size} leaves of {width} bytes, arity {arity}"
        row = {"description": description, "arity": arity, "leaves": [leaf.hex() for leaf in leaves]}
        rows.append(row | {"root": root.hex()})
    return rows


def field_merkle_rows(hash: str) -> list[dict[str, Any]]:
    """Trees of field elements, as 32 bytes with the least significant first."""
    rows = []
    for arity, size in ((2, 1), (2, 5), (2, 20), (3, 10), (16, 17)):
        leaves = [pow(3, 250 * n + arity, 1 << 253) for n in range(size)]
        root = merkle.root(leaves, hash, arity)
        texts = [leaf.to_bytes(32, "little").hex() for leaf in leaves]
        row = {"description": f"{size} leaves, arity {arity}", "arity": arity, "leaves": texts}
        rows.append(row | {"root": root.to_bytes(32, "little").hex()})
    return rows


def ntt_rows(field: FieldSpec) -> list[dict[str, Any]]:
    """Transforms of one pass and of two, on the roots of unity and on a coset, in both orders."""
    rows = []
    for size, coset, order in (
        (1, None, "natural"),
        (2, 3, "natural"),
        (8, None, "bit_reversed"),
        (64, 7, "natural"),
        (64, None, "bit_reversed"),
        (128, field.modulus - 2, "bit_reversed"),
        (256, None, "natural"),
    ):
        start, step = field.modulus - size, pow(5, 77 + size, field.modulus)
        numbers = [start * pow(step, index, field.modulus) % field.modulus for index in range(size)]
        values = ntt.forward(field, numbers, coset or 1)
        if order == "bit_reversed":
            values = ntt.bit_reversed(values)
        data = b"".join(value.to_bytes(32, "little") for value in values)
        rows.append(
            {
                "description": f"{size} elements, shift {coset}, {order}",
                "size": size,
                "coset": coset,
                "order": order,
                "start": f"{start:x}",
                "step": f"{step:x}",
                "digest": hashlib.sha256(data).hexdigest(),
            }
        )
    return rows


def poseidon_rows(operation: str) -> list[dict[str, Any]]:
    """The smallest and largest elements, and others; `permuted` is of the inputs and the first of them once more."""
    spec = named(operation)
    p, taken = spec.field.modulus, spec.width - 1
    others = [pow(7, i + 1, p) * 0xF1F1F1F1 % p for i in range(taken)]
    mixed = [(0, p - 1, 1)[i % 3] for i in range(taken)]
    rows = []
    for description, inputs in (("zeros and p − 1", mixed), ("others", others)):
        numbers = [hex(value) for value in inputs]
        digest = hex(poseidon.compress(spec, inputs))
        permuted = [hex(value) for value in poseidon.permute(spec, [*inputs, inputs[0]])]
        rows.append({"description": description, "inputs": numbers, "digest": digest, "permuted": permuted})
    return rows


def sponge_rows(operation: str) -> list[dict[str, Any]]:
    """Messages of 0 to 5 elements through width 3, by both rules."""
    spec = named(operation.replace("sponge", "t3"))
    rows = []
    for length in range(6):
        message = [pow(11, 9 * length + i + 1, spec.field.modulus) for i in range(length)]
        rows.append(
            {
                "description": f"{length} elements",
                "inputs": [hex(value) for value in message],
                "digest": hex(poseidon.sponge(spec, message, fixed=False)),
                "fixed": hex(poseidon.sponge(spec, message, fixed=True)),
            }
        )
    return rows


def x25519_rows() -> list[dict[str, Any]]:
    """Two secrets, RFC 7748's among them, and abscissas by what is special about them."""
    p = x25519.P
    odd = 325606250916557431795983626356110631294008115727848805560023387167927233504
    other = 39382357235489614581723060781553021112529911719440698176882885853963445705823
    numbers = {
        "RFC 7748, section 5.2": 34426434033919594451155107781188821651316167215306631574996226621102155684838,
        "the base point": 9,
        "the same on the twist": 2,
        "order 2, zero": 0,
        "order 4, one": 1,
        "order 8": odd,
        "another of order 8": other,
        "order 4 of the twist, p - 1": p - 1,
        "p, which is zero": p,
        "p + 1, which is one": p + 1,
        "the base point and bit 255": 9 + (1 << 255),
        "the largest": (1 << 256) - 1,
        "p - 2": p - 2,
        "p + 9": p + 9,
    }
    secrets = (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        hashlib.sha256(b"x25519").hexdigest(),
    )
    rows = []
    for secret in secrets:
        for what, number in numbers.items():
            data = number.to_bytes(32, "little")
            result = x25519.multiply(bytes.fromhex(secret), data)
            rows.append(
                {
                    "description": what,
                    "secret": secret,
                    "abscissa": data.hex(),
                    "verdict": int(any(result)),
                    "result": result.hex(),
                }
            )
    return rows


def build() -> dict[str, Any]:
    """The whole file: operation → rows."""
    return {
        "generated_by": "tests/generators/known_answer_vectors.py; do not edit",
        "ed25519.verify": ed25519_rows(),
        "secp256k1.ecdsa_verify": ecdsa_rows(),
        "secp256k1.ecdsa_recover": recovery_rows(),
        "secp256k1.schnorr_verify": schnorr_rows(),
        "x25519": x25519_rows(),
        "sha256": hash_rows(hashes.sha256, HASH_LENGTHS),
        "sha512": hash_rows(hashes.sha512, HASH_LENGTHS),
        "keccak256": hash_rows(hashes.keccak256, HASH_LENGTHS),
        "blake2b": hash_rows(hashes.blake2b, HASH_LENGTHS),
        "eth_address": hash_rows(hashes.eth_address, (64,) * 9),
        "merkle.sha256": merkle_rows("sha256"),
        "merkle.keccak256": merkle_rows("keccak256"),
        "merkle.poseidon_bn254": field_merkle_rows("poseidon_bn254"),
        "merkle.poseidon_bls12_381": field_merkle_rows("poseidon_bls12_381"),
        "bn254.ntt": ntt_rows(bn254.FR),
        "bls12_381.ntt": ntt_rows(bls12_381.FR),
        **group_rows(),
        **msm_answers(),
        **pairing_answers(),
        **proof_answers(),
        **{operation: poseidon_rows(operation) for operation in OPERATIONS},
        **{operation: sponge_rows(operation) for operation in SPONGES},
    }


def text() -> str:
    """The file's contents, one row a line."""
    parts = []
    for name, rows in build().items():
        body = json.dumps(rows) if isinstance(rows, str) else _lines(rows)
        parts.append(f"{json.dumps(name)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows: list[dict[str, Any]]) -> str:
    return "[\n " + ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"


def _hex(case: Any) -> dict[str, Any]:
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in case._asdict().items()
    }


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
