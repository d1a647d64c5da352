# SPDX-License-Identifier: GPL-3.0-or-later
"""The help of every command: it wraps at words, names of options stay whole, and nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import Result

from supervm.tiers.cli import COMMANDS, app, load_command


def _commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS:
        yield (name,)
        for part in getattr(load_command(name), "commands", ()):
            yield (name, part)


def _command(path: tuple[str, ...]) -> Any:
    command = load_command(path[0])
    return command.commands[path[1]] if len(path) > 1 else command


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s\[\]]+", text)


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("path", [*_commands()], ids=" ".join)
def test_help_fits(
    path: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    app([*path, "--help"], prog_name="supervm", standalone_mode=False)
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert "…" not in text
    assert re.findall(r"\w\.\.\.", text) == []
    shown = set(_words(text)) | {word.strip(".,;:") for word in _words(text)}
    if not path:
        expected = [*COMMANDS, *_words(" ".join(COMMANDS.values()))]
    else:
        command = _command(path)
        expected = _words(command.help)
        for parameter in command.params:
            expected += [*parameter.opts[-1:], *_words(getattr(parameter, "help", None) or "")]
        for part in getattr(command, "commands", {}).values():
            expected += [part.name, *_words(part.help.split("\n\n")[0])]
    missing = [word for word in expected if word not in shown and word.upper() not in shown]
    assert missing == []


def test_a_mistyped_command_is_guessed(run: Callable[..., Result]) -> None:
    result = run("verfy", "file")
    assert result.exit_code == 2
    assert "Did you mean 'verify'?" in result.stderr
