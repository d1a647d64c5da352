# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of this room beside `ArgumentError`.

    SupervmError
    ├── CircomFileError (ValueError)        a file of circom or snarkjs: which section, at which byte, what is expected
    ├── UnsatisfiedWitness (ValueError)     a witness that is none of the circuit: which constraint fails first
    ├── TestOnlyKey (ValueError)            a key whose secrets its maker knew, where that was not allowed
    ├── MemoryNeeded                        more memory than there is: how much, and what for
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


class CircomFileError(SupervmError, ValueError):
    """A file in one of circom's or snarkjs' binary formats is not what it should be.

    Args:
        file: its name.
        place: the section by number and name; '' for the file as a whole.
        offset: of the first byte that is wrong, from the beginning of the file.
        found: what stands there, in words.
        expected: what is accepted, in words.
    """

    def __init__(self, file: str, place: str, offset: int, found: str, expected: str) -> None:
        where = f"{place}, byte {offset}" if place else f"byte {offset}"
        super().__init__(f"{file}: {where}: found {found}, expected {expected}")
        self.file, self.place, self.offset, self.found, self.expected = file, place, offset, found, expected

    def __reduce__(self) -> tuple[type[CircomFileError], tuple[str, str, int, str, str]]:
        return type(self), (self.file, self.place, self.offset, self.found, self.expected)


class UnsatisfiedWitness(SupervmError, ValueError):
    """A witness does not satisfy the circuit; no proof leaves.

    Args:
        item: which witness of a batch.
        constraint: the first constraint that fails, from 0; None where only a key is known, which does not tell.
    """

    def __init__(self, item: int, constraint: int | None) -> None:
        which = "" if constraint is None else f": constraint {constraint} is the first that fails"
        hint = "; the circuit's .r1cs would tell which constraint fails" if constraint is None else ""
        super().__init__(f"witness {item} does not satisfy the circuit{which}{hint}")
        self.item, self.constraint = item, constraint

    def __reduce__(self) -> tuple[type[UnsatisfiedWitness], tuple[int, int | None]]:
        return type(self), (self.item, self.constraint)


class TestOnlyKey(SupervmError, ValueError):
    """A key, or the powers of τ for one, whose secrets are known: it is made for tests, or nobody contributed to it.

    Args:
        name: of the key or of the powers.
        why: what shows it, if it is not the key's mark.
    """

    __test__ = False

    def __init__(self, name: str, why: str = "") -> None:
        found = why or "made for tests alone, or by a set-up that nobody contributed to"
        super().__init__(
            f"{name}: {found}: its proofs can be forged; expected another one, or leave "
            "to take it: `allow_test_only`, or --allow-test-key of a command"
        )
        self.name, self.why = name, why

    def __reduce__(self) -> tuple[type[TestOnlyKey], tuple[str, str]]:
        return type(self), (self.name, self.why)


class MemoryNeeded(SupervmError):
    """There is less memory than the work needs; nothing was begun.

    Args:
        what: the work, in words.
        needed: bytes.
        available: bytes.
    """

    def __init__(self, what: str, needed: int, available: int) -> None:
        super().__init__(f"{what} needs {needed:,} bytes of memory, and {available:,} are available")
        self.what, self.needed, self.available = what, needed, available

    def __reduce__(self) -> tuple[type[MemoryNeeded], tuple[str, int, int]]:
        return type(self), (self.what, self.needed, self.available)


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
