# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection for GPUs on the host twin: every array as the CPU's, whose answers are tested against the rules."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import host_twin
import numpy as np
import pytest
from conflict_blocks import assert_same, block, chain, drawn, of_sets
from fiber_device import FiberDevice
from host_device import HostBuffer, HostDevice, HostStream
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from supervm.kernels.accesses import Accesses
from supervm.kernels.cpu.conflicts import partition
from supervm.kernels.cpu.conflicts.detect import detect_conflicts
from supervm.kernels.cuda.conflicts import detect as conflicts
from supervm.kernels.cuda.conflicts import heat, peeling
from supervm.kernels.cuda.runtime import device, radix_sort
from supervm.kernels.errors import DeviceError, DeviceOutOfMemory

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

NO_SPREAD = partition.mixer(0, 1, 1, [0, 0, 0, 0])
"""Rows of words a, 0, b, 0 share a digest."""

TILE, GROUP = radix_sort.TILE, radix_sort.GROUP

RULES = pytest.mark.parametrize("locking", [False, True], ids=["versioned", "locking"])
KINDS = pytest.mark.parametrize("as_rows", [False, True], ids=["ids", "rows"])


def check(
    given: Accesses, locking: bool, edges: bool = True, words: NDArray[Any] | None = None
) -> HostDevice:
    """Compare with the CPU; the device, which knows what was launched."""
    host = HostDevice()
    found = conflicts.detect_on(host.stream(), given, locking, edges, words)
    assert_same(found, detect_conflicts(given, locking, edges))
    return host


@pytest.fixture
def rounds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds always pay, so that waves come from the device."""
    monkeypatch.setattr(peeling, "REST_SECONDS", 1e9)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of transactions of every block whose waves the CPU found."""
    seen: list[int] = []
    real = peeling._rest

    def rest(stream: device.Stream, links: peeling.Links, wave: device.Buffer) -> int:
        seen.append(links.transactions)
        return real(stream, links, wave)

    monkeypatch.setattr(peeling, "_rest", rest)
    return seen


@pytest.mark.usefixtures("rounds_only")
@KINDS
@RULES
def test_random_blocks(locking: bool, as_rows: bool, passes: list[int]) -> None:
    for n, keys in (
        (1, 1),
        (2, 1),
        (7, 3),
        (60, 9),
        (300, 40),
        (400, 3000),
        (3000, 900),
        (4000, 10**6),
        (700, 2**62),
    ):
        check(drawn(n, keys, n, as_rows), locking)
        check(drawn(n, keys, n + 1, as_rows, most=9), locking, edges=False)
    assert not passes


KEY = st.sampled_from([0, 1, 2, 2**32, 2**63, 2**64 - 1])


@given(st.lists(st.tuples(st.lists(KEY, max_size=5), st.lists(KEY, max_size=5)), max_size=12))
@settings(max_examples=60)
def test_any_block(listed: list[tuple[list[int], list[int]]]) -> None:
    reads, writes = [reads for reads, _ in listed], [writes for _, writes in listed]
    for locking in (False, True):
        check(of_sets(reads, writes), locking)
        check(of_sets(reads, writes, as_rows=True), locking)


@KINDS
@RULES
def test_nothing_to_do(locking: bool, as_rows: bool) -> None:
    for reads, writes in (
        ([], []),
        ([[]] * 3, [[]] * 3),
        ([[], [5], []], [[]] * 3),
        ([[]] * 3, [[5], [], [5]]),
        ([[5]], [[5, 5]]),
    ):
        for edges in (False, True):
            check(of_sets(reads, writes, as_rows), locking, edges)


@pytest.mark.usefixtures("rounds_only")
@RULES
@pytest.mark.parametrize("accesses", [TILE - 1, TILE, TILE + 1, 3 * TILE, 3 * TILE + 1])
def test_sizes_around_a_tile(accesses: int, locking: bool) -> None:
    """One access a transaction, every other one a write; few keys, so that segments cross the borders of tiles."""
    random = np.random.default_rng(accesses)
    writes = random.integers(0, 2, accesses)
    for keys in (
        random.integers(0, 300, accesses),
        np.arange(accesses) // 5000,
        random.integers(0, 2**63, accesses),
    ):
        check(block((1 - writes, writes), (keys[writes == 0], keys[writes == 1])), locking)


@pytest.mark.usefixtures("rounds_only")
@RULES
@pytest.mark.parametrize("n", [GROUP - 1, GROUP, GROUP + 1, 2 * GROUP])
def test_transactions_around_a_group(n: int, locking: bool) -> None:
    check(drawn(n, 2 * n, n), locking)


@KINDS
@RULES
@pytest.mark.parametrize("shape", ["read", "written", "read, then written", "both", "written, then read"])
def test_one_key_for_all(shape: str, locking: bool, as_rows: bool) -> None:
    n = 5000
    nobody, everybody = np.zeros(n, np.int64), np.ones(n, np.int64)
    late = (np.arange(n) >= n - 3).astype(np.int64)
    reads, writes = {
        "read": (everybody, nobody),
        "written": (nobody, everybody),
        "read, then written": (1 - late, late),
        "both": (2 * everybody, 2 * everybody),
        "written, then read": (late, 1 - late),
    }[shape]
    check(block((reads, writes), (np.full(reads.sum(), 9), np.full(writes.sum(), 9)), as_rows), locking)


@RULES
def test_a_million_transactions_that_write_one_key(locking: bool, passes: list[int]) -> None:
    """Eight rounds are tried, then the CPU's one pass does it."""
    n = 10**6
    ones = np.ones(n, np.int64)
    host = check(block((ones, ones), (np.full(n, 9), np.full(n, 9))), locking, edges=False)
    assert passes == [n]
    assert host.launches.count("settle_round") == peeling.FIRST_ROUNDS


@pytest.mark.usefixtures("rounds_only")
@RULES
def test_a_long_chain_on_the_device(locking: bool, passes: list[int]) -> None:
    host = check(chain(300), locking)
    assert not passes
    assert 300 <= host.launches.count("settle_round") < 300 + peeling.MOST_ROUNDS_AT_ONCE


@pytest.mark.usefixtures("rounds_only")
@RULES
def test_rounds_have_an_end(locking: bool, passes: list[int]) -> None:
    n = peeling.MOST_ROUNDS + 2 * peeling.MOST_ROUNDS_AT_ONCE
    check(chain(n), locking, edges=False)
    assert passes == [n]


@RULES
def test_a_chain_beside_a_shallow_block(locking: bool, passes: list[int]) -> None:
    """Rounds settle nearly all at once, and then little: the rest of the waves is the CPU's."""
    n = 3000
    ones = np.ones(2 * n, np.int64)
    shallow = 10**9 + np.arange(n)
    reads, writes = (
        np.concatenate((np.arange(n), shallow)),
        np.concatenate((np.arange(1, n + 1), shallow + n)),
    )
    check(block((ones, ones), (reads, writes)), locking)
    assert passes == [2 * n]


@RULES
def test_a_transaction_with_very_many_accesses(locking: bool, passes: list[int]) -> None:
    wide = peeling.MOST_WIDE + 1
    reads, writes = np.array([0, wide, 1]), np.array([1, 0, 1])
    keys = np.concatenate((np.arange(wide), [1])), np.array([5, 5])
    host = check(block((reads, writes), keys), locking)
    assert passes == [3]
    assert "settle_round" not in host.launches


@RULES
def test_digests_that_collide(locking: bool) -> None:
    """Under the first secret all rows have one digest; under the next one, which is drawn, none do."""
    given = drawn(300, 100, 3, as_rows=True)
    assert check(given, locking, words=NO_SPREAD).launches.count("place_rows") == 2
    assert check(given, locking).launches.count("place_rows") == 1
    alone = of_sets([[3], []], [[3], [3]], as_rows=True)
    assert check(alone, locking, words=NO_SPREAD).launches.count("place_rows") == 1


def test_secrets_that_always_collide_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "random_mixer", lambda: NO_SPREAD)
    with pytest.raises(DeviceError, match="secrets in a row"):
        conflicts.detect_on(HostDevice().stream(), drawn(30, 10, 3, as_rows=True), False, False)


@KINDS
@pytest.mark.parametrize("few", [1, 70])
def test_hot_keys_by_every_digit(monkeypatch: pytest.MonkeyPatch, few: int, as_rows: bool) -> None:
    """The host ranks (nearly) nothing; counts tie at the limit; keys differ in high, low and middle bytes."""
    monkeypatch.setattr(heat, "FEW", few)
    random = np.random.default_rng(few)
    for spread in (1, 2**20, 2**40, 2**56 + 2**31 + 5):
        ids = np.arange(1, 301, dtype=np.uint64) * np.uint64(spread)
        for repeats in (np.ones(300, np.int64), random.integers(1, 4, 300), random.permutation(300) + 200):
            keys = random.permutation(np.repeat(ids, repeats))
            check(
                block(
                    (np.ones(len(keys), np.int64), np.zeros(len(keys), np.int64)), (keys, keys[:0]), as_rows
                ),
                False,
            )


def test_more_candidates_than_the_host_ranks() -> None:
    host = check(drawn(3000, 2**40, 5), False)
    assert "heat_split" in host.launches


@pytest.mark.usefixtures("rounds_only")
@RULES
def test_waves_of_a_resident_block(locking: bool) -> None:
    host = HostDevice()
    stream = host.stream()
    for as_rows in (False, True):
        given = drawn(900, 500, 4, as_rows)
        wave, count = conflicts.waves_on(stream, conflicts.place(stream, given), locking)
        expected = detect_conflicts(given, locking, False)
        assert radix_sort.fetch(stream, wave, np.int32, 900).tolist() == expected.wave.tolist()
        assert count == expected.wave_count
    assert "heat_digits" not in host.launches


class _Watched(HostDevice):
    """Remembers how much memory was taken at most."""

    most = 0

    def stream(self) -> device.Stream:
        return _WatchedStream(self)


class _WatchedStream(HostStream):
    def allocate(self, size: int) -> HostBuffer:
        buffer = super().allocate(size)
        assert isinstance(self.device, _Watched)
        self.device.most = max(self.device.most, self.device.taken)
        return buffer


@pytest.mark.usefixtures("rounds_only")
@KINDS
@RULES
@pytest.mark.parametrize("edges", [False, True])
def test_memory_is_as_the_formula_says(edges: bool, locking: bool, as_rows: bool) -> None:
    for n, most in ((40_000, 4), (40_000, 1), (5000, 30)):
        given = drawn(n, 10**6, 1, as_rows, most)
        sizes = n, len(given.read_keys), len(given.write_keys), 32 if as_rows else 8, locking, edges
        host = _Watched(memory=conflicts.device_bytes(*sizes))
        conflicts.detect(host, given, locking, edges)
        assert 0.6 * host.memory < host.most <= host.memory
        assert host.taken == 0


def test_too_little_memory_is_said_before_anything_starts() -> None:
    given = drawn(1000, 100, 1)
    need = conflicts.device_bytes(1000, len(given.read_keys), len(given.write_keys), 8, True, True)
    host = HostDevice(memory=need - 1)
    with pytest.raises(DeviceOutOfMemory, match=f"takes {need} bytes, {need - 1} are free"):
        conflicts.detect(host, given, True, True)
    assert not host.launches
    conflicts.detect(HostDevice(memory=need), given, True, True)


class _Lying(HostStream):
    """Turns the first bytes of the k-th download into nonsense."""

    def __init__(self, host: HostDevice, lie: int, nonsense: int) -> None:
        super().__init__(host)
        self.left, self.nonsense = lie, nonsense

    def download(self, buffer: HostBuffer, host: NDArray[Any], offset: int = 0) -> None:  # type: ignore[override]
        super().download(buffer, host, offset)
        if self.left == 0:
            host.reshape(-1).view(np.uint8)[:4] = self.nonsense
        self.left -= 1


@RULES
@pytest.mark.parametrize("nonsense", [0, 0xFF])
def test_no_lie_of_the_device_leads_the_host_astray(locking: bool, nonsense: int) -> None:
    """A wrong answer, which samples must find, or a device's error; never another one, nor a bound that is not checked."""
    refused = 0
    for sets in (drawn(2000, 2**40, 1), chain(300)):
        for lie in range(14):
            try:
                conflicts.detect_on(_Lying(HostDevice(), lie, nonsense), sets, locking, True)
            except DeviceError:
                refused += 1
    assert refused >= 5


def backwards(text: str) -> str:
    """The twin's text with items, blocks and threads of a phase taken in the opposite order."""
    for name, bound in (("index", "count"), ("block", "count"), ("thread", "threads")):
        macro = {"index": "items", "block": "blocks", "thread": "threads"}[name]
        there = f"#define for_{macro}({name}, {bound}) for (u32 {name} = 0; {name} < ({bound}); ++{name})"
        assert there in text
        text = text.replace(
            there, f"#define for_{macro}({name}, {bound}) for (u32 {name} = ({bound}); {name}-- > 0;)"
        )
    return text


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin that runs backwards."""
    forward: Callable[[str, str], str] = host_twin.flatten  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(host_twin, "flatten", lambda name, constants: backwards(forward(name, constants)))
        library: ctypes.CDLL = host_twin.build.__wrapped__("conflicts")
    monkeypatch.setattr(host_twin, "build", lambda name, constants: library)


@pytest.mark.usefixtures("rounds_only", "turned")
@KINDS
@RULES
def test_no_phase_depends_on_the_order_of_its_threads(locking: bool, as_rows: bool) -> None:
    """Where a barrier is missing, one of the two orders reads what is not there yet."""
    for n, keys in ((60, 9), (3000, 900), (4000, 10**6), (700, 2**62)):
        check(drawn(n, keys, n, as_rows), locking)
    check(chain(100), locking)


@pytest.mark.usefixtures("rounds_only")
@KINDS
@RULES
def test_on_fibers(locking: bool, as_rows: bool) -> None:
    """The version for GPUs: warps by ballots, barriers, grids that are smaller or larger than the work."""
    accesses = drawn(1500, 500, 3, as_rows)
    found = conflicts.detect_on(FiberDevice(3 if locking else 2**30).stream(), accesses, locking, True)
    assert_same(found, detect_conflicts(accesses, locking, True))
