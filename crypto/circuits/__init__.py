# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuits of docs/circuits.md: circom sources, and what circom made of them.

`make circuits` compiles the sources (`build.py`). `manifest.json` has the digests of sources and of results, and what is
loaded here is checked against it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import lzma
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from supervm.kernels.errors import ArgumentError, SupervmError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Circuit:
    """What is known of a compiled circuit.

    Args:
        name: `ringct_v1`, for example.
        constraints: of its r1cs.
        wires: of its r1cs, that of the constant 1 among them: the elements of a witness.
        public: its public inputs by name, in order, with their shapes; () is a single element.
        private: its private inputs by name, with their shapes.
        digests: SHA-256 of `wasm` and `r1cs`, in hexadecimal.
    """

    name: str
    constraints: int
    wires: int
    public: dict[str, tuple[int, ...]]
    private: dict[str, tuple[int, ...]]
    digests: dict[str, str]

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """All inputs by name, with their shapes."""
        return self.public | self.private

    def calculator(self) -> bytes:
        """The WASM module that calculates witnesses, for `supervm.crypto.witness`."""
        return _artefact(self.name, "wasm", self.digests["wasm"])

    def r1cs(self) -> bytes:
        """The constraints, in circom's `.r1cs` format."""
        return _artefact(self.name, "r1cs", self.digests["r1cs"])

    def source(self) -> str:
        """The circom source of the main component."""
        return files(__name__).joinpath(f"{self.name}.circom").read_text(encoding="utf-8")


def names() -> tuple[str, ...]:
    """Names of the circuits, in alphabetical order."""
    return tuple(sorted(manifest()["circuits"]))


def get(name: str) -> Circuit:
    """A circuit by its name.

    Raises:
        ArgumentError: no circuit has this name.
    """
    if name not in names():
        raise ArgumentError("name", repr(name), f"one of {', '.join(names())}")
    entry = manifest()["circuits"][name]
    shapes = {
        key: {name: tuple(shape) for name, shape in entry[key].items()} for key in ("public", "private")
    }
    return Circuit(name, entry["constraints"], entry["wires"], digests=entry["sha256"], **shapes)


@functools.cache
def manifest() -> dict[str, Any]:
    """What was compiled from what, by which compiler."""
    found: dict[str, Any] = json.loads(files(__name__).joinpath(MANIFEST).read_text(encoding="utf-8"))
    return found


@functools.lru_cache(maxsize=4)
def _artefact(name: str, kind: str, digest: str) -> bytes:
    data = lzma.decompress(files(__name__).joinpath("compiled", f"{name}.{kind}.xz").read_bytes())
    if hashlib.sha256(data).hexdigest() != digest:
        raise SupervmError(f"circuits/compiled/{name}.{kind}.xz is not what {MANIFEST} says; install again")
    return data
