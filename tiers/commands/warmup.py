# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm warmup`: compile ahead what the other commands would compile at their first use."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from supervm.engine.config import EngineConfig, Schedule
from supervm.engine.replay import warm as warm_replay
from supervm.engine.workload_run import warm as warm_execution
from supervm.kernels import CACHE_FOLDER
from supervm.tiers import console, inventory
from supervm.tiers.commands import options
from supervm.tiers.compose import engine_config
from supervm.tiers.environment import environment
from supervm.tiers.kernel_cache import kernel_cache
from supervm.tiers.known_answers import warm
from supervm.tiers.settings import Settings
from supervm.tiers.tables import print_table

REPLAY, EXECUTION = "replay", "execution"
"""What is warmed beside operations."""


def warmup(
    every: Annotated[
        bool, typer.Option("--all", help="Every backend that can run here, not only the chosen ones.")
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
        warmed = _warm(_backends(settings, every), engine_config(settings, hardware))
        seconds = time.perf_counter() - begun
        cache = kernel_cache(CACHE_FOLDER)
        if as_json:
            console.print_json(
                {
                    "warmed": warmed,
                    "seconds": seconds,
                    "kernel_cache": cache.to_json(),
                    "environment": environment(hardware),
                }
            )
            return
        _show(warmed)
        out = console.answers()
        out.print(f"{len(warmed)} ready after {seconds:.1f} s, kept in {console.plain(cache.folder)}")


def _show(warmed: list[dict[str, Any]]) -> None:
    """One row a backend, with what was warmed of it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in warmed:
        groups.setdefault(row["backend"], []).append(row)
    rows = [
        (
            backend,
            inventory.condensed([row["operation"] for row in group]),
            f"{sum(row['seconds'] for row in group):.2f}",
        )
        for backend, group in groups.items()
    ]
    print_table(("backend", "operations", "#seconds"), rows)


def _backends(settings: Settings, every: bool) -> list[tuple[str, str]]:
    """(operation, backend) to warm; the last ones are what `replay` and the engine need beside operations."""
    chosen: list[tuple[str, str]] = []
    for name in inventory.operations():
        state = inventory.backend_states(name, settings.backend, settings.origins["backend"])
        chosen += [(name, one.name) for one in state.backends if one.chosen or (every and one.available)]
    return [*chosen, (REPLAY, settings.backend), (EXECUTION, "cpu")]


def _warm(backends: list[tuple[str, str]], config: EngineConfig) -> list[dict[str, Any]]:
    warmed = []
    with console.progress_line() as line:
        for place, (operation, backend) in enumerate(backends):
            line.update(f"{operation} ({backend}), {place + 1} of {len(backends)}", place / len(backends))
            begun = time.perf_counter()
            if operation == REPLAY:
                warm_replay(backend)
            elif operation == EXECUTION:
                warm_execution(replace(config, schedule=Schedule.WAVES))
            else:
                warm(operation, backend)
            seconds = time.perf_counter() - begun
            warmed.append({"operation": operation, "backend": backend, "seconds": seconds})
    return warmed
