# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm evm`: Ethereum's virtual machine by itself, for those who test clients and contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from supervm.engine.evm.single_call import CallOutcome, call_code
from supervm.engine.evm.state_tests import StateTestResult, run_state_tests
from supervm.engine.files.input_files import read_input
from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, told_as_broken_file
from supervm.vm.evm.forks import fork_named

MOST_BYTES = 1 << 24
"""Bytes of a file with code."""

MOST_GAS = (1 << 63) - 1

SHOWN = 20
"""Failures that are told one by one."""

ForkName = Annotated[
    str | None, typer.Option("--fork", help="A fork's name, as state tests or clients spell it.")
]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def evm() -> None:
    """Run state tests of Ethereum, or one call of a piece of its code."""


@app.command()
def statetest(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATHS", help="State-test files, or folders of them.")
    ],
    fork: ForkName = None,
    as_json: options.AsJson = False,
) -> None:
    """Run state-test files: each transaction of each fork, by the state's root and the hash of the logs.

    Exit code 1 if any of them fails.
    """
    with console.reporting(as_json):
        results = []
        with console.progress_line() as line, told_as_broken_file():
            for result in run_state_tests(paths, fork=fork):
                results.append(result)
                line.update(f"{len(results):,} state tests")
        failed = [result for result in results if not result.passed]
        if as_json:
            console.print_json([result.to_json() for result in results])
        else:
            _show_results(results, failed)
    if failed:
        raise typer.Exit(VERIFICATION_FAILED)


def _show_results(results: list[StateTestResult], failed: list[StateTestResult]) -> None:
    out = console.answers()
    for result in failed[:SHOWN]:
        out.print(
            f"[bold red]failed[/]: {console.plain(result.name)}, {result.fork} {result.index}: {console.plain(result.error)}"
        )
    if len(failed) > SHOWN:
        out.print(f"and {len(failed) - SHOWN:,} more")
    forks = sorted({fork_named(result.fork).number: result.fork for result in results}.items())
    for _, fork in forks:
        all_ = [result for result in results if result.fork == fork]
        passed = sum(result.passed for result in all_)
        out.print(f"{fork}: {passed:,} of {len(all_):,} pass")
    out.print(f"{len(results) - len(failed):,} of {len(results):,} pass")


@app.command()
def run(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE", help="Code in hexadecimal, or a file with it, as text or as bytes."),
    ],
    input: Annotated[str, typer.Option(help="What the code is called with, in hexadecimal.")] = "",
    gas: Annotated[int, typer.Option(help="Gas of the call.")] = 30_000_000,
    value: Annotated[int, typer.Option(help="Wei that come with the call.")] = 0,
    fork: ForkName = None,
    as_json: options.AsJson = False,
) -> None:
    """Call a piece of code once, in a state that has nothing else; exit code 1 if the call reverts or halts."""
    with console.reporting(as_json):
        if not 0 <= gas <= MOST_GAS:
            raise ArgumentError("gas", str(gas), f"0 to {MOST_GAS}")
        rules = None if fork is None else fork_named(fork)
        data = options.from_hex("input", input)
        with console.telling("running the code"):
            outcome = call_code(read_code(code), data, gas=gas, value=value, fork=rules)
        answer = _outcome_json(outcome)
        if as_json:
            console.print_json(answer | {"environment": environment()})
        else:
            console.print_pairs([(name, str(value)) for name, value in answer.items()])
    if not outcome.success:
        raise typer.Exit(VERIFICATION_FAILED)


def _outcome_json(outcome: CallOutcome) -> dict[str, Any]:
    logs = outcome.logs
    topics = ["0x" + row.tobytes().hex() for row in logs.topics]
    shown = []
    for place in range(len(logs.addresses)):
        first, end = logs.topic_offsets[place : place + 2].tolist()
        begin, stop = logs.data.offsets[place : place + 2].tolist()
        shown.append(
            {
                "address": "0x" + logs.addresses[place].tobytes().hex(),
                "topics": topics[first:end],
                "data": "0x" + logs.data.data[begin:stop].tobytes().hex(),
            }
        )
    return {
        "success": outcome.success,
        "output": "0x" + outcome.output.hex(),
        "gas_used": outcome.gas_used,
        "refund": outcome.refund,
        "logs": shown,
        "error": outcome.error or None,
    }


def read_code(text: str) -> bytes:
    """Code from its hexadecimal digits, or from a file that has them or the bytes themselves.

    Raises:
        ArgumentError: neither digits nor a file.
        BrokenFile: the file cannot be read.
    """
    path = Path(text)
    if not _is_file(path):
        return options.from_hex("code", text)
    with told_as_broken_file():
        content = bytes(read_input(path, MOST_BYTES))
    try:
        return bytes.fromhex(content.decode("ascii").strip().removeprefix("0x"))
    except ValueError:
        return content


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # hexadecimal digits that are too long for a name
        return False
