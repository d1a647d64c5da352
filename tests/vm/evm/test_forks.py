# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of forks: names, mainnet's activations, rules that EIPs state as numbers."""

from __future__ import annotations

import pytest

from supervm.kernels.errors import ArgumentError
from supervm.vm.evm import forks as f
from supervm.vm.evm.forks import FORKS, fork_named, mainnet_fork


@pytest.mark.parametrize(
    ("name", "fork"),
    [
        ("Merge", "Paris"),
        ("tangerine_whistle", "EIP150"),
        ("TangerineWhistle", "EIP150"),
        ("spurious_dragon", "EIP158"),
        ("Petersburg", "ConstantinopleFix"),
        ("constantinople", "Constantinople"),
        ("osaka", "Osaka"),
        ("bpo1", "BPO1"),
    ],
)
def test_forks_have_the_names_that_others_give_them(name, fork):
    assert fork_named(name).name == fork


def test_an_unknown_fork_is_named():
    with pytest.raises(ArgumentError, match=r"'Amsterdam'.*one of Frontier, Homestead"):
        fork_named("Amsterdam")


@pytest.mark.parametrize(
    ("number", "time", "fork"),
    [
        (0, 1438269973, "Frontier"),
        (1149999, 0, "Frontier"),
        (1150000, 0, "Homestead"),
        (1920000, 0, "Homestead"),
        (2463000, 0, "EIP150"),
        (2675000, 0, "EIP158"),
        (4370000, 0, "Byzantium"),
        (7279999, 0, "Byzantium"),
        (7280000, 0, "ConstantinopleFix"),
        (9069000, 0, "Istanbul"),
        (12243999, 0, "MuirGlacier"),
        (12244000, 0, "Berlin"),
        (12965000, 0, "London"),
        (15537393, 1663224162, "GrayGlacier"),
        (15537394, 1663224179, "Paris"),
        (17034869, 1681338443, "Paris"),
        (17034870, 1681338455, "Shanghai"),
        (19426587, 1710338135, "Cancun"),
        (22431084, 1746612311, "Prague"),
        (23935694, 1764798551, "Osaka"),
        (24000000, 1767747671, "BPO2"),
    ],
)
def test_mainnet_blocks_have_their_fork(number, time, fork):
    assert mainnet_fork(number, time).name == fork


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (f.SLOAD_GAS, {"Frontier": 50, "EIP150": 200, "Istanbul": 800, "Berlin": 100, "Osaka": 100}),
        (f.BALANCE_GAS, {"Homestead": 20, "EIP150": 400, "Istanbul": 700, "Berlin": 100}),
        (f.EXTCODE_GAS, {"Homestead": 20, "EIP150": 700, "Istanbul": 700, "Berlin": 100}),
        (f.EXTCODEHASH_GAS, {"Constantinople": 400, "Istanbul": 700, "Berlin": 100}),
        (f.CALL_GAS, {"Homestead": 40, "EIP150": 700, "Berlin": 100}),
        (f.EXP_BYTE_GAS, {"EIP150": 10, "EIP158": 50}),
        (f.INPUT_NONZERO_GAS, {"ConstantinopleFix": 68, "Istanbul": 16}),
        (f.REFUND_QUOTIENT, {"Berlin": 2, "London": 5}),
        (f.SELFDESTRUCT_REFUND, {"Berlin": 24000, "London": 0}),
        (f.BLOCK_REWARD, {"EIP158": 5 * 10**18, "Byzantium": 3 * 10**18, "Istanbul": 2 * 10**18, "Paris": 0}),
        (f.BLOB_MAX, {"Shanghai": 0, "Cancun": 6, "Prague": 9, "Osaka": 9, "BPO1": 15, "BPO2": 21}),
        (f.BLOB_TRANSACTION_MAX, {"Cancun": 6, "Prague": 9, "Osaka": 6, "BPO2": 6}),
        (f.MAX_TRANSACTION_GAS, {"Prague": f.NO_LIMIT, "Osaka": 16_777_216}),
        (f.MAX_BLOCK_BYTES, {"Prague": f.NO_LIMIT, "Osaka": 8_388_608}),
        (f.PRECOMPILES, {"Homestead": 0b11110, "Byzantium": 0x1FE, "Istanbul": 0x3FE, "Cancun": 0x7FE,
                         "Prague": 0x3FFFE, "Osaka": 0x7FFFE}),
    ],
)  # fmt: skip
def test_rules_are_what_the_eips_say(rule, values):
    for name, value in values.items():
        assert fork_named(name)[rule] == value, name


def test_rows_cannot_be_changed_and_are_numbered_in_order():
    assert [fork.number for fork in FORKS] == list(range(len(FORKS)))
    assert [fork[f.NUMBER] for fork in FORKS] == list(range(len(FORKS)))
    with pytest.raises(ValueError, match="read-only"):
        FORKS[0].rules[0] = 1
