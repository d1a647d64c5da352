# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts before a block: balances, nonces, slots, codes, and the nodes of the tries that prove them.

Three sources, the best that the node has: `eth_getProof`; one method for each value; what the tracer told. Codes are checked
against their hashes, and proofs must begin at the state root of the parent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from supervm.engine.errors import NodeRefused
from supervm.engine.ethereum.account_leaves import EMPTY_CODE_HASH
from supervm.engine.ethereum.fetch.answers import ProofJson, Reader, keccak, shown
from supervm.engine.ethereum.fetch.rpc import Node
from supervm.engine.ethereum.fetch.touched import Touched, Values, queued

PROOF = "eth_getProof"
ADVICE = "the state before the block is needed: ask an archive node, or for a block that is recent"

MOST_KEYS = 500
"""Slots in one call of `eth_getProof`, of which geth takes 1,024."""

DELEGATION = bytes.fromhex("ef0100")
"""Of an account's code that stands for another one's, whose address follows (EIP-7702)."""


@dataclass
class Accounts:
    """Accounts before a block.

    Args:
        values: of each account that was asked for, by its address.
        nodes: of tries, those of accounts and of slots, by their Keccak-256.
        method: that told: one of the three.
        notes: what is not as it should be, in words.
    """

    values: dict[bytes, Values] = field(default_factory=dict)
    nodes: dict[bytes, bytes] = field(default_factory=dict)
    method: str = PROOF
    notes: list[str] = field(default_factory=list)


def accounts_before(node: Node, number: int, root: bytes, found: Touched) -> Accounts:
    """Ask for everything that a block touches.

    Args:
        node: that is asked.
        number: of the block before.
        root: its state root.
        found: what is asked for; what that leads to (queues of requests, delegates) is added.

    Raises:
        NodeUnreachable, NodeAnswerMalformed: see `rpc.Node`.
        NodeRefused: the node does not have that state any more, and what to do.
    """
    asking = _Asking(node, number, found)
    accounts = asking.ask(dict(found.slots))
    more = queued({address: known.storage for address, known in accounts.values.items()})
    for known in accounts.values.values():
        if known.code.startswith(DELEGATION) and known.code[3:] not in accounts.values:
            more.setdefault(known.code[3:], set())
    if more:
        later = asking.ask(more)
        for address, known in later.values.items():
            accounts.values.setdefault(address, known).storage.update(known.storage)
        accounts.nodes.update(later.nodes)
    if accounts.nodes and root not in accounts.nodes:
        accounts.nodes.clear()
        accounts.notes.append("the node's proofs do not lead to the parent's state root: left out")
    return accounts


class _Asking:
    """Asks for accounts, and keeps to the first source that the node has.

    Args:
        node, number, found: see `accounts_before`.
    """

    def __init__(self, node: Node, number: int, found: Touched) -> None:
        self._node = node
        self._at = hex(number)
        self._found = found
        self._source = 0

    def ask(self, slots: dict[bytes, set[int]]) -> Accounts:
        """These slots of these accounts, with codes."""
        sources = (self._proven, self._one_by_one, self._traced)
        while True:
            try:
                return sources[self._source](slots)
            except NodeRefused as refused:
                self._source += 1
                last = self._source == len(sources) - 1
                if last and self._found.values is None:
                    raise NodeRefused(
                        self._node.name, refused.method, refused.code, refused.message, ADVICE
                    ) from None

    def _proven(self, slots: dict[bytes, set[int]]) -> Accounts:
        read = Reader(self._node.name, PROOF)
        asked = [
            (address, sorted(wanted)[at : at + MOST_KEYS])
            for address, wanted in slots.items()
            for at in range(0, max(1, len(wanted)), MOST_KEYS)
        ]
        calls = [
            (PROOF, [shown(address), [shown(key.to_bytes(32)) for key in keys], self._at])
            for address, keys in asked
        ]
        proofs = self._node.ask_all(calls, ProofJson)
        accounts = Accounts()
        nodes: set[bytes] = set()
        hashes: dict[bytes, bytes] = {}
        for (address, keys), proof in zip(asked, proofs, strict=True):
            if read.data(proof.address, "address", 20) != address:
                raise read.wrong("address", proof.address, shown(address))
            known = accounts.values.setdefault(address, Values())
            known.balance = read.number(proof.balance, "balance")
            known.nonce = read.number(proof.nonce, "nonce", 64)
            hashes[address] = read.data(proof.code_hash, "codeHash", 32)
            told = [
                read.number(slot.key, f"storageProof[{at}].key")
                for at, slot in enumerate(proof.storage_proof)
            ]
            if told != keys:
                raise read.wrong("storageProof", f"{len(told)} slots", f"the {len(keys)} that were asked for")
            for at, slot in enumerate(proof.storage_proof):
                known.storage[keys[at]] = read.number(slot.value, f"storageProof[{at}].value")
                nodes |= {read.data(text, f"storageProof[{at}].proof") for text in slot.proof}
            nodes |= {read.data(text, "accountProof") for text in proof.account_proof}
        listed = sorted(nodes)
        accounts.nodes = dict(zip(keccak(listed), listed, strict=True))
        self._add_codes(accounts, hashes)
        return accounts

    def _one_by_one(self, slots: dict[bytes, set[int]]) -> Accounts:
        accounts = Accounts(method="eth_getBalance")
        for method, attribute, bits in (
            ("eth_getBalance", "balance", 256),
            ("eth_getTransactionCount", "nonce", 64),
        ):
            read = Reader(self._node.name, method)
            texts = self._node.ask_all([(method, [shown(address), self._at]) for address in slots], str)
            for address, text in zip(slots, texts, strict=True):
                known = accounts.values.setdefault(address, Values())
                setattr(known, attribute, read.number(text, "result", bits))
        method = "eth_getStorageAt"
        read = Reader(self._node.name, method)
        places = [(address, key) for address, keys in slots.items() for key in sorted(keys)]
        calls = [(method, [shown(address), shown(key.to_bytes(32)), self._at]) for address, key in places]
        for (address, key), text in zip(places, self._node.ask_all(calls, str), strict=True):
            accounts.values[address].storage[key] = read.number(text, "result")
        for address, code in self._codes(list(slots)).items():
            accounts.values[address].code = code
        return accounts

    def _traced(self, slots: dict[bytes, set[int]]) -> Accounts:
        """What the tracer told; of what it did not name there is nothing to be had."""
        traced = self._found.values or {}
        values = {address: traced[address] for address in slots if address in traced}
        accounts = Accounts(values, method=self._found.method)
        lacking = len(slots) - len(values)
        if lacking:
            accounts.notes.append(f"{lacking} accounts that transactions do not touch are left out: {ADVICE}")
        return accounts

    def _add_codes(self, accounts: Accounts, hashes: dict[bytes, bytes]) -> None:
        """The codes of accounts, which must have these hashes: from the trace, or asked for."""
        nothing = (EMPTY_CODE_HASH, bytes(32))  # some nodes say 0 of an account that is not there
        hashed = {address: digest for address, digest in hashes.items() if digest not in nothing}
        asked = [address for address, digest in hashed.items() if digest not in self._found.codes]
        codes = self._codes(asked)
        for (address, code), digest in zip(codes.items(), keccak(list(codes.values())), strict=True):
            if digest != hashed[address]:
                read = Reader(self._node.name, "eth_getCode")
                raise read.wrong(shown(address), f"a code of hash {shown(digest)}", shown(hashed[address]))
            self._found.codes[digest] = code
        for address, digest in hashed.items():
            accounts.values[address].code = self._found.codes[digest]

    def _codes(self, addresses: list[bytes]) -> dict[bytes, bytes]:
        read = Reader(self._node.name, "eth_getCode")
        texts = self._node.ask_all(
            [("eth_getCode", [shown(address), self._at]) for address in addresses], str
        )
        return {address: read.data(text, "result") for address, text in zip(addresses, texts, strict=True)}
