# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm shard`: what it says where nothing can be done. docs/shards.md, which is run, shows the rest."""

from __future__ import annotations

import json

from supervm.tiers.shards.shard_map import ShardMap


def test_a_map_is_written_that_can_be_read(run, tmp_path) -> None:
    file = tmp_path / "map.json"
    said = run("shard", "map", file, "--address", "a:1", "--address", "b:2", "--address", "c:3", "--json")
    assert said.exit_code == 0
    found = ShardMap.read(file)
    assert found == ShardMap.uniform(3, ("a:1", "b:2", "c:3"))
    assert json.loads(said.stdout)["digest"] == found.digest.hex()


def test_a_map_with_a_hole_is_named(run, tmp_path) -> None:
    file = tmp_path / "map.json"
    file.write_text('{"shards": [{"address": "a:1", "ranges": [["", "80"], ["81", ""]]}]}')
    said = run("shard", "status", "--map", file, "--json")
    assert said.exit_code == 2
    assert "nobody's keys from 80 to 81" in json.loads(said.stdout)["error"]["message"]


def test_a_shard_that_the_map_does_not_have(run, tmp_path) -> None:
    (tmp_path / "map.json").write_text(ShardMap.uniform(2, ("a:1", "b:2")).text())
    said = run("shard", "serve", 2, "--map", tmp_path / "map.json")
    assert said.exit_code == 2
    assert "0 to 1, as the map has them" in said.stderr


def test_a_shard_that_does_not_answer(run, tmp_path) -> None:
    (tmp_path / "map.json").write_text(ShardMap.uniform(1, ("127.0.0.1:1",)).text())
    said = run("shard", "status", "--map", tmp_path / "map.json", "--json")
    assert said.exit_code == 3
    assert json.loads(said.stdout)["error"]["type"] == "ShardUnavailable"


def test_half_of_a_tls_pair(run, tmp_path) -> None:
    (tmp_path / "map.json").write_text(ShardMap.uniform(1, ("127.0.0.1:1",)).text())
    said = run("shard", "serve", 0, "--map", tmp_path / "map.json", "--tls-key", "key.pem")
    assert said.exit_code == 2
    assert "a certificate and its key" in said.stderr
