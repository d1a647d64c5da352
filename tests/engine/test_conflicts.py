# SPDX-License-Identifier: GPL-3.0-or-later
"""`detect` against the text of the rules, pair by pair; its arguments; both kinds of keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from supervm.engine.conflicts import RULES, Conflicts, detect
from supervm.kernels import get_threads, registry, set_threads
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError, BackendUnavailable

Sets = Sequence[Sequence[int]]
"""The keys of each transaction."""


class Answer(NamedTuple):
    """What the rules say about a block."""

    wave: list[int]
    edges: list[list[int]]
    hot: list[tuple[int, int]]


def by_the_rules(reads: Sets, writes: Sets, rule: str) -> Answer:
    """Compare every transaction with every earlier one."""
    edges: list[list[int]] = []
    for i in range(len(reads)):
        found = {writer for key in reads[i] for writer in last_writer(writes, key, i)}
        for key in writes[i] if rule == "locking" else ():
            writer = last_writer(writes, key, i)
            found.update(writer)
            found.update(j for j in range(max(writer, default=-1) + 1, i) if key in reads[j])
        edges.append(sorted(found))
    wave: list[int] = []
    for earlier in edges:
        wave.append(1 + max((wave[j] for j in earlier), default=-1))
    counts = Counter(key for keys in (*reads, *writes) for key in keys)
    return Answer(wave, edges, sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:64])


def last_writer(writes: Sets, key: int, before: int) -> list[int]:
    return [j for j in range(before) if key in writes[j]][-1:]


def csr(sets: Sets) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    return offsets, np.array([key for keys in sets for key in keys], dtype=np.uint64)


def rows(ids: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Ids as the last eight of 32 bytes, big-endian: rows order as their ids do."""
    bytes32 = np.zeros((len(ids), 32), np.uint8)
    bytes32[:, 24:] = ids.astype(">u8").view(np.uint8).reshape(-1, 8)
    return bytes32


def run(reads: Sets, writes: Sets, rule: str, kind: str = "ids", edges: bool = True) -> Conflicts:
    (read_offsets, read_keys), (write_offsets, write_keys) = csr(reads), csr(writes)
    if kind == "rows":
        return detect(read_offsets, rows(read_keys), write_offsets, rows(write_keys), rule=rule, edges=edges)
    return detect(read_offsets, read_keys, write_offsets, write_keys, rule=rule, edges=edges)


def answer(found: Conflicts) -> Answer:
    """The result in the reference's form; checks shapes and dtypes on the way."""
    n = len(found.wave)
    assert found.wave.dtype == found.edges.dtype == np.int32
    assert found.edge_offsets.dtype == found.hot_counts.dtype == np.int64
    assert found.edge_offsets.shape == (n + 1,)
    assert found.edge_offsets[-1] == len(found.edges)
    assert found.wave_count == max(found.wave.tolist(), default=-1) + 1
    keys = found.hot_keys
    if keys.ndim == 2:
        assert keys.dtype == np.uint8
        assert not keys[:, :24].any()
        keys = keys[:, 24:].copy().view(">u8")[:, 0]
    bounds = found.edge_offsets.tolist()
    edges = [found.edges[bounds[i] : bounds[i + 1]].tolist() for i in range(n)]
    return Answer(
        found.wave.tolist(), edges, list(zip(keys.tolist(), found.hot_counts.tolist(), strict=True))
    )


def random_sets(random: np.random.Generator, transactions: int, keys: int, most: int) -> list[list[int]]:
    """Up to `most` keys for each transaction out of so many, low ones more often; repeats."""
    sizes = random.integers(0, most + 1, transactions)
    return [(keys * random.random(size) ** 2).astype(int).tolist() for size in sizes]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["ids", "rows"])
def test_random_blocks_as_the_rules_say(rule: str, kind: str) -> None:
    random = np.random.default_rng(7)
    for _ in range(800):
        n, keys, most = (int(random.integers(1, top)) for top in (30, 12, 6))
        reads, writes = random_sets(random, n, keys, most), random_sets(random, n, keys, most)
        assert answer(run(reads, writes, rule, kind)) == by_the_rules(reads, writes, rule), (reads, writes)


@pytest.mark.parametrize("rule", RULES)
def test_larger_blocks_as_the_rules_say(rule: str) -> None:
    """Several partitions need some ten thousand accesses; these have tables that grow instead."""
    random = np.random.default_rng(8)
    for keys in (3, 40, 4000):
        reads, writes = random_sets(random, 300, keys, 9), random_sets(random, 300, keys, 9)
        expected = by_the_rules(reads, writes, rule)
        assert answer(run(reads, writes, rule)) == expected
        assert answer(run(reads, writes, rule, "rows")) == expected


KEY = st.sampled_from([0, 1, 2, 3, 2**32, 2**63, 2**64 - 1])


@given(st.lists(st.tuples(st.lists(KEY, max_size=5), st.lists(KEY, max_size=5)), max_size=12))
@settings(max_examples=300)
def test_any_block_as_the_rules_say(block: list[tuple[list[int], list[int]]]) -> None:
    reads, writes = [reads for reads, _ in block], [writes for _, writes in block]
    for rule in RULES:
        expected = by_the_rules(reads, writes, rule)
        assert answer(run(reads, writes, rule)) == expected
        assert answer(run(reads, writes, rule, "rows")) == expected


def test_the_two_rules_on_a_block_made_by_hand() -> None:
    """0 writes a; 1 and 2 read a; 3 reads and writes a, twice; 4 writes a; 5 reads a and, alone, b."""
    reads, writes = [[], [1], [1, 1], [1], [], [1, 2]], [[1], [], [], [1, 1], [1], []]
    versioned, locking = answer(run(reads, writes, "versioned")), answer(run(reads, writes, "locking"))
    assert versioned.edges == [[], [0], [0], [0], [], [4]]
    assert versioned.wave == [0, 1, 1, 1, 0, 1]
    assert locking.edges == [[], [0], [0], [0, 1, 2], [3], [4]]
    assert locking.wave == [0, 1, 1, 2, 3, 4]
    assert versioned.hot == locking.hot == [(1, 9), (2, 1)]


@pytest.mark.parametrize("kind", ["ids", "rows"])
@pytest.mark.parametrize("rule", RULES)
def test_empty_blocks_and_transactions_without_keys(rule: str, kind: str) -> None:
    assert answer(run([], [], rule, kind)) == Answer([], [], [])
    assert answer(run([[]] * 3, [[]] * 3, rule, kind)) == Answer([0, 0, 0], [[], [], []], [])
    assert answer(run([[5]], [[5, 5]], rule, kind)) == Answer([0], [[]], [(5, 3)])
    assert answer(run([[], [5], []], [[5], [], [5]], rule, kind)).edges[1] == [0]
    assert run([[5]], [[5]], rule, kind).hot_keys.shape == ((1,) if kind == "ids" else (1, 32))


@pytest.mark.parametrize("kind", ["ids", "rows"])
def test_one_key_that_everybody_reads_and_writes(kind: str) -> None:
    """Under both rules a chain; a list of pairs would have 1.25 · 10⁹ entries."""
    n = 50_000
    for rule in RULES:
        found = run([[9]] * n, [[9]] * n, rule, kind)
        assert found.wave.tolist() == list(range(n))
        assert found.edges.tolist() == list(range(n - 1))
        assert found.hot_counts.tolist() == [2 * n]


def test_one_key_that_is_read_by_all_and_then_written() -> None:
    """Each reader stands in one list: edges stay below the number of accesses."""
    n = 50_000
    reads, writes = [[9]] * (n - 1) + [[]] * 2, [[]] * (n - 1) + [[9]] * 2
    found = run(reads, writes, "locking")
    assert found.wave[-3:].tolist() == [0, 1, 2]
    assert found.edges.tolist() == [*range(n - 1), n - 1]
    assert not run(reads, writes, "versioned").edges.size


def test_hot_keys_at_the_limit() -> None:
    """Counts descending, then keys ascending; of equals at the end the lowest keys stay."""
    random = np.random.default_rng(9)
    ids = np.arange(1, 201, dtype=np.uint64) * np.uint64(2**56 + 2**31 + 5)
    accesses = np.concatenate([np.repeat(ids[50:90], 3), ids, ids[150:160]])
    accesses = random.permutation(accesses)
    offsets = np.arange(len(accesses) + 1)
    none = np.zeros(len(accesses) + 1, np.int64)
    expected = [*sorted(ids[50:90].tolist()), *sorted(ids[150:160].tolist())]
    expected += sorted(set(ids.tolist()) - set(expected))[: 64 - len(expected)]
    for keys in (accesses, rows(accesses)):
        empty = keys[:0]
        found = detect(offsets, keys, none, empty)
        swapped = detect(none, empty, offsets, keys)
        got = found.hot_keys if keys.ndim == 1 else found.hot_keys[:, 24:].copy().view(">u8")[:, 0]
        assert got.tolist() == expected
        assert found.hot_counts.tolist() == [4] * 40 + [2] * 10 + [1] * 14
        assert np.array_equal(found.hot_keys, swapped.hot_keys)


def test_rows_order_by_their_first_byte() -> None:
    keys = np.random.default_rng(3).integers(0, 256, (90, 32), dtype=np.uint8)
    keys[:50, :20] = keys[0, :20]
    found = detect(np.arange(91), keys, np.zeros(91, np.int64), keys[:0])
    assert [key.tobytes() for key in found.hot_keys] == sorted(key.tobytes() for key in keys)[:64]


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = get_threads()
    yield
    set_threads(before)


@pytest.mark.usefixtures("restore_threads")
@pytest.mark.parametrize("kind", ["ids", "rows"])
@pytest.mark.parametrize("rule", RULES)
def test_threads_and_partitions_change_nothing(rule: str, kind: str) -> None:
    """Large enough for many partitions and one slice of the block per thread; against a table in Python."""
    random = np.random.default_rng(11)
    n = 40_000
    offsets = [np.concatenate(([0], np.cumsum(random.integers(0, 9, n)))) for _ in range(2)]
    ids = [(30_000 * random.random(bounds[-1]) ** 3).astype(np.uint64) for bounds in offsets]
    ids = [column * np.uint64(0x9E3779B97F4A7C15) for column in ids]
    keys = [rows(column) if kind == "rows" else column for column in ids]
    found = []
    for threads in (1, 3):
        set_threads(threads)
        result = detect(offsets[0], keys[0], offsets[1], keys[1], rule=rule, edges=True)
        found.append(answer(result)._replace(edges=[]))
        assert dependencies(result) == in_one_pass(offsets, ids, rule)
    assert found[0] == found[1]
    counted = Counter(np.concatenate(ids).tolist())
    assert found[0].hot == sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:64]


def dependencies(found: Conflicts) -> list[list[int]]:
    """Edges, after a check of the waves against them."""
    bounds, listed = found.edge_offsets.tolist(), found.edges.tolist()
    edges = [listed[bounds[i] : bounds[i + 1]] for i in range(len(found.wave))]
    wave = found.wave.tolist()
    assert wave == [1 + max((wave[j] for j in earlier), default=-1) for earlier in edges]
    return edges


def in_one_pass(
    offsets: list[NDArray[np.int64]], ids: list[NDArray[np.uint64]], rule: str
) -> list[list[int]]:
    """The rules once more, for blocks where comparing every pair takes too long."""
    bounds, keys = [column.tolist() for column in offsets], [column.tolist() for column in ids]
    writer: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    edges = []
    for i in range(len(bounds[0]) - 1):
        reads, writes = (set(keys[side][bounds[side][i] : bounds[side][i + 1]]) for side in (0, 1))
        found = {writer[key] for key in reads if key in writer}
        if rule == "locking":
            found |= {writer[key] for key in writes if key in writer}
            found.update(reader for key in writes for reader in readers.get(key, ()))
        for key in reads:
            readers.setdefault(key, []).append(i)
        for key in writes:
            writer[key], readers[key] = i, []
        edges.append(sorted(found))
    return edges


def test_waves_alone_carry_no_edges() -> None:
    found = run([[1]], [[1]], "locking", edges=False)
    assert found.edge_offsets.shape == found.edges.shape == (0,)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32])
def test_arrays_of_any_layout(dtype: Any) -> None:
    """Offsets of every type, keys with gaps, at odd addresses or read-only give the same answer."""
    offsets = np.array([0, 1, 3], dtype)
    ids = np.array([5, 6, 5], np.uint64)
    expected = answer(detect(offsets, ids, offsets, ids, rule="locking", edges=True))
    assert expected.edges == [[], [0]]
    memory = np.zeros(3 * 8 + 1, np.uint8)
    memory[1:] = ids.view(np.uint8)
    frozen = ids.copy()
    frozen.flags.writeable = False
    for keys in (np.repeat(ids, 2)[::2], memory[1:].view(np.uint64), frozen):
        assert answer(detect(offsets, keys, offsets, keys, rule="locking", edges=True)) == expected
    wide = np.zeros((3, 70), np.uint8)
    wide[:, 33:65] = rows(ids)
    keys = wide[:, 33:65]
    assert answer(detect(offsets, keys, offsets, keys, rule="locking", edges=True)) == expected


OFFSETS, IDS, ROWS = np.array([0, 1, 3]), np.array([5, 6, 5], np.uint64), np.zeros((3, 32), np.uint8)


@pytest.mark.parametrize(
    ("changed", "argument", "found"),
    [
        ({"read_offsets": [0, 1, 3]}, "read_offsets", "list"),
        ({"read_offsets": OFFSETS.astype(float)}, "read_offsets", "float64"),
        ({"read_offsets": OFFSETS[:0]}, "read_offsets", r"shape \(0,\)"),
        ({"read_offsets": OFFSETS[None]}, "read_offsets", r"shape \(1, 3\)"),
        ({"read_offsets": np.array([1, 1, 3])}, "read_offsets", "1 as the first offset"),
        ({"read_offsets": np.array([0, 4, 3])}, "read_offsets", "3 after 4 at index 2"),
        ({"write_offsets": np.array([0, 1, 2])}, "write_offsets", "2 as the last offset, expected 3"),
        ({"write_offsets": np.array([0, 1, 2**63], np.uint64)}, "write_offsets", "9223372036854775808"),
        ({"write_offsets": np.array([0, 3])}, "write_offsets", "2 entries, expected 3"),
        ({"read_keys": [5, 6, 5]}, "read_keys", "list"),
        ({"read_keys": IDS.astype(np.int64)}, "read_keys", "int64"),
        ({"read_keys": ROWS[:, :31]}, "read_keys", r"\(3, 31\)"),
        ({"write_keys": ROWS.astype(np.int8)}, "write_keys", "int8"),
        ({"write_keys": ROWS}, "write_keys", r"\(3, 32\), expected keys of the same kind"),
        ({"rule": "optimistic"}, "rule", "optimistic"),
        ({"edges": 1}, "edges", "1"),
        ({"backend": "oracle"}, "backend", "oracle"),
    ],
)
def test_wrong_arguments_are_named(changed: dict[str, Any], argument: str, found: str) -> None:
    arguments = {"read_offsets": OFFSETS, "read_keys": IDS, "write_offsets": OFFSETS, "write_keys": IDS}
    with pytest.raises(ArgumentError, match=f"argument '{argument}': found .*{found}"):
        detect(**(arguments | changed))


def test_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_search", lambda: ((), "no GPU in this test"))
    assert registry.resolve("conflicts.detect").name == "scalar"
    assert detect(OFFSETS, IDS, OFFSETS, IDS, backend="scalar").wave_count == 2
    for backend, reason in (("ifma", "not implemented"), ("cuda", "no GPU in this test")):
        with pytest.raises(BackendUnavailable, match=reason):
            detect(OFFSETS, IDS, OFFSETS, IDS, backend=backend)
