# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm doctor`: what the machine has, what was chosen and why, and whether every backend is right."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from supervm.engine.config import MOST_THREADS, Mode
from supervm.engine.scheduler import Scheduler
from supervm.engine.scheduler.report import RouteReport, SchedulerReport
from supervm.kernels import CACHE_FOLDER
from supervm.tiers import compose, console, inventory
from supervm.tiers.commands import options
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment, versions
from supervm.tiers.errors import ENVIRONMENT_PROBLEM, VERIFICATION_FAILED
from supervm.tiers.execution_check import ExecutionState, check_execution
from supervm.tiers.hardware import Hardware
from supervm.tiers.inventory import OperationState
from supervm.tiers.kernel_cache import KernelCache, kernel_cache
from supervm.tiers.settings import Settings
from supervm.tiers.tier import choose, reason_for


def doctor(
    every: Annotated[
        bool, typer.Option("--all", help="Test and measure every backend that can run here, in use or not.")
    ] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    as_json: options.AsJson = False,
) -> None:
    """Show hardware, tier, settings and backends, and test and measure the backends in use.

    A block is executed too. Exit code 1 if a backend or that block gives a wrong answer, 3 if an operation has
    no backend that may run, or contracts cannot run.
    """
    with console.reporting(as_json):
        hardware, settings = options.settings_of(tier, config, threads, backend, strategy=strategy)
        names = inventory.operations()
        scheduler = compose.scheduler(settings, hardware, all_cpu_backends=every)
        try:
            states = _test(settings, scheduler.report(names), every)
            executions = _execute(threads_of(settings, hardware))
            costs = _measure(scheduler, names)
        finally:
            scheduler.close()
        cache = kernel_cache(CACHE_FOLDER)
        code = _exit_code(states, executions)
        if as_json:
            console.print_json(_answer(hardware, settings, states, executions, costs, cache, code))
        else:
            out = console.answers()
            _show_machine(out, hardware, settings)
            _show_settings(out, settings)
            _show_operations(out, states)
            _show_costs(out, costs)
            _show_executions(out, executions)
            _show_verdict(out, states, executions, cache, every)
    if code:
        raise typer.Exit(code)


def _test(settings: Settings, known: SchedulerReport, every: bool) -> list[OperationState]:
    """Known answers of the backends in use, or of every one: what is not in use need not be compiled.

    In use are the backend that the settings lead to and, where they leave the choice, what the scheduler may take instead.
    """
    states = []
    with console.progress_line() as line:
        for place, operation in enumerate(known.operations):
            name, share = operation.operation, place / len(known.operations)
            line.update(f"testing {name}, {place + 1} of {len(known.operations)}", share)
            state = inventory.backend_states(name, settings.backend, settings.origins["backend"])
            used = {one.name for one in state.backends if one.chosen or every}
            if settings.backend == "auto":
                used |= {route.backend for route in operation.routes}
            states.append(inventory.tested(state, used))
    return states


def _execute(threads: int) -> list[ExecutionState]:
    with console.progress_line() as line:
        line.update("executing a known block")
        return [check_execution(mode, min(threads, MOST_THREADS)) for mode in Mode]


def _measure(scheduler: Scheduler, names: list[str]) -> SchedulerReport:
    """What operations cost on their executors, timed now unless it is known from before or there is no choice of them."""
    with console.progress_line() as line:
        for place, name in enumerate(names):
            line.update(f"measuring {name}, {place + 1} of {len(names)}", place / len(names))
            scheduler.calibrate([name])
    return scheduler.report(names)


def _exit_code(states: list[OperationState], executions: list[ExecutionState]) -> int:
    if not all(state.right for state in states) or any(one.known_answer is False for one in executions):
        return VERIFICATION_FAILED
    absent = any(state.problem for state in states) or any(one.known_answer is None for one in executions)
    return ENVIRONMENT_PROBLEM if absent else 0


def _answer(
    hardware: Hardware,
    settings: Settings,
    states: list[OperationState],
    executions: list[ExecutionState],
    costs: SchedulerReport,
    cache: KernelCache,
    code: int,
) -> dict[str, Any]:
    return {
        "ok": code == 0,
        "tier": {
            "name": settings.tier.name,
            "title": settings.tier.title,
            "origin": settings.origins["tier"],
            "reason": reason_for(choose(hardware), hardware),
            "detected": choose(hardware).name,
        },
        "threads": threads_of(settings, hardware),
        "settings": settings.to_json(),
        "ignored_variables": list(settings.ignored_variables),
        "operations": [state.to_json() for state in states],
        "execution": [one.to_json() for one in executions],
        "scheduler": costs.to_json(),
        "kernel_cache": cache.to_json(),
        "environment": environment(hardware),
    }


def _show_machine(out: Console, hardware: Hardware, settings: Settings) -> None:
    gibibyte = 1 << 30
    table = Table.grid(padding=(0, 2))
    table.add_row("processor", f"{hardware.cpu} ({hardware.architecture})")
    table.add_row("cores", f"{hardware.cores} usable, {threads_of(settings, hardware)} threads per batch")
    table.add_row("features", ", ".join(hardware.features) or "none that matter here")
    table.add_row("memory", f"{hardware.memory / gibibyte:.1f} GiB")
    table.add_row("disk", f"{hardware.disk_free / gibibyte:.1f} GiB free")
    for gpu in hardware.gpus:
        memory = f"{gpu.memory / gibibyte:.0f} GiB"
        table.add_row("GPU", f"{gpu.name}, {memory}, compute capability {gpu.compute_capability}")
    if not hardware.gpus:
        table.add_row("GPU", f"none: {hardware.gpu_reason}")
    charge = "" if hardware.battery_percent is None else f", {hardware.battery_percent} %"
    table.add_row("power", hardware.power + charge)
    detected = choose(hardware)
    reason = reason_for(detected, hardware)
    if settings.tier is not detected:
        reason = f"named by {settings.origins['tier']}; the hardware is {detected.name}, {reason}"
    table.add_row("tier", f"[bold]{settings.tier.name}[/] {settings.tier.title}: {reason}")
    out.print(table)


def _show_settings(out: Console, settings: Settings) -> None:
    table = Table("setting", "value", "from", title="Settings", title_justify="left")
    for name, row in settings.to_json().items():
        value = row["value"]
        table.add_row(name, ", ".join(value) if isinstance(value, tuple) else str(value), row["origin"])
    out.print(table)


def _show_operations(out: Console, states: list[OperationState]) -> None:
    """One row a backend; what is absent for one reason everywhere gets a line of its own below."""
    absent = Counter(
        (one.name, one.reason) for state in states for one in state.backends if not one.available
    )
    listed = Counter(one.name for state in states for one in state.backends)
    everywhere = {key for key, count in absent.items() if count == listed[key[0]] and count > 1}
    table = Table("operation", "backend", "", "why", "known answers", title="Backends", title_justify="left")
    for state in states:
        shown = [one for one in state.backends if one.available or (one.name, one.reason) not in everywhere]
        for place, backend in enumerate(shown):
            unknown = "not tested" if backend.available else ""
            outcome = {None: unknown, True: "[green]right[/]", False: "[bold red]WRONG[/] "}[
                backend.known_answers
            ]
            if backend.known_answers is False:
                outcome += console.plain(backend.detail)
            table.add_row(
                "" if place else state.name,
                backend.name,
                "chosen" if backend.chosen else "" if backend.available else "absent",
                console.plain(backend.reason),
                outcome,
            )
    out.print(table)
    for name, reason in sorted(everywhere):
        out.print(f"{name} is absent: {console.plain(reason)}")


def _show_costs(out: Console, costs: SchedulerReport) -> None:
    """One row an executor: the fitted line, and from how many items on it beats the processor's best.

    Nothing where no operation has been timed: with one executor there is nothing to compare.
    """
    if not any(route.measured for operation in costs.operations for route in operation.routes):
        return
    table = Table("operation", "executor", "µs a call", "ns an item", "cheaper", title_justify="left")
    table.title = f"Measured cost (strategy {costs.strategy})"
    for column in table.columns[2:4]:
        column.justify = "right"
    for operation in costs.operations:
        for place, route in enumerate(operation.routes):
            table.add_row(
                "" if place else operation.operation,
                console.plain(route.executor),
                "" if route.fixed is None else f"{1e6 * route.fixed:,.1f}",
                "" if route.per_item is None else f"{1e9 * route.per_item:,.0f}",
                console.plain(route.reason or _preference(place, route)),
            )
    out.print(table)


def _preference(place: int, route: RouteReport) -> str:
    if place == 0:
        return "else"
    if route.crossover is None:
        return "" if route.fixed is None else "never"
    if route.until is None:
        return f"from {route.crossover:,} items"
    if route.until == route.crossover:
        return f"at {route.until:,}"
    return f"{route.crossover:,} to {route.until:,} items"


def _show_executions(out: Console, executions: list[ExecutionState]) -> None:
    """One line a mode, and the versions of what runs contracts and keeps the state."""
    installed = versions()
    runtime = ", ".join(f"{name} {installed[name]}" for name in ("wasmtime", "rocksdict"))
    out.print(f"execution of blocks ({runtime}):")
    outcomes = {None: "[bold red]cannot run[/]", True: "[green]right[/]", False: "[bold red]WRONG[/]"}
    for one in executions:
        out.print(f"  {one.mode:<10}  {outcomes[one.known_answer]}: {console.plain(one.detail)}")


def _show_verdict(
    out: Console,
    states: list[OperationState],
    executions: list[ExecutionState],
    cache: KernelCache,
    every: bool,
) -> None:
    size = cache.size / (1 << 20)
    out.print(f"compiled kernels: {cache.specialisations}, {size:.1f} MiB in {console.plain(cache.folder)}")
    for state in states:
        if state.problem:
            out.print(f"[bold red]{state.name}[/]: {console.plain(state.problem)}")
    wrong = [state.name for state in states if not state.right]
    wrong += [f"{one.mode} execution" for one in executions if one.known_answer is False]
    if wrong:
        out.print(f"[bold red]wrong answers:[/] {', '.join(wrong)}")
    elif not _exit_code(states, executions):
        which = "every backend" if every else "every backend in use"
        out.print(f"[green]{which} gives the right answers[/]")
