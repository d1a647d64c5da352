# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller hands to a backend: one call of an operation, in a form that can be cut, sampled and repeated.

A backend's function is called as `function(*inputs, *options, *outputs)`. Whoever runs it (`supervm.kernels.registry`, or
a scheduler that took its place) decides where, how often and in which pieces; the caller's outputs are written only by
`publish`, or by the one backend that was handed them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from supervm.kernels.array_types import Array

Function: TypeAlias = Callable[..., Any]


class Ragged(NamedTuple):
    """Byte strings of any lengths: row i is `data[offsets[i]:offsets[i + 1]]`.

    Args:
        data: uint8 (total,).
        offsets: int64 (n + 1,), ascending, within `data`, not necessarily from 0.
    """

    data: Array
    offsets: Array

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return int(self.offsets[-1] - self.offsets[0])

    def part(self, start: int, stop: int) -> Ragged:
        """Rows start … stop − 1, without a copy."""
        return Ragged(self.data, self.offsets[start : stop + 1])

    def take(self, rows: Array) -> Ragged:
        """A copy of the rows at these indices."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.zeros(rows.size + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1], dtype=np.int64) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(self.data[places], offsets)


Column: TypeAlias = "Array | Ragged"


class Work(ABC):
    """One call of an operation.

    Args:
        operation: its name in the registry.
        items: what it is counted in: signatures, messages, transactions.
        bytes: of all inputs, which a device would have to be sent.
    """

    operation: str
    items: int
    bytes: int

    @abstractmethod
    def run(self, function: Function) -> None:
        """Compute the result with a backend's function."""

    @abstractmethod
    def twin(self) -> Work:
        """The same call with a result of its own: what writes to it, even late, touches nothing of the caller's."""

    @abstractmethod
    def publish(self, other: Work) -> None:
        """Take over the result of a twin of this call."""

    @abstractmethod
    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """Compute a random share of the result again with another backend's function; how many checks disagree.

        Args:
            share: in 0 … 1; at least one check is made if there is anything to check, and at 1 all.
        """


@dataclass(eq=False, slots=True)
class Batch(Work):
    """A call whose items do not depend on each other.

    Args:
        operation: its name in the registry.
        inputs: columns of n rows each.
        outputs: arrays of n rows each, written.
        options: what is the same for all items.
    """

    operation: str
    inputs: tuple[Column, ...]
    outputs: tuple[Array, ...]
    options: tuple[Any, ...] = ()

    @property
    def items(self) -> int:  # type: ignore[override]
        """Rows of every output."""
        return len(self.outputs[0])

    @property
    def bytes(self) -> int:  # type: ignore[override]
        """Bytes of all inputs, the offsets of ragged ones among them."""
        return sum(c.bytes + c.offsets.nbytes if isinstance(c, Ragged) else c.nbytes for c in self.inputs)

    def run(self, function: Function) -> None:
        """Call `function(*inputs, *options, *outputs)`."""
        function(*self.inputs, *self.options, *self.outputs)

    def twin(self) -> Batch:
        """The same inputs and options with outputs of its own, whose contents are unknown."""
        return replace(self, outputs=tuple(np.empty(array.shape, array.dtype) for array in self.outputs))

    def publish(self, other: Work) -> None:
        """Copy the outputs of a twin over this call's."""
        assert isinstance(other, Batch)
        for mine, found in zip(self.outputs, other.outputs, strict=True):
            mine[...] = found

    def part(self, start: int, stop: int) -> Batch:
        """Items start … stop − 1, without a copy: results land in this call's outputs."""
        cut = tuple(c.part(start, stop) if isinstance(c, Ragged) else c[start:stop] for c in self.inputs)
        return replace(self, inputs=cut, outputs=tuple(array[start:stop] for array in self.outputs))

    def take(self, rows: Array) -> Batch:
        """A copy of the items at these indices, with outputs of their own."""
        taken = tuple(c.take(rows) if isinstance(c, Ragged) else c[rows] for c in self.inputs)
        outputs = tuple(np.empty((rows.size, *array.shape[1:]), array.dtype) for array in self.outputs)
        return replace(self, inputs=taken, outputs=outputs)

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """Compute ⌈share · items⌉ random items again, at least one; how many of them differ in any output."""
        if not self.items:
            return 0
        count = min(self.items, max(1, math.ceil(self.items * share)))
        if count == self.items:
            rows = np.arange(self.items)
        else:
            rows = np.sort(random.choice(self.items, count, replace=False, shuffle=False))
        again = self.take(rows)
        again.run(function)
        differ = np.zeros(count, bool)
        for mine, other in zip(self.outputs, again.outputs, strict=True):
            differ |= (mine[rows] != other).reshape(count, -1).any(axis=1)
        return int(np.count_nonzero(differ))
