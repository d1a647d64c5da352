# SPDX-License-Identifier: GPL-3.0-or-later
"""Every host function's machine code by name: storage and chain from here, `crypto_api` from the engine."""

from __future__ import annotations

from collections.abc import Mapping

from supervm.vm import host_chain, host_storage
from supervm.vm.guest import HostCode
from supervm.vm.interface import HOST_FUNCTIONS

CRYPTO_NAMES = tuple(function.name for function in HOST_FUNCTIONS if function.module == "crypto_api")
"""What the engine supplies: the vm knows no cryptography."""

_MODULES = {"storage_api": host_storage, "chain_api": host_chain}


def codes(crypto: Mapping[str, HostCode]) -> dict[tuple[str, str], HostCode]:
    """(module, name) → the host function's machine code, which is compiled when its address is asked for.

    Args:
        crypto: the same by name for `CRYPTO_NAMES`.
    """
    return {
        (function.module, function.name): (
            getattr(_MODULES[function.module], function.name)
            if function.module in _MODULES
            else crypto[function.name]
        )
        for function in HOST_FUNCTIONS
    }
