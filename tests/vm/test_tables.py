# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons, prices, limits and host functions against the tables of `docs/execution-rules.md`."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from supervm.engine.execution.host_precompiles import ALL, SIZES
from supervm.vm import gas, limits
from supervm.vm.gas import PRICES, WASMTIME_MAJOR, intrinsic_gas
from supervm.vm.interface import BY_NAME, HOST_FUNCTIONS, PRECOMPILES
from supervm.vm.outcomes import REASON_WORDS, Reason, is_failure, is_rejection

DOCS = Path(__file__).resolve().parents[2] / "docs"
RULES = (DOCS / "execution-rules.md").read_text(encoding="utf-8")


def test_reasons_are_those_of_the_rules():
    listed = {
        name: int(number) for name, number in re.findall(r"^\| `([A-Z_0-9]+)` \| (\d+) \|", RULES, re.M)
    }
    assert listed == {reason.name: reason.value for reason in Reason if reason}
    assert set(REASON_WORDS) == set(Reason)


def test_rejections_and_failures():
    assert [reason for reason in Reason if is_rejection(reason)] == list(Reason)[1:24]
    assert [reason for reason in Reason if is_failure(reason)] == list(Reason)[24:]


def test_prices_are_those_of_the_rules():
    table = RULES.split("| host function | price |")[1].split("\n\n")[0]
    listed = {}
    for names, price in re.findall(r"^\| (`.*`) \| (\d.*) \|$", table, re.M):
        base = int(re.match(r"[\d,]+", price)[0].replace(",", ""))
        factor, unit = re.search(r"\+ ([\d,]+) ×", price), re.search(r" of (\d+) bytes", price)
        each = int(factor[1].replace(",", "")) if factor else int("bytes" in price)
        found = base, each, int(unit[1]) if unit else 1
        listed.update(dict.fromkeys(re.findall(r"`(\w+)`", names), found))
    assert listed == {name: (price.base, price.each, price.unit) for name, price in PRICES.items()}
    assert all(bool(price.each) == bool(price.of) for price in PRICES.values())
    assert set(PRICES) == {function.name for function in HOST_FUNCTIONS}


def test_intrinsic_gas():
    assert "1,000 + 100 × objects + 4 × bytes of data" in RULES
    assert intrinsic_gas(0, objects=3) == 1_300
    assert intrinsic_gas(60) == 1_240
    assert f"bytes of a signature beyond {gas.FREE_SIGNATURE_BYTES}" in RULES
    assert f"beyond {gas.FREE_DECLARED_BYTES:,}" in RULES


def test_proofs():
    flat = " ".join(RULES.split())
    prices = (
        f"{gas.PROOF:,} on BN254, {gas.PROOF_LONG:,} on BLS12-381, and {gas.PROOF_INPUT:,} × public inputs"
    )
    assert prices in flat
    assert f"if p is {gas.PROOF_LONG_BYTES} or more" in flat


def test_growth():
    assert f"{gas.GROWTH_BYTE} a byte" in RULES
    assert f"{gas.NEW_ACCOUNT} in all" in RULES


def test_schedule_is_pinned_to_the_installed_wasmtime():
    assert f"## Gas, schedule {gas.SCHEDULE}" in RULES
    assert f"Pinned to wasmtime {WASMTIME_MAJOR}" in RULES
    assert int(version("wasmtime").split(".")[0]) == WASMTIME_MAJOR


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (limits.CODE_BYTES // 2**20, "at most {} MiB; valid"),
        (limits.MEMORY_BYTES // 2**20, "of at most {} MiB initially"),
        (limits.TABLE_ELEMENTS, "of at most {:,} elements"),
        (limits.FUNCTIONS, "at most {:,} functions"),
        (limits.GLOBALS, "{:,} globals"),
        (limits.FRAME_VALUES, "cannot exceed {} values"),
        (limits.CALL_DEPTH, "nested deeper than {:,}"),
        (limits.SIZE_PER_DEPTH, "⌊n / {}⌋"),
        (limits.KEY_BYTES, "A key above {} bytes"),
        (limits.VALUE_BYTES, "a value above {:,} bytes"),
        (limits.OUTPUT_BYTES, "output; above {:,} bytes"),
        (limits.EVENTS, "more than {:,} events"),
        (limits.EVENT_BYTES, "more than {:,} bytes of events"),
        (limits.STATE_KEYS, "more than {:,} different accounts, storage keys and objects"),
    ],
)
def test_limits_are_those_of_the_rules(number, words):
    flat = " ".join(RULES.split())
    assert words.format(number) in flat


def test_gas_limit():
    assert limits.GAS_LIMIT == 10**9
    assert "above 10^9" in RULES


def test_host_functions_are_listed_once():
    assert len(BY_NAME) == len(HOST_FUNCTIONS) == 35
    assert {item.name for item in HOST_FUNCTIONS if item.type.results == b"\x7e"} == {
        "storage_get",
        "block_number",
        "timestamp",
    }
    for item in HOST_FUNCTIONS:
        if item.name in PRECOMPILES:
            assert item.parameters == ("in_ptr", "in_len", "out_ptr")
        described = re.search(rf"`{item.name}\(([a-z0-9_, ]*)\)`", RULES)
        if described:
            assert len(described[1].split(",") if described[1] else []) == len(item.parameters)


def test_old_host_functions_keep_their_numbers():
    """New ones are behind them."""
    assert [item.name for item in HOST_FUNCTIONS[18:24]] == [
        "sha256",
        "keccak256",
        "derive_eth_address",
        "verify_ed25519",
        "verify_secp256k1",
        "recover_secp256k1_pubkey",
    ]
    assert [item.name for item in HOST_FUNCTIONS[24:]] == list(PRECOMPILES)


def test_sizes_of_precompiled_contracts_are_those_of_the_rules():
    rows = re.findall(r"^  \| `(\w+)` \| (\d+) \| .* \| (\d+) \|$", RULES, re.M)
    assert {name: int(size) for name, _, size in rows} == {name: size for name, (_, size) in SIZES.items()}
    fixed = re.findall(r"^  \| `(\w+)` \| \d+ \| (\d+) \| \d+ \|$", RULES, re.M)
    assert {name: int(size) + 1 for name, size in fixed} == {
        name: most for name, (most, _) in SIZES.items() if most < ALL and not name.startswith("bn254")
    }


def test_what_pools_cost():
    pools = (DOCS / "privacy-pool.md").read_text(encoding="utf-8")
    assert f"has {gas.SHIELDED_NOTE:,} more intrinsic gas for each" in pools
    assert f"has {2 * gas.SHIELDED_NOTE:,} more intrinsic gas" in RULES
