# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of `docs/gpu.md`, made from the records of `tests/compile/`."""

from __future__ import annotations

import re
from pathlib import Path

import compiled_programs as programs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
ARCHITECTURE = "sm_90"


def fields_table() -> list[str]:
    """Instructions of a product and a square, those that multiply, and the products of words that are needed."""
    lines = [
        "| modulus | product: all | multiply | needed | square: all | multiply | needed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, by_architecture in programs.read_instructions()[1].items():
        row = by_architecture[ARCHITECTURE]
        counts = [row["field_product"], row["field_squaring"]]
        cells = [f"{count.total} | {count.products} | {count.minimum}" for count in counts]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return lines


def kernels_table() -> list[str]:
    """What every kernel takes; those of the field tests are left out."""
    lines = [
        "| program | kernel | registers | local memory, bytes | of these spilled | shared, bytes a block |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, by_architecture in sorted(programs.read_resources()[1].items()):
        if "_check" in name:
            continue
        for kernel, taken in by_architecture[ARCHITECTURE].items():
            cells = (taken.registers, taken.stack, taken.spill_stores, taken.shared)
            lines.append(f"| {name} | `{kernel}` | {' | '.join(map(str, cells))} |")
    return lines


def rewritten(page: str) -> str:
    """The page with its tables as the records have them."""
    for marker, table in (("fields", fields_table()), ("kernels", kernels_table())):
        block = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
        if not block.search(page):
            raise ValueError(f"{PAGE.name} has no place for the table '{marker}'")
        page = block.sub(lambda match, lines=table: match[1] + "\n".join(lines) + "\n" + match[2], page)
    return page
