# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the three paths each transaction of a block takes; it depends on the blocks and the state alone, not on threads.

The fast path is for transfers whose accounts and objects nothing outside of the fast path touches: its transfers run
first, in block order among themselves. Accounts that meet in transfers hang together: if one of them is touched by a
transaction of the consensus path, all transfers that hang on it take that path too, so that every reader sees block order.
A contract that reads or moves balances of its choice must have declared them, or no transfer of the block is fast; what
it touches beyond its declaration is found out when it runs (`columns.TOUCHED_FAST_FLAG`), and the block is executed
again without a fast path.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.engine.blocks.interning import InternedBatch
from supervm.engine.blocks.receipts import Path
from supervm.engine.config import Router
from supervm.engine.state.store import StateStore
from supervm.kernels.array_types import Flags, Numbers

OWNED, IMMUTABLE = 0, 2
"""Kinds of objects (docs/execution-rules.md, State)."""


class Components:
    """Finds the transfers that hang on touched accounts; keeps arrays by key number between blocks."""

    def __init__(self) -> None:
        self._parents = np.zeros(0, np.int64)
        self._tainted = np.zeros(0, np.bool_)

    def clear(
        self, senders: Numbers, targets: Numbers, candidates: Flags, touched: Numbers, keys: int
    ) -> Flags:
        """Which candidates hang on no touched account, bool (n,).

        Args:
            senders, targets: int64 (n,), key numbers of accounts.
            candidates: bool (n,), transfers that may be fast.
            touched: int64, key numbers that other transactions touch.
            keys: how many key numbers there are.
        """
        if self._parents.size < keys:
            size = max(keys, 2 * self._parents.size)
            self._parents, self._tainted = np.full(size, -1, np.int64), np.zeros(size, np.bool_)
        clear = candidates.copy()
        _clear(senders, targets, clear, touched, self._parents, self._tainted)
        return clear


@njit(nogil=True, cache=True)
def _root(parents, number):  # type: ignore[no-untyped-def]
    """The representative of a number's set, which halves the way there for the next time."""
    if parents[number] < 0:
        parents[number] = number
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


@njit(nogil=True, cache=True)
def _clear(senders, targets, clear, touched, parents, tainted):  # type: ignore[no-untyped-def]
    """Take away from `clear` what hangs on a touched number; the arrays are afterwards as they were."""
    for item in range(senders.size):
        if clear[item]:
            one, other = _root(parents, senders[item]), _root(parents, targets[item])
            parents[max(one, other)] = min(one, other)
    for number in touched:
        tainted[_root(parents, number)] = True
    fast = np.empty(senders.size, np.bool_)
    for item in range(senders.size):
        fast[item] = clear[item] and not tainted[_root(parents, senders[item])]
    for number in touched:
        tainted[_root(parents, number)] = False
    for number in touched:
        parents[number] = -1
    for item in range(senders.size):
        if clear[item]:
            parents[senders[item]] = parents[targets[item]] = -1
        clear[item] = fast[item]


def own_objects(interned: InternedBatch, store: StateStore, live: Flags) -> Flags:
    """Of which transactions every object is immutable or owned by the sender, and listed by no other sender; bool (n,).

    Args:
        live: bool (n,), transactions that are not rejected already.
    """
    batch = interned.batch
    own = np.ones(len(batch), np.bool_)
    if not interned.objects.size:
        return own
    counts = np.diff(batch.object_offsets)
    owners = np.repeat(np.arange(len(batch)), counts)
    values, present = store.values(interned.objects, store.watermark)
    rows = np.zeros((len(owners), 21), np.uint8)
    rows[present] = values.data.reshape(-1, 21)
    kind, owner = rows[:, 0], rows[:, 1:]
    good = present & ((kind == IMMUTABLE) | ((kind == OWNED) & (owner == batch.sender[owners]).all(axis=1)))
    listed = np.flatnonzero(live[owners])
    senders = interned.senders[owners]
    _, place = np.unique(interned.objects, return_inverse=True)
    least = np.full(place.max() + 1, np.iinfo(np.int64).max)
    most = np.full(place.max() + 1, -1)
    np.minimum.at(least, place[listed], senders[listed])
    np.maximum.at(most, place[listed], senders[listed])
    good &= least[place] == most[place]
    own[owners[~good]] = False
    return own


def touched_accounts(
    interned: InternedBatch, consensus: Flags, pays: Flags, declared: tuple[Numbers, Numbers]
) -> Numbers:
    """Key numbers that the transactions of the consensus path are known to touch.

    Args:
        consensus: bool (n,), these transactions.
        pays: bool (n,), which move a value.
        declared: offsets and numbers of the keys that each transaction declares.
    """
    offsets, numbers = declared
    of = np.repeat(consensus, np.diff(offsets))
    return np.concatenate([interned.senders[consensus], interned.targets[consensus & pays], numbers[of]])


def paths(private: Flags, pooled: Numbers | None, plugged: Numbers | None, fast: Flags) -> NDArray[np.uint8]:
    """The `Path` of each transaction, uint8 (n,); `pooled`: which are calls of pools that were not rejected beforehand;
    `plugged`: which are the plug-in's."""
    path = np.full(len(private), Path.CONSENSUS, np.uint8)
    path[fast] = Path.FAST
    path[private] = Path.PRIVACY
    if pooled is not None:
        path[pooled] = Path.POOL
    if plugged is not None:
        path[plugged] = Path.EVM
    return path


class AdaptiveRouter:
    """How large a share of transfers may take the fast path, as it moves. An option, see `supervm.engine.config.Router`.

    Args:
        rules: bounds and steps.
    """

    def __init__(self, rules: Router) -> None:
        self.rules = rules
        self.target = rules.target

    def admit(self, candidates: Flags) -> Flags:
        """Candidates that may try the fast path: of each `every` transactions the target's share, the first ones."""
        rules = self.rules
        admitted = np.zeros(len(candidates), np.bool_)
        most = max(1, round(self.target * rules.every))
        for first in range(0, len(candidates), rules.every):
            part = np.flatnonzero(candidates[first : first + rules.every])
            admitted[first + part[:most]] = True
        return admitted

    def learn(self, admitted: Flags, fast: Flags, succeeded: Flags) -> None:
        """Move the target, once for each stretch.

        Args:
            admitted: candidates that were tried.
            fast: those that nothing else touched.
            succeeded: transactions that succeeded.
        """
        rules = self.rules
        for first in range(0, len(admitted), rules.every):
            part = slice(first, first + rules.every)
            tried = int(admitted[part].sum())
            if not tried:
                continue
            ran = int(fast[part].sum())
            conflict = 1 - ran / tried
            success = int((fast & succeeded)[part].sum()) / ran if ran else 1.0
            if conflict > rules.high_conflict or success < rules.success:
                self.target = max(rules.least, self.target - rules.step)
            elif conflict < rules.low_conflict:
                self.target = min(rules.most, self.target + rules.step)
