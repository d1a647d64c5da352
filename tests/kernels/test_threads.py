# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool of `kernels.threads`: every slice once, errors out, nesting, and a change of threads on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import pairwise

import pytest
from patience import PATIENCE

from supervm.kernels import get_threads, set_threads
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import run_slices


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = get_threads()
    set_threads(request.param)
    yield request.param
    set_threads(before)


@pytest.mark.parametrize(("items", "grain"), [(0, 4), (1, 4), (4, 4), (5, 4), (100, 7), (3, 100)])
def test_every_item_once(threads, items, grain):
    seen = []
    run_slices(lambda start, stop: seen.append((start, stop)), items, grain)
    seen.sort()
    assert all(start % grain == 0 and 0 < stop - start <= grain for start, stop in seen)
    assert all(before[1] == after[0] for before, after in pairwise(seen))
    assert sum(stop - start for start, stop in seen) == items


def test_at_most_so_many_threads(threads):
    meeting, names = threading.Barrier(threads, timeout=PATIENCE), set()

    def work(start, stop):
        names.add(threading.get_ident())
        meeting.wait()

    run_slices(work, 4 * threads, 1)
    assert len(names) == threads


def test_the_first_error_comes_out_after_all_have_ended(threads):
    running = []

    def work(start, stop):
        running.append(start)
        try:
            if start == 3:
                raise KeyError(start)
        finally:
            running.remove(start)

    with pytest.raises(KeyError, match="3"):
        run_slices(work, 50, 1)
    assert running == []
    done = []
    run_slices(lambda start, stop: done.append(start), 10, 1)
    assert sorted(done) == list(range(10))


def test_nested_batches_stay_on_their_thread(threads):
    def outer(start, stop):
        mine, inner = threading.get_ident(), []
        run_slices(lambda a, b: inner.append((threading.get_ident(), a)), 6, 2)
        if threads > 1:
            assert inner == [(mine, 0), (mine, 2), (mine, 4)]

    run_slices(outer, 8, 1)


def test_threads_may_change_while_a_batch_runs(threads):
    seen = []

    def work(start, stop):
        if start == 2:
            set_threads(threads + 1)
        seen.append(start)

    run_slices(work, 40, 1)
    run_slices(lambda start, stop: seen.append(40 + start), 40, 1)
    assert sorted(seen) == list(range(80))
    assert get_threads() == threads + 1


@pytest.mark.parametrize("count", [0, -1, 1.0, "2", None, True])
def test_bad_counts(count):
    with pytest.raises(ArgumentError, match="count"):
        set_threads(count)


FORKED = """
import os, signal
from supervm.kernels import set_threads
from supervm.kernels.threads import run_slices
set_threads(3)
run_slices(lambda start, stop: None, 100, 1)
child = os.fork()
if child == 0:
    signal.alarm(120)
    done = []
    run_slices(lambda start, stop: done.append(start), 100, 1)
    os._exit(0 if len(done) == 100 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork") or not hasattr(signal, "alarm"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "0"
