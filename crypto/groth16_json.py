# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 keys, proofs and public inputs in snarkjs' JSON. Points are lists of decimal strings (`supervm.crypto.snarkjs`).

Fields beside those that are named here are not read, so neither is `vk_alphabeta_12`, which follows from others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from supervm.crypto.arguments import flag
from supervm.crypto.curves import Group
from supervm.crypto.errors import TestOnlyKey
from supervm.crypto.groth16_columns import Key, Proofs, curve_of, kept_key, members
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError

CURVES = {"bn128": "bn254", "bls12381": "bls12_381"}
"""Our names of curves by snarkjs' own."""

PROTOCOL = "groth16"

TEST_ONLY = "supervm_test_only"
"""A field of a key whose secrets its maker knew. No other tool writes it, and all pass over it."""

_MOST_DIGITS = 78
"""Of a number below 2^256."""

_MOST_LEVELS = 64
"""Of lists and objects in each other. Keys have five."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
"""Strings, the last one with or without its end, and brackets outside them."""


def load_snarkjs_key(text: str | bytes, *, allow_test_only: bool = False) -> Key:
    """The key in a `verification_key.json`. One that was read before is not decoded again.

    Args:
        text: the file's.
        allow_test_only: take a key that is marked as made for tests, or that nobody contributed to: there are proofs of
            anything under it.

    Raises:
        ArgumentError: no JSON object, or which of its fields is wrong.
        TestOnlyKey: it is one of these, and that is not allowed.
    """
    form = f"snarkjs{', test keys too' * flag(allow_test_only, 'allow_test_only')}"
    return kept_key(form, _bytes(text, "text"), partial(_key, bool(allow_test_only)))


def load_snarkjs_proof(text: str | bytes) -> Proofs:
    """The proof in a `proof.json`, as `Proofs` of one row.

    Raises:
        ArgumentError: no JSON object, or which of its fields is wrong.
    """
    found = _object(_bytes(text, "text"), "text")
    curve = _curve(found)
    groups = curve_of(curve)
    a = _points(groups.g1, [_field(found, "pi_a")], "pi_a")
    b = _points(groups.g2, [_field(found, "pi_b")], "pi_b")
    c = _points(groups.g1, [_field(found, "pi_c")], "pi_c")
    return Proofs(curve, a, b, c)


def load_snarkjs_proofs(texts: Sequence[str | bytes], curve: str) -> Proofs:
    """Proofs on one curve, each a text as `proof.json`; one that `load_snarkjs_proof` would refuse is malformed.

    Raises:
        ArgumentError: no list of texts, or another curve.
    """
    groups = curve_of(curve)
    if not isinstance(texts, (list, tuple)):
        raise ArgumentError("texts", type(texts).__name__, "a list of texts")
    columns: tuple[list[Any], ...] = ([], [], [])
    for text in texts:
        data = _bytes(text, "texts")
        try:
            found = _object(data, "texts")
            if _curve(found) != curve:
                raise ArgumentError("curve", repr(found["curve"]), curve)
            sides = [_field(found, name) for name in ("pi_a", "pi_b", "pi_c")]
        except ArgumentError:
            sides = [None] * 3
        for column, side in zip(columns, sides, strict=True):
            column.append(side)
    a, b, c = columns
    return Proofs.decoded(
        curve, groups.g1.from_snarkjs(a), groups.g2.from_snarkjs(b), groups.g1.from_snarkjs(c)
    )


def load_snarkjs_public(text: str | bytes) -> list[int]:
    """The public inputs in a `public.json`, a list of decimal strings. Whether they are below r `verify_batch` says.

    Raises:
        ArgumentError: anything else.
    """
    found = _parsed(_bytes(text, "text"), "text")
    if not isinstance(found, list) or not all(map(_decimal, found)):
        raise ArgumentError("text", "something else", "a JSON list of decimal strings")
    return [int(number) for number in found]


def _decimal(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS


def _key(allow_test_only: bool, data: bytes) -> Key:
    found = _object(data, "text")
    test_only = found.get(TEST_ONLY, False) is not False
    if test_only and not allow_test_only:
        raise TestOnlyKey("the verification key")
    curve = _curve(found)
    groups = curve_of(curve)
    (alpha,) = _points(groups.g1, [_field(found, "vk_alpha_1")], "vk_alpha_1")
    second = (f"vk_{name}_2" for name in ("beta", "gamma", "delta"))
    beta, gamma, delta = (_points(groups.g2, [_field(found, name)], name)[0] for name in second)
    listed = _field(found, "IC")
    if not isinstance(listed, list) or not listed:
        raise ArgumentError("IC", type(listed).__name__, "a list of points, of one at least")
    count = _field(found, "nPublic")
    if type(count) is not int or count != len(listed) - 1:
        raise ArgumentError(
            "nPublic", repr(count), f"{len(listed) - 1}, one less than there are points in IC"
        )
    key = Key(curve, alpha, beta, gamma, delta, _points(groups.g1, listed, "IC"), test_only=test_only)
    if key.test_only and not allow_test_only:
        raise TestOnlyKey("the verification key")
    return key


def _points(group: Group, written: list[Any], field: str) -> Words:
    return members(group, *group.from_snarkjs(written), field)


def _curve(found: dict[str, Any]) -> str:
    """Our name of the curve of a key or a proof, whose protocol is checked as well."""
    protocol, curve = _field(found, "protocol"), _field(found, "curve")
    if protocol != PROTOCOL:
        raise ArgumentError("protocol", repr(protocol), repr(PROTOCOL))
    if not isinstance(curve, str) or curve not in CURVES:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, CURVES)))
    return CURVES[curve]


def _field(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise ArgumentError(name, "no such field", "snarkjs' JSON")
    return found[name]


def _object(data: bytes, argument: str) -> dict[str, Any]:
    found = _parsed(data, argument)
    if not isinstance(found, dict):
        raise ArgumentError(argument, f"a {type(found).__name__}", "a JSON object")
    return found


def _parsed(data: bytes, argument: str) -> Any:
    try:
        text = data.decode("utf-8")
        _require_shallow(text)
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(argument, f"no JSON: {error}", "snarkjs' JSON") from None


def _require_shallow(text: str) -> None:
    """`json` takes a frame of C's stack for each level: where a host raised Python's recursion limit, deep text would end
    the process."""
    if text.count("[") + text.count("{") <= _MOST_LEVELS:
        return
    level = 0
    for token in _TOKENS.finditer(text):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if level > _MOST_LEVELS:
            raise ValueError(f"more than {_MOST_LEVELS} levels")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


def _bytes(text: Any, argument: str) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if not isinstance(text, bytes):
        raise ArgumentError(argument, type(text).__name__, "a text")
    return text
