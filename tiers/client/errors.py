# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of the service can end with besides an answer.

    SupervmError
    └── ClientError                            any of these
        ├── ServiceRefused                     the service said no: code, field, message, when to try again
        ├── DeadlineExceeded (TimeoutError)    no answer before the deadline
        └── ServiceUnavailable (ConnectionError)   nobody there, or a server that is about to stop

An argument that is wrong before anything is sent is an `ArgumentError`, as in the library.
"""

from __future__ import annotations

from supervm.kernels.errors import SupervmError

__all__ = ["ClientError", "DeadlineExceeded", "ServiceRefused", "ServiceUnavailable"]


class ClientError(SupervmError):
    """A call that has no answer."""


class ServiceRefused(ClientError):
    """The service did not carry a request out.

    Args:
        code: the name of a gRPC status code, such as `INVALID_ARGUMENT` or `RESOURCE_EXHAUSTED`.
        field: the field of the request that is wrong, or empty.
        message: the service's words.
        retry_after: seconds after which another attempt may be answered, or None where that is of no use.
    """

    def __init__(self, code: str, field: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {field}: {message}" if field else f"{code}: {message}")
        self.code = code
        self.field = field
        self.message = message
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[ServiceRefused], tuple[str, str, str, float | None]]:
        return type(self), (self.code, self.field, self.message, self.retry_after)


class DeadlineExceeded(ClientError, TimeoutError):
    """The deadline passed first. The service may have worked; what it found is lost."""


class ServiceUnavailable(ClientError, ConnectionError):
    """No server answers at the address, the connection broke, or the server is about to stop.

    Args:
        message: what is known about it.
        retry_after: seconds after which another attempt may be answered, or None if nobody said.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[ServiceUnavailable], tuple[str, float | None]]:
        return type(self), (self.message, self.retry_after)
