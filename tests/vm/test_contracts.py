# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample contracts as shipped, and what counter, nft, auction, vault and game do."""

from __future__ import annotations

import coincurve
import nacl.signing
import pytest
import wasmtime
from wasm_host import MOST, SECP256K1_ORDER, Host, address, keccak256, word

from supervm.kernels.errors import ArgumentError
from supervm.vm import contracts
from supervm.vm.contracts.build import build
from supervm.vm.errors import ContractRejected
from supervm.vm.outcomes import Reason
from supervm.vm.text import to_binary
from supervm.vm.validation import inspect

A, B, C = address(1), address(2), b"\xff" * 20
FIRST, SECOND = address(0), C


@pytest.mark.parametrize("name", contracts.names())
def test_shipped_binaries_are_those_of_the_texts(name):
    text = contracts.source(name)
    assert wasmtime.wat2wasm(text) == to_binary(text) == contracts.load(name)


@pytest.mark.parametrize("name", contracts.names())
def test_contracts_are_cheap_to_restore(name):
    info = inspect(contracts.load(name))
    assert info.restorable
    assert not info.grows_memory
    assert info.page_size == 1
    assert info.memory_initial == info.memory_maximum <= 4_096


@pytest.mark.parametrize("name", contracts.names())
def test_texts_say_what_they_are(name):
    text = contracts.source(name)
    assert text.startswith(";; SPDX-License-Identifier: GPL-3.0-or-later\n")
    header = text.split("(module")[0]
    assert [
        entry for entry in inspect(contracts.load(name)).entry_points if f";;   {entry} " not in header
    ] == []
    assert all(part in header for part in ("Returns", "torage", "vents"))


def test_the_command_writes_the_binaries(tmp_path):
    assert [path.name for path in build(tmp_path)] == [f"{name}.wasm" for name in contracts.names()]
    assert (tmp_path / "token.wasm").read_bytes() == contracts.load("token")


def test_an_unknown_name():
    with pytest.raises(ArgumentError, match="counter"):
        contracts.load("../errors")
    with pytest.raises(ArgumentError):
        contracts.source("missing")


def test_counter():
    host = Host(contracts.load("counter"))
    assert host.call("get").output == word(0, 8)
    assert [host.call("increment").output for _ in range(3)] == [word(count, 8) for count in (1, 2, 3)]
    assert host.call("get").output == word(3, 8)
    assert host.call("get", b"x").returned == host.call("increment", b"x").returned == -1
    host.storage[b"c"] = b"\xff" * 8
    assert host.call("increment").output == bytes(8)


def test_nft():
    host = Host(contracts.load("nft"))
    token, other = word(MOST), word(5)
    minted = host.call("mint", B + token, caller=A)
    assert minted.events == [b"\1" + bytes(20) + B + token]
    assert host.call("mint", B + other, caller=B).returned == -5
    assert host.call("mint", B + token, caller=A).returned == -3
    assert host.call("mint", C + other, caller=A).ok
    assert host.call("owner_of", token).output == B
    assert host.call("owner_of", word(6)).returned == -2
    assert host.call("transfer", C + token, caller=A).returned == -4
    assert host.call("transfer", C + word(6), caller=A).returned == -2
    assert host.call("transfer", C + token, caller=B).events == [b"\1" + B + C + token]
    assert host.call("owner_of", token).output == C
    assert host.call("transfer", C + token, caller=C).ok
    for entry, length in (("mint", 52), ("transfer", 52), ("owner_of", 32)):
        assert {host.call(entry, bytes(length + step)).returned for step in (-1, 1)} == {-1}


def auction(end: int = 2_000) -> Host:
    host = Host(contracts.load("auction"), balances={A: 100, B: 10**30, C: MOST - 10**31})
    assert host.call("open", word(end, 8), caller=A).ok
    return host


def test_auction():
    host = auction()
    total = sum(host.balances.values())
    assert host.call("highest").output == bytes(52)
    assert host.call("bid", caller=B, value=0).returned == -2
    assert host.call("bid", caller=B, value=50).events == [b"\1" + B + word(50)]
    assert host.call("bid", caller=C, value=50).returned == -2
    assert host.call("bid", caller=C, value=51).ok
    assert host.balances[B] == 10**30
    assert host.call("highest").output == C + word(51)
    assert host.call("bid", caller=C, value=2**200).ok
    assert host.call("bid", caller=B, value=10**30).returned == -2
    assert host.balances[host.me] == 2**200
    assert host.call("close").returned == -4
    host.time = 2_000
    assert host.call("bid", caller=C, value=2**201).returned == -3
    assert host.call("close", caller=B).events == [b"\2" + C + word(2**200)]
    assert host.balances[A] == 100 + 2**200
    assert host.balances[host.me] == 0
    assert host.call("close").returned == -6
    host.time = 1_000
    assert host.call("bid", caller=C, value=2**201).returned == -3
    assert sum(host.balances.values()) == total


def test_auction_that_goes_wrong():
    host = Host(contracts.load("auction"), balances={A: 100})
    assert host.call("bid", caller=A, value=5).returned == -3
    assert host.call("close").returned == -3
    assert host.call("open", word(1, 7)).returned == -1
    assert host.call("open", word(1, 9)).returned == -1
    assert host.call("open", word(1, 8), value=1).returned == -8
    assert host.call("open", word(5_000, 8)).ok
    assert host.call("open", word(5_000, 8)).returned == -5
    assert {host.call(entry, b"x").returned for entry in ("bid", "close", "highest")} == {-1}
    assert {host.call(entry, value=1).returned for entry in ("close", "highest")} == {-8}
    assert host.balances[A] == 100
    host.time = 5_000
    assert host.call("close").events == [b"\2" + bytes(52)]
    refused = auction()
    assert refused.call("bid", caller=B, value=5).ok
    refused.balances[refused.me] = -5
    assert refused.call("bid", caller=C, value=6).returned == -7


SIGNER, EC_SIGNER = nacl.signing.SigningKey(bytes(range(32))), coincurve.PrivateKey(bytes(range(1, 33)))


def _digest(host: Host, nonce: int, recipient: bytes, amount: int) -> bytes:
    return keccak256(host.me + word(nonce, 8) + recipient + word(amount))


def _ed25519(host: Host, nonce: int, recipient: bytes, amount: int) -> bytes:
    return SIGNER.sign(_digest(host, nonce, recipient, amount)).signature


def _secp256k1(host: Host, nonce: int, recipient: bytes, amount: int) -> bytes:
    return EC_SIGNER.sign_recoverable(_digest(host, nonce, recipient, amount), hasher=None)[:64]


@pytest.fixture
def vault():
    host = Host(contracts.load("vault"), balances={A: 1_000})
    assert host.call("set_keys", SIGNER.verify_key.encode() + EC_SIGNER.public_key.format()).ok
    assert host.call("deposit", caller=A, value=700).events == [b"\1" + A + word(700)]
    return host


@pytest.mark.parametrize(
    ("entry", "sign"), [("withdraw_ed25519", _ed25519), ("withdraw_secp256k1", _secp256k1)]
)
def test_vault(vault, entry, sign):
    def withdraw(nonce: int, amount: int, signed: int | None = None):
        signature = sign(vault, nonce, B, amount if signed is None else signed)
        return vault.call(entry, B + word(amount) + signature, caller=C)

    assert withdraw(0, 300).events == [b"\2" + B + word(300)]
    assert (vault.balances[vault.me], vault.balances[B]) == (400, 300)
    assert withdraw(0, 300).returned == -4
    assert withdraw(1, 301, signed=300).returned == -4
    assert withdraw(1, 401).returned == -5
    assert withdraw(1, MOST).returned == -5
    assert vault.call("nonce").output == word(1, 8)
    assert withdraw(1, 400).ok
    assert vault.balances[vault.me] == 0
    assert withdraw(2, 0).ok
    assert vault.call("nonce").output == word(3, 8)


def test_vault_refusals(vault):
    high = _secp256k1(vault, 0, B, 1)
    high = high[:32] + word(SECP256K1_ORDER - int.from_bytes(high[32:], "big"))
    assert vault.call("withdraw_secp256k1", B + word(1) + high).returned == -4
    assert vault.call("withdraw_ed25519", B + word(1) + _secp256k1(vault, 0, B, 1)).returned == -4
    assert vault.call("set_keys", bytes(65)).returned == -2
    elsewhere = Host(
        contracts.load("vault"), me=address(7), storage=dict(vault.storage), balances={address(7): 9}
    )
    assert elsewhere.call("withdraw_ed25519", B + word(1) + _ed25519(vault, 0, B, 1)).returned == -4
    empty = Host(contracts.load("vault"))
    assert empty.call("withdraw_ed25519", bytes(116)).returned == -3
    for entry, length in (("withdraw_ed25519", 116), ("withdraw_secp256k1", 116), ("set_keys", 65)):
        assert {empty.call(entry, bytes(length + step)).returned for step in (-1, 1)} == {-1}
    assert {empty.call(entry, b"x").returned for entry in ("deposit", "nonce")} == {-1}


def play(host: Host, cells: list[int]) -> list[int]:
    """The status after each move, the players in turn."""
    return [
        host.call("move", bytes([cell]), caller=(FIRST, SECOND)[turn % 2]).output[0]
        for turn, cell in enumerate(cells)
    ]


@pytest.fixture
def game():
    host = Host(contracts.load("game"))
    assert host.call("join", caller=FIRST).ok
    assert host.call("join", caller=SECOND).ok
    return host


def test_game_moves(game):
    moved = game.call("move", b"\x08", caller=FIRST)
    assert moved.events == [b"\1" + FIRST + b"\x08\x02"]
    assert game.call("move", b"\0", caller=FIRST).returned == -3
    assert game.call("move", b"\x08", caller=SECOND).returned == -4
    assert game.call("move", b"\x09", caller=SECOND).returned == -4
    assert game.call("move", b"\xff", caller=SECOND).returned == -4
    assert game.call("move", b"\0", caller=B).returned == -3
    assert game.call("move", b"\0", caller=SECOND).output == b"\1"
    assert game.call("state").output == bytes.fromhex("0100000101") + FIRST + SECOND


LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


@pytest.mark.parametrize("line", LINES)
def test_game_lines_win(game, line):
    others = [cell for cell in range(9) if cell not in line]
    assert play(game, [line[0], others[0], line[1], others[1], line[2]]) == [2, 1, 2, 1, 3]
    assert game.call("move", bytes([others[2]]), caller=SECOND).returned == -2


def test_game_second_wins_and_draw(game):
    assert play(game, [0, 2, 1, 4, 8, 6])[-1] == 4
    assert game.call("join", caller=SECOND).ok
    assert game.call("join", caller=FIRST).ok
    state = game.call("state").output
    assert state == bytes.fromhex("0000000001") + SECOND + FIRST
    host = Host(contracts.load("game"), storage={b"g": bytes(4) + b"\1" + FIRST + SECOND})
    assert play(host, [0, 4, 8, 1, 7, 6, 2, 5, 3]) == [2, 1, 2, 1, 2, 1, 2, 1, 5]


def test_game_joining():
    host = Host(contracts.load("game"))
    assert host.call("move", b"\0").returned == -2
    assert host.call("join", caller=FIRST).ok
    assert host.call("state").output == bytes(25) + b"\xff" * 20
    assert host.call("join", caller=FIRST).returned == -5
    assert host.call("move", b"\0", caller=FIRST).returned == -2
    assert host.call("join", caller=SECOND).ok
    assert host.call("join", caller=B).returned == -5
    assert {
        host.call("join", b"x").returned,
        host.call("state", b"x").returned,
        host.call("move").returned,
    } == {-1}
    assert host.call("move", b"\0\0").reason == Reason.CONTRACT_ERROR


@pytest.mark.parametrize(
    ("text", "place"), [("(module\n  (func i32.bad))", "line 2, column 9"), ("\0asm", "line 1, column 1")]
)
def test_a_text_that_is_no_module(text: str, place: str) -> None:
    """It is refused with its place."""
    with pytest.raises(ContractRejected) as raised:
        to_binary(text)
    assert raised.value.rule == "text"
    assert raised.value.found.endswith(place)
    assert "\n" not in str(raised.value)
