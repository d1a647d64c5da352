# SPDX-License-Identifier: GPL-3.0-or-later
"""Senders and authorities, against the claims of real blocks and those of eth-account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervm.crypto.params.secp256k1 import FN
from supervm.engine.ethereum.blocks import EthereumBlock, decode_block, read_block
from supervm.engine.ethereum.senders import (
    HOMESTEAD,
    Recovered,
    SignatureFault,
    above_half_order,
    recover_senders,
)

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = sorted((ROOT / "benchmarks" / "data" / "ethereum").iterdir(), key=lambda path: int(path.name))
TYPED = json.loads((ROOT / "tests" / "vectors" / "ethereum" / "typed.json").read_text())


def typed(change: Any = None) -> EthereumBlock:
    block = json.loads(json.dumps(TYPED["block"]))
    if change is not None:
        change(block)
    return decode_block(json.dumps(block).encode(), Path("typed.json"))


def recovered(block: EthereumBlock) -> Recovered:
    return recover_senders([block]).blocks[0]


def test_senders_of_all_mainnet_blocks_in_one_batch() -> None:
    blocks = [read_block(folder) for folder in BLOCKS]
    recovery = recover_senders(blocks)
    assert recovery.signatures == sum(len(block.transactions) for block in blocks)
    assert recovery.seconds > 0
    for block, result in zip(blocks, recovery.blocks, strict=True):
        assert not result.faults.any()
        assert np.array_equal(result.senders, block.transactions.claimed_sender)


def test_senders_and_authorities_of_every_type() -> None:
    block = typed()
    result = recovered(block)
    assert not result.faults.any()
    assert np.array_equal(result.senders, block.transactions.claimed_sender)
    assert ["0x" + row.tobytes().hex() for row in result.authorities] == TYPED["authorities"]
    assert result.authority_found.all()


def test_nothing_to_recover() -> None:
    assert recover_senders([]).signatures == 0
    empty = typed(lambda block: block.update(transactions=[]))
    result = recover_senders([empty, typed(), empty])
    assert [len(block.senders) for block in result.blocks] == [0, len(TYPED["encoded"]), 0]


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("r", "0x0", SignatureFault.UNRECOVERABLE),
        ("s", "0x0", SignatureFault.UNRECOVERABLE),
        ("r", hex(FN.modulus), SignatureFault.UNRECOVERABLE),
        ("r", hex(2**256 - 1), SignatureFault.UNRECOVERABLE),
        ("s", hex(FN.modulus), SignatureFault.HIGH_S),
        ("s", hex(FN.modulus // 2 + 1), SignatureFault.HIGH_S),
        ("v", "0x5", SignatureFault.PARITY),
    ],
)
def test_a_bad_signature_costs_its_own_sender_only(field: str, value: str, fault: SignatureFault) -> None:
    block = typed(lambda shown: shown["transactions"][9].update({field: value}))
    result = recovered(block)
    assert result.faults[9] == fault
    assert not result.senders[9].any()
    others = np.arange(len(result.faults)) != 9
    assert not result.faults[others].any()
    assert np.array_equal(result.senders[others], block.transactions.claimed_sender[others])


def malleate(shown: dict[str, Any]) -> None:
    """The other signature of the same sender: s becomes n − s, and the parity turns."""
    shown["s"] = hex(FN.modulus - int(shown["s"], 16))
    shown["v"] = hex(int(shown["v"], 16) ^ (1 if shown["type"] != "0x0" else 7))


@pytest.mark.parametrize("number", [0, HOMESTEAD - 1, HOMESTEAD, 20_000_000])
def test_high_s_is_refused_from_homestead_on(number: int) -> None:
    def change(block: dict[str, Any]) -> None:
        block["number"] = hex(number)
        malleate(block["transactions"][0])

    result = recovered(typed(change))
    if number < HOMESTEAD:
        assert "0x" + result.senders[0].tobytes().hex() == TYPED["block"]["transactions"][0]["from"]
    else:
        assert result.faults[0] == SignatureFault.HIGH_S


def test_half_the_order_is_not_above_half_the_order() -> None:
    half = FN.modulus // 2
    values = [0, 1, half - 1, half, half + 1, FN.modulus, 2**256 - 1]
    rows = np.array([list(value.to_bytes(32, "big")) for value in values], np.uint8)
    assert above_half_order(rows).tolist() == [value > half for value in values]


@pytest.mark.parametrize(
    ("field", "value"),
    [("yParity", "0x2"), ("yParity", "0x100"), ("s", hex(FN.modulus // 2 + 1)), ("r", "0x0"), ("s", "0x0")],
)
def test_an_authorization_that_recovers_nothing(field: str, value: str) -> None:
    block = typed(lambda shown: shown["transactions"][13]["authorizationList"][1].update({field: value}))
    result = recovered(block)
    assert result.authority_found.tolist() == [True, True, False, True, True]
    assert not result.authorities[2].any()
    assert "0x" + result.authorities[3].tobytes().hex() == TYPED["authorities"][3]


def test_a_turned_parity_recovers_somebody_else() -> None:
    def change(block: dict[str, Any]) -> None:
        entry = block["transactions"][13]["authorizationList"][1]
        entry["yParity"] = hex(int(entry["yParity"], 16) ^ 1)

    result = recovered(typed(change))
    assert "0x" + result.authorities[2].tobytes().hex() != TYPED["authorities"][2]
