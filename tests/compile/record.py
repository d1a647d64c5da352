# SPDX-License-Identifier: GPL-3.0-or-later
"""Renew what the tests of this folder compare with: `python tests/compile/record.py`, then read the difference."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import compiled_programs as programs
import gpu_page
import sass
from field_programs import FIELDS


def main() -> int:
    """Compile every program, write both files and the tables of docs/gpu.md; the second file needs `nvdisasm`."""
    programs.compile_all()
    names = programs.programs()
    programs.write_resources(
        programs.joined(programs.taken(name, each) for name in names for each in programs.ARCHITECTURES)
    )
    if sass.missing():
        print(f"{programs.INSTRUCTIONS.name} is as it was: {sass.missing()}", file=sys.stderr)
        return 1
    programs.write_instructions(
        programs.joined(programs.counted(field, each) for field in FIELDS for each in programs.ARCHITECTURES)
    )
    gpu_page.PAGE.write_text(gpu_page.rewritten(gpu_page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
