# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs on a GPU, which is the host twin here: the points of the formulas and of the processor, keys that stay and
go, memory, batches, and a device that is lost in the middle.
"""

from __future__ import annotations

import functools
import gc
import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import host_twin
import numpy as np
import pytest
from circom_circuits import Formulas, drawn, multiple
from fault_rows import counted, line
from host_device import HostDevice, HostStream
from simulated_groth16 import plain

from supervm.crypto import cuda_groth16, groth16_prove, groth16_setup, msm
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_witness import Witness
from supervm.crypto.cuda import MSM
from supervm.crypto.cuda_groth16 import keys_of, plan_of
from supervm.crypto.errors import UnsatisfiedWitness
from supervm.crypto.groth16_chain import chain_circuit, chain_values
from supervm.crypto.groth16_prove import load_zkey, prove, prove_batch
from supervm.crypto.groth16_proving_key import Sum
from supervm.crypto.groth16_work import ProofCall, Sums
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.engine.scheduler.metrics import FALLBACKS, MISMATCHES
from supervm.kernels import registry
from supervm.kernels.arrays import integers
from supervm.kernels.backend_trace import witness as seen
from supervm.kernels.cuda import ntt
from supervm.kernels.cuda.msm_plan import choose
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.radix_sort import digits
from supervm.kernels.errors import (
    ArgumentError,
    BackendUnavailable,
    DeviceLost,
    DeviceOutOfMemory,
)

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

CURVES = ("bn254", "bls12_381")
SECRETS = (1234567, 7654321, 13579, 24680)
TABLES = 1 << 20
"""Bytes that tables of transforms take on a device, at most."""


@pytest.fixture
def device(monkeypatch):
    """The only GPU of this process."""
    made = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((made,), ""))
    return made


@functools.cache
def made(curve, constraints):
    """A circuit, its key, and both by the formulas."""
    circuit = drawn(curve, constraints)
    with pytest.MonkeyPatch.context() as patch:
        tau, _, beta, delta = SECRETS
        patch.setattr(groth16_setup, "_drawn", lambda count, order: [tau, beta, delta])
        data = groth16_setup.make_test_key(load_r1cs(circuit.r1cs()))
    return circuit, load_zkey(data, allow_test_only=True), Formulas(circuit, tau, 1, beta, delta)


@functools.cache
def chain(curve, wires):
    return load_zkey(groth16_setup.make_test_key(chain_circuit(curve, wires)), allow_test_only=True)


def call_of(key, values, seed=1):
    """Sums of witnesses with fixed blinding."""
    blinding = np.random.default_rng(seed).integers(0, 1 << 60, (len(values), 3, 4), np.uint64)
    return ProofCall(key, values, blinding, Sums.empty(key.curve, len(values)))


def computed(call, backend):
    twin = call.twin()
    registry.run(twin, backend)
    return [each.tolist() for each in twin.result]


# The same proofs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("constraints", [1, 9])
def test_a_proof_is_that_of_the_formulas(device, monkeypatch, curve, constraints):
    circuit, key, formulas = made(curve, constraints)
    blinding = iter((987654321, 123456789))
    monkeypatch.setattr(groth16_prove, "_random_scalars", lambda count, order: [next(blinding)] * count)
    proof = prove(key, circuit.wtns(), r1cs=load_r1cs(circuit.r1cs()), backend="cuda")
    expected = formulas.proof(987654321, 123456789)
    for number, point, scalar in zip((1, 2, 1), (proof.a, proof.b, proof.c), expected, strict=True):
        assert plain(f"{curve}.g{number}", point) == multiple(curve, number, scalar)
    assert {"multiply_pieces", "ntt_pass", "gather_rows", "msm_first"} <= set(device.launches)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    ("reduction", "wires"), [("circom", 1), ("circom", 2), ("circom", 20), ("arkworks", 1), ("arkworks", 20)]
)
def test_sums_are_those_of_the_processor(device, curve, wires, reduction):
    """From the smallest circuit on. One key serves both reductions, as sums alone are not verified."""
    key = chain(curve, wires)
    if reduction == "arkworks":  # which has an H point less
        points = msm.prepare(curve, key.sum_c.table.coordinates[:-1])
        key = replace(key, reduction=reduction, sum_c=Sum(points, key.sum_c.wires))
    values = np.stack([chain_values(curve, wires, start) for start in range(3)])
    call = call_of(key, values)
    assert computed(call, "cuda") == computed(call, "auto")


def test_two_passes_and_rows_that_are_cut(device, monkeypatch):
    """Transforms of two passes come above 2^10 rows: here with digits of few bits."""
    monkeypatch.setattr(ntt, "digits", lambda log: [log // 2, log - log // 2])
    key, random = chain("bn254", 40), np.random.default_rng(5)
    rows = np.sort(np.append(np.zeros(2000, np.int64), random.integers(0, key.domain, 1000)))
    words = random.integers(0, 1 << 60, (len(rows), 4), np.uint64)
    matrix = SparseMatrix.of_entries(rows, random.integers(0, key.wires, len(rows)), words, key.domain)
    call = call_of(replace(key, a=matrix), chain_values("bn254", 40)[None])
    assert computed(call, "cuda") == computed(call, "auto")
    assert "sum_pieces" in device.launches
    assert device.launches.count("ntt_pass") == 4, "two passes there, two back, for A, B and C together"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_batches(device, count):
    key = chain("bn254", 12)
    values = [chain_values("bn254", 12, start) for start in range(count)]
    proofs = prove_batch(key, [Witness("bn254", each) for each in values], backend="cuda")
    assert [list(proof.public) for proof in proofs] == [integers(each[1:2]) for each in values]
    launched = [device.launches.count(name) for name in ("msm_keys", "msm_first", "gather_rows")]
    assert launched == ([3, 4, 3] if count else [0, 0, 0]), "once a sum, and B is sorted once"


def test_a_witness_that_does_not_satisfy_the_circuit(device):
    circuit, key, _ = made("bn254", 9)
    wrong = list(circuit.witness)
    wrong[1] = (wrong[1] + 1) % circuit.order
    with pytest.raises(UnsatisfiedWitness, match="witness 1"):
        prove_batch(key, [circuit.wtns(), circuit.wtns(wrong)], backend="cuda")


# Keys and memory ---------------------------------------------------------------------------------------------


def test_a_key_is_sent_once(device):
    circuit, key, _ = made("bn254", 9)
    again = replace(key)
    assert again.digest == key.digest != made("bn254", 1)[1].digest
    prove(key, circuit.wtns(), backend="cuda")
    sent = device.launches.count("msm_points")
    prove(again, circuit.wtns(), backend="cuda")
    assert device.launches.count("msm_points") == sent == 4
    assert len(keys_of(device)) == 1


def test_the_key_that_was_used_longest_ago_makes_room(device, monkeypatch):
    keys = [chain("bn254", wires) for wires in (3, 12, 20)]
    taken = [plan_of(key, 1 << 40).bytes for key in keys]
    room = (taken[1] + taken[2] + taken[0] / 2) / (cuda_groth16.MOST_OF_FREE * device.memory)
    monkeypatch.setattr(cuda_groth16, "KEPT_SHARE", room)
    kept = keys_of(device)
    for wanted, present in ((0, [0]), (1, [0, 1]), (0, [1, 0]), (2, [0, 2]), (1, [2, 1])):
        values = chain_values("bn254", keys[wanted].wires)[None]
        registry.run(call_of(keys[wanted], values), "cuda")
        assert list(kept._kept) == [keys[each].digest for each in present]
        assert kept.bytes == sum(taken[each] for each in present)
    gc.collect()
    assert device.taken <= kept.bytes + TABLES, "what is let go is free again, tables of transforms aside"


def test_memory_is_asked_for_before_the_work(device):
    """With what the error says a proof is made; with little less it is not, and nothing was sent."""
    key = chain("bn254", 40)
    call = call_of(key, chain_values("bn254", 40)[None])
    device.memory = 10_000
    with pytest.raises(DeviceOutOfMemory) as caught:
        computed(call, "cuda")
    assert not device.launches
    found = re.search(
        r"([\d,]+) bytes for the key .* and ([\d,]+) for a proof of 2\^6 rows", str(caught.value)
    )
    need = sum(int(each.replace(",", "")) for each in found.groups())
    device.memory = int(need / cuda_groth16.MOST_OF_FREE) - 100
    with pytest.raises(DeviceOutOfMemory):
        computed(call, "cuda")
    device.memory = int(need / cuda_groth16.MOST_OF_FREE) + 100
    assert computed(call, "cuda") == computed(call, "auto")


def test_a_batch_goes_in_pieces_that_fit(device):
    key = chain("bn254", 40)
    call = call_of(key, np.stack([chain_values("bn254", 40, start) for start in range(5)]))
    planned = plan_of(key, 1 << 40)
    device.memory = int((2 * planned.bytes + planned.working_bytes(2)) / cuda_groth16.MOST_OF_FREE)
    most, free = 0, device.free_bytes

    def watch():
        nonlocal most
        most = max(most, device.taken)
        return free()

    device.free_bytes = watch
    assert computed(call, "cuda") == computed(call, "auto")
    assert device.launches.count("msm_segments") == 4 * 3
    assert 0 < most <= planned.bytes + planned.working_bytes(2) + TABLES


# Failures, and who computes ----------------------------------------------------------------------------------


class Failing(HostDevice):
    """A device that is lost at a kernel, or that returns wrong numbers."""

    def __init__(self, lost_at="", wrong=False):
        super().__init__()
        self.lost_at, self.wrong = lost_at, wrong

    def stream(self):
        return FailingStream(self)


class FailingStream(HostStream):
    def launch(self, program, kernel, blocks, threads, *arguments):
        if kernel == self.device.lost_at:
            raise DeviceLost(self.device.name, "it fell off the bus (injected)")
        super().launch(program, kernel, blocks, threads, *arguments)

    def download(self, buffer, host, offset=0):
        super().download(buffer, host, offset)
        if self.device.wrong and host.size > 1:
            host.reshape(-1)[0] ^= 1


@contextmanager
def scheduled(device, cpu=(1.0, 0.0), gpu=(1e-6, 1e-9), strategy=Strategy.AUTO):
    """A scheduler that has measured both."""
    operation = "bn254.groth16.prove"
    models = {(operation, registry.resolve(operation).name): line(*cpu), (operation, device.name): line(*gpu)}
    settings = SchedulerSettings(strategy=strategy, calibrate=False, remember=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_search", lambda: ((device,), ""))
        with Scheduler(settings, (device,), models=models) as scheduler:
            yield scheduler


def fallbacks(scheduler, reason):
    return counted(scheduler, FALLBACKS, operation="bn254.groth16.prove", reason=reason)


@pytest.mark.fault
@pytest.mark.parametrize("kernel", ["multiply_pieces", "ntt_pass", "msm_segments"])
def test_a_device_that_is_lost_in_the_middle_loses_nothing(monkeypatch, kernel):
    circuit, key, formulas = made("bn254", 9)
    blinding = iter((5, 7))
    monkeypatch.setattr(groth16_prove, "_random_scalars", lambda count, order: [next(blinding)] * count)
    device = Failing(lost_at=kernel)
    with scheduled(device) as scheduler, seen() as trace:
        proof = prove(key, circuit.wtns(), backend="hybrid")
        assert fallbacks(scheduler, "device_lost") == 1
        assert trace.backend("bn254.groth16.prove") == registry.resolve("bn254.groth16.prove").name
    assert "gather_rows" in device.launches
    assert plain("bn254.g1", proof.c) == multiple("bn254", 1, formulas.proof(5, 7)[2])


@pytest.mark.fault
def test_a_proof_that_is_wrong_does_not_leave():
    circuit, key, _ = made("bn254", 9)
    device = Failing(wrong=True)
    with scheduled(device) as scheduler:
        prove(key, circuit.wtns(), backend="hybrid")  # which raises for a proof that is not valid
        assert counted(scheduler, MISMATCHES) == 1
        assert fallbacks(scheduler, "mismatch") == 1


@pytest.mark.fault
def test_too_little_memory_falls_back():
    circuit, key, _ = made("bn254", 9)
    device = HostDevice(memory=10_000)
    with scheduled(device) as scheduler:
        prove(key, circuit.wtns(), backend="hybrid")
        assert fallbacks(scheduler, "out_of_memory") == 1


def test_a_wrong_witness_is_not_the_devices_fault():
    circuit, key, _ = made("bn254", 9)
    wrong = list(circuit.witness)
    wrong[1] = (wrong[1] + 1) % circuit.order
    with scheduled(HostDevice()) as scheduler:
        with pytest.raises(UnsatisfiedWitness):
            prove(key, circuit.wtns(wrong), backend="hybrid")
        assert counted(scheduler, FALLBACKS) == counted(scheduler, MISMATCHES) == 0


def test_measured_costs_decide():
    """By the size of the circuit and by the number of witnesses: the GPU is cheaper from 30 values on here."""
    device = HostDevice()
    with scheduled(device, cpu=(0.0, 1e-3), gpu=(0.03, 1e-9)):
        for wires, count, gpu in ((12, 1, False), (12, 3, True), (40, 1, True)):
            given = [Witness("bn254", chain_values("bn254", wires))] * count
            for backend in ("hybrid", "auto"):
                with seen() as trace:
                    prove_batch(chain("bn254", wires), given, backend=backend)
                assert (trace.backend("bn254.groth16.prove") == "cuda") == gpu


def test_who_has_not_measured_cannot_choose(monkeypatch):
    circuit, key, _ = made("bn254", 1)
    with pytest.raises(BackendUnavailable, match=r"'hybrid'.*no scheduler"):
        prove(key, circuit.wtns(), backend="hybrid")
    with pytest.raises(ArgumentError, match="'backend'"):
        prove(key, circuit.wtns(), backend="gpu")
    monkeypatch.setattr(devices, "_search", lambda: ((), "no GPU in this test"))
    with pytest.raises(BackendUnavailable, match="no GPU in this test"):
        prove(key, circuit.wtns(), backend="cuda")
    data = groth16_setup.make_test_key(load_r1cs(circuit.r1cs()))
    with pytest.raises(BackendUnavailable, match="no GPU in this test"):
        load_zkey(data, allow_test_only=True, backend="cuda")
    assert load_zkey(data, allow_test_only=True, backend="hybrid").wires == key.wires


# What the page says ------------------------------------------------------------------------------------------

RATES = {"bn254": 60e9, "bls12_381": 27e9}
MEMORY = 0.6 * 3.35e12
PAGE = Path(__file__).resolve().parents[2] / "docs" / "prover.md"


def counts():
    """The rows of sums of the page: products, bytes, and milliseconds of an H100 for both."""
    rows = (1 << 20) + 2
    for name, group, points in (
        ("A", "g1", rows),
        ("B in G1", "g1", rows),
        ("B in G2", "g2", rows),
        ("C and H", "g1", 2 * rows - 3),
    ):
        cells = []
        for curve, rate in RATES.items():
            of = MSM[f"{curve}.{group}.msm"]
            plan = choose(of, points, cuda_groth16._MULTIPLES[0])
            products = plan.products() * (3 if group == "g2" else 1)
            passes = len(digits((1 << (plan.results * plan.buckets - 1).bit_length()) - 1))
            sorting = 0 if group == "g2" else 12 + 40 * passes
            size = plan.entries * (sorting + 12 + 4 * of.row_words)
            cells.append(
                f"{products / 1e6:.0f} M | {size / 1e9:.1f} GB | {products / rate * 1e3:.1f} + {size / MEMORY * 1e3:.1f} ms"
            )
        yield f"| sum of {name} | {' | '.join(cells)} |"


def test_the_page_says_what_is_counted():
    """If it does not, the lines that it should have are shown."""
    block = PAGE.read_text("utf-8").partition("<!-- counts -->")[2].partition("<!-- /counts -->")[0]
    assert block.strip().splitlines()[2:] == list(counts())
