# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling: a share of what an accelerator computed is computed again on the CPU, item by item, and compared.

Of k wrong items in a batch, a sample of the share p misses all with probability at most (1 − p)^k, since items are drawn
without replacement; so a batch with k silent faults is found out with probability 1 − (1 − p)^k or more, at p = 1 always.

The share p is `recheck`, unless that sample would take longer than `cap` (5 %) of the time that the batch spent on the
device: samples run on all threads that kernels may use, so this is the share of the CPU time that passed meanwhile. It
never falls below one item, and at `recheck` 1 there is no cap. Work that is not a batch of items samples itself.
"""

from __future__ import annotations

import threading

import numpy as np

from supervm.engine.scheduler.cost import CostModel
from supervm.kernels.work import Function, Work


class Sampler:
    """Draws the samples; may be used from any thread, each of which has a generator of its own.

    Args:
        recheck: share of the items, 0 … 1.
        cap: share of a batch's time that its sample may take.
        seed: for tests; drawn from the operating system if None.
    """

    def __init__(self, recheck: float, cap: float = 0.05, seed: int | None = None) -> None:
        self.recheck, self.cap = recheck, cap
        self._seeds = np.random.SeedSequence(seed)
        self._lock = threading.Lock()
        self._local = threading.local()

    def share(self, items: int, seconds: float, cpu: CostModel | None) -> float:
        """The share for a batch of `items` that took `seconds`; `cpu` says what a sample costs (None: no cap is known).

        It may be less than one item: a work checks at least one.
        """
        if self.recheck >= 1.0 or not items or cpu is None:
            return self.recheck
        return min(self.recheck, cpu.items_within(self.cap * seconds) / items)

    def mismatches(self, work: Work, function: Function, seconds: float, cpu: CostModel | None) -> int:
        """How many of the sampled results of `work` the CPU's function does not agree with."""
        return work.mismatches(function, self.share(work.items, seconds, cpu), self._generator())

    def _generator(self) -> np.random.Generator:
        found: np.random.Generator | None = getattr(self._local, "generator", None)
        if found is None:
            with self._lock:
                (seed,) = self._seeds.spawn(1)
            found = self._local.generator = np.random.default_rng(seed)
        return found
