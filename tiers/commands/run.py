# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm run`: workloads executed in blocks, in parallel and one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from supervm.engine.config import EngineConfig, Mode, Schedule
from supervm.engine.workloads import Announced, Workload, write_workload
from supervm.engine.workloads.evm_calls import EVM_NAMES
from supervm.engine.workloads.private_transfers import benchmark_verifier, pool_verifier, refused_as_made
from supervm.engine.workloads.run import Difference, WorkloadRun, first_difference, run_workload, warm
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.commands import run_options as given
from supervm.tiers.commands.circuit_files import told_of_circuit_files
from supervm.tiers.commands.run_options import Modes
from supervm.tiers.compose import engine_config, scheduling
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.progress import ProgressLine
from supervm.tiers.tables import NUMBER, print_table
from supervm.tiers.workload_choice import WorkloadChoice

if TYPE_CHECKING:
    from supervm.crypto.groth16_proving_key import ProvingKey


def run(
    workload: given.Workload = None,
    transactions: given.Transactions = None,
    accounts: given.Accounts = None,
    hot_keys: given.HotKeys = None,
    hot_share: given.HotShare = None,
    block_size: given.BlockSize = None,
    seed: given.Seed = None,
    declared: given.Declared = None,
    gas_price: given.GasPrice = None,
    private_share: given.PrivateShare = None,
    key: given.ProvingKey = None,
    allow_test_key: options.AllowTestKey = False,
    blocks: given.Blocks = None,
    load: given.Load = None,
    save: given.Save = None,
    mode: given.Mode = Modes.both,
    schedule: given.ScheduleName = Schedule.AUTO,
    signatures: given.Signatures = False,
    state: given.State = None,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Execute a workload in blocks, in parallel and one by one, and compare.

    Rates count committed transactions from decoded blocks to the last committed root; kernels are compiled
    before. Exit code 1 if both modes differ in any receipt or root, if money or tokens appear or vanish, if a proof
    that was made wrong passes or another does not, or if a loaded workload comes to another state root than its file
    announces.
    """
    with console.reporting(as_json, CODES):
        hardware, settings = options.settings_of(tier, config, threads, backend, strategy=strategy)
        parameters = {
            "transactions": transactions,
            "accounts": accounts,
            "hot_keys": hot_keys,
            "hot_share": hot_share,
            "block_size": block_size,
            "seed": seed,
            "declared": declared,
            "gas_price": gas_price,
            "private_share": private_share,
        }
        if workload in EVM_NAMES:
            from supervm.tiers.commands.run_evm import run_evm_workload

            asked = {"load": load, "save": save, "blocks": blocks, "signatures": signatures, "state": state}
            asked |= {"key": key, "allow_test_key": allow_test_key}
            machine = hardware, settings
            return run_evm_workload(workload, parameters, asked, mode, machine, as_json)
        choice = WorkloadChoice(workload, load, blocks or [], parameters, signatures, key is not None)
        engine = engine_config(settings, hardware, schedule=schedule, signatures=signatures)
        with scheduling(settings, hardware):
            outcome = _run(choice, engine, mode, state, save, partial(_proving_key, key, allow_test_key))
        if as_json:
            console.print_json(outcome.to_json() | {"environment": environment(hardware)})
            _tell_problems(outcome)
        else:
            _show(outcome)
            _tell_problems(outcome)
    if not outcome.ok:
        raise typer.Exit(VERIFICATION_FAILED)


CODES = {"ForgedBlock": VERIFICATION_FAILED}


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What the runs came to; `runs` has the one whose figures are shown first, `hash` is that of their state trees, `proven`
    says whether a prover made the proofs."""

    workload: Workload
    not_executed: int | None
    runs: list[WorkloadRun]
    difference: Difference | None
    hash: str
    proven: bool

    @property
    def conserved(self) -> bool:
        return all(run.conserved for run in self.runs)

    @property
    def ok(self) -> bool:
        return self.conserved and self.difference is None and self.proofs_right and not self.broke_word

    @property
    def private(self) -> bool:
        """Whether the workload was made with proofs."""
        return self.workload.private

    @property
    def proofs_right(self) -> bool:
        """Whether exactly those proofs were refused that were made wrong."""
        made = self.workload.transactions, self.workload.parameters
        reasons = [np.concatenate([result.receipts.reason for result in run.results]) for run in self.runs]
        return not self.private or all(refused_as_made(*made, each) for each in reasons)

    @property
    def broke_word(self) -> bool:
        """Whether another root came out than the workload's file announces."""
        told = self.workload.announced
        return told is not None and any(told.differs(run.state_root, self.hash) for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        first = self.runs[0]
        rates = {run.mode: run.rate for run in self.runs}
        answer = {
            "workload": self.workload.name,
            "transactions": len(self.workload.transactions),
            "committed": first.committed,
            "rejected": first.rejected,
            "failed": first.failed,
            "threads": first.threads,
            "tps": first.rate,
            "sequential_tps": rates.get(Mode.SEQUENTIAL),
            "equal": self.difference is None if len(self.runs) > 1 else None,
            "conserved": self.conserved,
            "state_root": first.state_root.hex(),
            "announced_root": told.state_root.hex() if (told := self.workload.announced) else None,
            "gas_total": first.gas,
            "conflict_rate": first.conflict_rate,
            "stages": first.stages,
        }
        if self.private:
            proofs = "proven" if self.proven else "simulated"
            answer |= {"private": first.private, "refused_proofs": first.refused_proofs, "proofs": proofs}
        return answer if self.not_executed is None else answer | {"not_executed": self.not_executed}


def _run(
    choice: WorkloadChoice,
    config: EngineConfig,
    mode: Modes,
    state: Path | None,
    save: Path | None,
    proving_key: Callable[[ProgressLine, str], ProvingKey | None],
) -> _Outcome:
    modes = list(Mode) if mode is Modes.both else [Mode(mode.value)]
    with console.progress_line() as line:

        def progress(doing: str, done: int, total: int) -> None:
            line.update(doing, done / total if total else None)

        choice.check()
        key = proving_key(line, config.backend)
        workload, not_executed = choice.make(progress, key)
        if not len(workload.transactions):
            # Two runs of nothing agree, and nothing is shown by that.
            raise ArgumentError("workload", "no transaction in it", "at least one that is executed")
        if save is not None:
            write_workload(save, workload)  # what a broken run can be repeated with
        if workload.private:
            config = replace(config, verifier=benchmark_verifier(config.backend))
        progress("compiling kernels", 0, 0)
        warm(config, signed=config.signatures)
        if key is not None:
            config = replace(config, verifier=pool_verifier(key.verification, config.backend))
        runs = []
        for place, each in enumerate(modes):
            path = state if place == 0 else None
            # One by one is what one thread does: the comparison is with a single one, for hashes too.
            chosen = replace(config, mode=each, threads=1 if each is Mode.SEQUENTIAL else config.threads)
            runs.append(run_workload(workload, chosen, path=path, progress=_blocks(progress, each)))
    difference = first_difference(*runs) if len(runs) > 1 else None
    outcome = _Outcome(workload, not_executed, runs, difference, config.hash, key is not None)
    if save is not None and outcome.ok:
        announced = Announced(len(workload), config.hash, runs[0].state_root)
        write_workload(save, replace(workload, announced=announced))
    return outcome


def _proving_key(
    path: Path | None, allow_test_key: bool, line: ProgressLine, backend: str
) -> ProvingKey | None:
    """The key of the pools' circuit in a file; None without one."""
    if path is None:
        return None
    from supervm.crypto.groth16_proving_key import load_zkey
    from supervm.engine.privacy.pool_proofs import require_key

    line.update("reading the key")
    with told_of_circuit_files():
        key = load_zkey(path, allow_test_only=allow_test_key, backend=backend, progress=line.update)
    require_key(key)
    return key


def _blocks(progress: Callable[[str, int, int], None], mode: Mode) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        progress(f"executing blocks, {mode.value}, {done:,} of {total:,}", done, total)

    return tell


def _show(outcome: _Outcome) -> None:
    runs, first = outcome.runs, outcome.runs[0]
    rows: dict[str, Callable[[WorkloadRun], str]] = {
        "threads": lambda run: str(run.threads),
        "committed": lambda run: f"{run.committed:,}",
        "failed": lambda run: f"{run.failed:,}",
        "rejected": lambda run: f"{run.rejected:,}",
        "seconds": lambda run: f"{run.seconds:.3f}",
        "transactions/s": lambda run: f"{run.rate:,.0f}",
    }
    if outcome.private:
        rows["private"] = lambda run: f"{run.private:,}"
        rows["refused proofs"] = lambda run: f"{run.refused_proofs:,}"
    columns = ["", *(NUMBER + run.mode.value for run in runs)]
    print_table(columns, [[name, *map(cell, runs)] for name, cell in rows.items()])
    workload, total = outcome.workload, len(outcome.workload.transactions)
    left = "" if outcome.not_executed is None else f"; {outcome.not_executed:,} others not executed"
    stages = ", ".join(f"{name} {1e3 * seconds:,.1f}" for name, seconds in first.stages.items())
    console.print_pairs(
        [
            (
                "workload",
                f"{workload.name}: {total:,} transactions in {len(workload):,} blocks{left}",
            ),
            ("state root", first.state_root.hex()),
            ("gas", f"{first.gas:,}"),
            ("conflict rate", f"{first.conflict_rate:.2%}"),
            ("stages", f"{stages or 'none'} (milliseconds, {first.mode.value})"),
        ]
    )
    if outcome.ok:
        equal = "both modes give the same receipts and roots; " if len(outcome.runs) > 1 else ""
        equal += "exactly the wrong proofs refused; " if outcome.private else ""
        told = "the announced root; " if outcome.workload.announced else ""
        console.answers().print(f"[green]ok: {equal}{told}no money made or lost[/]")


def _tell_problems(outcome: _Outcome) -> None:
    if outcome.difference is not None:
        console.notes().print(f"[bold red]the modes differ:[/] {console.plain(str(outcome.difference))}")
    if (told := outcome.workload.announced) and outcome.broke_word:
        console.notes().print(
            f"[bold red]another state root than announced:[/] found {outcome.runs[0].state_root.hex()}, "
            f"expected {told.state_root.hex()} after {told.blocks:,} blocks, as the workload's file says"
        )
    if not outcome.proofs_right:
        console.notes().print("[bold red]a wrong proof passed, or a right one was refused[/]")
    for run in outcome.runs:
        if not run.conserved:
            console.notes().print(f"[bold red]money or tokens appeared or vanished[/] ({run.mode.value})")
