# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay of blocks by ranges: nodes verify and replay whole blocks, whoever asked joins what they found.

A block is sent as its files are, with everything that its replay needs; what blocks say of each other, the hashes of their
parents, is compared when all are there. The files of codes and of block hashes travel once.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.replay.replay import Progress, linked, replay_part
from supervm.engine.ethereum.replay.report import ReplayReport, WholeBlock
from supervm.engine.ethereum.senders import Recovered
from supervm.engine.ethereum.wire import read
from supervm.engine.ethereum.witness import Witness, WitnessJson
from supervm.engine.evm.whole_blocks import WholeBlocks
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads
from supervm.tiers.cluster.errors import ShareFailed
from supervm.tiers.cluster.splitting.parts import Held, Runner, kept
from supervm.tiers.cluster.task import Columns, Options, Task

TASK = "ethereum.replay"

BLOCK_FILES = {f"{part.name}.json": part.required for part in msgspec.structs.fields(WitnessJson)}
"""Of a block's folder, and whether it has to be there."""

PART_BLOCKS, PART_BYTES = 16, 8 << 20
"""Of a range: blocks at most, and the bytes after which it ends."""


def replay(
    run: Runner,
    paths: Iterable[Path | str],
    *,
    codes: Path | None = None,
    block_hashes: Path | None = None,
    trace: bytes | None = None,
    trace_memory: bool = False,
    progress: Progress | None = None,
    part_blocks: int = PART_BLOCKS,
) -> ReplayReport:
    """As `supervm.engine.ethereum.replay.replay.replay`, by a runner; `recovery_seconds` is the time of the whole replay.

    Args:
        run: has the ranges replayed.
        paths: as there.
        codes, block_hashes, trace, trace_memory: as `WholeBlocks` takes them.
        progress: told what has been done.
        part_blocks: of a range, at most.

    Raises:
        InputFileError: a file that cannot be used; nothing is reported then.
        ShareFailed: what came from a node is no report.
    """
    places = list(paths)
    tell: Progress = progress or (lambda what, done, total: None)
    began = time.perf_counter()
    given = [np.frombuffer(b"" if path is None else read(path), np.uint8) for path in (codes, block_hashes)]
    options = {
        "files": run.hold(tuple(given)),
        "codes": None if codes is None else str(codes),
        "block_hashes": None if block_hashes is None else str(block_hashes),
        "trace": None if trace is None else trace.hex(),
        "trace_memory": trace_memory,
    }
    tell("replaying blocks", 0, len(places))
    ranges = _Ranges(places, part_blocks)
    answers: dict[int, Columns] = {}
    for index, answer in run.run(TASK, ranges, options):
        answers[index] = answer
        tell("replaying blocks", sum(ranges.blocks(each) for each in answers), len(places))
    parts = [_report(index, answers[index]) for index in sorted(answers)]
    return linked(_joined(parts, time.perf_counter() - began))


def _report(index: int, answer: Columns) -> ReplayReport:
    try:
        return msgspec.json.decode(answer[0].tobytes(), type=ReplayReport)
    except (msgspec.MsgspecError, IndexError) as error:
        raise ShareFailed(TASK, index, f"an answer that is no report: {error}") from None


def _joined(parts: Sequence[ReplayReport], seconds: float) -> ReplayReport:
    def together(name: str) -> list[Any]:
        return [each for part in parts for each in getattr(part, name)]

    return ReplayReport(
        blocks=together("blocks"),
        signatures=sum(part.signatures for part in parts),
        recovery_seconds=seconds,
        seconds=seconds,
        problems=together("problems"),
        notes=together("notes"),
        trace=together("trace"),
        links=together("links"),
    )


class _Ranges:
    """The columns of each range: its files as data and offsets, and their names, JSON: [block's path, [file's name …]] …

    What was sent is read again where it is needed again, so that a replay holds no more than is on its way.

    Args:
        paths: of all blocks.
        most: blocks of a range.
    """

    def __init__(self, paths: Sequence[Path | str], most: int) -> None:
        self._paths, self._most = paths, most
        self._stops = [0]

    def __iter__(self) -> Iterator[Columns]:
        while self._stops[-1] < len(self._paths):
            start, size, blocks = self._stops[-1], 0, list[tuple[str, dict[str, bytes]]]()
            for path in self._paths[start : start + self._most]:
                blocks.append((str(path), _files_of(Path(path))))
                size += sum(map(len, blocks[-1][1].values()))
                if size >= PART_BYTES:
                    break
            self._stops.append(start + len(blocks))
            yield _range(blocks)

    def again(self, index: int) -> Columns:
        """See `Repeatable`."""
        paths = self._paths[self._stops[index] : self._stops[index + 1]]
        return _range([(str(path), _files_of(Path(path))) for path in paths])

    def blocks(self, index: int) -> int:
        """How many a range that was given has."""
        return self._stops[index + 1] - self._stops[index]


def _range(blocks: Sequence[tuple[str, Mapping[str, bytes]]]) -> Columns:
    names = [(path, list(files)) for path, files in blocks]
    packed = Messages.of([content for _, files in blocks for content in files.values()])
    return packed.data, packed.offsets, np.frombuffer(json.dumps(names).encode(), np.uint8)


def _files_of(path: Path) -> dict[str, bytes]:
    """Contents of a block's files by their names in its folder; of one file, which has all its parts, by ''."""
    if not path.is_dir():
        return {"": read(path)}
    return {
        name: read(path / name) for name, needed in BLOCK_FILES.items() if needed or (path / name).exists()
    }


def _listed(names: NDArray[Any]) -> list[tuple[str, list[str]]]:
    """Blocks, and the names of their files, which are written under them: they may come from anybody.

    Raises:
        ArgumentError: no such list, or a name that no file of a block has.
    """
    try:
        listed = msgspec.json.decode(names.tobytes(), type=list[tuple[str, list[str]]])
    except msgspec.MsgspecError as error:
        raise ArgumentError(
            "columns", f"names that are none: {error}", "those of blocks and their files"
        ) from None
    for _, parts in listed:
        if parts != [""] and (wrong := set(parts) - set(BLOCK_FILES)):
            expected = f"one of {', '.join(sorted(BLOCK_FILES))}"
            raise ArgumentError("columns", f"a file of the name {min(wrong)[:64]!r}", expected)
    return listed


def _replay(columns: Columns, options: Options) -> Columns:
    data, offsets, names = columns
    packed, listed = Messages.of((data, offsets)), _listed(names)
    count = sum(len(parts) for _, parts in listed)
    if count != len(packed.offsets) - 1:
        raise ArgumentError("columns", f"{len(packed.offsets) - 1} files", f"{count}, as are named")
    files = iter(packed)
    with tempfile.TemporaryDirectory(prefix="supervm-replay-") as folder:
        places: dict[str, str] = {}
        for number, (path, parts) in enumerate(listed):
            place = Path(folder) / str(number)
            if parts != [""]:
                place.mkdir()
            for part in parts:
                (place / part if part else place).write_bytes(next(files))
            places[str(place)] = path
        with _errors_of(places):
            report = replay_part(list(places), whole=_whole(options))
    plain = replace(report, seconds=0.0, recovery_seconds=0.0)  # two nodes' answers are compared
    return (np.frombuffer(msgspec.json.encode(plain), np.uint8),)


class _OneAtATime:
    """Executes blocks of several shares one after the other: the share in hand, and one that is computed again.

    What executes them has one worker and one world (`engine.evm.session`).
    """

    def __init__(self, whole: WholeBlocks) -> None:
        self._whole, self._lock = whole, threading.Lock()

    def __call__(self, witness: Witness, recovered: Recovered, digests: Bytes) -> WholeBlock | None:
        with self._lock:
            return self._whole(witness, recovered, digests)


def _whole(options: Options) -> _OneAtATime:
    held: Held = options["files"]
    trace, memory = options["trace"], options["trace_memory"]

    def make(given: Columns) -> _OneAtATime:
        with tempfile.TemporaryDirectory(prefix="supervm-replay-") as folder:
            paths: dict[str, Path] = {}
            places: dict[str, str] = {}
            for name, content in zip(("codes", "block_hashes"), given, strict=True):
                if options[name] is not None:
                    # What the name ends in says whether it is compressed.
                    paths[name] = Path(folder) / f"{name}{Path(options[name]).suffix}"
                    paths[name].write_bytes(content.tobytes())
                    places[str(paths[name])] = options[name]
            with _errors_of(places):
                found = None if trace is None else bytes.fromhex(trace)
                return _OneAtATime(
                    WholeBlocks(
                        codes=paths.get("codes"),
                        block_hashes=paths.get("block_hashes"),
                        trace=found,
                        trace_memory=memory,
                        threads=get_threads(),
                    )
                )

    return kept(
        held, make, TASK, *(str(each) for each in (options["codes"], options["block_hashes"], trace, memory))
    )


@contextmanager
def _errors_of(places: Mapping[str, str]) -> Iterator[None]:
    """Have errors name files as they were named where they came from: `places` are those here, and there."""
    try:
        yield
    except InputFileError as error:
        for here, there in places.items():
            if error.file == here or error.file.startswith(f"{here}/"):
                file = there + error.file.removeprefix(here)
                raise InputFileError(
                    file, error.found, error.expected, error.transaction, error.field
                ) from None
        raise


def _is_report(columns: Columns, options: Options, answer: Columns) -> bool:
    """Whether an answer reports on as many blocks as were sent."""
    try:
        report = msgspec.json.decode(answer[0].tobytes(), type=ReplayReport)
    except msgspec.MsgspecError:
        return False
    return len(answer) == 1 and len(report.blocks) == len(report.links) == len(_listed(columns[2]))


REPLAY = Task(
    TASK, _replay, items=lambda columns: len(columns[0]), type=TaskType.TRANSACTION, form=_is_report
)
"""Columns: data and offsets of files, and their names. Options: `files`, those of codes and block hashes, held, their paths
`codes` and `block_hashes`, `trace` and `trace_memory`. Answer: the report as JSON, uint8; speed is counted in bytes."""
