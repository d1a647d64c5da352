# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions of accounts that have nothing, sent to a node that packs blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import grpc
import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.transactions.addresses import ed25519_addresses
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.transactions.encoding import encode, signing_digests
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.service.v1.node_pb2_grpc import NodeStub

INPUT_BYTES = 62_000_000
TRANSACTIONS = 24
CHANNEL = (("grpc.max_send_message_length", -1),)
PATIENCE = 30.0


def unpaid_transactions(address: str, seconds: float) -> dict[str, int]:
    """Transfers with 62 MB of input each, gas price 0, nonces ahead, from an account that has nothing.

    Args:
        address: HOST:PORT of the node.
        seconds: after which no further one is sent.
    """
    until = time.monotonic() + seconds
    counts = {"sent": 0, "kept": 0, "refused": 0}
    with grpc.insecure_channel(address, options=CHANNEL) as channel:
        stub = NodeStub(channel)
        for encoding in _signed():
            if time.monotonic() >= until:
                break
            offsets = np.array([0, len(encoding)], "<u8").tobytes()
            counts["sent"] += 1
            try:
                reply = stub.SubmitTransactions(
                    pb.SubmitTransactionsRequest(data=encoding, offsets=offsets), timeout=PATIENCE
                )
                kept = reply.states[0] == pb.TRANSACTION_STATE_WAITING
            except grpc.RpcError:
                kept = False
            counts["kept" if kept else "refused"] += 1
    return counts


def _signed() -> Iterator[bytes]:
    """Encodings; the nonce of the first is the account's, those of the others follow."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    sender = ed25519_addresses(np.frombuffer(public, np.uint8)[None])[0].tobytes()
    for nonce in range(TRANSACTIONS):
        unsigned = TransactionBatch.of(
            sender=sender, nonce=nonce, to=b"\x07" * 20, value=0, entry=b"", input=bytes(INPUT_BYTES),
            gas_limit=1_000_000, gas_price=0, chain_id=1, scheme=Scheme.ED25519,
        )  # fmt: skip
        signature = public + key.sign(signing_digests(unsigned)[0].tobytes())
        yield encode(replace(unsigned, signature=Messages.of([signature])))[0]
