# SPDX-License-Identifier: GPL-3.0-or-later
"""Data of the EVM's tests that lie beside the project: unpacked once a session, and a reason where they are absent."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "evm"

STATE_TESTS = ("general_state_tests", "eest_state")

SLOW = ("vmPerformance", "stQuadraticComplexityTest", "create2callPrecompiles", "loop")
"""Parts of names of tests that take seconds each; they are run with all others, and no sample has them."""

LEFT_OUT: dict[str, str] = {}
"""State tests that are not run, by name, and why."""


def needs(name: str) -> Path:
    """A file beside the project; whoever asks is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="supervm-evm-")


def unpacked(archive: str, wanted: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """The files of `archive`.tar.xz whose names are wanted, in the order of their names."""
    source = needs(f"{archive}.tar.xz")
    target = Path(_folder().name) / archive
    with tarfile.open(source) as packed:
        members = [one for one in packed.getmembers() if one.isfile() and wanted(one.name)]
        packed.extractall(target, members, filter="data")
    return sorted(target / one.name for one in members)


def sampled(share: int) -> Callable[[str], bool]:
    """Whether a name is of one in `share` files, chosen by a digest of the name; none of those that only take long."""
    return lambda name: (
        name.endswith(".json")
        and not any(slow in name for slow in SLOW)
        and hashlib.sha256(name.encode()).digest()[0] % share == 0
    )


@cache
def codes_file() -> Path:
    """The given codes, unpacked."""
    target = Path(_folder().name) / "codes.bin"
    target.write_bytes(lzma.decompress(needs("pevm_codes_give.bin.xz").read_bytes()))
    return target
