# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm doctor`: what the machine has, what was chosen and why, and whether every backend is right."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from supervm.engine.config import MOST_THREADS, Mode
from supervm.engine.scheduler import Scheduler
from supervm.engine.scheduler.report import OperationReport, RouteReport, SchedulerReport
from supervm.kernels import CACHE_FOLDER
from supervm.tiers import compose, console, inventory
from supervm.tiers.commands import options
from supervm.tiers.compiling import KernelCache, kernel_cache
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment, versions
from supervm.tiers.errors import ENVIRONMENT_PROBLEM, VERIFICATION_FAILED
from supervm.tiers.hardware import Hardware
from supervm.tiers.inventory import BackendState, OperationState
from supervm.tiers.known_answers import ExecutionState, check_execution
from supervm.tiers.plain_text import visible
from supervm.tiers.settings import Settings
from supervm.tiers.tables import print_table
from supervm.tiers.tier import choose, reason_for

MOST_NAMES = 3
"""Operations that a row names; of more it says how many they are."""


def doctor(
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show every setting; test and measure every backend that can run here, in use or not.",
        ),
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
            _show_machine(hardware, settings)
            _show_settings(out, settings, every)
            _show_operations(states)
            _show_costs(out, costs, every)
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


def _show_machine(hardware: Hardware, settings: Settings) -> None:
    gibibyte = 1 << 30
    pairs: list[tuple[str, str | Text]] = [
        ("processor", f"{hardware.cpu} ({hardware.architecture})"),
        ("cores", f"{hardware.cores} usable, {threads_of(settings, hardware)} threads per batch"),
        ("features", ", ".join(hardware.features) or "none that matter here"),
        ("memory", f"{hardware.memory / gibibyte:.1f} GiB"),
        ("disk", f"{hardware.disk_free / gibibyte:.1f} GiB free"),
    ]
    for gpu in hardware.gpus:
        memory = f"{gpu.memory / gibibyte:.0f} GiB"
        pairs.append(("GPU", f"{gpu.name}, {memory}, compute capability {gpu.compute_capability}"))
    if not hardware.gpus:
        pairs.append(("GPU", f"none: {hardware.gpu_reason}"))
    charge = "" if hardware.battery_percent is None else f", {hardware.battery_percent} %"
    pairs.append(("power", hardware.power + charge))
    detected = choose(hardware)
    reason = reason_for(detected, hardware)
    if settings.tier is not detected:
        reason = f"named by {settings.origins['tier']}; the hardware is {detected.name}, {reason}"
    tier = Text.assemble((settings.tier.name, "bold"), f" {settings.tier.title}: {visible(reason)}")
    pairs.append(("tier", tier))
    console.print_pairs(pairs)


def _show_settings(out: Console, settings: Settings, every: bool) -> None:
    """Those that somebody set, or every one; the machine's tier and its profile are the defaults."""
    rows, found = [], settings.to_json()
    defaults = ("hardware", f"profile {settings.tier.profile}")
    for name, row in found.items():
        value = row["value"]
        if every or row["origin"] not in defaults:
            shown = ", ".join(value) if isinstance(value, tuple) else str(value)
            rows.append((name, console.plain(shown), console.plain(row["origin"])))
    if rows:
        print_table(("setting", "value", "from"), rows, title="Settings")
    if not every:
        which = f"{len(found) - len(rows)} other" if rows else f"all {len(found)}"
        out.print(f"{which} settings come from hardware and {defaults[1]}; --all and --json show them")


def _show_operations(states: list[OperationState]) -> None:
    """One row for the operations that share backend, reason and outcome; then which operations each backend runs."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    running: dict[str, list[str]] = {}
    for state in states:
        for backend in state.backends:
            choice = "chosen: " if backend.chosen else "" if backend.available else "absent: "
            row = (backend.name, choice + console.plain(backend.reason), _outcome(backend))
            groups.setdefault(row, []).append(state.name)
            if backend.chosen:
                running.setdefault(backend.name, []).append(state.name)
    rows = [(*row, _counted(names, len(states))) for row, names in groups.items()]
    print_table(("backend", "why", "known answers", "operations"), rows, title="Backends")
    console.print_pairs((name, inventory.condensed(names)) for name, names in running.items())


def _outcome(backend: BackendState) -> str:
    if backend.known_answers is None:
        return "not tested" if backend.available else ""
    return (
        "[green]right[/]" if backend.known_answers else f"[bold red]WRONG[/] {console.plain(backend.detail)}"
    )


def _counted(names: list[str], every: int) -> str:
    """The names where there are few, else how many."""
    if len(names) <= MOST_NAMES:
        return inventory.condensed(names)
    return f"all {every:,}" if len(names) == every else f"{len(names):,} of {every:,}"


def _show_costs(out: Console, costs: SchedulerReport, every: bool) -> None:
    """From how many items on each executor beats the processor's best, and with `every` the fitted line of each operation.

    Nothing of operations that were not timed: with one executor there is nothing to compare.
    """
    timed = [one for one in costs.operations if any(route.measured for route in one.routes)]
    if not timed:
        return
    title = f"Measured cost (strategy {costs.strategy})"
    if not every:
        out.print(f"[bold]{title}[/], with --all that of every operation")
        console.print_pairs(_gains(timed))
        return
    rows = [
        (
            "" if place else operation.operation,
            console.plain(route.executor),
            "" if route.fixed is None else f"{1e6 * route.fixed:,.1f}",
            "" if route.per_item is None else f"{1e9 * route.per_item:,.0f}",
            console.plain(route.reason or _preference(place, route)),
        )
        for operation in timed
        for place, route in enumerate(operation.routes)
    ]
    print_table(("operation", "executor", "#µs a call", "#ns an item", "cheaper"), rows, title=title)
    if len(timed) < len(costs.operations):
        out.print(
            f"{len(costs.operations) - len(timed)} other operations have one executor and were not timed"
        )


def _gains(timed: list[OperationReport]) -> list[tuple[str, str]]:
    """Each executor but the processor's best one, and for which operations it is cheaper from how many items on."""
    starts: dict[str, list[int]] = {}
    others: dict[str, dict[str, list[str]]] = {}
    for operation in timed:
        for place, route in enumerate(operation.routes[1:], 1):
            starts.setdefault(route.executor, [])
            if route.crossover is not None and not route.reason:
                starts[route.executor].append(route.crossover)
            else:
                why = route.reason or _preference(place, route) or "not timed"
                others.setdefault(route.executor, {}).setdefault(why, []).append(operation.operation)
    pairs = []
    for executor, found in starts.items():
        parts = []
        if found:
            first = f"{min(found):,}" if min(found) == max(found) else f"{min(found):,} to {max(found):,}"
            parts.append(f"cheaper from {first} items on for {len(found):,} of {len(timed):,} operations")
        for why, names in others.get(executor, {}).items():
            parts.append(f"{why}: {inventory.condensed(names)}")
        pairs.append((executor, "; ".join(parts)))
    return pairs


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
    outcomes = {None: ("cannot run", "bold red"), True: ("right", "green"), False: ("WRONG", "bold red")}
    console.print_pairs(
        (f"  {one.mode}", Text.assemble(outcomes[one.known_answer], f": {visible(one.detail)}"))
        for one in executions
    )


def _show_verdict(
    out: Console,
    states: list[OperationState],
    executions: list[ExecutionState],
    cache: KernelCache,
    every: bool,
) -> None:
    size = cache.size / (1 << 20)
    out.print(f"compiled kernels: {cache.specialisations}, {size:.1f} MiB in {console.plain(cache.folder)}")
    problems: dict[str, list[str]] = {}
    for state in states:
        if state.problem:
            problems.setdefault(state.problem, []).append(state.name)
    for problem, names in problems.items():
        which = _counted(names, len(states)) + (" operations" if len(names) > MOST_NAMES else "")
        out.print(f"[bold red]{which}[/]: {console.plain(problem)}")
    failed = [state.name for state in states if not state.right]
    wrong = [inventory.condensed(failed)] if failed else []
    wrong += [f"{one.mode} execution" for one in executions if one.known_answer is False]
    if wrong:
        out.print(f"[bold red]wrong answers:[/] {', '.join(wrong)}")
    elif not _exit_code(states, executions):
        which = "every backend" if every else "every backend in use"
        out.print(f"[green]{which} gives the right answers[/]")
