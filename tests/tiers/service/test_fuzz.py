# SPDX-License-Identifier: GPL-3.0-or-later
"""Random and damaged bytes, at the port and in every method: a documented status, no crash, no hang, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import random

import grpc
import numpy as np
from pairing_requests import bls_request, bls_signed, proved
from served import Served, served
from signed_requests import ecdsa_signed, ed25519_signed, over_digests, over_messages, packed_rows, single

from supervm.tiers.service.core import Limits
from supervm.tiers.service.server import SERVICE
from supervm.tiers.service.v1 import verification_pb2 as pb

ROUNDS = 60
DOCUMENTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
OFFSETS = np.array([0, 1, 2], np.int64).tobytes()
SEEDS = {
    "Verify": [
        over_messages(pb.SCHEME_ED25519, [ed25519_signed(index) for index in range(3)]),
        over_digests([ecdsa_signed(index, 33) for index in range(3)]),
        single(1),
    ],
    "Recover": [pb.RecoverRequest(digests=bytes(64), signatures=bytes(130))],
    "Hash": [pb.HashRequest(function=1, messages=packed_rows([b"a", b"bc"]))],
    "MerkleRoot": [pb.MerkleRootRequest(hash="sha256", arity=2, leaves=bytes(64))],
    "Msm": [pb.MsmRequest(curve="bn254", points=bytes(128), scalars=bytes(64))],
    "Poseidon": [pb.PoseidonRequest(field="bn254", inputs_per_hash=2, inputs=bytes(128))],
    "DetectConflicts": [
        pb.DetectConflictsRequest(
            reads=bytes(16), read_offsets=OFFSETS, writes=bytes(16), write_offsets=OFFSETS, want_edges=True
        )
    ],
    "VerifyGroth16": [proved(2).request(curve="bn254")],
    "VerifyBls": [bls_request(bls_signed(2))],
    "VerifyBlobs": [pb.VerifyBlobsRequest(commitments=bytes(48))],
}


def damaged(source: random.Random, sound: bytes) -> bytes:
    """Something random, or a sound message with bytes changed, cut out or put in."""
    if source.random() < 0.3:
        return source.randbytes(source.randrange(200))
    text = bytearray(sound)
    for _ in range(source.randrange(1, 4)):
        place = source.randrange(len(text) + 1)
        what = source.randrange(3)
        if what == 0 and place < len(text):
            text[place] = source.randrange(256)
        elif what == 1:
            del text[place : place + source.randrange(1, 9)]
        else:
            text[place:place] = source.randbytes(source.randrange(1, 9))
    return bytes(text)


async def status(to: Served, method: str, message: bytes) -> grpc.StatusCode:
    call = to.channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=300)
    return await call.code()


async def still_well(to: Served) -> None:
    reply = await asyncio.wait_for(to.stub.Verify(single(1)), 30)
    assert reply.verdicts == b"\1"
    assert (to.service.queue.items, to.service.queue.size, to.service.queue.requests) == (0, 0, 0)


def test_damaged_messages_to_every_method() -> None:
    async def test() -> None:
        source = random.Random(1)
        async with served(Limits(queue_bytes=1 << 20)) as to:
            seen = set()
            for method, sound in SEEDS.items():
                messages = [damaged(source, source.choice(sound).SerializeToString()) for _ in range(ROUNDS)]
                seen |= set(await asyncio.gather(*(status(to, method, message) for message in messages)))
            assert seen <= DOCUMENTED
            assert {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT} <= seen
            await still_well(to)

    asyncio.run(test())


def test_damaged_messages_in_streams() -> None:
    """A message that is none ends its stream when what came before is answered; others are answered one by one."""

    async def test() -> None:
        source = random.Random(2)
        async with served() as to:
            endings = set()
            for _ in range(ROUNDS):
                messages = [single(1).SerializeToString()]
                messages += [damaged(source, messages[0]) for _ in range(source.randrange(5))]
                stream = to.channel.stream_stream(f"/{SERVICE}/VerifyStream")(iter(messages), timeout=300)
                replies = []
                try:
                    async for message in stream:
                        replies += pb.VerifyReplies.FromString(message).replies
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata():
                        continue  # gRPC's client says so by itself where the end came before it had sent everything
                    endings.add(error.code())
                else:
                    assert len(replies) == len(messages)
                assert replies
            assert endings == {grpc.StatusCode.INVALID_ARGUMENT}
            await still_well(to)

    asyncio.run(test())


def test_random_bytes_at_the_port() -> None:
    async def test() -> None:
        source = random.Random(3)
        async with served() as to:
            host, port = to.address.rsplit(":", 1)
            for number in range(ROUNDS):
                reader, writer = await asyncio.open_connection(host, int(port))
                if number % 2:
                    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                writer.write(source.randbytes(source.randrange(1, 2000)))
                try:
                    await writer.drain()
                    await asyncio.wait_for(reader.read(100), 0.05)
                except (ConnectionError, TimeoutError):
                    pass
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            await still_well(to)

    asyncio.run(test())
