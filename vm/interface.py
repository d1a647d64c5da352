# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions that a contract may import, in a fixed order: the inventory of validation and of the linker.

Every parameter is an i32. A position in `HOST_FUNCTIONS` is the function's number wherever one is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.vm.module import I32, I64, FunctionType


@dataclass(frozen=True)
class HostFunction:
    """A host function.

    Args:
        module: what it is imported from.
        name: its name there.
        parameters: names of its i32 parameters.
        result: type of its result, I32 or I64.
    """

    module: str
    name: str
    parameters: tuple[str, ...]
    result: int = I32

    @property
    def type(self) -> FunctionType:
        """Its WebAssembly type."""
        return FunctionType(bytes([I32] * len(self.parameters)), bytes([self.result]))


def _function(module: str, name: str, parameters: str = "", result: int = I32) -> HostFunction:
    return HostFunction(module, name, tuple(parameters.split()), result)


PRECOMPILES = (
    "bn254_add",
    "bn254_mul",
    "bn254_pairing_check",
    "bls12_g1add",
    "bls12_g1msm",
    "bls12_g2add",
    "bls12_g2msm",
    "bls12_pairing_check",
    "bls12_map_fp_to_g1",
    "bls12_map_fp2_to_g2",
    "point_evaluation",
)
"""Names of the host functions that are Ethereum's precompiled contracts of curves."""

HOST_FUNCTIONS = (
    _function("storage_api", "storage_get", "key_ptr key_len", I64),
    _function("storage_api", "storage_has", "key_ptr key_len"),
    _function("storage_api", "storage_read_value", "ptr len"),
    _function("storage_api", "storage_set", "key_ptr key_len value_ptr value_len"),
    _function("storage_api", "storage_delete", "key_ptr key_len"),
    _function("chain_api", "block_number", result=I64),
    _function("chain_api", "timestamp", result=I64),
    _function("chain_api", "caller", "out_ptr"),
    _function("chain_api", "self_address", "out_ptr"),
    _function("chain_api", "value", "out_ptr"),
    _function("chain_api", "input_len"),
    _function("chain_api", "input_read", "ptr offset len"),
    _function("chain_api", "set_output", "ptr len"),
    _function("chain_api", "balance", "addr_ptr out_ptr"),
    _function("chain_api", "transfer", "to_ptr amount_ptr"),
    _function("chain_api", "emit_event", "ptr len"),
    _function("chain_api", "events_len"),
    _function("chain_api", "read_event", "index ptr len"),
    _function("crypto_api", "sha256", "ptr len out_ptr"),
    _function("crypto_api", "keccak256", "ptr len out_ptr"),
    _function("crypto_api", "derive_eth_address", "pubkey_ptr pubkey_len out_ptr"),
    _function("crypto_api", "verify_ed25519", "msg_ptr msg_len sig_ptr pubkey_ptr"),
    _function("crypto_api", "verify_secp256k1", "digest_ptr sig_ptr pubkey_ptr pubkey_len"),
    _function("crypto_api", "recover_secp256k1_pubkey", "digest_ptr sig65_ptr out_ptr"),
    *(_function("crypto_api", name, "in_ptr in_len out_ptr") for name in PRECOMPILES),
)

BY_NAME = {(function.module, function.name): function for function in HOST_FUNCTIONS}
"""The same by (module, name)."""

MONEY = frozenset({("chain_api", "balance"), ("chain_api", "transfer")})
"""Host functions that read or write accounts' balances."""
