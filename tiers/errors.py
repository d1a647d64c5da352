# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the door, and the exit code that each error of the project ends a command with.

SupervmError
├── SettingError (ValueError)   a setting that does not exist or has a wrong value → 2
├── BrokenFile (ValueError)     a file that cannot be read as what it should be → 2
├── UsageError (ValueError)     a command line that cannot be taken → 2
├── OutputLost                  standard output does not take the answer → 3, or 141 where nobody reads it
├── CompilerEnded               a process that compiles ahead failed or was ended → 3
├── ProcessFailed               a process of a service that does not serve → 3
├── NoAnswer                    a process that was asked over HTTP and did not answer → 3
└── ServiceError (RuntimeError) a request that the service did not carry out; its code goes to the caller

Elsewhere: `ArgumentError`, `UnknownOperation` and the engine's `InputFileError` → 2; `BackendUnavailable`, a
lack of memory and what the operating system refuses → 3. 1 is left to answers that are wrong.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from supervm.engine.errors import InputFileError
from supervm.engine.files.input_files import READABLE
from supervm.kernels.errors import SupervmError
from supervm.tiers.service.codes import Code

DONE = 0
VERIFICATION_FAILED = 1
WRONG_USE = 2
ENVIRONMENT_PROBLEM = 3
NOBODY_READS = 141
"""128 and the number of SIGPIPE, as shells have it: whoever read standard output has closed it."""


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


@contextmanager
def told_as_broken_file() -> Iterator[None]:
    """Have what is wrong with an input file be told as a `BrokenFile`."""
    try:
        yield
    except InputFileError as error:
        told = error.expected == READABLE  # the operating system's words, which say it all
        problem = error.found if told else f"{error.found}, expected {error.expected}"
        raise BrokenFile(error.file, "", problem) from None


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


class UsageError(SupervmError, ValueError):
    """A command line has an unknown command or option, lacks an argument, or gives one of a wrong kind."""


class OutputLost(SupervmError):
    """The answer could not be written to standard output.

    Args:
        number: the operating system's, as in `errno`.
    """

    def __init__(self, number: int) -> None:
        reason = "it is closed" if number == errno.EBADF else os.strerror(number)
        super().__init__(f"standard output: {reason}")
        self.number = number

    @property
    def closed_by_reader(self) -> bool:
        """Whether a program that read it has closed it, as `head` does."""
        return self.number == errno.EPIPE

    def __reduce__(self) -> tuple[type[OutputLost], tuple[int]]:
        return type(self), (self.number,)


class ProcessFailed(SupervmError):
    """One of the processes of a service ended, or does not become ready.

    Args:
        number: of the process.
        problem: what happened, in words.
    """

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"process {number} does not serve: {problem}")
        self.number = number
        self.problem = problem

    def __reduce__(self) -> tuple[type[ProcessFailed], tuple[int, str]]:
        return type(self), (self.number, self.problem)


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
    if isinstance(error, OutputLost) and error.closed_by_reader:
        return NOBODY_READS
    if isinstance(error, SupervmError) and isinstance(error, (ValueError, LookupError)):
        return WRONG_USE
    return ENVIRONMENT_PROBLEM
