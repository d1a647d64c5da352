# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key has one shard, found as a search over the sorted bounds finds it; maps with holes or overlaps are refused."""

from __future__ import annotations

import bisect
import json
import random

import pytest

from supervm.crypto.messages import Messages
from supervm.tiers.shards.errors import ShardMapInvalid
from supervm.tiers.shards.shard_map import MOST_SHARDS, ShardMap


def test_owners_are_those_of_a_search_over_bounds() -> None:
    chosen = random.Random(3)
    for _ in range(50):
        bounds = sorted(
            {bytes(chosen.choices((0, 1, 255), k=chosen.randint(1, 4))).rstrip(b"\0") for _ in range(6)}
            - {b""}
        )
        starts = [b"", *bounds]
        shards = [chosen.randrange(3) for _ in starts]
        ranges = [
            tuple(
                (first, after)
                for first, after, mine in zip(starts, [*bounds, b""], shards, strict=True)
                if mine == shard
            )
            for shard in range(3)
        ]
        found = ShardMap(tuple(ranges))
        keys = [bytes(chosen.choices((0, 1, 254, 255), k=chosen.randint(0, 6))) for _ in range(200)] + bounds
        expected = [shards[bisect.bisect_right(starts, key) - 1] for key in keys]
        assert found.owners(Messages.of(keys).ragged).tolist() == expected
        assert ShardMap._of(json.loads(found.text())) == ShardMap(found.ranges, ("",) * 3)


@pytest.mark.parametrize("shards", [1, 2, 3, MOST_SHARDS])
def test_equal_ranges_share_addresses_out(shards: int) -> None:
    found = ShardMap.uniform(shards)
    for kind in range(4):
        owners = [found.owner(bytes([kind, first, 7]) + bytes(18)) for first in range(256)]
        assert owners == sorted(owners)
        assert set(owners) == set(range(shards))


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([[("", "80")], [("90", "")]], "nobody's keys from 80 to 90"),
        ([[("10", "80")], [("80", "")]], "nobody's keys from the beginning to 10"),
        ([[("", "80")], [("80", "f0")]], "nobody's keys from f0 on"),
        ([[("", "90")], [("80", "")]], "keys that another range has too"),
        ([[("", "")], [("80", "")]], "keys that another range has too"),
        ([[("", "80")], [("80", "80"), ("80", "")]], "an end behind the beginning"),
        ([[("", "8000")], [("8000", "")]], "of which the last one is not 0"),
        ([], "1 to 64"),
    ],
)
def test_a_map_that_does_not_give_every_key_to_one_shard(
    ranges: list[list[tuple[str, str]]], words: str
) -> None:
    given = tuple(tuple((bytes.fromhex(a), bytes.fromhex(b)) for a, b in each) for each in ranges)
    with pytest.raises(ShardMapInvalid, match=words):
        ShardMap(given)


def test_files_that_are_no_maps(tmp_path) -> None:
    path = tmp_path / "map.json"
    for text in (
        "",
        "{}",
        '{"shards": [{"address": "a"}]}',
        '{"shards": [{"address": "a", "ranges": [["x", ""]]}]}',
    ):
        path.write_text(text)
        with pytest.raises(ShardMapInvalid):
            ShardMap.read(path)
    with pytest.raises(ShardMapInvalid, match="can be read"):
        ShardMap.read(tmp_path / "absent")


def test_another_map_has_another_digest() -> None:
    assert len({ShardMap.uniform(shards).digest for shards in range(1, 9)}) == 8
    assert ShardMap.uniform(2).digest == ShardMap.uniform(2, ("a:1", "b:2")).digest
