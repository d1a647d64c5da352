# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal to a serving process whose callers do nothing that would end their calls."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

from node_processes import process
from raw_http2 import RawConnection

from supervm.tiers.service.v1 import verification_pb2 as pb

SERVICE = "/supervm.v1.Verification/"


def silent(address, stack):
    """Calls and streams without a message."""
    connection = RawConnection(address)
    stack.callback(connection.close)
    for method in ("Verify", "VerifyStream"):
        for _ in range(20):
            connection.call(SERVICE + method)


def unfinished(address, stack):
    """Messages of which only the first bytes come."""
    for method in 5 * ("Verify", "VerifyStream"):
        connection = RawConnection(address)
        stack.callback(connection.close)
        connection.begin_message(connection.call(SERVICE + method), 1 << 20, bytes(60_000))


def unread(address, stack):
    """Answers that nobody reads, and states of health."""
    request = pb.MerkleRootRequest(hash="keccak256", leaves=bytes(64)).SerializeToString()
    for method, message in ((SERVICE + "MerkleRoot", request), ("/grpc.health.v1.Health/Watch", b"")):
        for _ in range(5):
            connection = RawConnection(address, window=0)
            stack.callback(connection.close)
            stream = connection.call(method)
            connection.begin_message(stream, len(message), message)
            connection.end(stream)


def test_it_ends_in_time(monkeypatch):
    monkeypatch.setenv("SUPERVM_SERVICE_DRAIN_SECONDS", "3")
    with process("serve", "--threads", 1, "--grpc", "127.0.0.1:0") as (child, ready), ExitStack() as stack:
        for caller in (silent, unfinished, unread):
            caller(ready["grpc"], stack)
        time.sleep(0.5)
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
