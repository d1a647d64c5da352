# SPDX-License-Identifier: GPL-3.0-or-later
"""How an operation that is cut into parts reaches whoever does them, and what is kept there for the next parts.

An operation is cut into shares of one task, a *runner* has them done, in any order and anywhere, and the answers are joined.
The result is the library's, byte for byte. Runners are a pool of nodes, nodes upstream, or this process (`Here`).
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.task import Columns, Options, size_of

if TYPE_CHECKING:
    from supervm.tiers.cluster.pool import Pool

Made = TypeVar("Made")

RECHECK = 0.01
"""Share of the items of an answer that another node computes again, unless it is told otherwise."""

MOST_KEPT_BYTES, LEAST_KEPT_BYTES = 4 << 30, 1 << 20
"""Of what a process keeps, counted by the columns that it was made of, and of each thing; the one that was not used longest
goes first."""


@dataclass(frozen=True, eq=False)
class Held:
    """Columns that many shares need, such as the points of a sum: they travel to a node once, and it keeps what it makes of
    them under their digest.

    Args:
        digest: names them.
        source: gives them where they are wanted: themselves, or where they lie.
    """

    digest: str
    source: Callable[[], Columns]


class Runner(Protocol):
    """Who has the shares of a task done."""

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        """(number of the share, answer) of each, in the order in which they are done. A share may come again, where its
        first answer is not believed any more: the last one counts.

        Args:
            task: a row of `supervm.tiers.cluster.tasks.TASKS`.
            parts: columns of each share, taken as there is room for them.
            options: of the task.
        """

    def hold(self, columns: Columns) -> Held:
        """Columns that shares name in their options, put where nodes find them."""


class Here:
    """A runner that does one share after the other in this process."""

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        """As `Runner.run`. Errors as the task's."""
        from supervm.tiers.cluster.tasks import TASKS  # which has the tasks that are split here

        function = TASKS[task].function
        return ((index, function(columns, options)) for index, columns in enumerate(parts))

    def hold(self, columns: Columns) -> Held:
        """As `Runner.hold`: the columns themselves."""
        return Held(digest_of(columns), lambda: columns)


class OnPool:
    """A runner over the nodes of a pool.

    Args:
        pool: connected.
        recheck: share of the items of an answer that is computed again.
        wanted: called now and then while shares are awaited; what it raises ends their run.
    """

    def __init__(
        self, pool: Pool, recheck: float = RECHECK, wanted: Callable[[], object] = lambda: None
    ) -> None:
        self._pool, self._recheck, self._wanted = pool, recheck, wanted

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        """As `Runner.run`. Errors as `Pool.answers`."""
        return self._pool.answers(task, parts, options, recheck=self._recheck, wanted=self._wanted)

    def hold(self, columns: Columns) -> Held:
        """As `Runner.hold`: in the object store, from where Ray brings them to each node that asks, once."""
        import ray

        return Held(digest_of(columns), functools.partial(_fetched, ray.put(columns)))


def _fetched(reference: Any) -> Columns:
    import ray

    found: Columns = ray.get(reference)
    return found


def digest_of(columns: Columns) -> str:
    """BLAKE2b of the dtypes, shapes and contents of columns, 64 hexadecimal digits."""
    content = hashlib.blake2b(digest_size=32)
    for column in columns:
        content.update(repr((column.dtype.str, column.shape)).encode())
        content.update(np.ascontiguousarray(column).data)
    return content.hexdigest()


def in_order(answers: Iterable[tuple[int, Columns]]) -> list[Columns]:
    """The answers by their numbers; the last one of each."""
    found = dict(answers)
    return [found[index] for index in sorted(found)]


def cuts(items: int, each: int) -> Iterator[tuple[int, int]]:
    """Ranges of `each` items, the last one shorter.

    Raises:
        ArgumentError: less than one item each.
    """
    if each < 1:
        raise ArgumentError("items of a part", repr(each), "1 or more")
    return ((start, min(start + each, items)) for start in range(0, items, each))


_kept: OrderedDict[tuple[str, ...], tuple[Any, int]] = OrderedDict()
_lock = threading.Lock()


def kept(held: Held, make: Callable[[Columns], Made], *name: str) -> Made:
    """What `make` makes of columns that are held, or made of them before.

    Args:
        name: of what is made, with everything beside the columns that it depends on.
    """
    key = (held.digest, *name)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key][0]  # type: ignore[no-any-return]
    columns = held.source()
    found = make(columns)
    with _lock:
        _kept[key] = found, max(LEAST_KEPT_BYTES, size_of(columns))
        while len(_kept) > 1 and sum(size for _, size in _kept.values()) > MOST_KEPT_BYTES:
            _kept.popitem(last=False)
    return found
