# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm warmup`: compile ahead what the other commands would compile at their first use."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any

import typer

from supervm.kernels import CACHE_FOLDER
from supervm.tiers import compose, console, inventory, limits, warming
from supervm.tiers.commands import options
from supervm.tiers.compiling import kernel_cache
from supervm.tiers.environment import environment
from supervm.tiers.hardware import Hardware
from supervm.tiers.settings import Settings
from supervm.tiers.tables import print_table


def warmup(
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every backend that can run here, not only the chosen ones, and measure which is the fastest; "
            "takes longer.",
        ),
    ] = False,
    common: Annotated[
        bool,
        typer.Option("--common", help="Only what verify, replay, run, contract, serve and node use."),
    ] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    backend: options.Backend = None,
    as_json: options.AsJson = False,
) -> None:
    """Compile every kernel ahead of its first use."""
    with console.reporting(as_json):
        hardware, settings = options.settings_of(tier, config, backend=backend)
        begun = time.perf_counter()
        with console.telling("listing kernels"):
            groups = warming.groups_of(warming.tasks(settings, every))
        if common:
            groups = [group for group in groups if group.name in warming.COMMON]
        processes = min(limits.usable_cores(), warming.MOST_PROCESSES, len(groups))
        warmed = _warm(groups, warming.job_of(tier, config, backend), processes)
        if every and settings.backend == "auto":
            _compare([task for group in groups for task in group.tasks], settings, hardware)
        seconds = time.perf_counter() - begun
        cache = kernel_cache(CACHE_FOLDER)
        if as_json:
            console.print_json(
                {
                    "warmed": [row for one in warmed for row in _rows(one)],
                    "seconds": seconds,
                    "processes": processes,
                    "kernel_cache": cache.to_json(),
                    "environment": environment(hardware),
                }
            )
            return
        _show(warmed)
        out = console.answers()
        count = sum(len(one.group.tasks) for one in warmed)
        out.print(f"{count} ready after {seconds:.1f} s, kept in {console.plain(cache.folder)}")


def _compare(tasks: list[str], settings: Settings, hardware: Hardware) -> None:
    """Time the processor's backends of these operations: all of them are compiled now, and the fastest ones are kept."""
    names = sorted(set(tasks) & set(inventory.operations()))
    with (
        console.progress_line() as line,
        closing(compose.scheduler(settings, hardware, all_cpu_backends=True)) as scheduler,
    ):
        for place, name in enumerate(names):
            line.update(f"measuring {name}, {place + 1} of {len(names)}", place / len(names))
            scheduler.calibrate([name])


def _show(warmed: list[warming.Warmed]) -> None:
    rows = [
        (one.group.name, one.group.backend, f"{len(one.group.tasks)}", f"{sum(one.seconds):.2f}")
        for one in warmed
    ]
    print_table(("kernels", "backend", "#operations", "#seconds"), rows)


def _warm(groups: list[warming.Group], job: dict[str, Any], processes: int) -> list[warming.Warmed]:
    going = warming.Going(processes or 1, list(groups))
    count = sum(len(group.tasks) for group in groups)
    console.notes().print(
        f"{count} operations in {processes} {'process' if processes == 1 else 'processes'}: about "
        f"{_duration(going.remaining)} if nothing is compiled yet, seconds if everything is"
    )
    with console.progress_line() as line:

        def tell(now: warming.Going) -> None:
            left = f", {_duration(now.remaining)} left" if now.done else ""
            doing = ", ".join(now.compiling[index] for index in sorted(now.compiling))
            compiling = f": compiling {doing}" if doing else ""
            line.update(f"{len(now.done)} of {len(groups)} ready{left}{compiling}", now.fraction)

        return warming.warm_groups(groups, job, processes, tell)


def _rows(one: warming.Warmed) -> list[dict[str, Any]]:
    return [
        {"operation": task, "backend": one.group.backend, "seconds": seconds}
        for task, seconds in zip(one.group.tasks, one.seconds, strict=True)
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
