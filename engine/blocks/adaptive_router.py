# SPDX-License-Identifier: GPL-3.0-or-later
"""The adaptive router: how large a share of transfers may take the fast path. An option, see `supervm.engine.config.Router`.

It decides from the block and the state alone, so receipts do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from supervm.engine.config import Router
from supervm.kernels.array_types import Flags


class AdaptiveRouter:
    """The target as it moves.

    Args:
        rules: bounds and steps.
    """

    def __init__(self, rules: Router) -> None:
        self.rules = rules
        self.target = rules.target

    def admit(self, candidates: Flags) -> Flags:
        """Candidates that may try the fast path: of each `every` transactions the target's share, the first ones."""
        rules = self.rules
        admitted = np.zeros(len(candidates), np.bool_)
        most = max(1, round(self.target * rules.every))
        for first in range(0, len(candidates), rules.every):
            part = np.flatnonzero(candidates[first : first + rules.every])
            admitted[first + part[:most]] = True
        return admitted

    def learn(self, admitted: Flags, fast: Flags, succeeded: Flags) -> None:
        """Move the target, once for each stretch.

        Args:
            admitted: candidates that were tried.
            fast: those that nothing else touched.
            succeeded: transactions that succeeded.
        """
        rules = self.rules
        for first in range(0, len(admitted), rules.every):
            part = slice(first, first + rules.every)
            tried = int(admitted[part].sum())
            if not tried:
                continue
            ran = int(fast[part].sum())
            conflict = 1 - ran / tried
            success = int((fast & succeeded)[part].sum()) / ran if ran else 1.0
            if conflict > rules.high_conflict or success < rules.success:
                self.target = max(rules.least, self.target - rules.step)
            elif conflict < rules.low_conflict:
                self.target = min(rules.most, self.target + rules.step)
