# SPDX-License-Identifier: GPL-3.0-or-later
"""The block that transactions are executed in: what its header says to them, and the rules of its fork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.vm.evm import forks
from supervm.vm.evm.forks import Fork, mainnet_fork

MAINNET = 1
"""Chain id of mainnet (EIP-155)."""

BLOB_GAS = 1 << 17
"""Gas of a blob, GAS_PER_BLOB (EIP-4844)."""

_LEAST_BLOB_PRICE = 1
"""MIN_BASE_FEE_PER_BLOB_GAS (EIP-4844), in wei."""


@dataclass(frozen=True)
class Environment:
    """A block's environment.

    Args:
        fork: whose rules hold.
        chain_id: of the chain.
        number, timestamp: the block's.
        coinbase: who gets the fees, 20 bytes.
        gas_limit: of the block.
        base_fee: wei per gas, 0 before London.
        random: PREVRANDAO, or the difficulty before the Merge.
        excess_blob_gas: 0 before Cancun.
        parent_beacon_root: of the parent's beacon block, None before Cancun.
        parent_hash: of the parent block, None where it does not matter.
        hashes: of ancestors, by number, as far as they are known.
    """

    fork: Fork
    chain_id: int
    number: int
    timestamp: int
    coinbase: bytes
    gas_limit: int
    base_fee: int
    random: int
    excess_blob_gas: int = 0
    parent_beacon_root: bytes | None = None
    parent_hash: bytes | None = None
    hashes: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def blob_base_fee(self) -> int:
        """Wei per blob gas; 0 before Cancun."""
        fraction = self.fork[forks.BLOB_UPDATE_FRACTION]
        return fake_exponential(_LEAST_BLOB_PRICE, self.excess_blob_gas, fraction) if fraction else 0

    @property
    def blob_gas_limit(self) -> int:
        """Blob gas that the block may use."""
        return self.fork[forks.BLOB_MAX] * BLOB_GAS


def fake_exponential(factor: int, numerator: int, denominator: int) -> int:
    """About factor · e^(numerator / denominator), by the rule of EIP-4844, "Helpers"."""
    output, term, order = 0, factor * denominator, 1
    while term > 0:
        output += term
        term = term * numerator // (denominator * order)
        order += 1
    return output // denominator


def environment_of(
    block: EthereumBlock,
    hashes: Mapping[int, bytes],
    *,
    chain_id: int = MAINNET,
    fork: Fork | None = None,
) -> Environment:
    """The environment of a block that was read.

    Args:
        block: whose header counts.
        hashes: of ancestors, by number; the parent's is in the header.
        chain_id: of its chain.
        fork: whose rules hold; by default that of mainnet at the block's number and time.

    Raises:
        InputFileError: a number in the header that no 64 bits hold.
    """
    header = block.header.fields

    def number(name: str) -> int:
        found = int.from_bytes(header.get(name, b""))
        if found >> 63:
            raise InputFileError(block.file, hex(found), "a number below 2^63", None, name)
        return found

    timestamp = number("timestamp")
    rules = fork or mainnet_fork(block.number, timestamp)
    random = header["mixHash"] if rules[forks.HAS_RANDAO] else header["difficulty"]
    return Environment(
        fork=rules,
        chain_id=chain_id,
        number=number("number"),
        timestamp=timestamp,
        coinbase=block.miner.tobytes(),
        gas_limit=number("gasLimit"),
        base_fee=block.base_fee or 0,
        random=int.from_bytes(random),
        excess_blob_gas=number("excessBlobGas"),
        parent_beacon_root=header.get("parentBeaconBlockRoot"),
        parent_hash=header["parentHash"],
        hashes={**hashes, block.number - 1: header["parentHash"]},
    )
