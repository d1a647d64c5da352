# SPDX-License-Identifier: GPL-3.0-or-later
"""The signatures of a stream: those that wait to be sent, those that wait for their verdict. It knows no gRPC, no threads.

What is sent twice is harmless, since a verdict depends on nothing but the signature; so when a connection breaks, whatever
has no verdict is sent again on the next one.
"""

from __future__ import annotations

import itertools
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from supervm.crypto.schemes import ECDSA
from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.calls import ED25519_RULES
from supervm.tiers.client.connection import refusal
from supervm.tiers.client.errors import ClientError, DeadlineExceeded, ServiceRefused
from supervm.tiers.client.retry import NEVER, Deadline, Retry, pause_before_retry
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["Kind", "Signature", "Window", "ecdsa", "ed25519", "schnorr", "status_name"]

_PACKED_BYTES = 1 << 20
"""Signatures that go together in one request, with keys and messages, are no longer than this; a longer one goes alone."""
_OFFSET = 8
_SEGMENT = 64
"""Bytes that a request of one signature may take beside it: tags, lengths, numbers."""

_STATUS = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}


class Kind(NamedTuple):
    """What signatures have in common that one request may hold."""

    scheme: pb.Scheme
    rule: int
    allow_high_s: bool
    key_bytes: int


@dataclass(slots=True)
class Signature:
    """One to be verified; `signed` is a message, or with ECDSA a digest; `promise` a future, of either kind."""

    kind: Kind
    public_key: bytes
    signed: bytes
    signature: bytes
    promise: Any = None
    deadline: Deadline = NEVER
    attempt: int = 1
    open: bool = True

    @property
    def size(self) -> int:
        """Bytes that it takes in a request."""
        return len(self.public_key) + len(self.signed) + len(self.signature) + _OFFSET


_ED25519 = {name: Kind(pb.SCHEME_ED25519, rule, False, 32) for name, rule in ED25519_RULES.items()}
_SCHNORR = Kind(pb.SCHEME_SCHNORR_SECP256K1, pb.ED25519_RULE_DALEK, False, 32)


def ed25519(public_key: bytes, message: bytes, signature: bytes, rule: str) -> Signature:
    """Raises:
    ArgumentError: wrong lengths, or an unknown rule.
    """
    kind = _ED25519.get(rule)
    if kind is None:
        raise ArgumentError("rule", repr(rule), ", ".join(map(repr, ED25519_RULES)))
    return _checked(Signature(kind, public_key, message, signature))


def schnorr(public_key: bytes, message: bytes, signature: bytes) -> Signature:
    """Raises:
    ArgumentError: wrong lengths.
    """
    return _checked(Signature(_SCHNORR, public_key, message, signature))


def ecdsa(public_key: bytes, digest: bytes, signature: bytes, low_s: bool) -> Signature:
    """Raises:
    ArgumentError: wrong lengths.
    """
    if len(public_key) not in ECDSA.key_bytes:
        raise ArgumentError("public_key", f"{len(public_key)} bytes", "33, 64 or 65 bytes")
    if len(digest) != 32:
        raise ArgumentError("digest", f"{len(digest)} bytes", "32 bytes")
    kind = Kind(pb.SCHEME_ECDSA_SECP256K1, pb.ED25519_RULE_DALEK, not low_s, len(public_key))
    return _checked(Signature(kind, public_key, digest, signature))


def _checked(item: Signature) -> Signature:
    if len(item.public_key) != item.kind.key_bytes:
        raise ArgumentError("public_key", f"{len(item.public_key)} bytes", f"{item.kind.key_bytes} bytes")
    if len(item.signature) != 64:
        raise ArgumentError("signature", f"{len(item.signature)} bytes", "64 bytes")
    return item


class Window:
    """Requests out, replies in.

    Args:
        retry: when a signature goes out again.
        pack: signatures that one request may hold.
        message_bytes: what no request may be above.
        done: called for each signature once its promise is kept or broken.
    """

    def __init__(self, retry: Retry, pack: int, message_bytes: int, done: Callable[[], None]) -> None:
        self._retry, self._pack, self._done = retry, pack, done
        self._limit = message_bytes - _SEGMENT
        self._together = min(_PACKED_BYTES, self._limit)
        self._waiting: deque[Signature] = deque()
        self._sent: dict[int, list[Signature]] = {}
        self._resting: list[list[Signature]] = []
        self._ids = itertools.count(1)

    def check(self, item: Signature) -> None:
        """Raises:
        ArgumentError: one that a server would end the whole stream for.
        """
        if item.size > self._limit:
            found, expected = (
                f"{len(item.signed)} bytes",
                f"at most 'message_bytes' with key and signature, {self._limit}",
            )
            raise ArgumentError("message", found, expected)

    def put(self, item: Signature) -> None:
        """Queue a signature."""
        self._waiting.append(item)

    @property
    def waits(self) -> bool:
        """Whether a signature waits to be sent."""
        return bool(self._waiting)

    def take(self) -> pb.VerifyRequest | None:
        """The next request: the first signature that waits, and those right behind it that can go with it."""
        waiting = self._waiting
        if not waiting:
            return None
        items = [waiting.popleft()]
        kind, room = items[0].kind, self._together - items[0].size
        while waiting and len(items) < self._pack and waiting[0].kind == kind:
            room -= waiting[0].size
            if room < 0:
                break
            items.append(waiting.popleft())
        number = next(self._ids)
        self._sent[number] = items
        return _single(number, items[0]) if len(items) == 1 else _packed(number, items)

    def answer(self, reply: pb.VerifyReply) -> tuple[float, list[Signature]] | None:
        """Keep the promises that a reply is about.

        Returns:
            Where the service had no room: seconds, and what to `put_back` after them.
        """
        items = self._sent.pop(reply.id, None)
        if items is None:
            return None
        if reply.HasField("refusal"):
            said = reply.refusal
            retry_after = said.retry_after_ms / 1000 if said.retry_after_ms else None
            return self._failed(items, refusal(status_name(said.code), said.message, retry_after, said.field))
        if len(reply.verdicts) != len(items):
            text = f"{len(reply.verdicts)} verdicts came for {len(items)} signatures"
            return self._failed(items, ServiceRefused("INTERNAL", "", text))
        for item, verdict in zip(items, struct.unpack(f"{len(items)}b", reply.verdicts), strict=True):
            if item.open and not item.promise.done():
                item.promise.set_result(verdict)
            self._close(item)
        return None

    def lost(self, error: ClientError) -> tuple[float, list[Signature]] | None:
        """The connection broke: nothing that was sent will be answered; returns as `answer` does."""
        items = [item for sent in self._sent.values() for item in sent] + list(self._waiting)
        self._sent.clear()
        self._waiting.clear()
        return self._failed(items, error)

    def put_back(self, items: list[Signature]) -> None:
        """Queue signatures again, before those that came later."""
        self._resting = [other for other in self._resting if other is not items]
        self._waiting.extendleft(reversed(items))

    def expire(self) -> None:
        """Break the promises whose deadline has passed, and forget their signatures."""
        late = DeadlineExceeded("no verdict came before the deadline")
        for items in (*self._sent.values(), self._waiting):
            for item in items:
                if item.deadline.left == 0:
                    self._break(item, late)
        self._waiting = deque(item for item in self._waiting if item.open)
        self._sent = {key: items for key, items in self._sent.items() if any(item.open for item in items)}

    def abandon(self, error: ClientError) -> None:
        """Break every promise."""
        for items in (*self._sent.values(), *self._resting, self._waiting):
            for item in items:
                self._break(item, error)
                if not item.promise.cancelled():
                    item.promise.exception()  # as if looked at: who leaves by an exception looks at nothing more
        self._sent.clear()
        self._resting.clear()
        self._waiting.clear()

    def _failed(self, items: list[Signature], error: ClientError) -> tuple[float, list[Signature]] | None:
        """Break the promises for which the error is final; the rest, and how long it has to wait."""
        again, longest = [], 0.0
        for item in items:
            pause = pause_before_retry(error, self._retry, item.attempt, item.deadline)
            if pause is None or item.promise.done():
                self._break(item, error)
                continue
            item.attempt += 1
            longest = max(longest, pause)
            again.append(item)
        if not again:
            return None
        self._resting.append(again)
        return longest, again

    def _break(self, item: Signature, error: ClientError) -> None:
        if item.open and not item.promise.done():
            item.promise.set_exception(error)
        self._close(item)

    def _close(self, item: Signature) -> None:
        if item.open:
            item.open = False
            self._done()


def status_name(code: int) -> str:
    """The name of a google.rpc.Code."""
    return _STATUS.get(code, "UNKNOWN")


def _single(number: int, item: Signature) -> pb.VerifyRequest:
    kind = item.kind
    over_digest = kind.scheme == pb.SCHEME_ECDSA_SECP256K1
    return pb.VerifyRequest(
        id=number,
        scheme=kind.scheme,
        rule=kind.rule,  # type: ignore[arg-type]
        allow_high_s=kind.allow_high_s,
        public_keys=item.public_key,
        signatures=item.signature,
        message=b"" if over_digest else item.signed,
        digests=item.signed if over_digest else b"",
    )


def _packed(number: int, items: list[Signature]) -> pb.VerifyRequest:
    kind = items[0].kind
    request = pb.VerifyRequest(
        id=number,
        scheme=kind.scheme,
        rule=kind.rule,  # type: ignore[arg-type]
        allow_high_s=kind.allow_high_s,
        public_keys=b"".join([item.public_key for item in items]),
        signatures=b"".join([item.signature for item in items]),
    )
    signed = b"".join([item.signed for item in items])
    if kind.scheme == pb.SCHEME_ECDSA_SECP256K1:
        request.digests = signed
    else:
        ends = itertools.accumulate([len(item.signed) for item in items], initial=0)
        request.messages.data = signed
        request.messages.offsets = struct.pack(f"<{len(items) + 1}Q", *ends)
    return request
