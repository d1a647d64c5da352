# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of maps, and of tries of which some nodes are known, against a trie in plain Python and the published tests."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlp
from plain_trie import PlainTrie, keccak256, nibbles_of

from supervm.crypto.messages import Messages
from supervm.engine.errors import MalformedNode, MissingNodes
from supervm.engine.ethereum.tries import EMPTY_ROOT, PartialTries, trie_roots
from supervm.kernels.errors import ArgumentError

ARCHIVE = Path(__file__).resolve().parents[4] / "shared" / "data" / "evm" / "blocktests_misc.tar.xz"
Map = Mapping[bytes, bytes]


def rows(keys: list[bytes]) -> Any:
    return np.frombuffer(bytearray(b"".join(keys)), np.uint8).reshape(-1, 32)


def roots_of(*maps: Map) -> list[bytes]:
    offsets = np.cumsum([0, *map(len, maps)])
    keys = [key for entries in maps for key in entries]
    values = [value for entries in maps for value in entries.values()]
    return [root.tobytes() for root in trie_roots(offsets, rows(keys), Messages.of(values))]


SPINE = bytes(range(0x35, 0x35 + 32))
"""Keys that begin as this does make branches and extensions at every depth."""


def key(chosen: random.Random) -> bytes:
    """Of a family whose members share few nibbles, many, or all but the last ones."""
    kind = chosen.randrange(4)
    if kind == 0:
        return chosen.randbytes(32)
    if kind == 1:
        return SPINE[:31] + chosen.randbytes(1)
    return (SPINE[: chosen.randrange(31)] + bytes([chosen.randrange(256)]) + b"\x11" * 32)[:32]


def value(chosen: random.Random) -> bytes:
    return chosen.randbytes(chosen.choice([1, 1, 1, 2, 3, 20, 33, 70, 300]))


def some_map(chosen: random.Random, most: int) -> dict[bytes, bytes]:
    return {key(chosen): value(chosen) for _ in range(chosen.randrange(most + 1))}


@pytest.mark.parametrize("most", [1, 2, 3, 8, 40])
def test_roots_of_many_maps_at_once(most: int) -> None:
    chosen = random.Random(most)
    maps = [some_map(chosen, most) for _ in range(40)]
    assert roots_of(*maps) == [PlainTrie(entries).root for entries in maps]


def test_no_map_and_empty_maps() -> None:
    assert roots_of() == []
    assert roots_of({}, {}) == [EMPTY_ROOT, EMPTY_ROOT]
    assert PlainTrie({}).root == EMPTY_ROOT


def test_hashed_keys_in_any_order() -> None:
    entries = {
        keccak256(bytes([i % 256, i // 256])): bytes([1 + i % 255]) * (1 + i % 90) for i in range(3000)
    }
    expected = PlainTrie(entries).root
    assert roots_of(entries) == [expected]
    assert roots_of(dict(sorted(entries.items()))) == [expected]


@pytest.mark.parametrize(
    ("offsets", "keys", "values", "argument"),
    [
        ([0, 2], [b"\1" * 32, b"\1" * 32], [b"a", b"b"], "keys"),
        ([0, 1], [b"\1" * 32], [b""], "values"),
        ([0, 2], [b"\1" * 32], [b"a"], "offsets"),
        ([0, 1, 0], [], [], "offsets"),
        ([0, 1], [], [b"a"], "keys"),
    ],
)
def test_what_is_no_map(offsets: list[int], keys: list[bytes], values: list[bytes], argument: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        trie_roots(np.array(offsets), rows(keys), Messages.of(values))
    assert refused.value.argument == argument


def test_one_key_in_two_maps() -> None:
    assert roots_of({bytes(32): b"a"}, {bytes(32): b"a"}) == [PlainTrie({bytes(32): b"a"}).root] * 2


def published(name: str) -> dict[str, Any]:
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE.name} is not here")
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile(f"tests/TrieTests/{name}.json")
        assert file
        return dict(json.load(file))


def octets(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


@pytest.mark.parametrize(
    "name", ["trieanyorder_secureTrie", "hex_encoded_securetrie_test", "trietest_secureTrie"]
)
def test_published_secure_tries(name: str) -> None:
    """Each step of a list may take a key away again; those of a map stand in no order."""
    for case, shown in published(name).items():
        steps = shown["in"].items() if isinstance(shown["in"], dict) else shown["in"]
        entries: dict[bytes, bytes] = {}
        tries = PartialTries(Messages.of([]))
        trie = tries.open(rows([EMPTY_ROOT]))
        for name_of_key, text in steps:
            hashed = keccak256(octets(name_of_key))
            entries[hashed] = octets(text or "")
            tries.set(trie, rows([hashed]), Messages.of([entries[hashed]]))
        kept = {hashed: held for hashed, held in entries.items() if held}
        assert roots_of(kept) == [octets(shown["root"])], case
        assert tries.roots(trie).tobytes() == octets(shown["root"]), case


def opened(nodes: list[bytes], *roots: bytes) -> tuple[PartialTries, Any]:
    tries = PartialTries(Messages.of(nodes))
    return tries, tries.open(rows(list(roots)))


def put(tries: PartialTries, numbers: list[int], changes: list[tuple[bytes, bytes]]) -> None:
    keys, values = [name for name, _ in changes], [held for _, held in changes]
    tries.set(np.array(numbers, np.int64), rows(keys), Messages.of(values))


@pytest.mark.parametrize("seed", range(90))
def test_changes_to_partial_tries(seed: int) -> None:
    """Only the nodes on the way to the keys are given at first; what is missing is named, and found at its place."""
    chosen = random.Random(seed)
    before = some_map(chosen, chosen.choice([1, 4, 12, 60]))
    # Every third time keys only go: what others put in would have the same nodes hashed again.
    only_less = seed % 3 == 0
    changes = {} if only_less else some_map(chosen, 12)
    few = chosen.choice([1, 2, len(before)])
    for name in chosen.sample(sorted(before), min(few, len(before))):
        changes[name] = b"" if only_less else chosen.choice([b"", b"", value(chosen), before[name]])
    for _ in range(3):
        changes.setdefault(key(chosen), b"")  # keys to take away that are not there
    after = {name: held for name, held in (before | changes).items() if held}
    whole = PlainTrie(before)
    known = whole.way(changes)
    while True:
        tries, trie = opened([whole.nodes[digest] for digest in sorted(known)], whole.root)
        try:
            put(tries, [0] * len(changes), list(changes.items()))
            break
        except MissingNodes as missing:
            named = missing.nodes
        assert named
        for node in named:
            assert node.beside
            assert node.account is None
            assert whole.places[tuple(int(digit, 16) for digit in node.path)] == node.hash
            assert node.hash not in known
            known.add(node.hash)
    assert tries.roots(trie).tobytes() == PlainTrie(after).root
    names = [*changes, *before]
    held = [after.get(name, b"") for name in names]
    rest, number = opened([*PlainTrie(after).nodes.values()], PlainTrie(after).root)
    for source, place in ((rest, number), (tries, trie)):
        try:
            found = source.get(np.repeat(place, len(names)), rows(names))
        except MissingNodes:
            assert source is tries  # a key that was not changed, and is not proven
            found = source.get(np.repeat(place, len(changes)), rows(names[: len(changes)]))
        assert [found.values[i] for i in range(len(found.values))] == held[: len(found.values)]
        assert found.present.tolist() == [bool(each) for each in held[: len(found.values)]]


def test_no_sibling_is_asked_for_that_stays_beside_another() -> None:
    """Of three children one goes: the two that stay need not be known. Of two, the other one must be."""
    three = {bytes([16 * i]) + b"\7" * 31: bytes([i]) * 40 for i in range(3)}
    whole = PlainTrie(three)
    gone, *others = three
    tries, trie = opened([whole.nodes[digest] for digest in whole.way([gone])], whole.root)
    put(tries, [0], [(gone, b"")])
    assert tries.roots(trie).tobytes() == PlainTrie({name: three[name] for name in others}).root
    tries, trie = opened([whole.nodes[digest] for digest in whole.way([gone, others[1]])], whole.root)
    with pytest.raises(MissingNodes, match=r"path '1' of the state.*left alone"):
        put(tries, [0, 0], [(gone, b""), (others[1], b"")])


def test_a_key_that_comes_spares_the_sibling() -> None:
    two = {bytes([16 * i]) + b"\7" * 31: bytes([i]) * 40 for i in range(2)}
    whole = PlainTrie(two)
    gone, other = two
    come = b"\xf0" * 32
    tries, trie = opened([whole.nodes[digest] for digest in whole.way([gone])], whole.root)
    put(tries, [0, 0], [(gone, b""), (come, b"new")])
    assert tries.roots(trie).tobytes() == PlainTrie({other: two[other], come: b"new"}).root


def test_many_tries_with_the_same_nodes() -> None:
    """Two accounts with equal storage share every node, and change apart."""
    chosen = random.Random(5)
    shared = {chosen.randbytes(32): value(chosen) for _ in range(50)}
    whole = PlainTrie(shared)
    tries, numbers = opened([*whole.nodes.values()], whole.root, EMPTY_ROOT, whole.root)
    first = sorted(shared)[7]
    put(tries, [2, 1, 2], [(first, b""), (first, b"alone"), (b"\5" * 32, b"more")])
    third = {name: held for name, held in shared.items() if name != first} | {b"\5" * 32: b"more"}
    expected = [whole.root, PlainTrie({first: b"alone"}).root, PlainTrie(third).root]
    assert [root.tobytes() for root in tries.roots(numbers)] == expected


def test_a_copy_changes_apart() -> None:
    whole = PlainTrie({bytes(32): b"a", b"\1" * 32: b"b"})
    tries, trie = opened([*whole.nodes.values()], whole.root)
    other = tries.copy()
    put(other, [0], [(bytes(32), b"c")])
    assert other.roots(trie).tobytes() == PlainTrie({bytes(32): b"c", b"\1" * 32: b"b"}).root
    assert tries.roots(trie).tobytes() == whole.root


def test_missing_nodes_on_the_way_are_all_named() -> None:
    chosen = random.Random(9)
    entries = {chosen.randbytes(32): b"x" * 40 for _ in range(300)}
    whole = PlainTrie(entries)
    tries, _ = opened([whole.nodes[whole.root]], whole.root)
    asked = sorted(entries)[::30]
    with pytest.raises(MissingNodes) as missing:
        tries.get(np.zeros(len(asked), np.int64), rows(asked))
    firsts = {nibbles_of(name)[:1] for name in asked}
    assert {node.hash for node in missing.value.nodes} == {whole.places[first] for first in firsts}
    assert f"{len(firsts) - 1} more" in str(missing.value)


BRANCH_OF_ONE = rlp.encode([b""] * 15 + [b"\1" * 32, b""])
BRANCH_WITH_VALUE = rlp.encode([b""] * 14 + [b"\1" * 32] * 2 + [b"x"])


@pytest.mark.parametrize(
    "node",
    [
        b"",
        b"abc",
        b"\xc0",
        rlp.encode([b"\x20"]),
        rlp.encode([b"\x20" + b"\1" * 31, b"short path"]),
        rlp.encode([b"\x20" + b"\1" * 33, b"long path"]),
        rlp.encode([b"\x20" + b"\1" * 32, b""]),
        rlp.encode([b"\x20" + b"\1" * 32, [b"x"]]),
        rlp.encode([b"\x21" + b"\1" * 32, b"flags of an even path"]),
        rlp.encode([b"\x40" + b"\1" * 32, b"no flags"]),
        rlp.encode([b"", b"no path"]),
        rlp.encode([[b"\x20"], b"a list for a path"]),
        rlp.encode([b"\x00", b"\1" * 32]),
        rlp.encode([b"\x11", b""]),
        rlp.encode([b"\x11", b"\1" * 31]),
        rlp.encode([b"\x00" + b"\1" * 32, b"\1" * 32]),
        BRANCH_OF_ONE,
        BRANCH_WITH_VALUE,
        rlp.encode([b"\1" * 32] * 16),
        rlp.encode([b"\1" * 32] * 18),
        rlp.encode([b"\1" * 31] * 16 + [b""]),
        rlp.encode([[b"\1" * 40]] * 16 + [b""]),
        rlp.encode([b"\x20" + b"\1" * 32, b"more behind"]) + b"\0",
        rlp.encode([b"\x20" + b"\1" * 32, b"cut short"])[:-1],
        b"\xf8\x20" + rlp.encode([b"\1" * 20, b"\1" * 10])[1:],
        b"\xc3\x81\x20\x78",
        b"\xff" * 40,
        b"\xc9\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
    ids=lambda node: node[:12].hex() or "nothing",
)
def test_what_is_no_node(node: bytes) -> None:
    digest = keccak256(node)
    tries, _ = opened([node], digest)
    with pytest.raises(MalformedNode, match=digest.hex()) as refused:
        tries.get(np.array([0]), rows([b"\x11" * 32]))
    assert refused.value.node.hash == digest
    for held in (b"x", b""):
        with pytest.raises(MalformedNode):
            put(tries, [0], [(b"\x11" * 32, held)])


@pytest.mark.parametrize("inside", [[b"\x3f", b"x"], [b"\x11", b"\1" * 20], [b"\x40"]], ids=str)
def test_what_stands_in_a_node_and_is_none(inside: list[bytes]) -> None:
    node = rlp.encode([b"\x11", inside])
    tries, _ = opened([node], keccak256(node))
    with pytest.raises(MalformedNode, match="path '1' of the state") as refused:
        tries.get(np.array([0]), rows([b"\x11" * 32]))
    assert refused.value.node.hash == keccak256(rlp.encode(inside))


def test_a_leaf_below_an_extension_is_none() -> None:
    leaf = rlp.encode([b"\x3f" + b"\1" * 31, b"x"])
    node = rlp.encode([b"\x11", keccak256(leaf)])
    tries, _ = opened([node, leaf], keccak256(node))
    for asked in (b"\x1f" + b"\1" * 31, b"\x11" * 32):
        with pytest.raises(MalformedNode, match="path '1' of the state"):
            tries.get(np.array([0]), rows([asked]))
        with pytest.raises(MalformedNode):
            put(tries, [0], [(asked, b"")])


def test_a_sibling_that_is_no_node_is_named() -> None:
    bad = b"\xc1" * 40
    leaf = rlp.encode([b"\x31" + b"\1" * 31, b"x" * 9])
    root = rlp.encode([keccak256(leaf), keccak256(bad)] + [b""] * 15)
    tries, _ = opened([root, leaf, bad], keccak256(root))
    with pytest.raises(MalformedNode, match="path '1' of the state") as refused:
        put(tries, [0], [(b"\x01" + b"\1" * 31, b"")])
    assert refused.value.node.beside


def test_keys_of_another_shape() -> None:
    tries, trie = opened([], EMPTY_ROOT)
    with pytest.raises(ArgumentError, match="keys"):
        tries.get(trie, np.zeros((1, 31), np.uint8))
