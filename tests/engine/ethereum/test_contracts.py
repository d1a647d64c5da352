# SPDX-License-Identifier: GPL-3.0-or-later
"""The EVM's contracts: what is kept is what the sources give, and calls are encoded as Solidity's documentation has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import eth_abi
import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from supervm.engine.ethereum import contracts
from supervm.engine.ethereum.contracts import build
from supervm.engine.ethereum.contracts.abi import encode_arguments
from supervm.kernels.errors import ArgumentError, SupervmError

FOLDER = Path(__file__).resolve().parents[3] / "engine" / "ethereum" / "contracts"

VALUES = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint112": st.integers(0, 2**112 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes": st.binary(max_size=100),
    "string": st.text("aé€", max_size=40),
    "address[]": st.lists(st.binary(min_size=20, max_size=20), max_size=4),
    "uint256[]": st.lists(st.integers(0, 2**256 - 1), max_size=4),
}


def test_the_manifest_is_of_the_sources():
    """A changed source needs `make evm-contracts`."""
    found = {path.name: build.sha256(path.read_bytes()) for path in FOLDER.glob("*.sol")}
    assert contracts.manifest()["sources"] == found
    kept = sorted(path.stem for path in (FOLDER / "compiled").iterdir())
    assert kept == list(contracts.names()) == ["Ledger", "Pair", "Piece", "Router", "Token", "Workshop"]
    for path in FOLDER.glob("*.sol"):
        assert path.read_text("utf-8").startswith("// SPDX-License-Identifier: GPL-3.0-or-later\n")


@pytest.mark.parametrize("name", contracts.names())
def test_selectors_are_digests_of_signatures(name):
    contract = contracts.get(name)
    assert all(selector == keccak(text=signature)[:4] for signature, selector in contract.methods.items())
    assert f"contract {name} " in contract.source()
    assert contract.runtime[:20] in contract.creation


def test_calls():
    token = contracts.get("Token")
    to = bytes(range(20))
    assert token.call("transfer", to, 5) == bytes.fromhex("a9059cbb") + bytes(12) + to + (5).to_bytes(32)
    assert token.created("Gold", "GLD") == token.creation + eth_abi.encode(
        ("string", "string"), ("Gold", "GLD")
    )
    with pytest.raises(ArgumentError, match=r"'send'.*transferFrom"):
        token.call("send", to, 5)
    with pytest.raises(ArgumentError, match="Workshop"):
        contracts.get("../build")


@given(st.data(), st.lists(st.sampled_from(sorted(VALUES)), max_size=4))
def test_arguments_are_encoded_as_by_eth_abi(data, types):
    values = [data.draw(VALUES[kind]) for kind in types]
    shown = [f"0x{v.hex()}" if k == "address" else v for k, v in zip(types, values, strict=True)]
    shown = [
        [f"0x{a.hex()}" for a in v] if k == "address[]" else v for k, v in zip(types, shown, strict=True)
    ]
    assert encode_arguments(",".join(types), *values) == eth_abi.encode(types, shown)


@pytest.mark.parametrize(
    ("types", "values", "message"),
    [
        ("uint8", (256,), "256.*uint8"),
        ("uint256", (-1,), "-1"),
        ("address", (bytes(21),), "21 bytes"),
        ("bytes4", (b"",), "0 bytes"),
        ("uint256", (), "0, expected 1"),
        ("(uint256)", (1,), "uint256"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(types, values, message):
    with pytest.raises(ArgumentError, match=message):
        encode_arguments(types, *values)


def test_damaged_files_are_refused(monkeypatch):
    known = contracts.manifest()
    damaged = {**known, "contracts": {**known["contracts"], "Piece": {"sha256": "00" * 32}}}
    monkeypatch.setattr(contracts, "manifest", lambda: damaged)
    contracts.get.cache_clear()
    with pytest.raises(SupervmError, match=r"Piece\.json is not what manifest\.json says"):
        contracts.get("Piece")


def test_compiling_again_gives_the_same_bytes(tmp_path):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm and node, which run the compiler, are not installed")
    try:
        build.install(tmp_path / "work")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the compiler cannot be installed: npm ends with {error.returncode}")
    assert build.build(tmp_path / "work", tmp_path) == contracts.manifest()
    for path in (FOLDER / "compiled").iterdir():
        assert (tmp_path / "compiled" / path.name).read_bytes() == path.read_bytes()
