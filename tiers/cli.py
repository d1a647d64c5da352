# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `supervm COMMAND`. A command's module is imported when the command is chosen.

Exit codes: 0 done, 1 verification failed, 2 wrong use or a broken file, 3 a problem of the machine.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from supervm.tiers.errors import ENVIRONMENT_PROBLEM

COMMANDS = {
    "doctor": "Show hardware, tier, settings and backends, and test and measure the backends in use.",
    "warmup": "Compile every kernel ahead of its first use.",
    "verify": "Verify a file of signatures: JSON Lines, Parquet or Arrow.",
    "replay": "Verify and replay Ethereum blocks.",
    "run": "Execute a workload in blocks, in parallel and one by one, and compare.",
    "contract": "Check contracts, deploy them, call them, and pay for it.",
    "serve": "Serve verification over gRPC and HTTP until a signal stops it.",
    "node": "Run a node of this machine's tier until a signal stops it.",
    "bench": "Measure operations beside the libraries that people use today.",
    "status": "Summarise this machine: tier, threads, backends, compiled kernels, versions.",
}


class _Process:
    """When this process began, by `time.monotonic`, if it runs one command; loading is silent since then."""

    begun: float | None = None


class CommandTable(TyperGroup):
    """The commands of `COMMANDS`; listing them imports none."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Import the module of a command and make the function of the same name a command, or its `app` a group of them."""
    from supervm.tiers import console

    with console.telling(f"loading '{name}'", _Process.begun):
        module = importlib.import_module(f"supervm.tiers.commands.{name}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    single = typer.Typer(add_completion=False)
    single.command(name)(getattr(module, name))
    return typer.main.get_command(single)


def _show_version(wanted: bool) -> None:
    if wanted:
        from supervm.tiers.environment import version

        typer.echo(f"supervm {version()}")
        raise typer.Exit()


app = typer.Typer(
    cls=CommandTable, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def supervm(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
    ),
) -> None:
    """Exact batch cryptography and block replay, from phones to GPUs."""


def main() -> None:
    """The entry point of `supervm`."""
    _Process.begun = time.monotonic() - time.process_time()
    try:
        app(prog_name="supervm")
    except Exception:
        # A defect of this program must not look like a failed verification, which is exit code 1.
        traceback.print_exc()
        sys.exit(ENVIRONMENT_PROBLEM)
