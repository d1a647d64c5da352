# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that count against the queue's bytes until their callers have read them."""

from __future__ import annotations

from fastapi import Response
from starlette.types import Receive, Scope, Send

from supervm.tiers.service.admission import Queue

PIECE = 64 << 10
"""Bytes that are sent at a time: the server takes the next ones when the connection has room."""


class Answer(Response):
    """JSON of any length.

    Args:
        content: the text.
        queue: counts what is unread.
    """

    media_type = "application/json"

    def __init__(self, content: bytes, queue: Queue) -> None:
        super().__init__(content)
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = memoryview(self.body)
        self._queue.unread += len(content)
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            for first in range(0, len(content), PIECE):
                piece = bytes(content[first : first + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._queue.taken(len(content))
