# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 as h11 reads it, without what costs its reader more than its sender."""

from __future__ import annotations

import h11

MOST_HEAD_BYTES = 16 << 10
"""Of a request's line and headers, or of the trailers of a chunked body."""

FREE_PARTS, PART_BYTES = 256, 16
"""Parts in which a body may come, whatever their length; beyond, the bytes that they must have on average."""

VERSIONS = (b"1.0", b"1.1")
LENGTH, CODING = b"content-length", b"transfer-encoding"


class Parser(h11.Connection):
    """The server's side of a connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MOST_HEAD_BYTES)
        self._parts = self._bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """What h11 finds next.

        Raises:
            RemoteProtocolError: h11's own; another version; a body in more parts than it has reason for; a body whose length
                is stated twice, about which a proxy might think otherwise.
        """
        event = super().next_event()
        if type(event) is h11.Data:
            self._parts += 1
            self._bytes += len(event.data)
            if self._parts > FREE_PARTS and self._bytes < PART_BYTES * self._parts:
                raise h11.RemoteProtocolError(
                    f"a body in parts of less than {PART_BYTES} bytes on average", error_status_hint=400
                )
        elif type(event) is h11.Request:
            self._parts = self._bytes = 0
            if event.http_version not in VERSIONS:
                raise h11.RemoteProtocolError("not HTTP/1.0 or HTTP/1.1", error_status_hint=505)
            names = {name for name, _ in event.headers}
            if LENGTH in names and CODING in names:
                raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding", error_status_hint=400)
        return event
