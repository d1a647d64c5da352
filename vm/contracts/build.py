# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the binaries of the sample contracts from their texts: `python -m supervm.vm.contracts.build`."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from supervm.vm.contracts import names, source


def build(folder: Path) -> list[Path]:
    """Compile every text into `folder`; the paths of the binaries."""
    paths = []
    for name in names():
        path = folder / f"{name}.wasm"
        path.write_bytes(wasmtime.wat2wasm(source(name)))
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in build(Path(__file__).parent):
        print(f"{written.name}: {written.stat().st_size} bytes")
