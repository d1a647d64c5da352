# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/service.md: its tables are the settings and the calls there are; `tests/docs` runs its example."""

from __future__ import annotations

import re
from pathlib import Path

from supervm.tiers import TIERS, Hardware
from supervm.tiers.service.codes import Code
from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.settings import load
from supervm.tiers.settings_keys import KEYS
from supervm.tiers.settings_kinds import BYTE_UNITS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "service.md").read_text(encoding="utf-8")


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
