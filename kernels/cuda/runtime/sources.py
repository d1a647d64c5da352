# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA sources as one text: includes are put in place, since no cache key covers a header."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from supervm.kernels.errors import ArgumentError

FOLDER = Path(__file__).resolve().parents[1]
INCLUDES, SOURCES = FOLDER / "include", FOLDER / "src"

CONSTANTS = "constants.cuh"
"""The include that stands for the generated constants of a program; there is no such file."""

_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)


def flatten(name: str, constants: str = "") -> str:
    """`src/name.cu` with every include in its place, each once.

    Args:
        name: the source's name without suffix.
        constants: what `#include "constants.cuh"` stands for, from `supervm.kernels.cuda.constants.fields`.

    Raises:
        ArgumentError: there is no such source.
    """
    path = SOURCES / f"{name}.cu"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in SOURCES.glob("*.cu")))
        raise ArgumentError("name", repr(name), f"one of {known}")
    seen: set[str] = set()

    def put(match: re.Match[str]) -> str:
        included = match[1]
        if included in seen:
            return ""
        seen.add(included)
        text = constants if included == CONSTANTS else (INCLUDES / included).read_text(encoding="utf-8")
        return _INCLUDE.sub(put, text).replace("#pragma once\n", "")

    return _INCLUDE.sub(put, path.read_text(encoding="utf-8"))


def digest() -> str:
    """Sixteen hex digits over every source: what measurements of kernels depend on."""
    content = hashlib.sha256()
    for path in sorted([*INCLUDES.glob("*.cuh"), *SOURCES.glob("*.cu")]):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]
