# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads of all shards at one version: what a block left on every one of them, whichever block is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.links import Link, Links
from supervm.tiers.shards.messages import Entries, entries_of, strings_of
from supervm.tiers.shards.shard_map import ShardMap

READ_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One version of all shards.

    Args:
        version: blocks that it has seen.
        roots: of every shard's state at it.
    """

    version: int
    roots: tuple[bytes, ...]


class SnapshotReader:
    """Reads shards without a coordinator. Any thread may call it.

    Args:
        shard_map: which shard has which key.
        links: to every shard, in the order of the map.
    """

    def __init__(self, shard_map: ShardMap, links: Sequence[Link]) -> None:
        self._map, self._links = shard_map, Links(links)

    def snapshot(self) -> Snapshot:
        """The last version that every shard has. It is kept for as many blocks as shards keep versions.

        Raises:
            ShardUnavailable: a shard does not answer.
            VersionGone: a shard went so far on meanwhile that it has forgotten it.
        """
        asked = pb.VersionRequest(map_digest=self._map.digest)
        version = min(reply.version for reply in self._all([asked] * len(self._links)))
        asked = pb.VersionRequest(version=version, map_digest=self._map.digest)
        return Snapshot(version, tuple(reply.root for reply in self._all([asked] * len(self._links))))

    def read(self, snapshot: Snapshot, keys: Messages) -> Entries:
        """What keys held then.

        Raises:
            ShardUnavailable: a shard does not answer.
            VersionGone: a shard has forgotten the version: take another snapshot.
        """
        owners = self._map.owners(keys.ragged)
        rows = [np.flatnonzero(owners == shard) for shard in range(len(self._links))]
        parts = [ragged.taken(keys, each) for each in rows]
        asked = [
            pb.VersionRequest(version=snapshot.version, keys=strings_of(part), map_digest=self._map.digest)
            for part in parts
        ]
        replies = self._all(asked)
        found = [
            entries_of("values", request.keys, reply.values, reply.present)
            for request, reply in zip(asked, replies, strict=True)
        ]
        places = np.empty(len(keys), np.int64)
        places[np.concatenate(rows)] = np.arange(len(keys))
        return Entries.joined(found).take(places)

    def _all(self, requests: Sequence[pb.VersionRequest]) -> list[pb.VersionReply]:
        return self._links.all("Version", requests, READ_SECONDS)
