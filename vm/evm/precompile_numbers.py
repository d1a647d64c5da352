# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses are those of precompiled contracts."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.vm.evm.forks import P256_ADDRESS, P256_NUMBER, PRECOMPILES
from supervm.vm.evm.machine import rule
from supervm.vm.evm.words import small


@njit(cache=True)
def precompile_number(machine: Any, address: Any) -> Any:
    """The number of the precompiled contract with this address, a value; 0 if the fork has none there."""
    number = small(address)
    if number == P256_ADDRESS:
        number = P256_NUMBER
    elif number >= P256_NUMBER:
        return 0
    return number if number > 0 and (rule(machine, PRECOMPILES) >> number) & 1 else 0
