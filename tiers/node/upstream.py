# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to another node. A call that fails changes nothing here; whether it changed something there is asked again."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Any, Self

import grpc

from supervm.tiers.client.connection import Connection, Tls
from supervm.tiers.client.retry import Retry
from supervm.tiers.node.blocks import MOST_BYTES
from supervm.tiers.node.callers import Asker, asker, caller_waits
from supervm.tiers.node.databases import NUMBERS
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.service.v1.node_pb2_grpc import NodeStub

PATIENCE_SECONDS = 20.0
"""How long a call may take."""

RETRY = Retry()
"""How often a call is made that the upstream refuses for the moment, and after which pauses."""

PUSH_BACK = "grpc-retry-pushback-ms"

_STATES = frozenset(pb.TransactionState.values()) - {pb.TRANSACTION_STATE_UNSPECIFIED}

MOST_MESSAGE_BYTES = MOST_BYTES + (1 << 20)
"""Of a message: a block file, and a little more."""

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
]


class Upstream:
    """Another node; use it as a context manager. Every method may be called from any thread.

    Args:
        address: HOST:PORT.
        seconds: patience with each call.
        tls: None for a connection in the clear.
        token: sent as a bearer token with every call.

    Raises:
        OSError: a file of `tls` cannot be read.
    """

    def __init__(
        self,
        address: str,
        seconds: float = PATIENCE_SECONDS,
        *,
        tls: Tls | None = None,
        token: str | None = None,
    ) -> None:
        self.address, self._seconds = address, seconds
        connection = Connection(address, tls, token)
        self._metadata, self._channel = connection.metadata, connection.channel(CHANNEL_OPTIONS)
        self._stub, self._closed = NodeStub(self._channel), threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that wait for an answer end without one."""
        self._closed.set()
        self._channel.close()

    def get_status(self) -> pb.NodeStatus:
        """What the node says of itself. Errors as `call`."""
        status: pb.NodeStatus = self.call("GetStatus", pb.GetStatusRequest())
        return status

    def get_accounts(self, addresses: bytes) -> pb.GetAccountsReply:
        """Nonces and balances of packed addresses at the last block. Errors as `call`."""
        reply: pb.GetAccountsReply = self.call("GetAccounts", pb.GetAccountsRequest(addresses=addresses))
        if len(reply.nonces) * 20 != len(addresses) or len(reply.balances) != 32 * len(reply.nonces):
            raise self._nonsense("GetAccounts", f"{len(reply.nonces)} accounts for {len(addresses) // 20}")
        return reply

    def get_proof(self, key: bytes) -> pb.GetProofReply:
        """A proof of what stands under a key of the state. Errors as `call`."""
        reply: pb.GetProofReply = self.call("GetProof", pb.GetProofRequest(key=key))
        return reply

    def submit_transactions(self, request: pb.SubmitTransactionsRequest) -> pb.SubmitTransactionsReply:
        """Submit transactions. Errors as `call`."""
        reply: pb.SubmitTransactionsReply = self.call("SubmitTransactions", request)
        count = len(request.offsets) // 8 - 1
        columns = (reply.states, reply.reasons, reply.numbers, reply.known)
        if len(reply.hashes) != 32 * count or any(len(column) != count for column in columns):
            raise self._nonsense("SubmitTransactions", f"other columns than of {count} transactions")
        if any(state not in _STATES for state in reply.states) or any(n >= NUMBERS for n in reply.numbers):
            raise self._nonsense("SubmitTransactions", "states or block numbers that there are not")
        return reply

    def call(self, method: str, request: Any, seconds: float | None = None) -> Any:
        """Any call that asks once and is answered once; one that the upstream had no room for is repeated after a while.

        It ends when whoever asked for it leaves (`asker`).

        Args:
            seconds: patience with this call, in place of that with each.

        Raises:
            UpstreamFailed: it was not answered, or refused; `code` and `details` say how.
        """
        patience = self._seconds if seconds is None else seconds
        end = min(time.monotonic() + patience, caller_waits.get())
        asking = asker.get() or Asker()
        for attempt in itertools.count(1):
            left = max(end - time.monotonic(), 0.0)
            try:
                answer = getattr(self._stub, method).future(request, timeout=left, metadata=self._metadata)
                with asking.telling(answer.cancel):
                    return answer.result()
            except grpc.FutureCancelledError:
                details = (
                    "the connection is closed" if self._closed.is_set() else "nobody waits for the answer"
                )
                raise UpstreamFailed(self.address, method, "CANCELLED", details) from None
            except grpc.RpcError as error:
                failed = UpstreamFailed(self.address, method, error.code().name, error.details() or "")
                push_back = _push_back(error)
            except ValueError:
                if not self._closed.is_set():
                    raise
                raise UpstreamFailed(self.address, method, "CANCELLED", "the connection is closed") from None
            if push_back is None or attempt == RETRY.attempts:
                raise failed
            pause = RETRY.pause(attempt, push_back)
            if time.monotonic() + pause > end or self._closed.wait(pause):
                raise failed
        raise AssertionError  # not reached

    def _nonsense(self, method: str, found: str) -> UpstreamFailed:
        return UpstreamFailed(self.address, method, "INTERNAL", f"an answer with {found}")


def _push_back(error: grpc.RpcError) -> float | None:
    """After how many seconds a refused call may be repeated (gRFC A6); None if it was no such refusal."""
    trailers: Any = error.trailing_metadata() or ()
    text = str(dict(trailers).get(PUSH_BACK, ""))
    return int(text) / 1000 if text.isdecimal() else None
