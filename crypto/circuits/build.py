# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the circuits: `make circuits`, or `python -m supervm.crypto.circuits.build`. Needs npm, node and a network.

The compiler and its library are those of package-lock.json. The same sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from supervm.crypto.circuits import MANIFEST

HERE = Path(__file__).parent
ALL_LINEAR = "--O2"
"""Linear constraints are substituted until none is left that can be."""


def build(work: Path, target: Path) -> dict[str, Any]:
    """Compile every circuit.

    Args:
        work: where the packages and circom's files go. The compiler sees only what is in this folder.
        target: where the manifest and the folder `compiled` go.

    Returns:
        The manifest.

    Raises:
        OSError, subprocess.CalledProcessError: npm or the compiler are missing, or fail.
    """
    install(work)
    (target / "compiled").mkdir(parents=True, exist_ok=True)
    circuits = {path.stem: compile_circuit(path.stem, work, target / "compiled") for path in mains()}
    packages = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    manifest = {
        "compiler": {**packages, "options": [ALL_LINEAR]},
        "sources": {path.name: sha256(path.read_bytes()) for path in sorted(HERE.glob("*.circom"))},
        "circuits": circuits,
    }
    text = json.dumps(manifest, indent=1)
    short = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
    (target / MANIFEST).write_text(short + "\n", encoding="utf-8")
    return manifest


def install(work: Path) -> None:
    """Put sources, compiler and library into a folder."""
    work.mkdir(parents=True, exist_ok=True)
    for path in [*HERE.glob("*.circom"), *HERE.glob("package*.json")]:
        shutil.copy(path, work)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, check=True)


def mains() -> list[Path]:
    """The sources with a main component, which are the circuits."""
    return [path for path in sorted(HERE.glob("*.circom")) if "component main" in path.read_text("utf-8")]


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def compile_circuit(name: str, work: Path, target: Path) -> dict[str, Any]:
    """Compile one circuit in an installed folder, and pack what nodes need into `target`.

    Returns:
        The circuit's entry in the manifest.
    """
    compiler = ["node", "node_modules/circom2/cli.js", f"{name}.circom", "--r1cs", "--wasm", "--sym"]
    subprocess.run([*compiler, ALL_LINEAR, "-l", "node_modules/circomlib/circuits"], cwd=work, check=True)
    r1cs = (work / f"{name}.r1cs").read_bytes()
    wasm = (work / f"{name}_js" / f"{name}.wasm").read_bytes()
    for kind, data in (("r1cs", r1cs), ("wasm", wasm)):
        (target / f"{name}.{kind}.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    counts = header(r1cs)
    public, private = _inputs((work / f"{name}.sym").read_text(encoding="utf-8"), counts)
    return {
        "constraints": counts["constraints"],
        "wires": counts["wires"],
        "public": public,
        "private": private,
        "sha256": {"wasm": sha256(wasm), "r1cs": sha256(r1cs)},
    }


def header(r1cs: bytes) -> dict[str, int]:
    """The counts in an r1cs file's header: section 1, of 64 bytes with a field of 32."""
    place = 12
    while int.from_bytes(r1cs[place : place + 4], "little") != 1:
        place += 12 + int.from_bytes(r1cs[place + 4 : place + 12], "little")
    place += 12 + 4 + 32
    names, sizes = ("wires", "outputs", "public", "private", "labels", "constraints"), (4, 4, 4, 4, 8, 4)
    counts = {}
    for name, size in zip(names, sizes, strict=True):
        counts[name] = int.from_bytes(r1cs[place : place + size], "little")
        place += size
    return counts


def _inputs(symbols: str, counts: dict[str, int]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Public and private inputs with their shapes, in order, from a `.sym` file: they have the first labels.

    Public ones have the first wires, too; of a private one the wire may be gone.
    """
    assert not counts["outputs"], "public signals are inputs, in the order that docs/circuits.md states"
    found: list[dict[str, list[int]]] = [{}, {}]
    for line in symbols.splitlines()[: counts["public"] + counts["private"]]:
        label, _, _, signal = line.split(",")
        name, *indices = re.findall(r"\w+", signal.removeprefix("main."))
        found[int(label) > counts["public"]][name] = [int(index) + 1 for index in indices]
    return found[0], found[1]


if __name__ == "__main__":
    written = build(Path(sys.argv[1]), HERE)
    for name, entry in written["circuits"].items():
        print(f"{name}: {entry['constraints']:,} constraints, {entry['wires']:,} wires")
