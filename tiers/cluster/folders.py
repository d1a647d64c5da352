# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of files that are larger than any machine: verdicts by part, kept as they are done; a stop loses no part.

A part is a stretch of `PART_ROWS` rows of one file. Its verdicts are a Parquet file of one column,
OUTPUT/FILE/NUMBER.parquet, which has its name when every verdict is in it; what it belongs to stands in its metadata.
Whoever starts again with the same files, rules and output finds finished parts and reads past their rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from supervm.engine.files.whole_files import whole_file
from supervm.kernels.array_types import Verdicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.signature_tasks import SIGNATURE_ROWS, columns_of
from supervm.tiers.cluster.task import Columns
from supervm.tiers.errors import BrokenFile
from supervm.tiers.signature_files.formats import SignatureFile
from supervm.tiers.signature_files.rows import NAMES, Rows
from supervm.tiers.signature_files.verdict_writers import SCHEMA
from supervm.tiers.signature_files.verification import Summary

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

PART_ROWS = 1 << 20
"""Rows of a part: some seconds of a machine, and a megabyte of verdicts."""

METADATA = b"supervm.verdicts"
"""The key of what a file of verdicts says of itself."""

SUFFIXES = (".parquet", ".pq", ".arrow", ".arrows", ".ipc", ".feather", ".jsonl", ".ndjson")
"""Of the files that are taken from a folder."""

Key = tuple[str, int]
"""A file's name below the folder, and the number of a part of it."""


class Stamp(msgspec.Struct, frozen=True):
    """What a file of verdicts says of itself.

    Args:
        file: name of the file that was verified, below its folder.
        bytes: of that file.
        changed: when it was last written, in nanoseconds.
        rules: that signatures were verified under.
        first: rows of the file before this part.
        last: whether the file ends with this part.
        counts: scheme → verdict → rows.
        failures: the first rows that are not valid: number, scheme, verdict.
    """

    file: str
    bytes: int
    changed: int
    rules: dict[str, Any]
    first: int
    last: bool
    counts: dict[str, dict[int, int]]
    failures: list[tuple[int, str, int]]


@dataclass(frozen=True)
class Labels:
    """What a summary asks of rows; see `rows.Batch`."""

    numbers: npt.NDArray[np.int64]
    scheme: npt.NDArray[np.int8]
    names: tuple[str, ...] = NAMES

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(eq=False)
class _Part:
    """A part that is being verified: its shares, in order, and whether all of them are known."""

    first: int
    labels: list[Labels] = field(default_factory=list)
    verdicts: list[Verdicts | None] = field(default_factory=list)
    closed: bool = False
    last: bool = False

    @property
    def done(self) -> bool:
        """Whether every verdict is there."""
        return self.closed and all(found is not None for found in self.verdicts)


class FolderRun:
    """One verification of many files on a pool.

    Args:
        pool: whose nodes verify.
        files: name below the folder → path, in the order in which they are read.
        opened: makes the reader of a file.
        rules: of `compose.signature_checks`.
        output: the folder of verdicts; None keeps none.
        shown_failures: how many failures to keep.
        recheck: share of the rows that another node verifies again.
        share_rows: rows of a share.
        progress: called with the fraction that is done and the rows so far.

    Attributes:
        broken: files that cannot be read to their end; the part that is cut short has no verdicts.
        resumed: parts that were found finished.
        finished: stamps of all finished parts.
    """

    def __init__(
        self,
        pool: Pool,
        files: dict[str, Path],
        opened: Callable[[Path], SignatureFile],
        rules: dict[str, Any],
        output: Path | None = None,
        *,
        shown_failures: int = 10,
        recheck: float,
        share_rows: int,
        progress: Callable[[float, int], None] = lambda fraction, rows: None,
    ) -> None:
        self.broken: list[BrokenFile] = []
        self.resumed = 0
        self.finished: dict[Key, Stamp] = {}
        self._pool, self._files, self._opened, self._rules = pool, files, opened, rules
        self._output, self._shown, self._recheck, self._share = output, shown_failures, recheck, share_rows
        self._progress = progress
        self._parts: dict[Key, _Part] = {}
        self._where: dict[int, tuple[Key, int]] = {}
        self._found: dict[str, os.stat_result] = {}
        self._read = 0.0
        self._rows = self._taken = self._done = 0
        if output is not None:
            self._find_finished()

    def run(self) -> None:
        """Verify every part that is not finished.

        Raises: as `Pool.run`, when every part that was finished by then is kept.
        """
        while self._pass():
            pass

    def _pass(self) -> bool:
        """Verify what is not finished; whether parts are not believed any more, in which a node answered that was found to
        answer wrongly later. Those are forgotten however this ends: who goes on later must not find them finished."""
        self.broken, self._where, self._parts = [], {}, {}
        answers = self._pool.run(SIGNATURE_ROWS, self._shares(), self._rules, recheck=self._recheck)
        try:
            for index, (verdicts,) in answers:
                key, place = self._where[index]
                part = self._parts.get(key)
                if part is None:  # of a file that turned out to be broken
                    continue
                part.verdicts[place] = verdicts
                self._rows += len(verdicts)
                self._done += len(verdicts)
                self._progress(self._read * self._done / self._taken, self._rows)
                self._keep(key, part)
        finally:
            answers.close()
            doubted = {self._where[index][0] for index in answers.suspects} & set(self.finished)
            for key in doubted:
                self._forget(key)
        return bool(doubted)

    def summary(self) -> Summary:
        """What all finished parts came to, without the failures."""
        total = Summary(0)
        for stamp in self.finished.values():
            for scheme, counts in stamp.counts.items():
                row = total.counts.setdefault(scheme, dict.fromkeys(counts, 0))
                for verdict, rows in counts.items():
                    row[verdict] += rows
        return total

    @property
    def failures(self) -> list[tuple[str, int, str, int]]:
        """The first failures: file, number, scheme, verdict."""
        found = [
            (name, *failure)
            for (name, _), stamp in sorted(self.finished.items(), key=lambda item: self._place(item[0]))
            for failure in stamp.failures
        ]
        return found[: self._shown]

    # Reading

    def _shares(self) -> Iterator[Columns]:
        """The rows of all unfinished parts, a share at a time."""
        total = sum(path.stat().st_size for path in self._files.values()) or 1
        before, index = 0, 0
        for name, path in self._files.items():
            # Before it is read: verdicts are of this file, whatever takes its place.
            self._found[name] = path.stat()
            size = self._found[name].st_size
            file = None if self._whole(name) else self._open(path)
            if file is not None:
                with closing(file.source):
                    for columns, key, labels in self._shares_of(name, file):
                        part = self._parts[key]
                        self._where[index] = key, len(part.verdicts)
                        part.labels.append(labels)
                        part.verdicts.append(None)
                        index += 1
                        self._taken += len(labels)
                        self._read = (before + size * (file.fraction or 0.0)) / total
                        yield columns
            before += size
            self._read = before / total

    def _open(self, path: Path) -> SignatureFile | None:
        """The reader of a file; None, and its error is noted, if there is none."""
        try:
            return self._opened(path)
        except BrokenFile as error:
            self.broken.append(error)
            return None

    def _shares_of(self, name: str, file: SignatureFile) -> Iterator[tuple[Columns, Key, Labels]]:
        """Shares of a file's unfinished parts, with the part of each."""
        row = 0
        try:
            for rows in file.batches():
                assert isinstance(rows, Rows)
                start = 0
                while start < len(rows):
                    number = row // PART_ROWS
                    key = name, number
                    stop = min(len(rows), start + self._share, start + (number + 1) * PART_ROWS - row)
                    if row % PART_ROWS == 0:
                        self._close((name, number - 1))
                    if key not in self.finished:
                        self._parts.setdefault(key, _Part(number * PART_ROWS))
                        piece = _slice(rows, start, stop)
                        yield columns_of(piece), key, Labels(piece.numbers, piece.scheme)
                    row += stop - start
                    start = stop
        except BrokenFile as error:
            self.broken.append(error)
            self._parts.pop((name, row // PART_ROWS), None)
            return
        self._close((name, max(0, row - 1) // PART_ROWS), last=True, empty=row == 0)

    def _close(self, key: Key, *, last: bool = False, empty: bool = False) -> None:
        """All shares of a part are known."""
        if empty:
            self._parts[key] = _Part(0)
        part = self._parts.get(key)
        if part is not None:
            part.closed, part.last = True, last
            self._keep(key, part)

    # Keeping

    def _keep(self, key: Key, part: _Part) -> None:
        """Write a part down if every verdict is there."""
        if not part.done or self._parts.get(key) is not part:
            return
        del self._parts[key]
        counted = Summary(self._shown)
        for labels, verdicts in zip(part.labels, part.verdicts, strict=True):
            assert verdicts is not None
            counted.add(labels, verdicts)
        self.finished[key] = stamp = self._stamp(key, part, counted)
        if self._output is None:
            return
        column = np.concatenate(
            [np.empty(0, np.int8), *(found for found in part.verdicts if found is not None)]
        )
        schema = SCHEMA.with_metadata({METADATA: msgspec.json.encode(stamp)})
        target = part_file(self._output, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as file, pq.ParquetWriter(file, schema) as writer:
            writer.write_batch(pa.record_batch([pa.array(column)], schema=schema))

    def _stamp(self, key: Key, part: _Part, counted: Summary) -> Stamp:
        found = self._found[key[0]]
        return Stamp(
            key[0],
            found.st_size,
            found.st_mtime_ns,
            self._rules,
            part.first,
            part.last,
            counted.counts,
            counted.failures,
        )

    def _forget(self, key: Key) -> None:
        if self.finished.pop(key, None) is not None and self._output is not None:
            part_file(self._output, key).unlink()

    # Going on

    def _find_finished(self) -> None:
        """Take up the parts that an earlier run has written.

        Raises:
            ArgumentError: verdicts are there of other files, of files that have changed, or under other rules.
        """
        assert self._output is not None
        for name, path in self._files.items():
            found = path.stat()
            for file in sorted((self._output / name).glob("*.parquet")):
                stamp = read_stamp(file)
                if stamp is None:
                    problem = "which is no file of verdicts"
                elif (stamp.file, stamp.bytes, stamp.changed) != (name, found.st_size, found.st_mtime_ns):
                    problem = f"verdicts of another {name}, or from before it changed"
                elif stamp.rules != self._rules:
                    problem = f"verdicts under other rules: {stamp.rules}"
                else:
                    self.finished[name, stamp.first // PART_ROWS] = stamp
                    continue
                raise ArgumentError("output", f"{file}, {problem}", "a folder of its own for every run")
        self.resumed = len(self.finished)
        self._rows = sum(
            sum(sum(row.values()) for row in one.counts.values()) for one in self.finished.values()
        )

    def _whole(self, name: str) -> bool:
        """Whether every part of a file is finished."""
        last = [number for (file, number), stamp in self.finished.items() if file == name and stamp.last]
        return bool(last) and all((name, number) in self.finished for number in range(last[0]))

    def _place(self, key: Key) -> tuple[int, int]:
        return list(self._files).index(key[0]), key[1]


def part_file(output: Path, key: Key) -> Path:
    """Where the verdicts of a part lie."""
    return output / key[0] / f"{key[1]:08}.parquet"


def read_stamp(file: Path) -> Stamp | None:
    """What a file of verdicts says of itself; None of any other file."""
    try:
        metadata = pq.read_schema(file).metadata or {}
        return msgspec.json.decode(metadata[METADATA], type=Stamp)
    except (OSError, pa.ArrowException, KeyError, msgspec.DecodeError):
        return None


def files_of(path: Path) -> dict[str, Path]:
    """The files of a folder and of those below it, by name, or one file.

    Raises:
        BrokenFile: it is missing, or a folder without a file of signatures.
    """
    if not path.is_dir():
        if not path.is_file():
            raise BrokenFile(str(path), "", "neither a file nor a folder")
        return {path.name: path}
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise BrokenFile(str(path), "", f"no file of signatures in it ({', '.join(SUFFIXES)})")
    return {str(file.relative_to(path)): file for file in found}


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    count = stop - start
    return Rows(
        rows.numbers[start:stop],
        rows.scheme[start:stop],
        rows.public_key.slice(start, count),
        rows.signed.slice(start, count),
        rows.signature.slice(start, count),
    )
