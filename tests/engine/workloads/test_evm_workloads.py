# SPDX-License-Identifier: GPL-3.0-or-later
"""EVM workloads: seeded, in block order, and every transaction of them succeeds, in parallel as one by one."""

from __future__ import annotations

import numpy as np
import pytest
from eth_utils import keccak

from supervm.engine.ethereum import contracts
from supervm.engine.ethereum.contracts import layout
from supervm.engine.workloads.evm_calls import EVM_NAMES, GOLD, PAIR, ROUTER, generate_evm
from supervm.engine.workloads.evm_run import run_evm
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.errors import ArgumentError

SMALL = Parameters(transactions=300, accounts=50, block_size=120)


@pytest.mark.parametrize("name", EVM_NAMES)
def test_seeded_and_in_order(name):
    made = generate_evm(name, SMALL)
    assert made.calls.equals(generate_evm(name, SMALL).calls)
    assert not made.calls.equals(generate_evm(name, Parameters(300, 50, block_size=120, seed=1)).calls)
    assert (len(made), len(made.calls)) == (3, 300)
    assert [len(block) for block in made.blocks] == [120, 120, 60]
    seen: dict[bytes, int] = {}
    for sender, nonce in zip(made.calls.senders, made.calls.nonces, strict=True):
        assert nonce == seen.get(sender.tobytes(), 0)
        seen[sender.tobytes()] = int(nonce) + 1


def test_inputs_are_calls():
    """Against the encoder of single calls."""
    token, router = contracts.get("Token"), contracts.get("Router")
    calls = generate_evm("erc20", SMALL).calls
    first = bytes(calls.input[0])
    to, amount = first[16:36], int.from_bytes(first[36:])
    assert first == token.call("transfer", to, amount)
    calls = generate_evm("uniswap", SMALL).calls
    first = bytes(calls.input[0])
    words = [int.from_bytes(first[4 + at : 36 + at]) for at in range(0, len(first) - 4, 32)]
    path = [word.to_bytes(20) for word in words[6:]]
    amount, least, _, to, until = words[:5]
    assert first == router.call("swap", amount, least, path, to.to_bytes(20), until)


def test_slots_are_those_of_mappings():
    holders = np.arange(40, dtype=np.uint8).reshape(2, 20)
    token = contracts.get("Token").storage
    for holder, balance, allowance in zip(
        holders, layout.balance_slots(holders), layout.allowance_slots(holders, ROUTER), strict=True
    ):
        key = bytes(12) + holder.tobytes()
        assert balance.tobytes() == keccak(key + token["balanceOf"].to_bytes(32))
        inner = keccak(key + token["allowance"].to_bytes(32))
        assert allowance.tobytes() == keccak(bytes(12) + ROUTER + inner)
        spent = layout.mapped(token["allowance"], holder.tobytes(), ROUTER)
        assert spent == int.from_bytes(allowance.tobytes())
    state = generate_evm("erc20", SMALL).state
    assert set(state.codes) >= {GOLD, PAIR, ROUTER}
    assert all(len(state.slots[address]) == len(state.values[address]) for address in state.codes)


@pytest.mark.parametrize(
    ("name", "more"), [("amm", {}), ("erc20", {"signed": True}), ("erc20", {"object_share": 0.5})]
)
def test_what_is_refused(name, more):
    with pytest.raises(ArgumentError, match=next(iter(more), "name")):
        generate_evm(name, Parameters(transactions=1, accounts=2, **more))


@pytest.mark.parametrize("name", EVM_NAMES)
def test_parallel_is_equal_and_everything_succeeds(name):
    workload = generate_evm(name, SMALL)
    two, one = run_evm(workload, threads=2), run_evm(workload, threads=1)
    assert (two.transactions, two.failed, two.equal, two.conserved) == (300, 0, True, True)
    assert (one.failed, one.equal, one.parallel_seconds) == (0, None, None)
    assert (two.gas, two.state_root) == (one.gas, one.state_root)
