# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `supervm COMMAND`. A command's module is imported when the command is chosen.

Exit codes: 0 done, 1 verification failed, 2 wrong use or a broken file, 3 a problem of the machine, 130 Ctrl-C, 141
nobody reads standard output any more.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from supervm.tiers import extras, interruption, output
from supervm.tiers.errors import (
    DONE,
    ENVIRONMENT_PROBLEM,
    NOBODY_READS,
    WRONG_USE,
    OutputLost,
    UsageError,
    exit_code,
)
from supervm.tiers.plain_text import visible

COMMANDS = {
    "doctor": "Show hardware, tier, settings and backends, and test and measure the backends in use.",
    "warmup": "Compile every kernel ahead of its first use.",
    "verify": "Verify a file of signatures, of Groth16 proofs or of blobs; or one proof.",
    "prove": "Prove with Groth16 that a circuit of circom holds, and verify the proof.",
    "setup": "Make the proving key of a circuit: from a ceremony's powers of tau, or for tests alone.",
    "replay": "Verify and replay Ethereum blocks.",
    "fetch": "Fetch blocks from a node, with the state that they run on, as folders for `supervm replay`.",
    "evm": "Run state tests of Ethereum, or one call of a piece of its code.",
    "run": "Execute a workload in blocks, in parallel and one by one, and compare.",
    "contract": "Check contracts, deploy them, call them, and pay for it.",
    "serve": "Serve verification over gRPC and HTTP until a signal stops it.",
    "node": "Run a node of this machine's tier until a signal stops it.",
    "shard": "Split a state over shards, and run blocks on all of them.",
    "wallet": "Hold notes of a shielded pool: shield, send, unshield, and look.",
    "cluster": "Start, join, show or stop a cluster: machines that compute together, on Ray.",
    "bench": "Measure operations beside the libraries that people use today.",
    "status": "Summarise this machine: tier, threads, backends, compiled kernels, versions.",
}

HOMES = {"bench": "supervm.benchmarks.bench"}
"""Modules of commands that do not stand in `commands/`; they are imported when they are chosen."""

PLAIN_HELP = None
"""Typer's markup of help texts: its panels cut names of options and break lines where the source does."""

UNBROKEN_HYPHEN = "\N{NON-BREAKING HYPHEN}"


_Context: Any = TyperCommand.context_class
_Formatter: Any = _Context.formatter_class


class HelpFormatter(_Formatter):
    """Wraps help texts at spaces alone: names such as `no-signatures` stay whole."""

    def write_text(self, text: str) -> None:
        """Wrap a paragraph at spaces: its hyphens cannot be broken until `getvalue` makes them plain again."""
        super().write_text(text.replace("-", UNBROKEN_HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **options: Any) -> None:
        """Write a table of names and texts, whose texts are wrapped as by `write_text`.

        Args:
            rows: (name, text) of each option or command.
            args, options: widths, as Click has them.
        """
        whole = [(name, text.replace("-", UNBROKEN_HYPHEN)) for name, text in rows]
        super().write_dl(whole, *args, **options)

    def getvalue(self) -> str:
        """What was written, with plain hyphens."""
        return str(super().getvalue()).replace(UNBROKEN_HYPHEN, "-")


class Context(_Context):
    """The context of every command here."""

    formatter_class = HelpFormatter


# Typer carries Click inside, or asks for the package, by version; this is the one that it raises.
_ClickError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _Process:
    """When this process began, by `time.monotonic`, if it runs one command; loading is silent since then."""

    begun: float | None = None


class CommandTable(TyperGroup):
    """The commands of `COMMANDS`; listing them imports none."""

    context_class = Context

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """As Typer's, but for how it ends: with what `carried_out` tells and returns."""
        arguments = list(sys.argv[1:] if args is None else args)
        run = super().main

        def command() -> Any:
            return run(arguments, prog_name, complete_var, False, windows_expand_args, **extra)

        if not standalone_mode:
            return command()
        sys.exit(carried_out(arguments, command))

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = {
            name: TyperCommand(name, help=text, short_help=text, rich_markup_mode=PLAIN_HELP)
            for name, text in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Click calls it for the words behind `supervm`: import the module of the command that they name.

        Returns:
            The command's name, the command, and the words behind its name.

        Raises:
            ClickException: there is no such command.
        """
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Import the module of a command and make the function of the same name a command, or its `app` a group of them."""
    from supervm.tiers import console

    with console.telling(f"loading '{name}'", _Process.begun):
        module = importlib.import_module(HOMES.get(name, f"supervm.tiers.commands.{name}"))
    if _Process.begun is not None:
        gc.freeze()  # what modules have made stays to the end: no collection looks through it, the last ones neither
        gc.enable()
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


def carried_out(arguments: Sequence[str], command: Callable[[], object]) -> int:
    """Run a command and return its exit code; however it ends, one object with `--json` and no traceback."""
    as_json = "--json" in arguments
    output.begin()
    was_dropped, stdout = output.is_dropped(), sys.stdout
    try:
        ended = command()
        output.finish()
    except (KeyboardInterrupt, typer.Abort):
        ended = interruption.INTERRUPTED
    except OutputLost as error:
        return _without_output(error)
    except ModuleNotFoundError as absent:
        lacking = extras.missing(absent, arguments[0] if arguments else None)
        if lacking is None:
            raise
        return _told(lacking, exit_code(lacking), as_json)
    except OSError as error:  # of Typer's own texts; a command tells its own
        return _without_output(OutputLost(error.errno) if error.errno == errno.EPIPE else error)
    except _ClickError as error:
        return _wrong_use(error, as_json)
    except SystemExit:
        # Typer ends with 1 when nobody reads its help any more; it, or Rich, has sent the rest of it nowhere.
        if sys.stdout is not stdout or (output.is_dropped() and not was_dropped):
            return NOBODY_READS
        raise
    if ended == interruption.INTERRUPTED or interruption.pressed():
        return _interrupted(as_json)
    return ended if isinstance(ended, int) else DONE


def _told(error: Exception, code: int, as_json: bool, context: Any = None) -> int:
    """Tell of an error, and how a command is used where its context is known; the exit code."""
    from supervm.tiers import console

    if as_json:
        try:
            console.print_json_error(error, code)
        except OutputLost as lost:
            return _without_output(lost)
    if context is not None:
        console.notes().print(console.plain(context.get_usage()))
    console.show_error(error)
    if context is not None:
        console.notes().print(f"{console.plain(context.command_path)} --help says more")
    return code


def _wrong_use(error: Any, as_json: bool) -> int:
    """Tell what is wrong with a command line, as for any other error."""
    message = error.format_message()
    if not message:  # it was help that was asked for, and has been shown
        return WRONG_USE
    return _told(UsageError(message), WRONG_USE, as_json, getattr(error, "ctx", None))


def _interrupted(as_json: bool) -> int:
    if as_json and not output.is_answered():
        # By hand: the interruption may have left half a package loaded.
        problem = {"type": KeyboardInterrupt.__name__, "message": interruption.LINE}
        with suppress(OutputLost):
            answer = {"error": problem, "exit_code": interruption.INTERRUPTED}
            output.print_plain(json.dumps(answer, indent=2) + "\n")
    interruption.tell()
    return interruption.INTERRUPTED


def _without_output(error: OutputLost | OSError) -> int:
    from supervm.tiers import console

    output.drop()
    code = exit_code(error)
    if code != NOBODY_READS:
        console.show_error(error)
    return code


def _show_version(wanted: bool) -> None:
    if wanted:
        from supervm.tiers.environment import version

        output.print_plain(f"supervm {version()}\n")
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
    """The command line, in the process of its own that `entry.main` has begun, or another one."""
    interruption.install()
    gc.disable()  # until a command is loaded
    _Process.begun = time.monotonic() - time.process_time()
    try:
        app(prog_name="supervm")
    except Exception as error:
        if interruption.pressed():  # which a library on the way has made something else of
            sys.exit(_interrupted("--json" in sys.argv))
        sys.exit(_defect(error))


def _defect(error: Exception) -> int:
    """A defect of this program must not look like a failed verification, which is exit code 1."""
    from supervm.tiers import console

    text = visible("".join(traceback.format_exception(error)), lines=True)
    with suppress(OSError):
        sys.stderr.write(text)
    if "--json" in sys.argv:
        with suppress(OutputLost):
            console.print_json_error(error, ENVIRONMENT_PROBLEM)
    return ENVIRONMENT_PROBLEM
