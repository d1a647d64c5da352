# SPDX-License-Identifier: GPL-3.0-or-later
"""Submitted transactions on their way in: from packed bytes to columns and hashes, and back to an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import decode
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import node_pb2 as pb

MOST_TRANSACTIONS = 10_000
"""Of one submission."""

MOST_PRIVATE = 256
"""Private ones among them: of those whose proofs are wrong, each may take a millisecond, for which nobody pays."""

WAITING, IN_BLOCK, REFUSED = (
    pb.TRANSACTION_STATE_WAITING,
    pb.TRANSACTION_STATE_IN_BLOCK,
    pb.TRANSACTION_STATE_REFUSED,
)


@dataclass(frozen=True, eq=False)
class Submission:
    """n transactions as they came.

    Args:
        encoded: their encodings.
        batch: the same in columns.
        hashes: uint8 (n, 32).
    """

    encoded: Messages
    batch: TransactionBatch
    hashes: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.batch)

    @classmethod
    def of(cls, request: pb.SubmitTransactionsRequest) -> Submission:
        """Read a request.

        Raises:
            ArgumentError: offsets that do not fit, too many transactions or private ones, or one that is no encoding.
        """
        return cls.of_messages(_messages(request))

    @classmethod
    def of_messages(cls, encoded: Messages) -> Submission:
        """Read encodings. Errors as `of`."""
        if len(encoded) > MOST_TRANSACTIONS:
            raise ArgumentError("offsets", f"{len(encoded):,} transactions", f"at most {MOST_TRANSACTIONS:,}")
        batch, faults = decode(encoded)
        if faults:
            words = faults.words(int(faults.rows[0])).replace("message", "transaction")
            raise ArgumentError("data", words, "a transaction's encoding")
        private = int(np.count_nonzero(batch.private))
        if private > MOST_PRIVATE:
            raise ArgumentError("data", f"{private:,} private transactions", f"at most {MOST_PRIVATE}")
        return cls(encoded, batch, hashes.keccak256_batch(encoded))

    def request(self, rows: NDArray[np.int64]) -> pb.SubmitTransactionsRequest:
        """The transactions at these indices, to submit them elsewhere."""
        return request_of([self.encoded[int(row)] for row in rows])

    def senders(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The senders, uint8 (k, 20), each once, and which of them each transaction has, int64 (n,)."""
        found, places = np.unique(self.batch.sender, axis=0, return_inverse=True)
        return found, places.reshape(-1)


class Answer:
    """What becomes of n transactions, in columns; what is not said of one is that it waits and was not known."""

    def __init__(self, submission: Submission) -> None:
        count = len(submission)
        self._hashes = submission.hashes
        self.states = np.full(count, WAITING, np.int64)
        self.reasons = np.zeros(count, np.uint8)
        self.numbers = np.zeros(count, np.uint64)
        self.known = np.zeros(count, np.bool_)

    def reply(self) -> pb.SubmitTransactionsReply:
        """As a message."""
        return pb.SubmitTransactionsReply(
            hashes=self._hashes.tobytes(),
            states=[pb.TransactionState.Name(state) for state in self.states.tolist()],
            reasons=self.reasons.tobytes(),
            numbers=self.numbers.tolist(),
            known=self.known.tolist(),
        )

    def merge(self, rows: NDArray[np.int64], reply: pb.SubmitTransactionsReply) -> None:
        """Take over what another node answered about some of them."""
        self.states[rows] = np.array(reply.states, np.int64)
        self.reasons[rows] = np.frombuffer(reply.reasons, np.uint8)
        self.numbers[rows] = np.array(reply.numbers, np.uint64)
        self.known[rows] = np.array(reply.known, np.bool_)


def request_of(encodings: list[bytes]) -> pb.SubmitTransactionsRequest:
    """A request of these encodings."""
    offsets = np.cumsum([0, *map(len, encodings)], dtype=np.int64)
    return pb.SubmitTransactionsRequest(data=b"".join(encodings), offsets=offsets.astype("<u8").tobytes())


def _messages(request: pb.SubmitTransactionsRequest) -> Messages:
    if not request.offsets or len(request.offsets) % 8:
        raise ArgumentError("offsets", f"{len(request.offsets)} bytes", "numbers of 8 bytes, at least one")
    offsets = np.frombuffer(request.offsets, "<i8").astype(np.int64)
    data = request.data  # made anew each time it is asked for
    end = len(data)
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise ArgumentError("offsets", f"{offsets[0]} to {offsets[-1]}", f"ascending from 0 to {end}")
    return Messages(np.frombuffer(data, np.uint8), offsets)
