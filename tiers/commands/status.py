# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm status`: this machine in a few lines, or a running service or node, again and again."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table

from supervm.kernels import CACHE_FOLDER
from supervm.tiers import console, inventory
from supervm.tiers.commands import options
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment, versions
from supervm.tiers.kernel_cache import kernel_cache


def status(
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    watch: Annotated[
        str | None,
        typer.Option("--watch", help="Show a running service or node at this address of HTTP, until Ctrl-C."),
    ] = None,
    every: Annotated[
        float, typer.Option("--every", min=0.1, help="Seconds between two questions of --watch.")
    ] = 1.0,
    as_json: options.AsJson = False,
) -> None:
    """Summarise this machine: tier, threads, backends, compiled kernels, versions.

    With --watch, show what a running service or node does; with --json too, print that once.
    """
    with console.reporting(as_json):
        if watch is not None:
            _show_running(watch, every, as_json)
            return
        hardware, settings = options.settings_of(tier, config)
        states = [
            inventory.backend_states(name, settings.backend, settings.origins["backend"])
            for name in inventory.operations()
        ]
        cache = kernel_cache(CACHE_FOLDER)
        threads = threads_of(settings, hardware)
        if as_json:
            console.print_json(
                {
                    "tier": settings.tier.name,
                    "threads": threads,
                    "batch_items": settings.batch_items,
                    "backends": {state.name: state.chosen for state in states},
                    "kernel_cache": cache.to_json(),
                    "environment": environment(hardware),
                }
            )
            return
        by_backend: dict[str, list[str]] = {}
        for state in states:
            by_backend.setdefault(state.chosen or "none", []).append(state.name)
        table = Table.grid(padding=(0, 2))
        table.add_row("tier", f"{settings.tier.name} {settings.tier.title}")
        table.add_row("threads", str(threads))
        table.add_row("batch", f"{settings.batch_items:,} items")
        for backend, names in by_backend.items():
            table.add_row(backend, ", ".join(names))
        compiled = f"{cache.specialisations} compiled, {cache.size / (1 << 20):.1f} MiB"
        table.add_row("kernels", f"{compiled} in {console.plain(cache.folder)}")
        modules = [f"{module} {len(functions)}" for module, functions in cache.functions.items()]
        table.add_row("", ", ".join(modules))
        table.add_row("versions", ", ".join(f"{name} {number}" for name, number in versions().items()))
        console.answers().print(table)


def _show_running(address: str, every: float, as_json: bool) -> None:
    from supervm.tiers import status_view

    if as_json:
        console.print_json(msgspec.to_builtins(status_view.ask(address)))
    else:
        status_view.watch(address, every)
