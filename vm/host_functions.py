# SPDX-License-Identifier: GPL-3.0-or-later
"""Every host function's machine code by name: storage and chain from here, `crypto_api` from the engine."""

from __future__ import annotations

from collections.abc import Mapping

from supervm.vm import host_chain, host_storage
from supervm.vm.interface import HOST_FUNCTIONS

CRYPTO_NAMES = tuple(function.name for function in HOST_FUNCTIONS if function.module == "crypto_api")
"""What the engine supplies: the vm knows no cryptography."""

_MODULES = {"storage_api": host_storage, "chain_api": host_chain}


def addresses(crypto: Mapping[str, int]) -> dict[str, int]:
    """Name → address of the compiled function.

    Args:
        crypto: the same for `CRYPTO_NAMES`.
    """
    found = {name: crypto[name] for name in CRYPTO_NAMES}
    for function in HOST_FUNCTIONS:
        if function.module in _MODULES:
            found[function.name] = getattr(_MODULES[function.module], function.name).address
    return found
