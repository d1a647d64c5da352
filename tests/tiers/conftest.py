# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands; signatures of every scheme and form, whose verdicts are known, and checks that need no kernel."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import coincurve
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from supervm.crypto.oracle import der, ecdsa, ed25519, schnorr
from supervm.tiers.cli import app
from supervm.tiers.signature_files.verification import SignatureChecks


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `supervm ARGUMENTS` in this process, with no SUPERVM_* setting but the given ones."""
    for name in [name for name in os.environ if name.startswith("SUPERVM_")]:
        if name != "SUPERVM_CACHE_DIR":
            monkeypatch.delenv(name)

    def invoke(*arguments: object, **variables: str) -> Result:
        environment = {"COLUMNS": "200", **variables}
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    return invoke


class Item(NamedTuple):
    """A row with the verdict that it must get; `message` or `digest` is None."""

    scheme: str
    public_key: bytes
    message: bytes | None
    digest: bytes | None
    signature: bytes
    verdict: int


def _seed(index: int) -> bytes:
    return hashlib.sha256(b"tiers %d" % index).digest()


def _ed25519_item(index: int) -> Item:
    key = Ed25519PrivateKey.from_private_bytes(_seed(index))
    message = _seed(index + 1) * (index % 4)
    return Item("ed25519", key.public_key().public_bytes_raw(), message, None, key.sign(message), 1)


def _ecdsa_item(index: int, key_length: int, compact: bool) -> Item:
    key = coincurve.PrivateKey(_seed(index))
    digest = _seed(index + 1)
    public = key.public_key.format(compressed=key_length == 33)[-key_length:]
    signature = key.sign_recoverable(digest, hasher=None)[:64] if compact else key.sign(digest, hasher=None)
    return Item("ecdsa", public, None, digest, signature, 1)


def _schnorr_item(index: int) -> Item:
    key = coincurve.PrivateKey(_seed(index))
    message = _seed(index + 1)
    public = coincurve.PublicKeyXOnly.from_secret(_seed(index)).format()
    return Item("schnorr", public, message, None, key.sign_schnorr(message, aux_randomness=b""), 1)


def _spoiled(item: Item) -> Item:
    """The same over other bytes: well formed, and wrong."""
    if item.digest is not None:
        return item._replace(digest=bytes([item.digest[0] ^ 1]) + item.digest[1:], verdict=0)
    return item._replace(message=(item.message or b"") + b"!", verdict=0)


@pytest.fixture(scope="session")
def mixed_items() -> list[Item]:
    """Every scheme, key length and signature form, in turns; some wrong, some malformed."""
    items: list[Item] = []
    for index in range(0, 40, 8):
        sound = [
            _ed25519_item(index),
            _ecdsa_item(index, 33, compact=True),
            _schnorr_item(index),
            _ecdsa_item(index, 65, compact=False),
            _ecdsa_item(index, 64, compact=True),
            _ecdsa_item(index, 33, compact=False),
        ]
        items += [*sound, _spoiled(sound[index // 8]), _spoiled(sound[-1])]
    first = items[0]
    items += [
        items[1]._replace(public_key=items[1].public_key[:-1], verdict=-1),
        items[2]._replace(signature=items[2].signature + b"\0", verdict=-1),
        items[3]._replace(signature=items[3].signature[:-1], verdict=-1),
        items[4]._replace(digest=b"short", verdict=-1),
        first._replace(public_key=b"", verdict=-1),
        first._replace(signature=first.signature[:32] + b"\xff" * 32, verdict=-1),
    ]
    return items


@pytest.fixture(scope="session")
def oracle_checks() -> SignatureChecks:
    """The batch functions, item by item on Python integers."""

    def over_messages(one: Callable[..., int]) -> Callable[..., Any]:
        def check(keys: Any, messages: Any, signatures: Any) -> Any:
            data, offsets = messages
            texts = [data[start:stop].tobytes() for start, stop in itertools.pairwise(offsets)]
            rows = zip(keys, texts, signatures, strict=True)
            return np.array([one(k.tobytes(), m, s.tobytes()) for k, m, s in rows], np.int8)

        return check

    def check_ecdsa(keys: Any, digests: Any, signatures: Any) -> Any:
        assert digests.shape == (len(keys), 32)
        assert signatures.shape == (len(keys), 64)
        rows = zip(keys, digests, signatures, strict=True)
        return np.array(
            [ecdsa.verify(k.tobytes(), d.tobytes(), s.tobytes(), True) for k, d, s in rows], np.int8
        )

    def unexpected(*_: bytes) -> int:
        raise AssertionError("no row of these tests is of BLS")

    def from_der(texts: list[bytes]) -> Any:
        parsed = [der.parse(text) for text in texts]
        compact = b"".join(signature or bytes(64) for signature, _ in parsed)
        verdicts = np.array([verdict for _, verdict in parsed], np.int8)
        return np.frombuffer(compact, np.uint8).reshape(len(texts), 64), verdicts

    return SignatureChecks(
        ed25519=over_messages(lambda k, m, s: ed25519.verify(k, m, s, "dalek")),
        ecdsa=check_ecdsa,
        schnorr=over_messages(schnorr.verify),
        bls=over_messages(unexpected),
        bls_min_sig=over_messages(unexpected),
        der=from_der,
    )


@pytest.fixture(scope="session")
def json_line() -> Callable[..., str]:
    """json_line(item, **changed): the row as JSON with hex text; None leaves a member out."""

    def line(item: Item, **changed: Any) -> str:
        row = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in item._asdict().items()
            if name != "verdict"
        }
        row |= changed
        return json.dumps({name: value for name, value in row.items() if value is not None})

    return line


@pytest.fixture
def json_lines_file(tmp_path: Path, json_line: Callable[..., str]) -> Callable[[Sequence[Item]], Path]:
    """Writes items to a file of JSON Lines."""

    def write(items: Sequence[Item]) -> Path:
        path = tmp_path / "signatures.jsonl"
        path.write_text("".join(json_line(item) + "\n" for item in items))
        return path

    return write


@pytest.fixture
def _only_sha256(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("supervm.crypto.hashes")
    monkeypatch.setattr("supervm.tiers.inventory.operations", lambda: ["sha256"])
