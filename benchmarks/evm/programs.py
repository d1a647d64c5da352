# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the EVM: calls of this project's contracts, and those that other EVMs are measured with.

The latter come from ipsilon/evm-benchmarks and paradigmxyz/revmc, as state tests in one archive that does not belong to
this project; where it is not there, its programs are left out. Every program is one transaction under Cancun's rules, at gas
price 0, on the state that it names.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from supervm.engine.ethereum import contracts
from supervm.engine.ethereum.contracts.layout import mapped, pair_storage, router_storage

CHECKOUT = Path(__file__).resolve().parents[2]
ARCHIVE = CHECKOUT.parent / "shared" / "data" / "evm" / "bench.tar.xz"
"""Where the archive lies beside a checkout."""

FORK = "Cancun"
"""Whose rules hold: pyrevm knows no later ones."""

MOST_GAS = 10**9
"""Of a call, whatever its test says."""

FUNDS = 10**24
"""Wei of a sender."""

CHOSEN = (
    "evm-benchmarks/main/snailtracer",
    "evm-benchmarks/main/blake2b_huff",
    "evm-benchmarks/main/blake2b_shifts",
    "evm-benchmarks/main/sha1_divs",
    "evm-benchmarks/main/sha1_shifts",
    "evm-benchmarks/main/structarray_alloc",
    "evm-benchmarks/main/swap_math",
    "evm-benchmarks/main/weierstrudel",
    "evm-benchmarks/micro/JUMPDEST_n0",
    "evm-benchmarks/micro/jump_around",
    "evm-benchmarks/micro/loop_with_many_jumpdests",
    "evm-benchmarks/micro/memory_grow_mload",
    "evm-benchmarks/micro/memory_grow_mstore",
    "evm-benchmarks/micro/signextend",
    "revmc/erc20_transfer",
    "revmc/weth",
    "revmc/fiat_token",
    "revmc/usdc_proxy",
    "revmc/uniswap_v2_pair",
    "revmc/univ2_router",
    "revmc/curve-stableswap-2pool",
    "revmc/seaport",
    "revmc/airdrop",
    "revmc/hash_10k",
    "revmc/burntpix",
)
"""Of the archive, in the order of the rows."""


@dataclass(frozen=True)
class Place:
    """An account: wei, nonce, code, and values by slot."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A transaction: who calls whom with what."""

    sender: bytes
    to: bytes
    data: bytes
    value: int = 0
    gas: int = 10_000_000


@dataclass(frozen=True)
class Environment:
    """The block: its gas limit leaves room for everything, its base fee is 0."""

    number: int = 1
    timestamp: int = 1_700_000_000
    coinbase: bytes = bytes.fromhex("c0" * 20)
    random: int = 1
    chain_id: int = 1
    gas_limit: int = 1 << 62


@dataclass(frozen=True)
class Program:
    """A call on a state.

    Args:
        name: as the row has it.
        places: accounts by address.
        call: that is timed.
        environment: of its block.
    """

    name: str
    places: dict[bytes, Place]
    call: Call
    environment: Environment = Environment()

    def to_json(self) -> dict[str, Any]:
        """As `peer_process.py` takes it."""
        block = asdict(self.environment)
        block |= {"coinbase": _hex(block["coinbase"]), "random": _hex(block["random"].to_bytes(32))}
        accounts = {
            _hex(address): {
                "balance": hex(place.balance),
                "nonce": place.nonce,
                "code": _hex(place.code),
                "storage": {hex(slot): hex(value) for slot, value in place.storage.items()},
            }
            for address, place in self.places.items()
        }
        call = {
            "sender": _hex(self.call.sender),
            "to": _hex(self.call.to),
            "data": _hex(self.call.data),
            "value": hex(self.call.value),
            "gas": self.call.gas,
        }
        return {"environment": block, "accounts": accounts, "call": call}


def programs(archive: Path = ARCHIVE) -> Iterator[Program]:
    """Those of this project, then those of the archive if it is there."""
    yield from own_programs()
    if archive.exists():
        yield from archived_programs(archive)


def archived_programs(archive: Path) -> Iterator[Program]:
    """The programs of `CHOSEN` in an archive of state tests."""
    wanted = {f"bench/{name}.json": name for name in CHOSEN}
    found: dict[str, Any] = {}
    with tarfile.open(archive) as files:
        for member in files:
            if member.name in wanted and (file := files.extractfile(member)) is not None:
                found[wanted[member.name]] = json.load(file)
    for name in CHOSEN:
        if name in found:
            (test,) = found[name].values()
            yield _of_test(name.removeprefix("evm-benchmarks/"), test)


def own_programs() -> Iterator[Program]:
    """Calls of this project's contracts: what tokens and exchanges do all day, and the rest of an EVM's work."""
    sender, friend = _account(1), _account(2)
    for name, function, arguments in (
        ("erc20 transfer", "transfer", (friend, 5)),
        ("erc20 transfer to nobody", "transfer", (_account(9), 5)),
        ("erc20 transferFrom", "transferFrom", (friend, sender, 5)),
        ("erc20 approve", "approve", (friend, 5)),
    ):
        yield _own(name, _token_state(), "Token", function, *arguments)
    path = [GOLD, SILVER]
    yield _own("exchange swap", _exchange_state(), "Router", "swap", 10**18, 1, path, sender, 1 << 40)
    workshop = {_contract("Workshop"): Place(0, 1, contracts.get("Workshop").runtime)}
    for function, *values in (
        ("grind", 3_000, 7),
        ("descend", 100, False),
        ("guarded", 1_000, True),
        ("logs", 5_000),
        ("make", 5),
        ("precompiled", bytes(range(200))),
    ):
        yield _own(f"workshop {function}", workshop, "Workshop", function, *values)
    ledger = {_contract("Ledger"): Place(0, 1, contracts.get("Ledger").runtime, _filled(100))}
    for function, *values in (("fill", 200, 100, 1), ("bump", 0, 100), ("clear", 0, 100), ("sum", 0, 100)):
        yield _own(f"ledger {function}", ledger, "Ledger", function, *values)


def _own(name: str, places: dict[bytes, Place], contract: str, function: str, *arguments: Any) -> Program:
    sender = _account(1)
    data = contracts.get(contract).call(function, *arguments)
    return Program(name, {sender: Place(FUNDS), **places}, Call(sender, _contract(contract), data))


def _account(number: int) -> bytes:
    return bytes.fromhex("aa") * 18 + number.to_bytes(2)


def _contract(name: str) -> bytes:
    return GOLD if name == "Token" else bytes.fromhex("cc") * 18 + sum(name.encode()).to_bytes(2)


GOLD, SILVER = bytes.fromhex("c1" * 20), bytes.fromhex("c2" * 20)
RESERVE = 10**24


def _token_state() -> dict[bytes, Place]:
    """A token of which two accounts have much, each of whom the other may spend for."""
    token = contracts.get("Token")
    first, second = _account(1), _account(2)
    storage = {
        mapped(token.storage["balanceOf"], first): 10**24,
        mapped(token.storage["balanceOf"], second): 10**24,
        mapped(token.storage["allowance"], second, first): (1 << 256) - 1,
        token.storage["totalSupply"]: 2 * 10**24,
    }
    return {GOLD: Place(0, 1, token.runtime, storage)}


def _exchange_state() -> dict[bytes, Place]:
    """Two tokens, a pair that has much of both, and a router that may spend the sender's."""
    token, pair, router = (contracts.get(name) for name in ("Token", "Pair", "Router"))
    sender, pool, at = _account(1), bytes.fromhex("dd" * 20), _contract("Router")
    balances, allowances = token.storage["balanceOf"], token.storage["allowance"]
    held = {
        mapped(balances, sender): 10**24,
        mapped(balances, pool): RESERVE,
        mapped(allowances, sender, at): (1 << 256) - 1,
        token.storage["totalSupply"]: 10**24 + RESERVE,
    }
    pooled = pair_storage(GOLD, SILVER, RESERVE, Environment().timestamp - 12)
    known = router_storage(GOLD, SILVER, pool)
    return {
        GOLD: Place(0, 1, token.runtime, held),
        SILVER: Place(0, 1, token.runtime, held),
        pool: Place(0, 1, pair.runtime, pooled),
        at: Place(0, 1, router.runtime, known),
    }


def _filled(count: int) -> dict[int, int]:
    first = contracts.get("Ledger").storage["slots"]
    return {mapped(first, slot.to_bytes(32)): slot + 1 for slot in range(count)}


def _of_test(name: str, test: dict[str, Any]) -> Program:
    """The call of a state test: of several inputs the last one, which is the longest."""
    asked = test["transaction"][0] if isinstance(test["transaction"], list) else test["transaction"]
    given = {key: value[-1] if isinstance(value, list) else value for key, value in asked.items()}
    sender = _bytes(given["sender"])
    places = {
        _bytes(address): Place(
            int(account["balance"], 16),
            int(account["nonce"], 16),
            _bytes(account["code"]),
            {int(slot, 16): int(value, 16) for slot, value in account["storage"].items()},
        )
        for address, account in test["pre"].items()
    }
    places[sender] = Place(FUNDS, places[sender].nonce if sender in places else 0)
    call = Call(
        sender,
        _bytes(given["to"]),
        _bytes(given["data"]),
        int(given["value"], 16),
        min(int(given["gasLimit"], 16), MOST_GAS),
    )
    block = test["env"]
    environment = Environment(
        int(block["currentNumber"], 16),
        int(block["currentTimestamp"], 16),
        _bytes(block["currentCoinbase"]),
        int(block.get("currentRandom", "0x1"), 16),
    )
    return Program(name, places, call, environment)


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
