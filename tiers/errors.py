# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the door, and the exit code that each error of the project ends a command with.

SupervmError
├── SettingError (ValueError)   a setting that does not exist or has a wrong value → 2
├── BrokenFile (ValueError)     a file that cannot be read as what it should be → 2
├── CompilerEnded               a process that compiles ahead failed or was ended → 3
├── NoAnswer                    a process that was asked over HTTP and did not answer → 3
└── ServiceError (RuntimeError) a request that the service did not carry out; its code goes to the caller

Elsewhere: `ArgumentError`, `UnknownOperation` and the engine's `InputFileError` → 2; `BackendUnavailable`, a
lack of memory and what the operating system refuses → 3. 1 is left to answers that are wrong.
"""

from __future__ import annotations

import math

from supervm.kernels.errors import SupervmError
from supervm.tiers.service.codes import Code

DONE = 0
VERIFICATION_FAILED = 1
WRONG_USE = 2
ENVIRONMENT_PROBLEM = 3


class SettingError(SupervmError, ValueError):
    """A setting has an unknown key, or a value of the wrong type or range.

    Args:
        source: where it was given: a file's name, an environment variable, a flag.
        key: the setting's name there.
        found: what was given, in words.
        expected: what is accepted, in words.
    """

    def __init__(self, source: str, key: str, found: str, expected: str) -> None:
        super().__init__(f"{source}: setting '{key}': found {found}, expected {expected}")
        self.source = source
        self.key = key
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[type[SettingError], tuple[str, str, str, str]]:
        return type(self), (self.source, self.key, self.found, self.expected)


class BrokenFile(SupervmError, ValueError):
    """An input file is missing, unreadable or broken.

    Args:
        path: the file as the caller named it.
        place: the line or row, such as 'line 3'; empty when the whole file is meant.
        problem: what is wrong there, in words.
    """

    def __init__(self, path: str, place: str, problem: str) -> None:
        super().__init__(f"{path}: {place}: {problem}" if place else f"{path}: {problem}")
        self.path = path
        self.place = place
        self.problem = problem

    def __reduce__(self) -> tuple[type[BrokenFile], tuple[str, str, str]]:
        return type(self), (self.path, self.place, self.problem)


class CompilerEnded(SupervmError):
    """A process that compiles kernels ahead failed or was ended.

    Args:
        kernels: what it compiled.
        problem: how it ended.
    """

    def __init__(self, kernels: str, problem: str) -> None:
        super().__init__(
            f"compiling {kernels}: {problem}; what was compiled before is kept, `supervm warmup` goes on with the rest"
        )
        self.kernels = kernels
        self.problem = problem

    def __reduce__(self) -> tuple[type[CompilerEnded], tuple[str, str]]:
        return type(self), (self.kernels, self.problem)


class ServiceError(SupervmError, RuntimeError):
    """The service does not carry out a request.

    Args:
        code: the standard status.
        field: the request's field that is wrong; '' if none is.
        message: what came, what is expected, what to do.
        retry_after: seconds after which to try again; 0 if that is of no use.
    """

    def __init__(self, code: Code, field: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{code.name}: field '{field}': {message}" if field else f"{code.name}: {message}")
        self.code = code
        self.field = field
        self.message = message
        self.retry_after = retry_after

    @property
    def text(self) -> str:
        """What callers read: the field, if one is wrong, and the message."""
        return f"field '{self.field}': {self.message}" if self.field else self.message

    @property
    def retry_after_ms(self) -> int:
        """`retry_after` in whole milliseconds, rounded up."""
        return math.ceil(self.retry_after * 1000)

    def __reduce__(self) -> tuple[type[ServiceError], tuple[Code, str, str, float]]:
        return type(self), (self.code, self.field, self.message, self.retry_after)


class NoAnswer(SupervmError):
    """A running process was asked for something and did not answer, or not with that.

    Args:
        address: what was asked.
        problem: what happened, in words.
    """

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"{address}: {problem}; is a service or node running there?")
        self.address = address
        self.problem = problem

    def __reduce__(self) -> tuple[type[NoAnswer], tuple[str, str]]:
        return type(self), (self.address, self.problem)


def exit_code(error: BaseException) -> int:
    """The exit code for an error: 2 where the caller can do better, 3 where the machine stands in the way."""
    if isinstance(error, SupervmError) and isinstance(error, (ValueError, LookupError)):
        return WRONG_USE
    return ENVIRONMENT_PROBLEM
