# SPDX-License-Identifier: GPL-3.0-or-later
"""Small modules for tests of validation and instrumentation."""

from __future__ import annotations

import wasmtime

ENTRY = '(func (export "run") (result i32) i32.const 7)'
MEMORY = '(memory (export "memory") 1 2)'
OFFSET = "(i32.const 0)"


def module(*parts: str, memory: str = MEMORY, entry: str = ENTRY) -> bytes:
    """An acceptable module with these parts added; imports among them stand first."""
    imports = [part for part in parts if part.startswith("(import")]
    rest = [part for part in parts if not part.startswith("(import")]
    return bytes(wasmtime.wat2wasm(f"(module {' '.join([*imports, memory, *rest, entry])})"))


def section(number: int, content: bytes) -> bytes:
    """A section of fewer than 128 bytes."""
    return bytes([number, len(content)]) + content
