# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs, BLS signatures and blobs through the service: everybody's own verdicts, errors that name the field, and keys."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckzg
import grpc
import numpy as np
import pytest
from pairing_requests import bls_request, bls_signed, key_text, proved
from py_ecc.bls import G2Basic, G2MessageAugmentation
from served import served
from signed_requests import packed_rows, single

from supervm.crypto import groth16, groth16_columns
from supervm.tiers.errors import BrokenFile, ServiceError
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.service import core
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Caller, Limits, State, VerificationService
from supervm.tiers.service.setups import circuits, trusted_setup
from supervm.tiers.service.v1 import verification_pb2 as pb

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
ORDER = {curve: groth16_columns.curve_of(curve).order for curve in ("bn254", "bls12_381")}


def ask(call: Callable[[VerificationService], Any], limits: Limits | None = None, **given: Any) -> list[int]:
    """The verdicts of one call of a service of its own."""

    async def run() -> Any:
        service = VerificationService(limits, **given)
        try:
            return await call(service)
        finally:
            service.close()

    return np.frombuffer(asyncio.run(run()).verdicts, np.int8).tolist()


def refused(call: Callable[[VerificationService], Any], **given: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        ask(call, **given)
    return caught.value


def known(circuit: str = "square", text: str | None = None) -> groth16.Circuits:
    found = groth16.Circuits()
    found.register(circuit, groth16.load_snarkjs_key(text or key_text("bn254", 2)))
    return found


# Groth16 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "curve"), [("ethereum", "bn254"), ("arkworks_compressed", "bls12_381")], ids=lambda name: name
)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_proofs_with_a_key_of_their_own(format: str, curve: str, count: int) -> None:
    some = proved(7, format)
    some = some._replace(proofs=some.proofs[:count], inputs=some.inputs[:count])
    for named in ("", format):
        assert (
            ask(lambda s, f=named: s.verify_groth16(some.request(curve=curve, format=f)))
            == some.verdicts[:count]
        )


def test_proofs_of_a_circuit_that_the_server_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "PAIRINGS_AT_ONCE", 2)
    some = proved(7)
    small = Limits(proof_items=1)
    assert (
        ask(lambda s: s.verify_groth16(some.request(circuit="square")), small, circuits=known())
        == some.verdicts
    )


def test_malformed_proofs_and_inputs_are_verdicts() -> None:
    some = proved(7)
    proofs, inputs = list(some.proofs), [list(row) for row in some.inputs]
    proofs[0] = proofs[0][:-1] + bytes([proofs[0][-1] ^ 1])  # off the curve
    inputs[1][1] += ORDER["bn254"]  # the same number modulo the order
    found = ask(
        lambda s: s.verify_groth16(some._replace(proofs=proofs, inputs=inputs).request(curve="bn254"))
    )
    assert found == [-1, -1, *some.verdicts[2:]]


@pytest.mark.parametrize("name", ["taceo_bn254_multiplier2", "taceo_bls12_381_multiplier2"])
def test_a_published_proof(name: str) -> None:
    folder = SHARED / "groth16" / name
    if not folder.exists():
        pytest.skip(f"not here: {name}")
    key, proof = (folder / file for file in ("verification_key.json", "circom.proof"))
    stated = groth16.load_snarkjs_public((folder / "public.json").read_text())
    one = groth16.load_snarkjs_proof(proof.read_text())
    encoding, format = {
        "bn254": ("eip197", ""),
        "bls12_381": ("zcash_uncompressed", "arkworks_uncompressed"),
    }[one.curve]
    groups = groth16_columns.curve_of(one.curve)
    columns = ((groups.g1, one.a), (groups.g2, one.b), (groups.g1, one.c))
    request = pb.VerifyGroth16Request(
        curve=one.curve,
        format=format,
        verifying_key=key.read_bytes(),
        proofs=b"".join(group.to_bytes(points, encoding).tobytes() for group, points in columns),
        public_inputs=b"".join(number.to_bytes(32, "little") for number in stated),
    )
    assert ask(lambda s: s.verify_groth16(request)) == [1]
    request.public_inputs = (stated[0] + 1).to_bytes(32, "little") + request.public_inputs[32:]
    assert ask(lambda s: s.verify_groth16(request)) == [0]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"circuit": "cube"}, "circuit"),
        ({"circuit": "ringct_v1"}, "circuit"),
        ({"circuit": "square", "verifying_key": b"{}"}, "verifying_key"),
        ({"circuit": "square", "curve": "bls12_381"}, "curve"),
        ({"curve": ""}, "curve"),
        ({"curve": "bn256"}, "curve"),
        ({"curve": "bls12_381"}, "proofs"),
        ({"curve": "bls12_381", "format": "ethereum"}, "format"),
        ({"format": "json"}, "format"),
        ({"key_format": "ethereum"}, "key_format"),
        ({"key_format": "arkworks"}, "verifying_key"),
        ({"verifying_key": b""}, "verifying_key"),
        ({"verifying_key": b"{}"}, "verifying_key"),
        ({"verifying_key": bytes(300_000)}, "verifying_key"),
        ({"verifying_key": key_text("bls12_381", 2).encode()}, "verifying_key"),
        ({"proofs": bytes(255)}, "proofs"),
        ({"public_inputs": bytes(64)}, "public_inputs"),
        ({"public_inputs": b""}, "public_inputs"),
        ({"circuit": "square", "public_inputs": bytes(3 * 7 * 32)}, "public_inputs"),
        ({"proofs": b""}, "public_inputs"),
    ],
    ids=str,
)
def test_a_bad_field_is_named(changed: dict[str, Any], field: str) -> None:
    fields: dict[str, Any] = {"curve": "bn254", **changed}
    if "circuit" in changed and "curve" not in changed:
        del fields["curve"]
    request = proved(7).request(
        **{name: of for name, of in fields.items() if name not in changed or name == "circuit"}
    )
    for name in changed:
        setattr(request, name, changed[name])
    error = refused(lambda s: s.verify_groth16(request), circuits=known())
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, field)


def test_nothing_passes_without_a_key() -> None:
    error = refused(lambda s: s.verify_groth16(proved(7).request(circuit="multiply_v1")))
    assert "no verification key is set" in error.message


def test_a_key_that_is_sent_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    kind = groth16_columns.Key.__init__
    monkeypatch.setattr(
        groth16_columns.Key, "__init__", lambda self, *a, **k: (read.append(a), kind(self, *a, **k))[1]
    )
    some = proved(4, seed=77)
    del read[:]
    for _ in range(3):
        assert ask(lambda s: s.verify_groth16(some.request(curve="bn254"))) == some.verdicts
    assert len(read) == 1


def test_those_of_one_circuit_share_a_call_and_a_bad_key_is_told_to_its_sender_alone() -> None:
    some, calls = proved(7), []

    async def run() -> list[Any]:
        service = VerificationService(Limits(proof_age=0.2), circuits=known())
        sound = service._verify_pairings

        def counted(kind: Any, *columns: Any) -> Any:
            calls.append((kind.inputs, len(columns[0])))
            return sound(kind, *columns)

        service._proofs._verify = counted
        single_ones = [
            some._replace(proofs=[proof], inputs=[row]).request(circuit="square")
            for proof, row in zip(some.proofs, some.inputs, strict=True)
        ]
        others = [some.request(curve="bn254"), some.request(curve="bn254", verifying_key=b"[]")]
        try:
            return await asyncio.gather(
                *map(service.verify_groth16, [*single_ones, *others]), return_exceptions=True
            )
        finally:
            service.close()

    *singles, own, bad = asyncio.run(run())
    assert [reply.verdicts for reply in singles] == [bytes([verdict]) for verdict in some.verdicts]
    assert own.verdicts == bytes(some.verdicts)
    assert (bad.code, bad.field) == (Code.INVALID_ARGUMENT, "verifying_key")
    assert sorted(calls) == [(2, 7), (2, 7), (2, 7)]


def test_limits_deadlines_and_drains_hold() -> None:
    some = proved(7)

    async def run() -> None:
        service = VerificationService(Limits(proof_age=0.01, queue_items=6), circuits=known())
        with pytest.raises(ServiceError, match="expected at most 6"):
            await service.verify_groth16(some.request(circuit="square"))
        few = some._replace(proofs=some.proofs[:2], inputs=some.inputs[:2]).request(circuit="square")
        with pytest.raises(ServiceError) as late:
            await service.verify_groth16(few, Caller(deadline=time.monotonic() + 0.005))
        assert late.value.code is Code.DEADLINE_EXCEEDED
        answered = asyncio.ensure_future(service.verify_groth16(few))
        await asyncio.sleep(0)
        service.drain()
        with pytest.raises(ServiceError, match="stopping"):
            await service.verify_groth16(few)
        await service.idle()
        assert (await answered).verdicts == bytes(some.verdicts[:2])
        assert (service.queue.items, service.queue.size) == (0, 0)
        service.close()

    asyncio.run(run())


def test_a_backend_that_gives_wrong_answers_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = type("Wrong", (), {"ok": False, "detail": "another value"})
    monkeypatch.setattr(core, "known_answers", lambda operation, backend: wrong)

    async def run() -> None:
        service = VerificationService(circuits=known())
        with pytest.raises(ServiceError, match="another value") as caught:
            await service.verify_groth16(proved(7).request(circuit="square"))
        assert caught.value.code is Code.INTERNAL
        assert service.state is State.READY  # signatures are verified none the less
        assert (await service.verify(single(1))).verdicts == b"\1"
        service.close()

    asyncio.run(run())


def test_verdicts_are_counted() -> None:
    metrics, some = Metrics(), proved(7)
    ask(lambda s: s.verify_groth16(some.request(circuit="square")), circuits=known(), meter=metrics)
    found = {
        sample.labels["verdict"]: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "supervm_verify_items_total" and sample.labels["scheme"] == "groth16"
    }
    assert found == {"valid": 5, "invalid": 2}


def test_circuits_from_a_folder(tmp_path: Path) -> None:
    assert circuits("").names() == groth16.Circuits().names()
    with pytest.raises(BrokenFile, match="no verification key in it"):
        circuits(str(tmp_path))
    (tmp_path / "square.json").write_text(key_text("bn254", 2))
    (tmp_path / "ringct_v1.json").write_text(key_text("bn254", 3))
    (tmp_path / "README").write_text("passed over")
    found = circuits(str(tmp_path))
    assert (found.key("square").inputs, found.key("ringct_v1").inputs) == (2, 3)
    (tmp_path / "other.json").write_text(json.dumps({"protocol": "plonk", "curve": "bn128"}))
    with pytest.raises(BrokenFile, match=r"other\.json: no verification key: .*plonk"):
        circuits(str(tmp_path))
    with pytest.raises(BrokenFile, match="No such file"):
        circuits(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("flag", ["--groth16-keys", "--kzg-setup"])
def test_a_service_with_a_broken_setup_does_not_start(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setattr("supervm.tiers.service.serving.check", lambda backend: None)
    result = run("serve", "--grpc", "127.0.0.1:0", flag, tmp_path, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "BrokenFile")


# BLS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 4])
def test_bls_signatures(count: int) -> None:
    signed = bls_signed(4)[:count]
    assert ask(lambda s: s.verify_bls(bls_request(signed))) == [each.verdict for each in signed]


def test_ethereums_cases() -> None:
    path = SHARED / "bls" / "eth_bls12_381_tests_give.json"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    cases = [
        case
        for case in json.loads(path.read_text())
        if case["handler"] in ("verify", "fast_aggregate_verify")
    ]
    groups: dict[bool, list[tuple[list[bytes], bytes, bytes, bool]]] = {True: [], False: []}
    for case in cases:
        given = case["input"]
        aggregate = "pubkeys" in given
        keys = [_bytes(key) for key in (given["pubkeys"] if aggregate else [given["pubkey"]])]
        row = keys, _bytes(given["message"]), _bytes(given["signature"]), case["output"]
        if len(row[2]) == 96 and all(len(key) == 48 for key in keys):  # others are no rows
            groups[aggregate].append(row)
    for aggregate, found in groups.items():
        assert len(found) > 5
        keys = [key for row in found for key in row[0]]
        request = pb.VerifyBlsRequest(
            public_keys=b"".join(keys),
            messages=packed_rows([row[1] for row in found]),
            signatures=b"".join(row[2] for row in found),
        )
        if aggregate:
            request.key_offsets = np.cumsum([0, *(len(row[0]) for row in found)]).astype("<u8").tobytes()
        verdicts = ask(lambda s, r=request: s.verify_bls(r))
        assert [verdict == 1 for verdict in verdicts] == [row[3] for row in found]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_suites_tags_and_malformed_items() -> None:
    message = b"\x11" * 9
    for suite, theirs in ((pb.BLS_SUITE_BASIC, G2Basic), (pb.BLS_SUITE_AUGMENTED, G2MessageAugmentation)):
        one = bls_signed(1)[0]._replace(message=message, signature=bytes(theirs.Sign(1000, message)))
        assert ask(lambda s, o=one, n=suite: s.verify_bls(bls_request([o], suite=n))) == [1]
        assert ask(lambda s, o=one: s.verify_bls(bls_request([o]))) == [0]
    one = bls_signed(1)[0]
    tag = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
    for dst, verdict in ((tag, 1), (b"another", 0)):
        assert ask(lambda s, d=dst: s.verify_bls(bls_request([one], suite=pb.BLS_SUITE_BASIC, dst=d))) == [
            verdict
        ]
    infinity = one._replace(key=b"\xc0" + bytes(47))
    other = one._replace(signature=b"\x00" + one.signature[1:])
    assert ask(lambda s: s.verify_bls(bls_request([infinity, one, other]))) == [-1, 1, -1]


def test_a_beacon_signs_in_g1_under_the_name_of_g2() -> None:
    path = SHARED / "bls" / "drand_give.json"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    beacons = [one for one in json.loads(path.read_text()) if len(one["public_key"]) == 192]
    assert beacons
    for one in beacons:
        message = hashlib.sha256(one["round"].to_bytes(8, "big")).digest()
        request = pb.VerifyBlsRequest(
            variant=pb.BLS_VARIANT_MIN_SIG,
            public_keys=bytes.fromhex(one["public_key"]),
            signatures=bytes.fromhex(one["signature"]),
            messages=packed_rows([message]),
        )
        tags = [f"BLS_SIG_BLS12381G{group}_XMD:SHA-256_SSWU_RO_NUL_".encode() for group in (1, 2)]
        found = []
        for dst in tags:
            request.dst = dst
            found += ask(lambda s, r=request: s.verify_bls(r))
        assert sorted(found) == [0, 1], one["name"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"variant": 2}, "variant"),
        ({"variant": 1}, "messages"),
        ({"suite": 3}, "suite"),
        ({"dst": bytes(256)}, "dst"),
        ({"public_keys": bytes(95)}, "public_keys"),
        ({"public_keys": bytes(96)}, "public_keys"),
        ({"signatures": bytes(95)}, "signatures"),
        ({"messages": packed_rows([b"one"])}, "messages"),
        ({"messages": pb.Rows(data=b"x", offsets=bytes(8))}, "messages.offsets"),
        ({"key_offsets": bytes(8)}, "key_offsets"),
        ({"key_offsets": np.array([0, 4], np.uint64).tobytes()}, "key_offsets"),
        ({"key_offsets": np.array([0, 1, 2, 3, 4], np.uint64).tobytes(), "suite": 2}, "suite"),
    ],
    ids=str,
)
def test_a_bad_field_of_signatures_is_named(changed: dict[str, Any], field: str) -> None:
    request = bls_request(bls_signed(4))
    for name, value in changed.items():
        if name == "messages":
            request.messages.CopyFrom(value)
        else:
            setattr(request, name, value)
    error = refused(lambda s: s.verify_bls(request))
    assert (error.code, error.field) == (Code.INVALID_ARGUMENT, field)


def test_keys_of_aggregates_count() -> None:
    one = bls_signed(1)[0]
    request = bls_request([one], key_offsets=np.array([0, 5], np.uint64).tobytes())
    request.public_keys = 5 * one.key

    async def run() -> None:
        service = VerificationService(Limits(queue_items=4))
        with pytest.raises(ServiceError, match="5 items"):
            await service.verify_bls(request)
        service.close()

    asyncio.run(run())


# Blobs -------------------------------------------------------------------------------------------------------


def test_blobs_are_refused_without_a_setup() -> None:
    error = refused(lambda s: s.verify_blobs(pb.VerifyBlobsRequest()))
    assert error.code is Code.UNIMPLEMENTED
    assert "service.kzg.setup" in error.message


def test_blobs(tmp_path: Path) -> None:
    path = SHARED / "kzg" / "trusted_setup.txt"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    theirs, ours = ckzg.load_trusted_setup(str(path), 0), trusted_setup(str(path))
    blob = b"".join(index.to_bytes(32, "big") for index in range(4096))
    commitment = ckzg.blob_to_kzg_commitment(blob, theirs)
    proof = ckzg.compute_blob_kzg_proof(blob, commitment, theirs)
    wrong, malformed = blob[:-1] + b"\0", b"\xff" * 32 + blob[32:]
    request = pb.VerifyBlobsRequest(
        blobs=blob + wrong + malformed, commitments=3 * commitment, proofs=3 * proof
    )
    assert ask(lambda s: s.verify_blobs(request), setup=ours) == [1, 0, -1]
    assert ask(lambda s: s.verify_blobs(pb.VerifyBlobsRequest()), setup=ours) == []
    for field in ("blobs", "commitments", "proofs"):
        bad = pb.VerifyBlobsRequest()
        bad.CopyFrom(request)
        setattr(bad, field, getattr(bad, field)[:-1])
        assert refused(lambda s, b=bad: s.verify_blobs(b), setup=ours).field == field
    assert trusted_setup("") is None
    (tmp_path / "setup").write_text("4096 65")
    with pytest.raises(BrokenFile, match="no trusted setup"):
        trusted_setup(str(tmp_path / "setup"))


# gRPC --------------------------------------------------------------------------------------------------------


def test_all_of_them_over_grpc() -> None:
    some, signed = proved(7), bls_signed(4)

    async def run() -> None:
        async with served(service=VerificationService(circuits=known())) as to:
            reply = await to.stub.VerifyGroth16(some.request(circuit="square"))
            assert reply.verdicts == bytes(some.verdicts)
            reply = await to.stub.VerifyBls(bls_request(signed))
            assert reply.verdicts == bytes(each.verdict for each in signed)
            with pytest.raises(grpc.RpcError) as caught:
                await to.stub.VerifyBlobs(pb.VerifyBlobsRequest())
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(run())
