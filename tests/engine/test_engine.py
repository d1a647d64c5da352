# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine as a whole: opened, used, closed; few instances; many engines one after the other."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import numpy as np
import psutil
import pytest
from engine_runs import begin, blocks_of, end_of
from patience import PATIENCE
from plain_transactions import Plain, batch_of

from supervm.crypto.oracle import sparse_merkle
from supervm.engine.blocks.pipeline import TimedBatch
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.errors import EngineClosed, StorageUnavailable
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads
from supervm.vm.contracts import load
from supervm.vm.errors import ContractRejected, RuntimeProblem


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


def execution_threads() -> int:
    return sum(thread.name.startswith("supervm-execute") for thread in threading.enumerate())


@pytest.mark.parametrize("schedule", ["speculation", "waves"])
@pytest.mark.parametrize(("threads", "instances"), [(1, 1), (2, 1), (2, 2), (3, 2), (2, 4)])
def test_few_instances(threads, instances, schedule):
    """Three contracts on as many threads as there are instances, or more: slower, and the same."""
    workload = blocks_of("mixed", transactions=600, accounts=60, block_size=200, declared=True)
    config = EngineConfig(threads=threads, instances=instances, schedule=schedule)
    with Engine.open(None, config) as engine:
        begin(engine, workload)
        roots = [engine.execute(block).state_root for block in workload.blocks]
    assert roots == end_of(workload)


def test_a_closed_engine_says_so():
    workload = blocks_of("transfers", transactions=4, accounts=4, block_size=4)
    with Engine.open() as engine:
        begin(engine, workload)
        code, block = load("counter"), next(workload.blocks)
        before = engine.state_root
    engine.close()
    genesis = workload.genesis
    for change in (
        lambda: engine.execute(block),
        lambda: list(engine.run([block])),
        lambda: engine.deploy(code),
        lambda: engine.credit(genesis.addresses, genesis.balances),
        lambda: engine.preset(genesis.keys, genesis.values),
        lambda: engine.create_objects(genesis.object_ids, genesis.object_owners, genesis.object_kinds),
        lambda: engine.rollback("name"),
    ):
        with pytest.raises(EngineClosed):
            change()
    assert engine.state_root == before
    assert engine.account(genesis.addresses[0].tobytes())[1] > 0


def test_a_closed_directory_is_free_again(tmp_path):
    engine = Engine.open(tmp_path)
    with pytest.raises(StorageUnavailable):
        Engine.open(tmp_path)
    engine.close()
    engine.close()
    Engine.open(tmp_path).close()


def test_an_engine_that_cannot_be_opened_leaves_nothing_behind(tmp_path, monkeypatch):
    Engine.open(tmp_path).close()
    before = execution_threads()
    with monkeypatch.context() as patch:
        patch.setattr("supervm.vm.modules.version", lambda package: "49.0.0")
        with pytest.raises(RuntimeProblem, match="49"):
            Engine.open(tmp_path, EngineConfig(threads=2))
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_redeploy", lambda engine: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            Engine.open(tmp_path, EngineConfig(threads=2))
    assert execution_threads() == before
    Engine.open(tmp_path).close()


def test_many_engines_leave_neither_threads_nor_memory():
    """Resident memory after the tenth and after the twentieth engine that has called contracts."""
    workload = blocks_of("token", transactions=40, accounts=20, block_size=40)
    process, sizes, before = psutil.Process(), {}, threading.active_count()
    for number in range(1, 21):
        with Engine.open(None, EngineConfig(threads=2)) as engine:
            begin(engine, workload)
            for block in workload.blocks:
                assert engine.execute(block).stats.failed == 0
        gc.collect()
        sizes[number] = process.memory_info().rss
    assert threading.active_count() <= before + 1, "the pool of kernels may have begun"
    assert sizes[20] - sizes[10] < 24 << 20


def test_an_engine_that_is_forgotten_ends_its_threads():
    before = execution_threads()
    engine = Engine.open(None, EngineConfig(threads=3))
    assert execution_threads() == before + 3
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("supervm-execute")]
    del engine
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE)
    assert execution_threads() == before


UNCLOSED = """
import builtins, sys, types
holder = types.ModuleType("holder")
sys.modules["holder"] = builtins.holder = holder
import numba
from supervm.engine.engine import Engine
from supervm.engine.config import EngineConfig
from supervm.vm.contracts import load
sys.path.insert(0, {support!r})
from plain_transactions import Plain, batch_of
engine = Engine.open(None, EngineConfig(threads=2))
to = engine.deploy(load("counter"))
result = engine.execute(batch_of([Plain(to=to, entry=b"increment", input=(1).to_bytes(8, "little"))]))
print(len(result.receipts))
@numba.njit
def kept(x):
    return x
kept(1)
kept.engine = holder.engine = engine
{more}
"""


@pytest.mark.parametrize("more", ["", "engine.close()", "del engine", "raise SystemExit(0)"])
def test_the_interpreter_ends_quietly(more):
    """Whatever keeps the engine alive: wasmtime-py's own destructors come too late then, and complain."""
    script = UNCLOSED.format(support=str(__file__).rsplit("/engine/", 1)[0] + "/support", more=more)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")


def test_a_refused_contract_changes_nothing():
    with Engine.open() as engine:
        before = engine.state.position
        with pytest.raises(ContractRejected):
            engine.deploy(b"\0asm\1\0\0\0")
        assert engine.state.position == before


def test_proofs_on_other_threads_while_blocks_are_executed():
    """Each proof that an account is absent belongs to one whole state, whose root is that of a block."""
    workload = blocks_of("transfers", transactions=3_000, accounts=40, block_size=60)
    roots, errors, ended = [], [], threading.Event()
    absent = b"\0" + bytes(19) + b"\1"
    with Engine.open(None, EngineConfig(threads=2)) as engine:
        begin(engine, workload)
        roots.append(engine.state_root)
        genesis = workload.genesis.addresses
        proofs: list[bytes] = []

        def prove() -> None:
            place = 0
            while not ended.is_set():
                try:
                    proofs.append(engine.prove(absent).to_bytes())
                    engine.prove(b"\0" + genesis[place % len(genesis)].tobytes())
                    engine.account(genesis[place % len(genesis)].tobytes())
                except BaseException as error:
                    errors.append(error)
                    return
                place += 1

        threads = [threading.Thread(target=prove) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            roots += [engine.execute(block).state_root for block in workload.blocks]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert not errors
    for proof in {*proofs[:8], *proofs[-8:], *proofs[:: len(proofs) // 16 + 1]}:
        assert any(sparse_merkle.verify(root, absent, None, proof) for root in roots)
    assert len(set(proofs)) > 3
    assert roots[1:] == end_of(workload)


def test_a_block_of_nothing():
    with Engine.open() as engine:
        result = engine.execute(batch_of([Plain()]).take(np.zeros(0, np.int64)))
        assert (len(result.receipts), result.height, engine.height) == (0, 1, 1)


def test_a_root_of_field_elements(tmp_path):
    """Blocks, the proof of an account, and the state as it comes back."""
    workload = blocks_of("transfers", transactions=12, accounts=6, block_size=6)
    config = EngineConfig(hash="poseidon_bn254")
    with Engine.open(tmp_path / "state", config) as engine:
        begin(engine, workload)
        roots = [engine.execute(block).state_root for block in workload.blocks]
        address = workload.genesis.addresses[0].tobytes()
        nonce, balance = engine.account(address)
        proof = engine.prove(b"\0" + address).to_bytes()
        for value, verdict in ((balance, True), (balance + 1, False)):
            account = nonce.to_bytes(8) + value.to_bytes(32)
            assert verdict == sparse_merkle.verify(roots[-1], b"\0" + address, account, proof, config.hash)
    with Engine.open(tmp_path / "state", config) as engine:
        assert engine.state_root == roots[-1]


def test_a_hash_that_is_not_there():
    with pytest.raises(ArgumentError, match="poseidon_bls12_381"):
        EngineConfig(hash="md5")


def test_blocks_that_state_their_time():
    workload = blocks_of("mixed", transactions=300, accounts=60, block_size=100)
    times = [7, 7, 1_000]
    with Engine.open() as engine, Engine.open() as other:
        begin(engine, workload)
        begin(other, workload)
        timed = [TimedBatch(block, time) for block, time in zip(workload.blocks, times, strict=True)]
        results = list(engine.run(timed))
        alone = [other.execute(block, timestamp=time) for block, time in timed]
        assert [result.timestamp for result in results] == times
        assert [result.state_root for result in results] == [result.state_root for result in alone]
        [untimed] = engine.run(list(workload.blocks)[:1])
        assert untimed.timestamp == 1_001
        for wrong in (-1, 1 << 63):
            with pytest.raises(ArgumentError, match="timestamp"):
                list(engine.run([TimedBatch(next(iter(workload.blocks)), wrong)]))


def test_many_accounts_are_what_each_is_alone():
    workload = blocks_of("transfers", transactions=300, accounts=60, block_size=150)
    with Engine.open() as engine:
        begin(engine, workload)
        first, second = workload.blocks
        engine.execute(first)
        before = engine.snapshot("before")
        seen = [engine.account(address.tobytes()) for address in workload.genesis.addresses]
        engine.execute(second)
        strangers = np.full((2, 20), 9, np.uint8)
        addresses = np.concatenate([strangers[:1], workload.genesis.addresses[::-1], strangers])
        for commit, expected in (
            (None, [engine.account(address.tobytes()) for address in addresses]),
            (before.commit, [(0, 0), *seen[::-1], (0, 0), (0, 0)]),
        ):
            nonces, balances = engine.accounts(addresses, commit)
            amounts = [int.from_bytes(balance.tobytes()) for balance in balances]
            assert list(zip(nonces.tolist(), amounts, strict=True)) == expected
        nonces, balances = engine.accounts(np.zeros((0, 20), np.uint8))
        assert (nonces.shape, balances.shape) == ((0,), (0, 32))
