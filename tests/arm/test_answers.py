# SPDX-License-Identifier: GPL-3.0-or-later
"""Known answers of three operations on an emulated ARM processor, where `make arm` or `.ci/arm` has made one ready.

An emulator runs what a listing only shows: lanes of doubles, and the instructions for SHA-256 and SHA-3.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = ROOT / "build" / "arm"
OPERATIONS = ("merkle.sha256", "keccak256", "ed25519.verify")
"""One tree, whose hashes `auto` takes from the processor's own instructions, one hash function, one signature."""


@pytest.mark.skipif(
    not (MACHINE / ".complete").exists(),
    reason="no emulated processor in build/arm; `.ci/arm build/arm` makes one",
)
def test_known_answers_of_three_operations():
    ran = subprocess.run(
        [str(ROOT / ".ci" / "arm-python"), str(MACHINE), str(ROOT / "tests/arm/answers.py"), *OPERATIONS],
        env=os.environ | {"ARM_COMPILER_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers = [line for line in ran.stdout.splitlines() if " ok " in line]
    backends = [f"{name} on {backend}" for name in OPERATIONS for backend in ("neon", "scalar")]
    for what in (*backends, "merkle.sha256 on auto"):
        assert any(line.startswith(what) for line in answers), what
    assert "7 known answers, 0 wrong" in ran.stdout
