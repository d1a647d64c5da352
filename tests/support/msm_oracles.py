# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups of multi-scalar multiplications by their oracles, with one interface."""

from __future__ import annotations

from supervm.crypto.msm_work import GROUPS
from supervm.crypto.oracle import edwards
from supervm.crypto.oracle.msm import ed25519_msm
from supervm.crypto.oracle.pairing_groups import Group, Prime
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.kernels.spec import GroupSpec


class EdwardsGroup:
    """edwards25519 with the interface of the other oracles; None is the neutral point too."""

    order, degree, p, base = edwards.L, 1, edwards.P, EDWARDS25519.field
    generator = EDWARDS25519.base
    field = Prime(EDWARDS25519.field)

    def multiply(self, scalar, point):
        return ed25519_msm([point or (0, 1)], [scalar])

    def add(self, first, second):
        return ed25519_msm([first or (0, 1), second or (0, 1)], [1, 1])

    def negate(self, point):
        return -point[0] % self.p, point[1]


ORACLES = {
    operation: Group(spec) if isinstance(spec, GroupSpec) else EdwardsGroup()
    for operation, spec in GROUPS.items()
}
"""The oracle of every operation's group."""
