# SPDX-License-Identifier: GPL-3.0-or-later
"""An Arrow IPC stream, from a file or a pipe, handed to pyarrow message by message, each one checked before."""

from __future__ import annotations

from supervm.engine.files.input_files import InputFile
from supervm.tiers.signature_files.arrow_messages import (
    CONTINUATION,
    MOST_METADATA,
    MOST_STREAMED,
    BadMessage,
    body_length,
    check_message,
)


class CheckedStream:
    """What pyarrow reads a stream from: a file object without places to go to.

    Bytes of a file are lent from memory that is mapped, those of a pipe are held for one message.

    Args:
        source: the file or pipe, at the beginning of the stream.
        most: as in `arrow_messages.check_message`.
    """

    closed = False

    def __init__(self, source: InputFile, most: int) -> None:
        self._source = source
        self._most = most
        self._mapped = memoryview(source.mapped()) if source.whole else None
        self._place = 0
        self._checked = memoryview(b"")
        self._served = 0

    @property
    def fraction(self) -> float | None:
        """How much of a file has been read, 0 to 1; None of a pipe."""
        return self._place / max(1, len(self._mapped)) if self._mapped is not None else None

    def read(self, count: int = -1) -> memoryview:
        """The next bytes, at most `count`, of messages that have been checked.

        Raises:
            BadMessage: the next message cannot be right.
            InputFileError: it cannot be read.
        """
        pieces = [self._piece(count)]
        missing = count - len(pieces[0])
        # pyarrow takes fewer bytes than it asked for as the end.
        while missing > 0 and pieces[-1]:
            pieces.append(self._piece(missing))
            missing -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def _piece(self, count: int) -> memoryview:
        """Bytes of one message, at most `count`; none at the end."""
        if not self._checked:
            self._checked = self._message()
        piece = self._checked if count < 0 else self._checked[:count]
        self._checked = self._checked[len(piece) :]
        self._served += len(piece)
        return piece

    def readable(self) -> bool:
        """True; as pyarrow asks of a file object."""
        return True

    def writable(self) -> bool:
        """False; as pyarrow asks of a file object."""
        return False

    def seekable(self) -> bool:
        """False: bytes are given once, in their order."""
        return False

    def tell(self) -> int:
        """The count of bytes that `read` keeps."""
        return self._served

    def close(self) -> None:
        """Count as closed; the file or pipe stays open, which belongs to whoever opened it."""
        self.closed = True

    def _message(self) -> memoryview:
        """A whole message, checked; what there is where the stream ends within one, which pyarrow will tell."""
        head = bytes(self._take(4))
        prefix = head
        if head == CONTINUATION:
            head = bytes(self._take(4))
            prefix += head
        if len(head) < 4:
            return memoryview(prefix)
        length = int.from_bytes(head, "little", signed=True)
        if not 0 <= length <= MOST_METADATA:
            raise BadMessage(f"a description of {length:,} bytes; at most {MOST_METADATA:,} are taken")
        metadata = self._take(length)
        if length == 0 or len(metadata) < length:
            return memoryview(prefix + bytes(metadata))
        size = body_length(metadata)
        if self._mapped is None and size > MOST_STREAMED:
            problem = f"a record batch of {size:,} bytes in a pipe; at most {MOST_STREAMED:,} are taken"
            raise BadMessage(f"{problem}: write smaller ones, or a file")
        if self._mapped is not None and size > len(self._mapped) - self._place:
            raise BadMessage(
                f"a body of {size:,} bytes, of which {len(self._mapped) - self._place:,} are there"
            )
        body = self._take(size)
        if len(body) == size:
            check_message(metadata, lambda start, count: body[start : start + count], self._most)
        if self._mapped is not None:
            begin = self._place - len(body) - len(metadata) - len(prefix)
            return self._mapped[begin : self._place]
        return memoryview(b"".join((prefix, metadata, body)))

    def _take(self, count: int) -> memoryview:
        """So many bytes, fewer at the end."""
        if self._mapped is not None:
            piece = self._mapped[self._place : self._place + count]
            self._place += len(piece)
            return piece
        held = bytearray()
        while len(held) < count and (more := self._source.read(count - len(held))):
            held += more
        return memoryview(held)
