# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `supervm COMMAND`. A command's module is imported when the command is chosen.

Exit codes: 0 done, 1 verification failed, 2 wrong use or a broken file, 3 a problem of the machine.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable
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

PLAIN_HELP = None
"""Typer's markup of help texts: its panels cut names of options and break lines where the source does."""

UNBROKEN_HYPHEN = "\N{NON-BREAKING HYPHEN}"


_Context: Any = TyperCommand.context_class
_Formatter: Any = _Context.formatter_class


class HelpFormatter(_Formatter):
    """Wraps help texts at spaces alone: names such as `no-signatures` stay whole."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", UNBROKEN_HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **options: Any) -> None:
        whole = [(name, text.replace("-", UNBROKEN_HYPHEN)) for name, text in rows]
        super().write_dl(whole, *args, **options)

    def getvalue(self) -> str:
        return str(super().getvalue()).replace(UNBROKEN_HYPHEN, "-")


class Context(_Context):
    """The context of every command here."""

    formatter_class = HelpFormatter


class CommandTable(TyperGroup):
    """The commands of `COMMANDS`; listing them imports none."""

    context_class = Context

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = {
            name: TyperCommand(name, help=text, short_help=text, rich_markup_mode=PLAIN_HELP)
            for name, text in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Import the module of a command and make the function of the same name a command, or its `app` a group of them."""
    module = importlib.import_module(f"supervm.tiers.commands.{name}")
    application = getattr(module, "app", None)
    if application is None:
        application = typer.Typer(add_completion=False, rich_markup_mode=PLAIN_HELP)
        application.command(name)(getattr(module, name))
    command = typer.main.get_command(application)
    for each in [command, *getattr(command, "commands", {}).values()]:
        each.context_class = Context
        # A list of commands has the first paragraph of each one's help, and not its first 45 letters.
        each.short_help = " ".join((each.help or "").split("\n\n")[0].split())
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        from supervm.tiers.environment import version

        typer.echo(f"supervm {version()}")
        raise typer.Exit()


app = typer.Typer(
    cls=CommandTable,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=PLAIN_HELP,
)


@app.callback()
def supervm(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
    ),
) -> None:
    """Exact batch cryptography and block replay, from phones to GPUs.

    `supervm COMMAND --help` says what a command takes. `supervm doctor` is a good first one.
    """


def main() -> None:
    """The entry point of `supervm`."""
    try:
        app(prog_name="supervm")
    except Exception:
        # A defect of this program must not look like a failed verification, which is exit code 1.
        traceback.print_exc()
        sys.exit(ENVIRONMENT_PROBLEM)
