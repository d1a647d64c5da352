# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection over the declared read and write sets of a block; usable on its own.

External schedulers call `detect` with keys and get the order that a block imposes on its transactions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels import registry
from supervm.kernels.accesses import Accesses, Detected
from supervm.kernels.cpu.conflicts.detect import detect_conflicts
from supervm.kernels.cpu.conflicts.recheck import check_rows
from supervm.kernels.cuda.conflicts import detect as cuda_conflicts
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Function, Ragged, Work

__all__ = ["RULES", "Conflicts", "Detection", "detect"]

OPERATION = "conflicts.detect"

RULES = ("versioned", "locking")

KEY_BYTES = 32

MOST_ACCESSES = (1 << 31) - 1
"""Reads and writes of one block, and its transactions; they are numbered with 32 bits inside."""

_OFFSET_TYPES = (np.dtype(np.int64), np.dtype(np.uint64), np.dtype(np.int32))


@dataclass(frozen=True)
class Conflicts:
    """What depends on what in a block of n transactions.

    Args:
        wave: int32 (n,), the longest path from the start of the block to each transaction, from 0.
            Transactions of one wave do not depend on each other.
        wave_count: how many waves there are; 0 for an empty block.
        edge_offsets: int64 (n + 1,); empty, (0,), if edges were not asked for.
        edges: int32; `edges[edge_offsets[i]:edge_offsets[i + 1]]` are the earlier transactions that
            transaction i depends on under the rule, ascending, each once.
        hot_keys: the up to 64 most accessed keys, as they came: uint64 (h,) or uint8 (h, 32). Most accessed
            first, among equals the lower key; 32-byte keys compare byte by byte from the first.
        hot_counts: int64 (h,), how many entries of the read and write sets name each hot key. A transaction
            that reads and writes a key counts twice, one that lists it three times counts three times.
    """

    wave: NDArray[np.int32]
    wave_count: int
    edge_offsets: NDArray[np.int64]
    edges: NDArray[np.int32]
    hot_keys: NDArray[Any]
    hot_counts: NDArray[np.int64]


class Detection(Work):
    """A call of `conflicts.detect`; its items are transactions, but it is one piece.

    Args:
        accesses: valid read and write sets.
        locking: the rule, `locking` or else `versioned`.
        edges: whether edges are wanted.
    """

    operation = OPERATION
    result: Detected

    def __init__(self, accesses: Accesses, locking: bool, edges: bool) -> None:
        self.accesses, self.locking, self.edges = accesses, locking, edges
        arrays = (accesses.read_offsets, accesses.read_keys, accesses.write_offsets, accesses.write_keys)
        self.items = accesses.read_offsets.size - 1
        self.bytes = sum(array.nbytes for array in arrays)

    def run(self, function: Function) -> None:
        """Detect on the whole block, by `function(accesses, locking, edges)`, and keep the `Detected` in `result`."""
        self.result = function(self.accesses, self.locking, self.edges)

    def twin(self) -> Detection:
        """The same call without a result; the read and write sets are shared. See `Work`."""
        return Detection(self.accesses, self.locking, self.edges)

    def publish(self, other: Work) -> None:
        """Take over the result of a twin, without a copy. See `Work`."""
        assert isinstance(other, Detection)
        self.result = other.result

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """Sampled transactions whose wave is not 1 + the highest of their true predecessors, or whose listed edges say
        something else; at share 1 everything is computed again and compared.
        """
        if share >= 1 or random.random() < share:
            again = self.twin()
            again.run(function)
            return int(not _same(self.result, again.result))
        if not self.items:
            return 0
        if (
            self.result.wave.shape != (self.items,)
            or self.result.wave_count != int(self.result.wave.max()) + 1
        ):
            return 1
        count = min(self.items, max(1, math.ceil(self.items * share)))
        rows = np.sort(random.choice(self.items, count, replace=False, shuffle=False))
        wrong = check_rows(self.accesses, self.locking, rows, self.result.wave)
        return wrong or (_wrong_edges(self.result, rows) if self.edges else 0)


def _same(one: Detected, other: Detected) -> bool:
    """Whether two results are equal in every part."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Detected)
    )


def _wrong_edges(result: Detected, rows: NDArray[np.int64]) -> int:
    """How many of these transactions have edges that do not lead to their wave, or to no earlier transaction."""
    bounds = result.edge_offsets
    sound = bounds.shape == (result.wave.size + 1,) and bounds[0] == 0 and bounds[-1] == result.edges.size
    if not sound or (bounds[1:] < bounds[:-1]).any():
        return int(rows.size)
    listed = Ragged(result.edges, bounds).take(rows)
    owners = np.repeat(rows, np.diff(listed.offsets))
    if ((listed.data < 0) | (listed.data >= owners)).any():
        return int(rows.size)
    needed = np.zeros(result.wave.size, np.int32)
    np.maximum.at(needed, owners, result.wave[listed.data] + 1)
    return int(np.count_nonzero(needed[rows] != result.wave[rows]))


def _on_device(accesses: Accesses, locking: bool, edges: bool) -> Detected:
    return cuda_conflicts.detect(devices.working_device(), accesses, locking, edges)


def detect(
    read_offsets: NDArray[Any],
    read_keys: NDArray[Any],
    write_offsets: NDArray[Any],
    write_keys: NDArray[Any],
    *,
    rule: str = "versioned",
    edges: bool = False,
    backend: str = "auto",
) -> Conflicts:
    """Waves, dependencies and hot keys of a block, from the keys that each transaction reads and writes.

    Args:
        read_offsets: int64, uint64 or int32 (n + 1,), ascending from 0 to the number of read keys;
            transaction i reads `read_keys[read_offsets[i]:read_offsets[i + 1]]`, in any order, repeats allowed.
        read_keys: uint64 (r,) ids or uint8 (r, 32) keys.
        write_offsets, write_keys: the same for writes; of the same kind as `read_keys`.
        rule: `versioned`: each read depends on the last earlier writer of its key. `locking`: besides, each
            write depends on the last earlier writer of its key and on every reader since that one.
        edges: whether the dependencies are wanted as well; waves alone are faster.
        backend: `auto` or a backend of the operation `conflicts.detect`.

    Time is linear in the number of accesses, also if all of them name one key. Keys meet in hash tables under
    a secret of this process, so that nobody can choose keys that collide; equality is decided on the whole
    key, and the result does not depend on the secret or on the number of threads.

    Raises:
        ArgumentError: an argument of wrong shape, dtype or content, or an unknown rule or backend.
        BackendUnavailable: the named backend cannot run here.

    >>> offsets = np.array([0, 1, 2])
    >>> reads, writes = np.array([7, 5], np.uint64), np.array([5, 6], np.uint64)
    >>> detect(offsets, reads, offsets, writes, edges=True).wave.tolist()
    [0, 1]
    """
    if rule not in RULES:
        raise ArgumentError("rule", repr(rule), " or ".join(map(repr, RULES)))
    if not isinstance(edges, (bool, np.bool_)):
        raise ArgumentError("edges", repr(edges), "True or False")
    reads, writes = _keys("read_keys", read_keys), _keys("write_keys", write_keys)
    if reads.ndim != writes.ndim:
        raise ArgumentError("write_keys", _array(write_keys), "keys of the same kind as argument 'read_keys'")
    if len(reads) + len(writes) > MOST_ACCESSES:
        found = f"{len(reads)} reads and {len(writes)} writes"
        raise ArgumentError("write_keys", found, f"at most {MOST_ACCESSES} accesses in one block")
    read_bounds = _offsets("read_offsets", read_offsets, "read_keys", len(reads))
    write_bounds = _offsets("write_offsets", write_offsets, "write_keys", len(writes))
    if len(read_bounds) != len(write_bounds):
        raise ArgumentError(
            "write_offsets",
            f"{len(write_bounds)} entries",
            f"{len(read_bounds)}, as in argument 'read_offsets'",
        )
    detection = Detection(Accesses(read_bounds, reads, write_bounds, writes), rule == "locking", bool(edges))
    registry.run(detection, backend)
    result = detection.result
    return Conflicts(
        result.wave,
        result.wave_count,
        result.edge_offsets,
        result.edges,
        _hot_keys(result.hot_keys),
        result.hot_counts,
    )


def _keys(argument: str, keys: Any) -> NDArray[np.uint64]:
    """The ids, or the rows as four words each; contiguous, aligned and read-only, without a copy if they are.

    Read-only, because Numba compiles a kernel once more for arrays that may be written to.
    """
    expected = f"a uint64 array of shape (m,) or a uint8 array of shape (m, {KEY_BYTES})"
    if not isinstance(keys, np.ndarray):
        raise ArgumentError(argument, type(keys).__name__, expected)
    if keys.ndim == 1 and keys.dtype == np.uint64:
        words = keys
    elif keys.ndim == 2 and keys.dtype == np.uint8 and keys.shape[1] == KEY_BYTES:
        words = np.ascontiguousarray(keys).view(np.uint64)
    else:
        raise ArgumentError(argument, _array(keys), expected)
    return _read_only(words)


def _offsets(argument: str, offsets: Any, keys_argument: str, keys: int) -> NDArray[np.int64]:
    expected = "an int64, uint64 or int32 array of shape (transactions + 1,)"
    if not isinstance(offsets, np.ndarray):
        raise ArgumentError(argument, type(offsets).__name__, expected)
    if offsets.ndim != 1 or offsets.dtype not in _OFFSET_TYPES or not 0 < len(offsets) <= MOST_ACCESSES:
        raise ArgumentError(argument, _array(offsets), expected)
    bounds = offsets.astype(np.int64, copy=False)
    if bounds[0] != 0:
        raise ArgumentError(argument, f"{offsets[0]} as the first offset", "0")
    down = bounds[1:] < bounds[:-1]
    if down.any():
        at = int(np.argmax(down))
        found = f"{offsets[at + 1]} after {offsets[at]} at index {at + 1}"
        raise ArgumentError(argument, found, "offsets in ascending order")
    if bounds[-1] != keys:
        found = f"{offsets[-1]} as the last offset"
        raise ArgumentError(argument, found, f"{keys}, the number of keys in argument '{keys_argument}'")
    return _read_only(bounds)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def _array(array: NDArray[Any]) -> str:
    return f"an array of {array.dtype} with shape {array.shape}"


def _hot_keys(words: NDArray[np.uint64]) -> NDArray[Any]:
    """Ids as (h,), rows as their bytes."""
    if words.shape[1] == 1:
        return words[:, 0].copy()
    return words.astype(">u8").view(np.uint8).reshape(-1, KEY_BYTES)


registry.register(OPERATION, "scalar", detect_conflicts)
registry.register(OPERATION, "cuda", _on_device, devices.unavailable)
