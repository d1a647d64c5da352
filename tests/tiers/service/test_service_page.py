# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/service.md: its example gives what it shows, and its tables are the settings and the calls there are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from served import served

from supervm.tiers import TIERS, Hardware
from supervm.tiers.service.access import Access
from supervm.tiers.service.codes import Code
from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.settings import load
from supervm.tiers.settings_keys import BYTE_UNITS, KEYS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "service.md").read_text(encoding="utf-8")


def test_the_example_gives_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    tokens, shown = (text for language, text in blocks if not language)
    (example,) = (text for language, text in blocks if language == "python")
    (tmp_path / "tokens").write_text(tokens)

    async def test() -> None:
        async with served(access=Access.of_file(tmp_path / "tokens")) as to:
            program = example.replace("127.0.0.1:50051", to.address)
            await asyncio.to_thread(exec, program, {})

    asyncio.run(test())
    assert capsys.readouterr().out == shown


def test_every_setting_stands_there_with_its_values() -> None:
    profiles = [load(Hardware(cores=1, memory=1 << 30), tier=tier.name, environment={}) for tier in TIERS]
    for key in KEYS:
        if not key.name.startswith("service."):
            continue
        (line,) = re.findall(rf"^\|.*`{re.escape(key.name)}`.*\|$", PAGE, re.MULTILINE)
        cells = [cell.strip() for cell in line.strip("|").split("|")][2:]
        cells = [cells[0] if cell == "the same" else cell for cell in cells]
        assert [_value(cell) for cell in cells] == [getattr(profile, key.attribute) for profile in profiles]
        assert not key.flag or f"`{key.flag}`" in line


def _value(cell: str) -> object:
    if match := re.fullmatch(r"(\d+) (\w+)", cell):
        return int(match[1]) * BYTE_UNITS[match[2]]
    return int(cell) if cell.isdigit() else cell


def test_every_call_and_status_stands_there() -> None:
    calls = {method.name for method in pb.DESCRIPTOR.services_by_name["Verification"].methods}
    statuses = {code.name for code in Code if code is not Code.CANCELLED}
    first = {
        name
        for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    assert calls | statuses <= first
