# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shard has a key: ranges of whole state keys, each of which belongs to one shard.

A map file is JSON:

    {"shards": [{"address": "127.0.0.1:7101", "ranges": [["", "0080"], ["0100", "0180"]]}, …]}

A range is [first key, key behind the last one), in hexadecimal; "" as the end is the end of all keys. Kinds of keys are in
docs/execution-rules.md, "State"; code (`02 …`) is on every shard, whoever has its range.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from supervm.engine.state.keys import OBJECT
from supervm.kernels.array_types import Bytes
from supervm.kernels.arrays import borrow
from supervm.kernels.work import Ragged
from supervm.tiers.shards.errors import ShardMapInvalid
from supervm.tiers.shards.kernels import owners_of

MOST_SHARDS = 64
"""The shards of a transaction are the bits of a word."""

MOST_BOUND_BYTES = 64
"""Bytes of a range's end: a kind, an address, and 43 bytes of a contract's own key."""

Range = tuple[bytes, bytes]


@dataclass(frozen=True)
class ShardMap:
    """The ranges of every shard.

    Args:
        ranges: of each shard, (first key, key behind the last one); b"" as the end is the end of all keys.
        addresses: HOST:PORT of each shard; none for shards of this process.

    Raises:
        ShardMapInvalid: a key that no shard has, or two; no shard, or more than 64; as many addresses as shards are wanted.
    """

    ranges: tuple[tuple[Range, ...], ...]
    addresses: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 1 <= len(self.ranges) <= MOST_SHARDS:
            raise ShardMapInvalid("shards", str(len(self.ranges)), f"1 to {MOST_SHARDS}")
        if self.addresses and len(self.addresses) != len(self.ranges):
            raise ShardMapInvalid("addresses", str(len(self.addresses)), f"{len(self.ranges)}, one a shard")
        place = b""
        for first, after, shard in self._sorted():
            name = f"shard {shard}, from {first.hex() or 'the beginning'}"
            if after and after <= first:
                raise ShardMapInvalid(name, f"the end {after.hex()}", "an end behind the beginning")
            if first > place:
                hole = f"nobody's keys from {place.hex() or 'the beginning'} to {first.hex()}"
                raise ShardMapInvalid(name, hole, "ranges without a hole")
            if first < place:
                raise ShardMapInvalid(name, "keys that another range has too", "ranges that do not overlap")
            # Keys are compared with zeros behind them, which says the same only for bounds that end in none.
            if first.endswith(b"\0") or len(first) > MOST_BOUND_BYTES:
                raise ShardMapInvalid(
                    name, first.hex(), f"up to {MOST_BOUND_BYTES} bytes, of which the last one is not 0"
                )
            place = after or _END
        if place is not _END:
            raise ShardMapInvalid("ranges", f"nobody's keys from {place.hex()} on", "ranges up to the end")

    def __len__(self) -> int:
        return len(self.ranges)

    @classmethod
    def uniform(cls, shards: int, addresses: Sequence[str] = ()) -> ShardMap:
        """Accounts, contracts and objects, by the first bytes of address or id, in as many equal ranges as shards.

        Raises:
            ShardMapInvalid: no shard, or more than 64.
        """
        if not 1 <= shards <= MOST_SHARDS:
            raise ShardMapInvalid("shards", str(shards), f"1 to {MOST_SHARDS}")
        cuts = [(0x10000 * shard // shards).to_bytes(2) for shard in range(1, shards)]
        ranges: list[list[Range]] = [[] for _ in range(shards)]
        for kind in range(OBJECT + 1):
            bounds = [bytes([kind]) if kind else b"", *(bytes([kind]) + cut for cut in cuts)]
            bounds.append(b"" if kind == OBJECT else bytes([kind + 1]))
            for shard in range(shards):
                ranges[shard].append((bounds[shard].rstrip(b"\0"), bounds[shard + 1].rstrip(b"\0")))
        return cls(tuple(map(tuple, ranges)), tuple(addresses))

    @classmethod
    def read(cls, path: Path) -> ShardMap:
        """Read a map file.

        Raises:
            ShardMapInvalid: it is none, or its ranges are wrong.
        """
        try:
            return cls._of(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ShardMapInvalid(
                str(path), error.strerror or str(error), "a file that can be read"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ShardMapInvalid):
                raise
            raise ShardMapInvalid(str(path), str(error), '{"shards": [{"address", "ranges"}]}') from None

    @classmethod
    def _of(cls, data: Any) -> ShardMap:
        ranges = tuple(
            tuple((bytes.fromhex(first), bytes.fromhex(after)) for first, after in shard["ranges"])
            for shard in data["shards"]
        )
        return cls(ranges, tuple(str(shard["address"]) for shard in data["shards"]))

    def text(self) -> str:
        """The map file."""
        shards = [
            {"address": address, "ranges": [[first.hex(), after.hex()] for first, after in ranges]}
            for address, ranges in zip(self.addresses or [""] * len(self), self.ranges, strict=True)
        ]
        return json.dumps({"shards": shards}, indent=2) + "\n"

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the ranges: shards and coordinators that go by different maps do not work together."""
        parts = [f"{first.hex()}-{after.hex()}={shard}" for first, after, shard in self._sorted()]
        return hashlib.sha256("\n".join(parts).encode()).digest()

    def owners(self, keys: Ragged) -> Bytes:
        """The shard that has each key, uint8 (n,)."""
        bounds, shards = self._bounds
        found = np.empty(len(keys.offsets) - 1, np.uint8)
        owners_of(borrow(keys.data), borrow(keys.offsets), bounds, shards, found)
        return found

    def owner(self, key: bytes) -> int:
        """The shard that has a key."""
        return int(
            self.owners(Ragged(np.frombuffer(key or b"\0", np.uint8), np.array([0, len(key)], np.int64)))[0]
        )

    @cached_property
    def _bounds(self) -> tuple[Bytes, Bytes]:
        """First keys of the ranges, ascending, zeros behind them, uint8 (r, w); the shard of each."""
        listed = self._sorted()
        width = max(1, *(len(first) for first, _, _ in listed))
        bounds = b"".join(first.ljust(width, b"\0") for first, _, _ in listed)
        return (
            np.frombuffer(bounds, np.uint8).reshape(len(listed), width).copy(),
            np.array([shard for _, _, shard in listed], np.uint8),
        )

    def _sorted(self) -> list[tuple[bytes, bytes, int]]:
        return sorted(
            (first, after, shard) for shard, each in enumerate(self.ranges) for first, after in each
        )


_END = b"\xff" * 400
"""The end of all keys, none of which is so long."""
