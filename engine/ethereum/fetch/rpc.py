# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON-RPC over HTTP, as an Ethereum node has it: many calls in one request, time-outs, tries.

What a node answers is not believed: the envelope is checked here, the results by whoever asked. Messages name the host
alone, since addresses of nodes carry keys. Sources: the JSON-RPC 2.0 specification; Ethereum execution-apis.
"""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from supervm.engine.errors import InputFileError, NodeAnswerMalformed, NodeRefused, NodeUnreachable
from supervm.engine.ethereum.wire import MOST_BYTES, decode_json
from supervm.kernels.errors import ArgumentError

TIMEOUT = 30.0
"""Seconds that one request may take without a byte."""

TRIES = 4
"""Of one request, the first one counted."""

BATCH = 50
"""Calls in one request; nodes that are open to everybody take no more."""

METHOD_NOT_FOUND = -32601
"""JSON-RPC's code of a method that the node does not have."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds before the second try, which double for each later one."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of what may go better at another try."""

_SHOWN_BYTES = 40

T = TypeVar("T")
Call = tuple[str, Sequence[Any]]
"""A method, and its parameters."""


class _Error(msgspec.Struct, gc=False):
    code: int
    message: str


class _Envelope(msgspec.Struct, gc=False):
    id: int | None = None
    result: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b""))
    error: _Error | None = None


class Node:
    """A node that is asked over HTTP.

    Args:
        url: where its JSON-RPC is, with http or https.
        timeout: seconds; see `TIMEOUT`.
        tries: at least 1; see `TRIES`.
        batch: calls in one request, at least 1.

    Raises:
        ArgumentError: an argument that cannot be.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, tries: int = TRIES, batch: int = BATCH) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ArgumentError("url", repr(parts.scheme), "http://HOST:PORT, or https, of a node's JSON-RPC")
        for name, value in (("tries", tries), ("batch", batch)):
            if value < 1:
                raise ArgumentError(name, str(value), "1 or more")
        if not timeout > 0:
            raise ArgumentError("timeout", str(timeout), "seconds above 0")
        self.name = parts.hostname + (f":{parts.port}" if parts.port else "")
        self._url = url
        self._timeout = timeout
        self._tries = tries
        self._batch = batch

    def ask(self, method: str, parameters: Sequence[Any], shape: type[T]) -> T:
        """One call, and its result in a shape.

        Raises:
            NodeUnreachable, NodeRefused: no answer, or an error.
            NodeAnswerMalformed: an answer of another shape; the field is named.
        """
        return self.ask_all([(method, parameters)], shape)[0]

    def ask_all(self, calls: Sequence[Call], shape: type[T]) -> list[T]:
        """Many calls whose results have one shape, in their order; raises as `ask`."""
        return [self.decode(call[0], raw, shape) for call, raw in zip(calls, self.raw(calls), strict=True)]

    def decode(self, method: str, raw: bytes, shape: type[T]) -> T:
        """The result of a call in a shape; raises as `ask`."""
        with self.told_of(method):
            return decode_json(raw, Path(method), shape)

    def raw(self, calls: Sequence[Call]) -> list[bytes]:
        """The JSON of the results of many calls, in their order; raises as `ask`."""
        found: list[bytes] = []
        at = 0
        while at < len(calls):
            part = calls[at : at + self._batch]
            answers = self._together(part) if len(part) > 1 else None
            if answers is None:
                answers = [self._alone(call) for call in part]
            found += answers
            at += len(part)
        return found

    @contextmanager
    def told_of(self, method: str) -> Iterator[None]:
        """Have what a reader of files finds wrong with an answer be told as the node's."""
        try:
            yield
        except InputFileError as error:
            place = "" if error.transaction is None else f"transactions[{error.transaction}]"
            field = ".".join(part for part in (place, error.field) if part)
            raise NodeAnswerMalformed(self.name, method, field, error.found, error.expected) from None

    def _alone(self, call: Call) -> bytes:
        method, parameters = call
        data = self._post({"jsonrpc": "2.0", "id": 0, "method": method, "params": list(parameters)})
        with self.told_of(method):
            return self._result(call, decode_json(data, Path(method), _Envelope))

    def _together(self, calls: Sequence[Call]) -> list[bytes] | None:
        """The results of calls in one request; None where the node takes one call a request, and will be asked so."""
        asked = [
            {"jsonrpc": "2.0", "id": at, "method": method, "params": list(parameters)}
            for at, (method, parameters) in enumerate(calls)
        ]
        data = self._post(asked)
        if not data.lstrip().startswith(b"["):
            self._batch = 1
            return None
        method = calls[0][0]
        with self.told_of(method):
            answers = decode_json(data, Path(method), list[_Envelope])
        by_id = {answer.id: answer for answer in answers}
        lacking = next((at for at in range(len(calls)) if at not in by_id), None)
        if lacking is not None:
            raise NodeAnswerMalformed(
                self.name, calls[lacking][0], "id", "nothing", f"an answer to call {lacking}"
            )
        return [self._result(call, by_id[at]) for at, call in enumerate(calls)]

    def _result(self, call: Call, answer: _Envelope) -> bytes:
        if answer.error is not None:
            raise NodeRefused(self.name, call[0], answer.error.code, answer.error.message)
        result = bytes(answer.result)
        if not result:
            raise NodeAnswerMalformed(self.name, call[0], "result", "nothing", "this field, or 'error'")
        return result

    def _post(self, asked: Any) -> bytes:
        body = msgspec.json.encode(asked)
        problem = ""
        for attempt in range(self._tries):
            if attempt:
                time.sleep(min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE))
            try:
                return self._once(body)
            except urllib.error.HTTPError as error:
                with error:
                    data = error.read(MOST_BYTES)
                problem = f"HTTP status {error.code}"
                if error.code not in _PASSING:
                    if data.lstrip()[:1] in (b"{", b"["):  # JSON-RPC that says it twice
                        return bytes(data)
                    said = data[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
                    raise NodeUnreachable(
                        self.name, f"{problem}: {said}" if said else problem, attempt + 1
                    ) from None
            except (OSError, http.client.HTTPException) as error:
                problem = _words(error, self._timeout)
        raise NodeUnreachable(self.name, problem, self._tries)

    def _once(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "supervm"}
        request = urllib.request.Request(self._url, body, headers)
        with urllib.request.urlopen(request, timeout=self._timeout) as answer:
            data: bytes = answer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise NodeAnswerMalformed(
                self.name, "HTTP", "", f"more than {MOST_BYTES:,} bytes", f"at most {MOST_BYTES:,}"
            )
        return data


def _words(error: Exception, timeout: float) -> str:
    """What went wrong with a connection."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError | socket.timeout):
        return f"no answer within {timeout:g} s"
    if isinstance(reason, http.client.IncompleteRead):
        return "the connection ended within the answer"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
