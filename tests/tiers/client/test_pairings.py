# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs, BLS signatures and blobs from both clients to a real service."""

from __future__ import annotations

import functools
from pathlib import Path

import ckzg
import numpy as np
import pytest
from pairing_requests import bls_signed, key_text, proved

from supervm.benchmarks.service.process import server
from supervm.kernels.errors import ArgumentError
from supervm.tiers.client import ServiceRefused

SETUP = Path(__file__).resolve().parents[4] / "shared" / "data" / "kzg" / "trusted_setup.txt"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a service that knows a circuit and, where there is one, a trusted setup."""
    folder = tmp_path_factory.mktemp("circuits")
    (folder / "square.json").write_text(key_text("bn254", 2))
    setup = ("--kzg-setup", str(SETUP)) if SETUP.exists() else ()
    with server("--grpc", "127.0.0.1:0", "--http", "off", "--groth16-keys", str(folder), *setup) as running:
        yield running.grpc


@pytest.fixture
def ask(call, service):
    """`call` of the service, with time for kernels that have to be compiled first."""
    return functools.partial(call, service, timeout=600.0)


def big_endian(inputs):
    packed = b"".join(number.to_bytes(32, "big") for row in inputs for number in row)
    return np.frombuffer(packed, np.uint8).reshape(len(inputs), -1, 32)


@pytest.mark.parametrize("message_bytes", [4 << 20, 3000], ids=["whole", "cut"])
def test_proofs(ask, message_bytes):
    some = proved(7)
    for inputs in (some.inputs, big_endian(some.inputs)):
        found = ask(
            "verify_groth16", some.proofs, inputs, call={"circuit": "square"}, message_bytes=message_bytes
        )
        assert (found.dtype, found.tolist()) == (np.int8, some.verdicts)
    named = {"key": some.key, "curve": "bn254", "format": "ethereum"}
    packed = b"".join(some.proofs)
    room = max(message_bytes, 3000 + len(some.key))
    found = ask("verify_groth16", packed, some.inputs, call=named, message_bytes=room)
    assert found.tolist() == some.verdicts
    assert ask("verify_groth16", [], [], call={"circuit": "square"}).shape == (0,)


def test_what_the_service_says_of_proofs(ask):
    some = proved(7)
    for named, field in (
        ({"circuit": "cube"}, "circuit"),
        ({"key": b"{}", "curve": "bn254"}, "verifying_key"),
        ({"key": some.key}, "curve"),
    ):
        with pytest.raises(ServiceRefused) as refused:
            ask("verify_groth16", some.proofs, some.inputs, call=named)
        assert (refused.value.code, refused.value.field) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize("message_bytes", [4 << 20, 600], ids=["whole", "cut"])
def test_bls(ask, message_bytes):
    signed = bls_signed(4)
    columns = [[each[place] for each in signed] for place in range(3)]
    verdicts = [each.verdict for each in signed]
    assert ask("verify_bls", *columns, message_bytes=message_bytes).tolist() == verdicts
    tag = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
    for named, expected in (({"suite": "basic"}, [0] * 4), ({"suite": "basic", "dst": tag}, verdicts)):
        assert ask("verify_bls", *columns, call=named).tolist() == expected


def test_bls_aggregates(ask):
    signed = bls_signed(4)
    keys, messages, signatures = ([each[place] for each in signed] for place in range(3))
    found = ask("verify_bls_aggregates", keys, range(5), messages, signatures)
    assert found.tolist() == [each.verdict for each in signed]
    found = ask("verify_bls_aggregates", keys, [0, 0, 4], messages[:2], signatures[:2])
    assert found.tolist() == [0, 0]  # no keys; keys of others


def test_blobs(ask):
    if not SETUP.exists():
        pytest.skip(f"not here: {SETUP.name}")
    theirs = ckzg.load_trusted_setup(str(SETUP), 0)
    blob = b"".join(index.to_bytes(32, "big") for index in range(4096))
    commitment = ckzg.blob_to_kzg_commitment(blob, theirs)
    proof = ckzg.compute_blob_kzg_proof(blob, commitment, theirs)
    blobs = [blob, blob[:-1] + b"\0", b"\xff" * 32 + blob[32:]]
    found = ask("verify_blobs", blobs, [commitment] * 3, [proof] * 3, message_bytes=140_000)
    assert found.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("method", "arguments", "named", "argument"),
    [
        ("verify_groth16", (bytes(256), [[1]]), {}, "key"),
        ("verify_groth16", (bytes(256), [[1]]), {"key": "{}", "circuit": "square"}, "key"),
        ("verify_groth16", (bytes(255), [[1]]), {"circuit": "square"}, "proofs"),
        ("verify_groth16", ([bytes(256)] * 2, [[1]]), {"circuit": "square"}, "public_inputs"),
        ("verify_groth16", (bytes(512), [[1], [1, 2]]), {"circuit": "square"}, "public_inputs"),
        ("verify_groth16", (bytes(256), [[-1]]), {"circuit": "square"}, "public_inputs"),
        ("verify_groth16", (bytes(256), [["1"]]), {"circuit": "square"}, "public_inputs"),
        ("verify_groth16", (bytes(256), np.zeros((1, 32), np.uint8)), {"circuit": "square"}, "public_inputs"),
        ("verify_bls", (bytes(48), [b""], bytes(96)), {"variant": "min-key"}, "variant"),
        ("verify_bls", (bytes(48), [b""], bytes(96)), {"suite": "nul"}, "suite"),
        ("verify_bls", (bytes(48), [b""], bytes(96)), {"variant": "min-sig"}, "public_keys"),
        ("verify_bls", (bytes(48), [b""], bytes(96)), {"dst": b""}, "dst"),
        ("verify_bls", (bytes(48), [b"", b""], bytes(96)), {}, "messages"),
        ("verify_bls_aggregates", (bytes(48), [0, 1, 1], [b""], bytes(96)), {}, "offsets"),
        ("verify_blobs", (bytes(131_071), bytes(48), bytes(48)), {}, "blobs"),
        ("verify_blobs", (bytes(131_072), bytes(96), bytes(48)), {}, "commitments"),
    ],
)
def test_wrong_arguments_are_not_sent(call, address, script, method, arguments, named, argument):
    with pytest.raises(ArgumentError) as error:
        call(address, method, *arguments, call=named)
    assert error.value.argument == argument
    assert not script.requests
