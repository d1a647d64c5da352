# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that count against the queue's bytes until their callers have read them.

Whoever reads slowly holds room that requests need. Large answers take at most half of it: where another one would not fit,
those go of which nothing was read for a while, and where there are none, it is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import Response
from starlette.types import Receive, Scope, Send

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.admission import Queue
from supervm.tiers.service.codes import Code

PIECE = 64 << 10
"""Bytes that are sent at a time: the server takes the next ones when the connection has room."""

SHARE = 2
"""Large answers may take a part of this many of the queue's bytes."""

STALLED_SECONDS = 1.0
RETRY_AFTER = 1.0


class Answers:
    """Those of an application.

    Args:
        queue: counts what is unread.
    """

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._sending: dict[Answer, None] = {}

    def check_room(self, size: int) -> None:
        """See that there is room for an answer of so many bytes, perhaps in place of others.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED.
        """
        missing = self.queue.unread + size - self.queue.most_size // SHARE
        last = time.monotonic() - STALLED_SECONDS
        for answer in sorted(self._sending, key=lambda one: one.moved):
            if missing <= 0 or answer.moved > last:
                break
            missing -= len(answer.body)
            answer.cut_off()
        if missing > 0 and self.queue.unread:
            text = f"{self.queue.unread} bytes of answers are not read yet: try again later, and read them faster"
            raise ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)

    def begin(self, answer: Answer, size: int) -> None:
        """An answer of so many bytes is sent."""
        self.queue.unread += size
        self._sending[answer] = None

    def end(self, answer: Answer, size: int) -> None:
        """Its caller has it, or is gone."""
        del self._sending[answer]
        self.queue.taken(size)


class Answer(Response):
    """JSON of any length.

    Args:
        content: the text.
        answers: those that are being sent.

    Attributes:
        moved: when its caller took the last piece.
    """

    media_type = "application/json"

    def __init__(self, content: bytes, answers: Answers) -> None:
        super().__init__(content)
        self._answers = answers
        self.moved = 0.0
        self.cut_off: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = memoryview(self.body)
        self.moved = time.monotonic()
        self.cut_off = scope.get("state", {}).get("abort", self.cut_off)
        self._answers.begin(self, len(content))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            for first in range(0, len(content), PIECE):
                piece = bytes(content[first : first + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self.moved = time.monotonic()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._answers.end(self, len(content))
