# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of shards, the status that each is answered with, and what a caller makes of it again.

SupervmError
└── ShardError
    ├── ShardMapInvalid (ValueError)    ranges with a hole, an overlap or a shard that is none → 2
    ├── UndeclaredAccess (ValueError)   a transaction whose keys nobody can know; its block is not executed → 2
    ├── WrongShard (ValueError)         a key, or a map, that is not this shard's → 2
    ├── VersionGone (LookupError)       a version that is not kept any more, or not there yet → 2
    ├── ShardUnavailable                a shard that does not answer, or not in time → 3
    ├── VoteRefused                     a shard votes no: the block is over, nothing of it is done → 3
    ├── ShardsDisagree                  two shards execute a transaction, and it does not do the same → 3
    ├── VoteMissing                     a shard is told to commit what it has not voted for → 3
    ├── VoteDamaged                     what a shard keeps of a vote cannot be read or written → 3
    └── CoordinatorLogDamaged           the log of decisions is damaged, or of other shards → 3
"""

from __future__ import annotations

from pathlib import Path

from supervm.kernels.errors import SupervmError


class ShardError(SupervmError):
    """Base of the errors of shards."""


class ShardMapInvalid(ShardError, ValueError):
    """A shard map does not give every key to one shard.

    Args:
        place: the range or field.
        found, expected: in words.
    """

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(f"shard map: {place}: found {found}, expected {expected}")
        self.place, self.found, self.expected = place, found, expected

    def __reduce__(self) -> tuple[type[ShardMapInvalid], tuple[str, str, str]]:
        return type(self), (self.place, self.found, self.expected)


class UndeclaredAccess(ShardError, ValueError):
    """A transaction's keys are not known, so that nobody can say which shards it belongs to.

    Args:
        row: of the transaction in its block.
        what: is wrong with it.
    """

    def __init__(self, row: int, what: str) -> None:
        super().__init__(
            f"transaction {row} {what}; its block was not executed: declare every key that the call reads or writes"
        )
        self.row, self.what = row, what

    def __reduce__(self) -> tuple[type[UndeclaredAccess], tuple[int, str]]:
        return type(self), (self.row, self.what)


class WrongShard(ShardError, ValueError):
    """A shard is asked for what is another one's."""


class VersionGone(ShardError, LookupError):
    """A version that a shard does not have: read at another one."""


class ShardUnavailable(ShardError):
    """A shard does not answer, or not in time.

    Args:
        shard: its number.
        address: where it was asked.
        problem: in words.
        decided: whether the block is decided, and the shard told as soon as it answers.
    """

    def __init__(self, shard: int, address: str, problem: str, decided: bool = False) -> None:
        state = (
            "the block is committed, and the shard is told when it answers again"
            if decided
            else "the block was not executed, on any shard"
        )
        super().__init__(f"shard {shard} at {address}: {problem}; {state}")
        self.shard, self.address, self.problem, self.decided = shard, address, problem, decided

    def __reduce__(self) -> tuple[type[ShardUnavailable], tuple[int, str, str, bool]]:
        return type(self), (self.shard, self.address, self.problem, self.decided)


class VoteRefused(ShardError):
    """A shard votes no.

    Args:
        shard: its number.
        refusal: `REFUSAL_…` of the protocol, its name.
        reason: in words.
    """

    def __init__(self, shard: int, refusal: str, reason: str) -> None:
        super().__init__(f"shard {shard} votes no: {reason} ({refusal}); the block was not executed")
        self.shard, self.refusal, self.reason = shard, refusal, reason

    def __reduce__(self) -> tuple[type[VoteRefused], tuple[int, str, str]]:
        return type(self), (self.shard, self.refusal, self.reason)


class ShardsDisagree(ShardError):
    """Two shards execute a transaction, and it does not do the same on both.

    Args:
        row: of the transaction in its block.
        home, other: numbers of the shards; `home` has its sender.
        found: what each says, in words.
    """

    def __init__(self, row: int, home: int, other: int, found: tuple[str, str]) -> None:
        super().__init__(
            f"transaction {row}: shard {home} says {found[0]}, shard {other} {found[1]}; the block was not executed, on any "
            "shard: give both the same rules (signatures, keys of circuits), and check their memory and disks"
        )
        self.row, self.home, self.other, self.found = row, home, other, found

    def __reduce__(self) -> tuple[type[ShardsDisagree], tuple[int, int, int, tuple[str, str]]]:
        return type(self), (self.row, self.home, self.other, self.found)


class VoteMissing(ShardError):
    """A shard is told to commit a block, or to give one up, that it cannot."""


class _FileError(ShardError):
    """A file that the protocol needs cannot be used.

    Args:
        path: the file.
        problem: in words.
        remedy: what the operator can do; empty for what is said without.
    """

    usual = ""

    def __init__(self, path: Path | str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {problem}; {remedy or self.usual}")
        self.path, self.problem, self.remedy = str(path), problem, remedy

    def __reduce__(self) -> tuple[type[_FileError], tuple[str, str, str]]:
        return type(self), (self.path, self.problem, self.remedy)


class VoteDamaged(_FileError):
    """What a shard keeps of its votes cannot be read, or not be written."""

    usual = "restore the shard's directory from a copy"


class CoordinatorLogDamaged(_FileError):
    """The log of decisions is damaged, in use, not to be written, or not that of these shards."""

    usual = "nothing was done: restore the log that these shards were run with"
