# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm status`: this machine in a few lines, or a running service or node, again and again."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from supervm.kernels import CACHE_FOLDER
from supervm.tiers import console, inventory
from supervm.tiers.commands import options
from supervm.tiers.compiling import kernel_cache
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment, versions


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
        size = f"{cache.size / (1 << 20):.1f} MiB in {cache.folder}"
        console.print_pairs(
            [
                ("tier", f"{settings.tier.name} {settings.tier.title}"),
                ("threads", str(threads)),
                ("batch", f"{settings.batch_items:,} items"),
                *((backend, inventory.condensed(names)) for backend, names in by_backend.items()),
                ("kernels", f"{cache.specialisations:,} compiled of {len(cache.functions)} modules, {size}"),
                ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
            ]
        )


def _show_running(address: str, every: float, as_json: bool) -> None:
    from supervm.tiers import status_view

    if as_json:
        console.print_json(msgspec.to_builtins(status_view.ask(address)))
    else:
        status_view.watch(address, every)
