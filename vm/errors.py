# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of contracts.

    SupervmError
    └── VmError
        ├── ContractRejected (ValueError)   a module that the rules do not accept: rule, found, expected, offset
        └── RuntimeProblem                  wasmtime is missing something or refuses: what, problem

What goes wrong while a contract runs is not an error of Python's but an outcome: `supervm.vm.outcomes.Reason`.
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError


class VmError(SupervmError):
    """Base of the errors of contracts."""


class ContractRejected(VmError, ValueError):
    """A contract module that the rules of `docs/execution-rules.md`, section Contracts, do not accept.

    Args:
        rule: what is ruled, in a word or two, such as `memory`, `imports` or `binary`.
        found: what the module has, in words.
        expected: what is accepted, in words.
        offset: byte of the module where it was found, if one byte is to blame.
    """

    def __init__(self, rule: str, found: str, expected: str, offset: int | None = None) -> None:
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(f"contract rejected, {rule}{place}: found {found}, expected {expected}")
        self.rule = rule
        self.found = found
        self.expected = expected
        self.offset = offset

    def __reduce__(self) -> tuple[type[ContractRejected], tuple[str, str, str, int | None]]:
        return type(self), (self.rule, self.found, self.expected, self.offset)


class RuntimeProblem(VmError):
    """wasmtime is of another version than is needed, or refuses what it should accept.

    Args:
        what: the part that is affected.
        problem: what is wrong and what to do, in words.
    """

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(f"{what}: {problem}")
        self.what = what
        self.problem = problem

    def __reduce__(self) -> tuple[type[RuntimeProblem], tuple[str, str]]:
        return type(self), (self.what, self.problem)
