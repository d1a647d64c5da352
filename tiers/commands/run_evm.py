# SPDX-License-Identifier: GPL-3.0-or-later
"""What `supervm run` does with workloads of EVM transactions; loaded where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from supervm.engine.workloads.evm_calls import generate_evm
from supervm.engine.workloads.evm_run import EvmRun, run_evm
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads
from supervm.tiers import console
from supervm.tiers.commands.run_options import Modes
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED
from supervm.tiers.hardware import Hardware
from supervm.tiers.settings import Settings

WARM = Parameters(transactions=64, accounts=16, block_size=64)
"""Enough to compile everything that the workloads use."""


def run_evm_workload(
    name: str,
    parameters: Mapping[str, Any],
    others: Mapping[str, object],
    mode: Modes,
    machine: tuple[Hardware, Settings],
    as_json: bool,
) -> None:
    """Execute a workload of EVM transactions, tell what came out, and end with 1 where something is wrong.

    Args:
        name: of the workload.
        parameters: of `Parameters`, as far as they were given: None counts as not given.
        others: other options of the command line that were given, by name; a false one counts as not given.
        mode: `both`, or `sequential`.
        machine: the hardware and the settings.
        as_json: whether the answer is JSON.

    Raises:
        ArgumentError: an option that is not of these workloads.
    """
    refused = [option for option, value in others.items() if value]
    if refused:
        raise ArgumentError(
            refused[0], f"an option with workload {name}", "none: EVM workloads have none of it"
        )
    if mode is Modes.parallel:
        raise ArgumentError(
            "mode", mode.value, "both or sequential: parallel execution is always compared here"
        )
    hardware, settings = machine
    count = 1 if mode is Modes.sequential else max(2, threads_of(settings, hardware))
    given = {key: value for key, value in parameters.items() if value is not None}
    set_threads(threads_of(settings, hardware))
    with console.progress_line() as line:
        line.update(f"generating {name}")
        workload = generate_evm(name, Parameters(**given))
        line.update("compiling kernels")
        run_evm(generate_evm(name, WARM), threads=count)

        def progress(done: int, total: int) -> None:
            line.update(f"executing blocks, {done:,} of {total:,}", done / total)

        run = run_evm(workload, threads=count, progress=progress)
    if as_json:
        console.print_json(_json(name, run) | {"environment": environment(hardware)})
    else:
        _show(name, len(workload), run)
    if not run.conserved or run.equal is False:
        console.notes().print("[bold red]the modes differ, or money appeared or vanished[/]")
        raise typer.Exit(VERIFICATION_FAILED)


def _json(name: str, run: EvmRun) -> dict[str, Any]:
    seconds = run.sequential_seconds if run.parallel_seconds is None else run.parallel_seconds
    return {
        "workload": name,
        "transactions": run.transactions,
        "committed": run.transactions,
        "rejected": 0,
        "failed": run.failed,
        "threads": run.threads,
        "tps": _rate(run.transactions, seconds),
        "sequential_tps": _rate(run.transactions, run.sequential_seconds),
        "gas_per_second": _rate(run.gas, seconds),
        "sequential_gas_per_second": _rate(run.gas, run.sequential_seconds),
        "equal": run.equal,
        "conserved": run.conserved,
        "state_root": run.state_root.hex(),
        "gas_total": run.gas,
        "conflict_rate": run.repeated / run.transactions if run.transactions else 0.0,
    }


def _show(name: str, blocks: int, run: EvmRun) -> None:
    pairs = [
        ("workload", f"{name}: {run.transactions:,} transactions in {blocks:,} blocks"),
        ("state root", run.state_root.hex()),
        ("gas", f"{run.gas:,}, {run.failed:,} transactions failed"),
        ("one by one", _speed(run, run.sequential_seconds)),
    ]
    if run.parallel_seconds is not None:
        pairs.append((f"{run.threads} threads", _speed(run, run.parallel_seconds)))
        pairs.append(("executed again", f"{run.repeated:,}"))
    console.print_pairs(pairs)
    if run.conserved and run.equal is not False:
        equal = "both modes give the same receipts; " if run.equal else ""
        console.answers().print(f"[green]ok: {equal}no money made or lost[/]")


def _speed(run: EvmRun, seconds: float) -> str:
    transactions, gas = _rate(run.transactions, seconds), _rate(run.gas, seconds)
    return f"{seconds:.3f} s, {transactions:,.0f} transactions/s, {gas / 1e6:,.1f} Mgas/s"


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0
