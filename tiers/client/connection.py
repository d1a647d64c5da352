# SPDX-License-Identifier: GPL-3.0-or-later
"""How a client reaches the service and proves who it is, and what a failed call says in this package's errors."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.errors import ClientError, DeadlineExceeded, ServiceRefused, ServiceUnavailable
from supervm.tiers.client.retry import FULL
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["Connection", "Tls", "failure", "refusal"]

_PUSH_BACK = "grpc-retry-pushback-ms"
_REFUSAL = "supervm-refusal-bin"
"""Trailer of an error with a `Refusal`, which has the field apart."""

_FULL_FOR_NOW = re.compile(
    "limit exceeded|too many pending|bandwidth exhausted|enhance_your_calm", re.IGNORECASE
)
"""What gRPC itself says, without a push-back, where it has too many calls; what it says of too long a message is final."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM, and whom to expect.

    Args:
        root: certificates that the server's is signed by; None for those of the system.
        certificate, key: the client's own, for a server that asks for one (mTLS); both or neither.
        server_name: the name in the server's certificate, where it is not that of the address.

    Raises:
        ArgumentError: a certificate without its key, or the other way round.
    """

    root: Path | str | None = None
    certificate: Path | str | None = None
    key: Path | str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            lacking = "certificate" if self.certificate is None else "key"
            raise ArgumentError(lacking, "None", "both files, certificate and key, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC takes; the files are read now."""
        root, key, certificate = (_content(path) for path in (self.root, self.key, self.certificate))
        return grpc.ssl_channel_credentials(root, key, certificate)


def _content(path: Path | str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


@dataclass(frozen=True)
class Connection:
    """An address with what is needed to talk to it.

    Args:
        target: `host:port`, or another name that gRPC resolves, such as `unix:///run/supervm.sock`.
        tls: None for plain text.
        token: sent as a bearer token with every call.
    """

    target: str
    tls: Tls | None
    token: str | None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel(
        self, options: Sequence[tuple[str, Any]] | None = None, more: Sequence[tuple[str, Any]] = ()
    ) -> grpc.Channel:
        """For synchronous calls.

        Args:
            options: of gRPC, in place of those of a client of the service.
            more: options that are added.
        """
        options = [*(self._options() if options is None else options), *more]
        if self.tls is None:
            return grpc.insecure_channel(self.target, options)
        return grpc.secure_channel(self.target, self.tls.credentials(), options)

    def aio_channel(self, more: Sequence[tuple[str, Any]] = ()) -> grpc.aio.Channel:
        """For asyncio.

        Args:
            more: options of gRPC that are added.
        """
        options = [*self._options(), *more]
        if self.tls is None:
            return grpc.aio.insecure_channel(self.target, options)
        return grpc.aio.secure_channel(self.target, self.tls.credentials(), options)

    def _options(self) -> list[tuple[str, Any]]:
        """Requests are cut here and retried here; a channel of its own, so that clients do not share a connection."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if _of_this_machine(
            self.target
        ):  # which a proxy, named in the environment for elsewhere, does not reach
            options.append(("grpc.enable_http_proxy", 0))
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def _of_this_machine(target: str) -> bool:
    """Whether a target is `localhost` or a loopback address, with or without gRPC's scheme before it."""
    host = re.sub(r"^(ipv4:|ipv6:|dns:(//[^/]*/)?)", "", target).rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def failure(error: Any) -> ClientError:
    """What a call of gRPC failed with, as an error of this package.

    Args:
        error: a `grpc.RpcError` of a call.
    """
    trailing = dict(error.trailing_metadata() or ())
    push_back = str(trailing.get(_PUSH_BACK, ""))
    # gRFC A6: a negative push-back, or one that is no number, asks not to try again.
    retry_after = int(push_back) / 1000 if push_back.isdecimal() else None
    code, details = error.code().name, error.details() or ""
    if code == FULL and not push_back and _FULL_FOR_NOW.search(details):
        retry_after = 0.0
    said = pb.Refusal()
    with contextlib.suppress(DecodeError):
        said.ParseFromString(trailing.get(_REFUSAL, b""))
    return refusal(code, said.message or details, retry_after, said.field)


def refusal(code: str, message: str, retry_after: float | None, field: str) -> ClientError:
    """The error for a status.

    Args:
        code: a status code's name.
        message: the server's words.
        retry_after: the push-back, in seconds.
        field: the field of the request that is wrong, or empty.
    """
    if code in (
        "UNAVAILABLE",
        "CANCELLED",
    ):  # not by this side, which gets no error for that: the server was stopped
        return ServiceUnavailable(message, retry_after)
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(message)
    return ServiceRefused(code, field, message, retry_after)
