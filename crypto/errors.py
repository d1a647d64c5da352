# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of this room beside `ArgumentError`.

    SupervmError
    └── CircuitError
        ├── UnknownCircuit (LookupError)    an id that nobody registered
        ├── CircuitWithoutKey               a known circuit that nobody set a verification key for: nothing passes
        ├── MalformedProof (ValueError)     bytes or points that are no proof
        └── MalformedInputs (ValueError)    another number of public inputs than the circuit has, or one that is not below r

The last two are for one proof alone; in a batch both are the verdict −1 of an item.
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError


class CircuitError(SupervmError):
    """Base: a proof cannot be checked.

    Args:
        circuit: the circuit's id.
    """

    reason = ""

    def __init__(self, circuit: str) -> None:
        super().__init__(f"circuit {circuit!r}: {self.reason}")
        self.circuit = circuit

    def __reduce__(self) -> tuple[type[CircuitError], tuple[str]]:
        return type(self), (self.circuit,)


class UnknownCircuit(CircuitError, LookupError):
    """An id that nobody registered."""

    reason = "unknown; register its verification key first"


class CircuitWithoutKey(CircuitError):
    """A known circuit that nobody set a verification key for."""

    reason = "no verification key is set, so that nothing passes; register one first"


class MalformedProof(CircuitError, ValueError):
    """Points that are not of the groups."""

    reason = "the proof is malformed: a point is not canonical, not on the curve or not in the subgroup"


class MalformedInputs(CircuitError, ValueError):
    """Another number of public inputs than the circuit has, or one that is not below r."""

    reason = "the public inputs are malformed: another count than the circuit's, or one outside [0, r)"
