# SPDX-License-Identifier: GPL-3.0-or-later
"""Private transactions on nodes: a folder of keys, submissions over the RPC, blocks, and what nodes without circuits say."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import process
from engine_adapter import batch_of
from judge import Tx
from judge.transaction import encode
from node_chains import opened, write_genesis
from pairing_requests import key_text, setup
from patience import PATIENCE
from served_nodes import start_node

from supervm.crypto import curves
from supervm.engine.blocks.receipts import Path as Way
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.work_classes import Work
from supervm.engine.workloads import Genesis, Parameters, Workload
from supervm.engine.workloads.private_transfers import benchmark_key
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.threads import set_threads
from supervm.tiers import TIERS, Hardware
from supervm.tiers.errors import BrokenFile, SettingError
from supervm.tiers.node import circuits
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.blocks import chain_of, write_block
from supervm.tiers.node.circuits import circuits_of
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.submission import IN_BLOCK, MOST_PRIVATE, REFUSED, WAITING, Submission, request_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.settings import load
from supervm.vm.outcomes import Reason

PAY, SEED = "pay_v1", 7
RICH, POOR, TO = b"\xa1" * 20, b"\xa2" * 20, b"\xb0" * 20
GAS = 200_000
L3 = next(tier for tier in TIERS if tier.name == "L3")


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys as snarkjs writes them, on both curves."""
    found = tmp_path_factory.mktemp("circuits")
    (found / f"{PAY}.json").write_text(key_text("bn254", 3, SEED))
    (found / "vote_v1.json").write_text(key_text("bls12_381", 2, SEED))
    (found / "README.txt").write_text("no key")
    return found


def settings_of(folder: Path | str, **more: str) -> Any:
    variables = {"SUPERVM_NODE_GROTH16_KEYS": str(folder)} | more
    return load(Hardware(cores=2, memory=8 * 10**9), tier="L2", environment=variables)


def field(circuit: str, proof: bytes, inputs: Sequence[int]) -> bytes:
    head = b"\x01" + bytes([len(circuit)]) + circuit.encode() + len(proof).to_bytes(2)
    return head + proof + b"".join(number.to_bytes(32) for number in inputs)


def transfer(nonce: int, sender: bytes = RICH, **fields: Any) -> Tx:
    given: dict[str, Any] = {"value": 5, "gas_limit": GAS, "gas_price": 1, "private": True, **fields}
    return Tx(sender, nonce, TO, **given)


def proven(tx: Tx, circuit: str = PAY) -> Tx:
    curve, inputs, form = {
        PAY: ("bn254", 3, "arkworks_compressed"),
        "vote_v1": ("bls12_381", 2, "zcash_compressed"),
    }[circuit]
    made = setup(curve, inputs, SEED)
    binding = int.from_bytes(proof_bindings(batch_of([tx]))[0].tobytes())
    stated = [binding, *made.statement()[1:]]
    groups = (made.groups.g1, made.groups.g2, made.groups.g1)
    points = made.points([made.scalars(stated)])
    parts = [group.to_bytes(each, form) for group, each in zip(groups, points, strict=True)]
    return replace(tx, proof=field(circuit, np.concatenate(parts, axis=1).tobytes(), stated[1:]))


def genesis() -> Workload:
    nothing = batch_of([])
    addresses = np.frombuffer(RICH + POOR, np.uint8).reshape(2, 20)
    balances = np.frombuffer((10**9).to_bytes(32) + (10**5).to_bytes(32), np.uint8).reshape(2, 32)
    return Workload("genesis", Parameters(), Genesis(addresses, balances), nothing, np.zeros(1, np.int64))


def cases() -> list[tuple[str, Tx, Reason]]:
    """What is submitted alone, and what of it is said."""
    good = proven(transfer(0))
    at = len(field(PAY, b"", []))
    bare = good.proof[at : at + 128]
    return [
        ("valid", good, Reason.NONE),
        ("valid on the other curve", proven(transfer(0), "vote_v1"), Reason.NONE),
        ("of another transaction", replace(good, value=6), Reason.BAD_PROOF),
        ("another circuit", replace(good, proof=field("pay_v2", bare, [1, 2])), Reason.MALFORMED_PROOF),
        (
            "a circuit without a key",
            replace(good, proof=field("ringct_v1", bare, [1, 2])),
            Reason.MALFORMED_PROOF,
        ),
        ("an input too few", replace(good, proof=good.proof[:-32]), Reason.MALFORMED_PROOF),
        ("no point", replace(good, proof=field(PAY, b"\xff" * 128, [1, 2])), Reason.MALFORMED_PROOF),
        ("nothing", replace(good, proof=b""), Reason.MALFORMED_PROOF),
        ("too little gas, and no point", transfer(0, gas_limit=9_000, proof=b"x"), Reason.GAS_LIMIT_TOO_LOW),
        ("another chain", replace(good, chain_id=2), Reason.WRONG_CHAIN),
        ("poor, and no proof", transfer(0, POOR, proof=b""), Reason.INSUFFICIENT_BALANCE),
    ]


def submitted(to: Any, txs: Sequence[Tx]) -> pb.SubmitTransactionsReply:
    return to.submit_transactions(request_of([encode(tx) for tx in txs]))


def said(reply: pb.SubmitTransactionsReply) -> list[int]:
    return list(reply.reasons)


# One node ----------------------------------------------------------------------------------------------------


def test_a_node_with_circuits_takes_what_is_proved(run: Any, folder: Path, tmp_path: Path) -> None:
    """The command, over its RPC: submissions, a packed block, its receipts, metrics; then without circuits."""
    config, file = tmp_path / "node.toml", tmp_path / "genesis.work"
    config.write_text("[node.pack]\ntransactions = 10\nseconds = 0\n")
    credits = [f"{RICH.hex()}={10**9}", f"{POOR.hex()}={10**5}"]
    run("node", "genesis", file, "--credit", credits[0], "--credit", credits[1])
    options = [
        "node",
        "--tier",
        "L2",
        "--threads",
        1,
        "--no-signatures",
        "--genesis",
        file,
        "--config",
        config,
    ]
    serving = [*options, "--state", tmp_path / "state", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    private = cases()
    with process(*serving, "--groth16-keys", folder) as (_, ready):
        assert set(ready["circuits"]) == {PAY, "vote_v1"}
        assert all(len(digest) == 64 for digest in ready["circuits"].values())
        with Upstream(ready["grpc"]) as upstream:
            for name, tx, reason in private[2:]:
                assert said(submitted(upstream, [tx])) == [reason], name
            second = proven(transfer(1), "vote_v1")
            reply = submitted(upstream, [private[0][1], second])
            assert said(reply) == [0, 0]
            deadline = time.monotonic() + PATIENCE
            while set(reply.states) != {IN_BLOCK}:
                assert time.monotonic() < deadline
                reply = submitted(upstream, [private[0][1], second])
            assert said(reply) == [0, 0]
            account = upstream.get_accounts(RICH)
            number = reply.numbers[1]
            packed = upstream.call("GetReceipts", pb.GetReceiptsRequest(number=number)).receipts
        receipts = Receipts.from_bytes(packed)
        assert receipts[len(receipts) - 1].path == Way.PRIVACY
        assert receipts[len(receipts) - 1].success
        assert list(account.nonces) == [2]
        with urllib.request.urlopen(f"http://{ready['http']}/metrics", timeout=PATIENCE) as answer:
            numbers = dict(
                line.rsplit(" ", 1)
                for line in answer.read().decode().splitlines()
                if line.startswith("vm_privacy")
            )
        assert any(float(value) >= 2 for name, value in numbers.items() if "total" in name), numbers
    with process(*serving) as (_, ready), Upstream(ready["grpc"]) as upstream:
        assert (ready["circuits"], ready["number"]) == ({}, number)
        assert said(submitted(upstream, [proven(transfer(2))])) == [Reason.NO_VERIFIER]
        assert said(submitted(upstream, [transfer(2, private=False)])) == [0]


def test_submissions_say_what_each_is(folder: Path, tmp_path: Path) -> None:
    """Each alone and all together; with a checker of signatures that is off, as a chain without them has it."""
    found = circuits_of(settings_of(folder))
    with ExitStack() as stack:
        chain = tmp_path / "chain"
        write_genesis(chain, genesis())
        config = {"verifier": found.proofs}
        node = start_node(stack, tmp_path / "node", chain, directory=False, config=config)
        service = node.service
        batch = batch_of([tx for _, tx, _ in cases()])
        reasons, _ = service._check(batch)
        assert reasons.tolist() == [reason for _, _, reason in cases()]
        for row, (name, _, reason) in enumerate(cases()):
            assert service._check(batch.slice(row, row + 1))[0].tolist() == [reason], name
        # What the block says, of each alone; a block looks at proofs before gas and balances.
        node.node.stop()
    verified = found.verifier.statistics
    assert verified.proofs > 0
    assert verified.errors == 0
    for name, tx, reason in cases()[:8]:
        with opened(tmp_path / name, chain, directory=False, config=config) as alone:
            receipts = alone.engine.execute(batch_of([tx])).receipts
            assert receipts[0].reason == reason, name


def test_a_submission_has_a_bounded_number_of_private_transactions(folder: Path) -> None:
    one = encode(transfer(0, proof=b""))
    assert len(Submission.of(request_of([one] * MOST_PRIVATE))) == MOST_PRIVATE
    public = encode(transfer(0, private=False))
    assert len(Submission.of(request_of([public] * (MOST_PRIVATE + 1)))) == MOST_PRIVATE + 1
    with pytest.raises(ArgumentError, match="257 private transactions"):
        Submission.of(request_of([one] * (MOST_PRIVATE + 1)))


def test_a_node_without_circuits_says_so_once(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Following a chain that has them: the transactions are rejected, its root is another, and the log says why."""
    made = [proven(transfer(nonce)) for nonce in range(4)]
    chain = genesis()
    chain = replace(chain, transactions=batch_of(made), block_offsets=np.array([0, 2, 4]))
    hash = write_genesis(tmp_path / "chain", chain)
    for number, data in enumerate(chain_of(chain.blocks, hash), 1):
        write_block(tmp_path / "chain", number, data)
    roots = []
    for name, verifier in (("with", circuits_of(settings_of(folder)).proofs), ("without", None)):
        caplog.clear()
        with (
            caplog.at_level(logging.WARNING),
            opened(tmp_path / name, tmp_path / "chain", config={"verifier": verifier}) as node,
        ):
            node.run(until=2)
            roots.append(node.engine.state_root)
            assert node.engine.account(RICH)[0] == (4 if verifier else 0)
        told = [record.getMessage() for record in caplog.records if "--groth16-keys" in record.getMessage()]
        assert len(told) == (0 if verifier else 1)
    assert told[0].startswith("block 1: private transactions were rejected")
    assert roots[0] != roots[1]


# An edge node ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", [True, False])
def test_an_edge_node_checks_proofs_before_it_forwards(folder: Path, tmp_path: Path, has: bool) -> None:
    chain = tmp_path / "chain"
    write_genesis(chain, genesis())
    found = circuits_of(settings_of(folder))
    with ExitStack() as stack:
        config = {"verifier": found.proofs}
        full = start_node(stack, tmp_path / "node", chain, directory=False, config=config, pack=10)
        full.node.idle = lambda: None  # nothing is packed: what is forwarded waits
        edge = EdgeService(
            full.upstream,
            TaskRouter(L3, tuple(Work)),
            AccountCache(1 << 16, 1e9),
            signatures=False,
            verifier=found.proofs if has else None,
        )
        good, wrong = proven(transfer(0)), proven(transfer(1))
        wrong = replace(wrong, value=6)
        reply = submitted(edge, [good, wrong, transfer(2, private=False)])
        if has:
            assert list(reply.states) == [WAITING, REFUSED, WAITING]
            assert said(reply) == [0, Reason.BAD_PROOF, 0]
        else:
            assert list(reply.states) == [REFUSED, REFUSED, WAITING]
            assert said(reply) == [Reason.NO_VERIFIER, Reason.NO_VERIFIER, 0]
        assert full.inbox is not None
        assert full.inbox.waiting == (2 if has else 1)


# Settings ----------------------------------------------------------------------------------------------------


def test_without_a_folder_there_is_no_verifier() -> None:
    found = circuits_of(settings_of(""))
    assert (found.proofs, found.digests) == (None, {})


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        (None, BrokenFile, "No such file"),
        ({}, BrokenFile, "no verification key in it"),
        ({"pay.json": "{}"}, BrokenFile, "pay.json: no verification key"),
        ({"pay.json": "none"}, SettingError, "'pay', whose proofs do not depend on public input 1"),
        ({"pay.json": "benchmark"}, SettingError, "the key of benchmarks, whose secrets are public"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: Any, error: type[Exception], words: str) -> None:
    where = tmp_path / "keys"
    if files is not None:
        where.mkdir()
        for name, content in files.items():
            made = {"none": lambda: key_text("bn254", 0, SEED), "benchmark": benchmark_text}
            (where / name).write_text(made.get(content, lambda content=content: content)())
    with pytest.raises(error, match=words):
        circuits_of(settings_of(where))


def benchmark_text() -> str:
    key = benchmark_key()
    groups = curves.get("bn254")
    second = groups.g2.to_snarkjs(np.stack((key.beta, key.gamma, key.delta)))
    text = {"protocol": "groth16", "curve": "bn128", "nPublic": key.inputs}
    text |= {"vk_alpha_1": groups.g1.to_snarkjs(key.alpha[None])[0], "IC": groups.g1.to_snarkjs(key.ic)}
    text |= {f"vk_{name}_2": point for name, point in zip(("beta", "gamma", "delta"), second, strict=True)}
    return json.dumps(text)


def test_errors_name_where_the_folder_was_given(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "genesis.work"
    run("node", "genesis", file)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "pay.json").write_text(key_text("bn254", 0, SEED))
    options = ["node", "--tier", "L2", "--genesis", file, "--state", tmp_path / "state", "--grpc", "off"]
    result = run(*options, "--groth16-keys", tmp_path / "keys", "--until", 0)
    assert result.exit_code == 2
    assert "flag --groth16-keys: setting 'node.groth16.keys': found 'pay'" in result.stderr
    result = run(*options, "--groth16-keys", tmp_path / "nowhere", "--until", 0)
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_a_backend_that_answers_wrongly_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = circuits.known_answers

    def wrong(operation: str, backend: str) -> Any:
        test = original(operation, backend)
        return replace(test, ok=False, detail="one is wrong") if "bls12" in operation else test

    monkeypatch.setattr(circuits, "known_answers", wrong)
    with pytest.raises(BackendUnavailable, match=r"bls12_381\.pairing\.miller_loop: one is wrong"):
        circuits_of(settings_of(folder))
