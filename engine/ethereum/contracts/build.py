# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the contracts: `make evm-contracts`, or `python -m supervm.engine.ethereum.contracts.build FOLDER`.

Needs npm, node and a network. The compiler is that of package-lock.json; the same sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from supervm.engine.ethereum.contracts import COMPILED, MANIFEST

HERE = Path(__file__).parent

FORK = "cancun"
"""The first fork with all that the contracts use: PUSH0 of Shanghai, and transient storage."""

SETTINGS: dict[str, Any] = {
    "evmVersion": FORK,
    "optimizer": {"enabled": True, "runs": 200},
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
"""Without metadata at its end a code depends on nothing but what it does."""

_WANTED = [
    "abi",
    "storageLayout",
    "evm.bytecode.object",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
    "evm.methodIdentifiers",
]


class CompilerFailed(RuntimeError):
    """The compiler found an error; the message is its own."""


def build(work: Path, target: Path) -> dict[str, Any]:
    """Compile every contract.

    Args:
        work: where the compiler's packages go.
        target: where the manifest and the folder of what was compiled go.

    Returns:
        The manifest.

    Raises:
        OSError, subprocess.CalledProcessError: npm or the compiler are missing, or fail.
        CompilerFailed: a source has an error.
    """
    install(work)
    (target / COMPILED).mkdir(parents=True, exist_ok=True)
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.sol"))}
    contracts = {}
    for name, found in sorted(_compiled(work, sources).items()):
        data = (json.dumps(found, indent=1) + "\n").encode()
        (target / COMPILED / f"{name}.json").write_bytes(data)
        contracts[name] = {"runtime_bytes": len(found["runtime"]) // 2 - 1, "sha256": sha256(data)}
    packages = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    manifest = {
        "compiler": {**packages, "settings": SETTINGS},
        "sources": {name: sha256(text.encode()) for name, text in sources.items()},
        "contracts": contracts,
    }
    (target / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def install(work: Path) -> None:
    """Put the compiler into a folder."""
    work.mkdir(parents=True, exist_ok=True)
    for path in HERE.glob("package*.json"):
        shutil.copy(path, work)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, check=True)


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _compiled(work: Path, sources: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What is kept of each contract, by name."""
    asked = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": _WANTED}}},
    }
    command = ["node", "node_modules/solc/solc.js", "--standard-json"]
    said = work / "answer.json"
    with said.open("wb") as file:  # the tool ends before a pipe has taken everything
        subprocess.run(command, cwd=work, check=True, input=json.dumps(asked).encode(), stdout=file)
    text = said.read_text(encoding="utf-8")
    answer = json.loads(text[text.index("{") :])  # it says a line of its own first
    wrong = [found["formattedMessage"] for found in answer.get("errors", ()) if found["severity"] == "error"]
    if wrong:
        raise CompilerFailed("\n".join(wrong))
    return {
        name: _kept(found)
        for contracts in answer["contracts"].values()
        for name, found in contracts.items()
        if found["evm"]["bytecode"]["object"]
    }


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    code = found["evm"]["deployedBytecode"]
    return {
        "abi": found["abi"],
        "methods": {name: f"0x{digits}" for name, digits in found["evm"]["methodIdentifiers"].items()},
        "storage": {place["label"]: int(place["slot"]) for place in found["storageLayout"]["storage"]},
        "immutables": bool(code["immutableReferences"]),
        "creation": f"0x{found['evm']['bytecode']['object']}",
        "runtime": f"0x{code['object']}",
    }


if __name__ == "__main__":
    written = build(Path(sys.argv[1]), HERE)
    for name, entry in written["contracts"].items():
        print(f"{name}: {entry['runtime_bytes']:,} bytes of code")
