# SPDX-License-Identifier: GPL-3.0-or-later
"""A gRPC server whose handlers do nothing: what grpcio itself allows here, beside which the service's rates stand.

`python -m supervm.benchmarks.service.empty` answers every request of `Verify` and `VerifyStream` with its id and verdict 1.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

from supervm.tiers.service.v1 import verification_pb2 as pb

COMMAND = (sys.executable, "-m", "supervm.benchmarks.service.empty")


async def _verify(request: pb.VerifyRequest, _: Any) -> pb.VerifyReply:
    return pb.VerifyReply(id=request.id, verdicts=b"\x01")


async def _stream(requests: AsyncIterator[pb.VerifyRequest], _: Any) -> AsyncIterator[pb.VerifyReplies]:
    async for request in requests:
        yield pb.VerifyReplies(replies=[pb.VerifyReply(id=request.id, verdicts=b"\x01")])


async def _serve() -> None:
    server = grpc.aio.server()
    reading = pb.VerifyRequest.FromString
    handlers = {
        "Verify": grpc.unary_unary_rpc_method_handler(_verify, reading, pb.VerifyReply.SerializeToString),
        "VerifyStream": grpc.stream_stream_rpc_method_handler(
            _stream, reading, pb.VerifyReplies.SerializeToString
        ),
    }
    generic = grpc.method_handlers_generic_handler("supervm.v1.Verification", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}, indent=2), flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    uvloop.run(_serve())
