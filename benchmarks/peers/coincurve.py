# SPDX-License-Identifier: GPL-3.0-or-later
"""coincurve: Bitcoin Core's libsecp256k1.

The loops call the compiled library that coincurve ships, with parsed keys and signatures: coincurve's own
methods parse the signature again and make several Python objects at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.signatures import SignedItems

NAME = "coincurve (libsecp256k1)"


def ecdsa() -> Peer:
    """`secp256k1_ecdsa_verify`, which rejects a high s, on parsed keys and signatures."""
    return Peer(NAME, version("coincurve"), _prepare_ecdsa)


def ecdsa_from_bytes() -> Peer:
    """The same with the key parsed inside the timed loop: for compressed keys that is a square root."""
    return Peer(NAME + ", key parsed too", version("coincurve"), _prepare_ecdsa_from_bytes)


def recover() -> Peer:
    """`secp256k1_ecdsa_recover` on parsed signatures; the key is not serialised in the timed loop."""
    return Peer(NAME, version("coincurve"), _prepare_recover, _serialize)


def schnorr() -> Peer:
    """`secp256k1_schnorrsig_verify` on parsed x-only keys, which holds their y."""
    return Peer(NAME, version("coincurve"), _prepare_schnorr)


def _library() -> tuple[Any, Any, Any]:
    from coincurve._libsecp256k1 import ffi, lib
    from coincurve.context import GLOBAL_CONTEXT

    return ffi, lib, GLOBAL_CONTEXT.ctx


def _compact(signature: bytes) -> Any:
    """The library's signature object, or None where r or s is not below the order."""
    ffi, lib, context = _library()
    parsed = ffi.new("secp256k1_ecdsa_signature *")
    return parsed if lib.secp256k1_ecdsa_signature_parse_compact(context, parsed, signature) else None


def _key(encoded: bytes) -> Any:
    """The library's key object, or None where the encoding is malformed."""
    ffi, lib, context = _library()
    parsed = ffi.new("secp256k1_pubkey *")
    return parsed if lib.secp256k1_ec_pubkey_parse(context, parsed, encoded, len(encoded)) else None


def _prepare_ecdsa(workload: SignedItems) -> Callable[[], Answers]:
    _ffi, lib, context = _library()
    verify = lib.secp256k1_ecdsa_verify
    items = [(_key(key), digest, _compact(signature)) for key, digest, signature in workload.rows()]
    return lambda: [
        key is not None and signature is not None and verify(context, signature, digest, key) == 1
        for key, digest, signature in items
    ]


def _prepare_ecdsa_from_bytes(workload: SignedItems) -> Callable[[], Answers]:
    ffi, lib, context = _library()
    parse, verify = lib.secp256k1_ec_pubkey_parse, lib.secp256k1_ecdsa_verify
    room = ffi.new("secp256k1_pubkey *")
    items = [(key, digest, _compact(signature)) for key, digest, signature in workload.rows()]
    return lambda: [
        signature is not None
        and parse(context, room, key, len(key)) == 1
        and verify(context, signature, digest, room) == 1
        for key, digest, signature in items
    ]


def _prepare_recover(workload: SignedItems) -> Callable[[], Answers]:
    ffi, lib, context = _library()
    run_recover = lib.secp256k1_ecdsa_recover
    items = []
    for _key_bytes, digest, signature in workload.rows():
        parsed = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        ok = lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
            context, parsed, signature[:64], signature[64]
        )
        items.append((ffi.new("secp256k1_pubkey *"), parsed if ok else None, digest))

    def run() -> Answers:
        return [
            key if parsed is not None and run_recover(context, key, parsed, digest) == 1 else None
            for key, parsed, digest in items
        ]

    return run


def _serialize(keys: Answers) -> Answers:
    """The 64 bytes x‖y of each recovered key."""
    ffi, lib, context = _library()
    encoded, length = ffi.new("unsigned char[65]"), ffi.new("size_t *", 65)
    answers: Answers = []
    for key in keys:
        if key is not None:
            lib.secp256k1_ec_pubkey_serialize(context, encoded, length, key, lib.SECP256K1_EC_UNCOMPRESSED)
        answers.append(None if key is None else bytes(ffi.buffer(encoded))[1:])
    return answers


def _prepare_schnorr(workload: SignedItems) -> Callable[[], Answers]:
    ffi, lib, context = _library()
    verify = lib.secp256k1_schnorrsig_verify
    items = []
    for key, message, signature in workload.rows():
        parsed = ffi.new("secp256k1_xonly_pubkey *")
        ok = lib.secp256k1_xonly_pubkey_parse(context, parsed, key)
        items.append((parsed if ok else None, message, signature))
    return lambda: [
        key is not None and verify(context, signature, message, len(message), key) == 1
        for key, message, signature in items
    ]
