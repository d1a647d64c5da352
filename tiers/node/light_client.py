# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mobile node, L4, does when it is connected: send what is queued, and check its own accounts by proofs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from supervm.crypto.sparse_merkle import HASHES, verify_proof
from supervm.tiers.node.databases import NUMBERS
from supervm.tiers.node.errors import ProofRefused
from supervm.tiers.node.limits import LATER
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, request_of
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import OPEN, Account, Progress, Queued, Wallet
from supervm.vm.evm.state.keys import storage_key
from supervm.vm.outcomes import is_rejection

AT_ONCE = 1_000
"""Transactions of a submission."""


def replay_queue(wallet: Wallet, upstream: Upstream) -> list[Queued]:
    """Send what is queued, in the order it was signed, and what was sent but is in no known block; how far each is then.

    It may be called again at any time: the upstream knows a transaction by its hash, and a nonce is spent once.

    Raises:
        UpstreamFailed: nothing more was sent; what was not answered is sent again the next time.
    """
    waiting, told = wallet.queue(OPEN), []
    for first in range(0, len(waiting), AT_ONCE):
        part = waiting[first : first + AT_ONCE]
        reply = upstream.submit_transactions(request_of([each.data for each in part]))
        found = [
            replace(
                each,
                state=_progress(reply.states[place], reply.reasons[place]),
                number=reply.numbers[place],
                reason=reply.reasons[place],
            )
            for place, each in enumerate(part)
        ]
        wallet.note(found)
        told += found
    return told


def _progress(state: int, reason: int) -> Progress:
    """A block that rejects a transaction spends no nonce: it is as if it had been refused before.

    One for which there is no room now stays queued, and those behind it keep their nonces.
    """
    if state == REFUSED and reason in LATER:
        return Progress.QUEUED
    if state == REFUSED or (state == IN_BLOCK and is_rejection(reason)):
        return Progress.REFUSED
    return Progress.IN_BLOCK if state == IN_BLOCK else Progress.SENT


def check_accounts(wallet: Wallet, upstream: Upstream, root: bytes | None = None) -> list[Account]:
    """Have every own account proved, and remember it.

    Args:
        root: of a state that the caller trusts, 32 bytes; without, the one that the upstream states, the same for all
            accounts that are proved at one block.

    Raises:
        ProofRefused: an answer that its proof does not show, or under another root.
        UpstreamFailed: no answer.
    """
    roots: dict[int, bytes] = {}
    found = []
    for own in wallet.accounts():
        account, number, stated = _checked(upstream, own.address, root)
        if roots.setdefault(number, stated) != stated:
            raise ProofRefused(
                f"the upstream {upstream.address} states two roots for block {number}; do not trust it"
            )
        wallet.note_proved(account)
        found.append(account)
    return found


@dataclass(frozen=True)
class Slot:
    """What a slot of an EVM contract's storage holds at block `number`, under a state root."""

    value: int
    number: int
    root: bytes


def check_slot(upstream: Upstream, contract: bytes, slot: int, root: bytes | None = None) -> Slot:
    """Have a slot of an EVM contract's storage proved.

    Args:
        contract: its address, 20 bytes.
        slot: below 2^256.
        root: as of `check_accounts`.

    Raises: as `check_accounts`.
    """
    key = storage_key(contract, slot)
    what = f"slot {slot} of {contract.hex()}"
    value, number, stated = _proved(upstream, key, what, 32, root)
    return Slot(int.from_bytes(value or b""), number, stated)


def _checked(upstream: Upstream, address: bytes, root: bytes | None) -> tuple[Account, int, bytes]:
    """An account as it was proved, at which block and under which root."""
    what = f"account {address.hex()}"
    value, number, stated = _proved(upstream, b"\0" + address, what, 40, root)
    whole = value or bytes(40)
    nonce, balance = int.from_bytes(whole[:8]), int.from_bytes(whole[8:])
    if nonce >= NUMBERS:  # no nonce gets there
        raise _unproved(upstream, what, number)
    return Account(address, nonce, balance, number, stated), number, stated


def _proved(
    upstream: Upstream, key: bytes, what: str, size: int, root: bytes | None
) -> tuple[bytes | None, int, bytes]:
    """The value of a key, of `size` bytes or absent, as it was proved; at which block and under which root."""
    reply = upstream.get_proof(key)
    value = reply.value if reply.HasField("value") else None
    if root is not None and reply.state_root != root:
        raise ProofRefused(
            f"{what}: the upstream is at block {reply.number} with root {reply.state_root.hex()}, "
            f"not at the trusted {root.hex()}; take the root of that block from where you trust it"
        )
    known = reply.hash_function in HASHES and len(reply.state_root) == 32 and reply.number < NUMBERS
    if (
        not known
        or not verify_proof(reply.state_root, key, value, reply.proof, hash=reply.hash_function)
        or (value is not None and len(value) != size)
    ):
        raise _unproved(upstream, what, reply.number)
    return value, reply.number, reply.state_root


def _unproved(upstream: Upstream, what: str, number: int) -> ProofRefused:
    return ProofRefused(
        f"{what}: the proof of block {number} does not show what the upstream {upstream.address} says; do not trust it"
    )
