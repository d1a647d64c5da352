# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operation with its backends: which one is chosen and why, and whether each answers rightly."""

from __future__ import annotations

import importlib
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from supervm.kernels import registry
from supervm.kernels.errors import BackendUnavailable
from supervm.tiers.known_answers import known_answers

OPERATION_MODULES = (
    "supervm.crypto.hashes",
    "supervm.crypto.ed25519",
    "supervm.crypto.secp256k1",
    "supervm.crypto.x25519",
    "supervm.crypto.ntt",
    "supervm.crypto.msm",
    "supervm.crypto.curves",
    "supervm.crypto.pairings",
    "supervm.crypto.hash_to_curve",
    "supervm.crypto.poseidon",
    "supervm.crypto.groth16_work",
    "supervm.engine.conflicts",
)
"""Modules that list their operations in the registry when they are imported."""


@dataclass(frozen=True)
class BackendState:
    """A backend of an operation.

    Args:
        name: in the registry.
        chosen: whether the settings lead to it.
        reason: why it is chosen, passed over, or cannot run here.
        known_answers: True or False after a known-answer test; None if it was not run.
        detail: what the test says.
    """

    name: str
    available: bool
    chosen: bool
    reason: str
    known_answers: bool | None = None
    detail: str = ""


@dataclass(frozen=True)
class OperationState:
    """An operation and its backends, best first; `problem` says why none can be chosen, or is ''."""

    name: str
    backends: tuple[BackendState, ...]
    problem: str = ""

    @property
    def chosen(self) -> str | None:
        """The backend that the settings lead to."""
        return next((backend.name for backend in self.backends if backend.chosen), None)

    @property
    def right(self) -> bool:
        """Whether every known-answer test that ran was passed."""
        return all(backend.known_answers is not False for backend in self.backends)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return {**asdict(self), "chosen": self.chosen}


def condensed(names: Sequence[str]) -> str:
    """Names of operations in one line: those of one family follow its first, numbers in a row as a range.

    >>> condensed(["sha256", "bn254.poseidon.t2", "bn254.poseidon.t3", "bn254.poseidon.t4", "bn254.poseidon.sponge"])
    'sha256, bn254.poseidon.t2 to .t4, .sponge'
    """
    families: dict[str, list[str]] = {}
    for name in names:
        family, _, own = name.rpartition(".")
        families.setdefault(family, []).append(own)
    parts = []
    for family, members in families.items():
        ranges = _ranges(members)
        if family:
            first, *others = [" to .".join(ends) for ends in ranges]
            parts += [f"{family}.{first}", *(f".{other}" for other in others)]
        else:
            parts += [" to ".join(ends) for ends in ranges]
    return ", ".join(parts)


def _ranges(names: Sequence[str]) -> list[list[str]]:
    """Three names and more that differ by their last number and follow each other, as (first, last); else each name."""
    runs: list[list[str]] = []
    for name in names:
        if runs and _number(name) == _number(runs[-1][-1], 1):
            runs[-1].append(name)
        else:
            runs.append([name])
    return [
        part for run in runs for part in ([[run[0], run[-1]]] if len(run) > 2 else [[name] for name in run])
    ]


def _number(name: str, more: int = 0) -> tuple[str, int] | str:
    """The name in front of its last number, and that number, raised by `more`; or the name, if it has none."""
    word = name.rstrip("0123456789")
    return (word, int(name[len(word) :]) + more) if word != name else name


def operations() -> list[str]:
    """Every operation, after importing the modules that list them."""
    for module in OPERATION_MODULES:
        importlib.import_module(module)
    return registry.operations()


def backend_states(operation: str, backend: str, origin: str) -> OperationState:
    """What the setting `backend`, which came from `origin`, means for an operation."""
    listed = registry.backends(operation)
    problem = ""
    chosen = None
    try:
        chosen = registry.resolve(operation, backend).name
    except BackendUnavailable as error:
        problem = str(error)
    states = []
    for one in listed:
        if one.name == chosen:
            reason = "best that can run here" if backend == "auto" else f"asked for by {origin}"
        elif not one.available:
            reason = one.reason
        elif backend != "auto":
            reason = f"'{backend}' is asked for by {origin}"
        else:
            reason = f"{chosen} is preferred"
        states.append(BackendState(one.name, one.available, one.name == chosen, reason))
    return OperationState(operation, tuple(states), problem)


def tested(state: OperationState, names: Container[str]) -> OperationState:
    """The same, after a known-answer test of the backends of these names that can run here."""
    backends = []
    for backend in state.backends:
        if backend.available and backend.name in names:
            outcome = known_answers(state.name, backend.name)
            backend = replace(backend, known_answers=outcome.ok, detail=outcome.detail)
        backends.append(backend)
    return replace(state, backends=tuple(backends))
