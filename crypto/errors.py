# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of this room beside `ArgumentError`.

    SupervmError
    ├── CircuitError
    │   ├── UnknownCircuit (LookupError)    an id that nobody registered
    │   ├── CircuitWithoutKey               a known circuit that nobody set a verification key for: nothing passes
    │   ├── MalformedProof (ValueError)     bytes or points that are no proof
    │   └── MalformedInputs (ValueError)    another number of public inputs than the circuit has, or one that is not below r
    └── WitnessError                        no witness
        ├── CalculatorRefused (ValueError)  a module that is no calculator of circom's
        ├── Unsatisfied (ValueError)        inputs that break an assertion or a constraint of the circuit
        ├── LimitReached (RuntimeError)     more time or memory than is allowed
        └── CalculatorFailed (RuntimeError) a calculator that traps

`MalformedProof` and `MalformedInputs` are for one proof alone; in a batch both are the verdict −1 of an item.
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


class WitnessError(SupervmError):
    """Base: there is no witness.

    Args:
        reason: why, in words.

    Attributes:
        row: which of a batch's inputs it is about, None for a calculator as such.
    """

    what = ""
    row: int | None = None

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        place = "" if self.row is None else f"row {self.row}: "
        return f"{place}{self.what}: {self.reason}"


class CalculatorRefused(WitnessError, ValueError):
    """A module that is no calculator of circom's, or that asks for more than circom's do."""

    what = "this is no witness calculator of circom 2"


class Unsatisfied(WitnessError, ValueError):
    """Inputs to which there is no witness."""

    what = "the inputs do not satisfy the circuit"


class LimitReached(WitnessError, RuntimeError):
    """A calculator that wants more time or memory than is allowed."""

    what = "a limit of the calculator is reached"


class CalculatorFailed(WitnessError, RuntimeError):
    """A calculator that traps."""

    what = "the witness calculator failed"
