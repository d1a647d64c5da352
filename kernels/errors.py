# SPDX-License-Identifier: GPL-3.0-or-later
"""The root of every error that SuperVM raises, and the ones that belong to kernels.

    SupervmError
    ├── ArgumentError (ValueError)          a caller's argument: which, what came, what is expected
    ├── BackendUnavailable (RuntimeError)   a named backend that this machine does not have, and why
    ├── DeviceError (RuntimeError)          an accelerator that failed while it worked; no result was delivered
    │   ├── DeviceOutOfMemory               it may manage a smaller piece
    │   ├── DeviceTimeout                   it did not answer before the deadline
    │   └── DeviceLost                      it will not answer any more in this process
    └── UnknownOperation (LookupError)      a name that the registry does not list

Each room adds its own children in its `errors.py`. A malformed *item* of a batch is never an exception:
it is a verdict of −1 for that item.
"""

from __future__ import annotations


class SupervmError(Exception):
    """Base of every error of this project."""


class ArgumentError(SupervmError, ValueError):
    """An argument has the wrong shape, dtype, length or value.

    Args:
        argument: the parameter's name, as in the signature.
        found: what was passed, in words.
        expected: what is accepted, in words.
    """

    def __init__(self, argument: str, found: str, expected: str) -> None:
        super().__init__(f"argument '{argument}': found {found}, expected {expected}")
        self.argument = argument
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[type[ArgumentError], tuple[str, str, str]]:
        return type(self), (self.argument, self.found, self.expected)


class BackendUnavailable(SupervmError, RuntimeError):
    """A backend was asked for by name and cannot run here.

    Args:
        backend: its name.
        reason: why it cannot run on this machine and what would change that.
    """

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"backend '{backend}' is not available: {reason}")
        self.backend = backend
        self.reason = reason

    def __reduce__(self) -> tuple[type[BackendUnavailable], tuple[str, str]]:
        return type(self), (self.backend, self.reason)


class DeviceError(SupervmError, RuntimeError):
    """An accelerator failed: at compilation, launch or transfer. Nothing that it wrote may be used.

    Args:
        device: which one.
        reason: what it said.
    """

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device = device
        self.reason = reason

    def __reduce__(self) -> tuple[type[DeviceError], tuple[str, str]]:
        return type(self), (self.device, self.reason)


class DeviceOutOfMemory(DeviceError):
    """Less device memory is free than the work needs."""


class DeviceTimeout(DeviceError):
    """The deadline passed; what the device may still write goes where nobody reads."""


class DeviceLost(DeviceError):
    """The driver gave the device up: nothing runs on it any more in this process."""


class UnknownOperation(SupervmError, LookupError):
    """No operation, or no backend of it, is registered under this name."""
