# SPDX-License-Identifier: GPL-3.0-or-later
"""Durable records of two-phase commit: a shard's votes, and a coordinator's log of decisions.

A record is its length, the CRC-32 of these four bytes, its own CRC-32 (all little-endian), and its bytes. A write returns
once the disk has it. A record whose length is right and whose bytes end too early was being written when the process ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import zlib
from pathlib import Path

from google.protobuf.message import DecodeError

from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import CoordinatorLogDamaged, VoteDamaged

_HEAD, _LENGTH = struct.Struct("<III"), struct.Struct("<I")
SLOTS = 2
"""Votes that can stand at once: of a block, and of the one before, whose commit may not be on the disk yet."""

KEPT_DECISIONS = 16
"""Decisions that a log keeps when it is written anew: shards ask for the last `SLOTS`."""

LOG_BYTES = 4 << 20
"""Size from which on a log is written anew."""

IDENTITY_BYTES = 16
"""Of a log: whose blocks a shard takes."""

NO_VOTE = "the shard has not voted: make room on its disk, or mend it"
ONE_AT_A_TIME = "end that one first"
OPEN_AGAIN = "open it again when it can be written: it says whether the last block was decided"
"""What to do about a file."""

_log = logging.getLogger(__name__)


def _framed(record: bytes) -> bytes:
    return _HEAD.pack(len(record), zlib.crc32(_LENGTH.pack(len(record))), zlib.crc32(record)) + record


def _unframed(data: bytes, at: int) -> bytes | None:
    """The record at a place; None if the data end before it does.

    Raises:
        ValueError: it is damaged.
    """
    head = data[at : at + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    length, crc_of_length, crc = _HEAD.unpack(head)
    if zlib.crc32(_LENGTH.pack(length)) != crc_of_length:
        if not any(head) and not any(data[at:]):
            return None  # the file had grown before the record was written
        raise ValueError(f"the length of the record at byte {at} is damaged")
    record = data[at + _HEAD.size : at + _HEAD.size + length]
    if len(record) < length:
        return None
    if zlib.crc32(record) != crc:
        raise ValueError(f"the record at byte {at} is damaged")
    return record


def _write(handle: int, data: bytes, at: int) -> None:
    """All of the data from a place of a file on. A write may end early: the next one says why, a full disk for one."""
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], at + done)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class VoteFiles:
    """The votes of a shard, in two files that take turns by height.

    Args:
        folder: where they are, made where it is not.

    Raises:
        VoteDamaged: a file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"vote-{slot}" for slot in range(SLOTS)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handles = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in self._paths]
            _sync_folder(folder)
        except OSError as error:
            raise VoteDamaged(folder, error.strerror or str(error)) from None

    def close(self) -> None:
        """Close the files. A second call does nothing."""
        for handle in self._handles:
            os.close(handle)
        self._handles = []

    def read(self) -> list[pb.VoteRecord]:
        """The votes that stand, by height. One that was being written is none: it was not given.

        Raises:
            VoteDamaged: a whole record that is no vote.
        """
        found = []
        for path, handle in zip(self._paths, self._handles, strict=True):
            data = os.pread(handle, os.fstat(handle).st_size, 0)
            try:
                record = _unframed(data, 0)
            except ValueError:
                continue  # one was being written over another
            if record is None:
                continue
            try:
                found.append(pb.VoteRecord.FromString(record))
            except DecodeError as error:
                raise VoteDamaged(path, f"no vote: {error}") from None
        return sorted(found, key=lambda vote: vote.height)

    def write(self, vote: pb.VoteRecord) -> None:
        """Keep a vote in place of the one two blocks before, or of an earlier attempt.

        Raises:
            VoteDamaged: it cannot be written.
        """
        slot = vote.height % SLOTS
        data = _framed(vote.SerializeToString())
        try:
            _write(self._handles[slot], data, 0)
            os.fdatasync(self._handles[slot])
        except OSError as error:
            raise VoteDamaged(self._paths[slot], error.strerror or str(error), NO_VOTE) from None


class DecisionLog:
    """A coordinator's decisions to commit; what is not in it was not decided, and is over.

    Args:
        path: of the file, made where it is not; None keeps the log in memory.
        map_digest: of the shard map that the log belongs to.

    Attributes:
        epoch: how often the log was opened, this time included.
        identity: of the log, drawn when it was made.
        decisions: by height; the last ones at least.

    Raises:
        CoordinatorLogDamaged: damaged, of another shard map, in use by a process, or not to be read or written.
    """

    def __init__(self, path: Path | str | None, map_digest: bytes) -> None:
        self._path = None if path is None else Path(path)
        self._map_digest, self._handle, self._size = map_digest, -1, 0
        self.epoch, self.identity = 0, b""
        self.decisions: dict[int, pb.LogRecord] = {}
        try:
            if self._path is not None:
                self._open(self._path)
            self.epoch += 1
            self.identity = self.identity or os.urandom(IDENTITY_BYTES)
            self._append(self._beginning())
        except OSError as error:
            self.close()
            raise CoordinatorLogDamaged(path or "", error.strerror or str(error)) from None
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> str:
        """Of the file, or that there is none."""
        return "the log in memory" if self._path is None else str(self._path)

    @property
    def durable(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    @property
    def height(self) -> int:
        """Of the last block that was decided, 0 before the first."""
        return next(reversed(self.decisions), 0)

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def decide(self, decision: pb.LogRecord) -> None:
        """Decide to commit a block; it is decided once the disk has it, when this returns.

        Raises:
            CoordinatorLogDamaged: it cannot be written: whether it was decided is known when the log is opened again, and
                nothing is done with this one any more.
        """
        decision.epoch, decision.map_digest = self.epoch, self._map_digest
        self._append(decision)
        self.decisions[decision.height] = decision
        self.decisions.pop(decision.height - KEPT_DECISIONS, None)
        if self._size > LOG_BYTES:
            self._write_anew()

    def check(self) -> None:
        """Go on only with a log that says what was decided.

        Raises:
            CoordinatorLogDamaged: a write to it failed.
        """
        if self._path is not None and self._handle < 0:
            raise CoordinatorLogDamaged(self._path, "a write to it failed, or it is closed", OPEN_AGAIN)

    # ---------------------------------------------------------------------------------------------- inside

    def _beginning(self) -> pb.LogRecord:
        return pb.LogRecord(epoch=self.epoch, map_digest=self._map_digest, coordinator=self.identity)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CoordinatorLogDamaged(path, "a coordinator has it open", ONE_AT_A_TIME) from None
        if not os.path.samestat(os.fstat(self._handle), path.stat()):
            # Its coordinator wrote it anew between our two calls, and has locked the new file.
            raise CoordinatorLogDamaged(path, "a coordinator has it open", ONE_AT_A_TIME)
        _sync_folder(path.parent)
        data = os.pread(self._handle, os.fstat(self._handle).st_size, 0)
        at = 0
        while at < len(data):
            try:
                record = _unframed(data, at)
            except ValueError as error:
                raise CoordinatorLogDamaged(path, str(error)) from None
            if record is None:
                break
            at += _HEAD.size + len(record)
            self._take(path, record, at)
        # What was being written when the process ended was not decided.
        os.ftruncate(self._handle, at)
        self._size = at

    def _take(self, path: Path, record: bytes, at: int) -> None:
        try:
            found = pb.LogRecord.FromString(record)
        except DecodeError as error:
            raise CoordinatorLogDamaged(path, f"no record before byte {at}: {error}") from None
        if found.map_digest != self._map_digest:
            raise CoordinatorLogDamaged(path, "it is the log of another shard map")
        if found.height:
            if self.decisions and found.height != self.height + 1:
                raise CoordinatorLogDamaged(path, f"block {found.height} follows block {self.height}")
            self.decisions[found.height] = found
        elif found.epoch <= self.epoch:
            raise CoordinatorLogDamaged(path, f"beginning {found.epoch} follows {self.epoch}")
        self.epoch = max(self.epoch, found.epoch)
        self.identity = found.coordinator or self.identity

    def _append(self, record: pb.LogRecord) -> None:
        if self._path is None:
            return
        self.check()
        data = _framed(record.SerializeToString())
        try:
            _write(self._handle, data, self._size)
            os.fdatasync(self._handle)
        except OSError as error:
            raise self._failed(self._path, error) from None
        self._size += len(data)

    def _failed(self, path: Path, error: OSError) -> CoordinatorLogDamaged:
        """Nobody knows what the disk has: reading it again tells."""
        self.close()
        return CoordinatorLogDamaged(path, error.strerror or str(error), OPEN_AGAIN)

    def _write_anew(self) -> None:
        """The last decisions in a file that takes the place of the long one; that one stays where this fails."""
        assert self._path is not None
        whole = self._path.with_name(self._path.name + ".new")
        kept = [self.decisions[height] for height in sorted(self.decisions)]
        data = b"".join(_framed(record.SerializeToString()) for record in [self._beginning(), *kept])
        handle = -1
        try:
            with contextlib.suppress(FileNotFoundError):
                whole.unlink()
            handle = os.open(whole, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(handle, data, 0)
            os.fsync(handle)
            whole.replace(self._path)
        except OSError as error:
            if handle >= 0:
                os.close(handle)
            _log.warning("%s cannot be written anew, and grows on: %s", self._path, error)
            return
        os.close(self._handle)
        self._handle, self._size = handle, len(data)
        try:
            _sync_folder(self._path.parent)
        except OSError as error:
            raise self._failed(self._path, error) from None
