# SPDX-License-Identifier: GPL-3.0-or-later
"""The synchronous client."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import MessagesLike
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.tiers.client import calls, pairing_calls
from supervm.tiers.client.balancing import Attempt, Members
from supervm.tiers.client.calls import Call, Conflicts
from supervm.tiers.client.columns import RowsLike
from supervm.tiers.client.connection import Tls, failure
from supervm.tiers.client.errors import ServiceUnavailable
from supervm.tiers.client.options import CLIENT_CLOSED, MESSAGE_BYTES, checked_count
from supervm.tiers.client.pairing_calls import InputsLike
from supervm.tiers.client.retry import Deadline, Retry
from supervm.tiers.client.stream import VerifyStream
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["Client"]

Result = TypeVar("Result")


class Client:
    """Calls of one service, for any number of threads. Use it as a context manager, or `close` it.

    Args:
        target: `host:port`; several of them, with commas or as a sequence, for servers that do the same: a call goes to the
            least busy one that is well, and a request that one does not answer to another.
        tls: how to encrypt, and the client's own certificate; None for plain text.
        token: a bearer token, sent with every call.
        timeout: seconds that a method may take, retries and pauses among them; None for ever.
        retry: when a request is sent again that was refused for want of room, or found no server.
        message_bytes: what no request, nor its answer, may be above; a larger batch is cut, and put together in order.
        in_flight: requests of a batch that was cut which are on their way at a time.

    Every method takes `timeout` in place of the client's. Verdicts are those of the library: int8 (n,), 1 valid,
    0 invalid, −1 malformed. Arrays are returned in the library's shapes and dtypes. All raise:

    Raises:
        ArgumentError: an argument of another form; nothing was sent.
        ServiceRefused, DeadlineExceeded, ServiceUnavailable: no answer, see `supervm.tiers.client.errors`.
    """

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float | None = 30.0,
        retry: Retry | None = None,
        message_bytes: int = MESSAGE_BYTES,
        in_flight: int = 4,
    ) -> None:
        self._timeout, self._retry = timeout, retry or Retry()
        self._limit = checked_count("message_bytes", message_bytes)
        self._in_flight = checked_count("in_flight", in_flight)
        self._members = Members(target, tls, token, lambda one, more: one.channel(more=more))
        self._metadata = self._members.metadata
        self._members.subscribe()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls that are under way end with an error."""
        self._members.close()

    def verify_ed25519(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        rule: str = "dalek",
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n Ed25519 signatures.

        Args:
            public_keys: n rows of 32 bytes: a uint8 array (n, 32), a list of bytes, or all in one bytes object.
            messages: n messages, in any form that `supervm.crypto.messages.Messages.of` takes.
            signatures: n rows of 64 bytes, in the forms of `public_keys`.
            rule: `dalek`, `strict` or `zip215`, as in `supervm.crypto.ed25519.verify_batch`.
        """
        return self._run(calls.verify_ed25519(public_keys, messages, signatures, rule, self._limit), timeout)

    def verify_ecdsa(
        self,
        public_keys: RowsLike,
        digests: RowsLike,
        signatures: RowsLike,
        *,
        low_s: bool = True,
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n ECDSA signatures over secp256k1.

        Args:
            public_keys: n rows of 33 or 65 bytes (SEC1), or 64 (x‖y).
            digests: n rows of 32 bytes.
            signatures: n rows of 64 bytes, r‖s.
            low_s: whether s above half of the order is invalid.
        """
        return self._run(calls.verify_ecdsa(public_keys, digests, signatures, low_s, self._limit), timeout)

    def verify_schnorr(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n BIP-340 signatures: x-only keys of 32 bytes, messages of any length, signatures of 64 bytes."""
        return self._run(calls.verify_schnorr(public_keys, messages, signatures, self._limit), timeout)

    def verify_groth16(
        self,
        proofs: RowsLike,
        public_inputs: InputsLike,
        *,
        key: bytes | str | None = None,
        circuit: str = "",
        curve: str = "",
        format: str = "",
        key_format: str = "snarkjs",
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n Groth16 proofs of one circuit.

        Args:
            proofs: n rows in `format`.
            public_inputs: as many integers for each, or uint8 (n, k, 32), big-endian.
            key: a verification key in `key_format`, at most 256 KiB; `curve` says which it is on.
            circuit: in place of a key: the id of one that the server has.
            curve: `bn254` or `bls12_381`; beside `circuit` it may be empty.
            format: `ethereum`, `arkworks_compressed`, … as `supervm.crypto.groth16.load_proofs` has them; empty for
                `ethereum` on bn254 and `arkworks_compressed` on bls12_381.
            key_format: `snarkjs` (JSON), `arkworks` or `gnark`.
        """
        call = pairing_calls.verify_groth16(
            proofs, public_inputs, key, circuit, curve, format, key_format, self._limit
        )
        return self._run(call, timeout)

    def verify_bls(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        variant: str = "min-pk",
        suite: str = "pop",
        dst: bytes | None = None,
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n signatures on BLS12-381, as `supervm.crypto.bls.verify_batch` does.

        Args:
            public_keys, signatures: n rows of 48 and of 96 bytes, in the variant `min-sig` the other way round.
            messages: n messages.
            variant, suite, dst: as the library's.
        """
        call = pairing_calls.verify_bls(public_keys, messages, signatures, variant, suite, dst, self._limit)
        return self._run(call, timeout)

    def verify_bls_aggregates(
        self,
        public_keys: RowsLike,
        offsets: Any,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        variant: str = "min-pk",
        suite: str = "pop",
        dst: bytes | None = None,
        timeout: float | None = None,
    ) -> Verdicts:
        """Verify n signatures that several keys made together, as `bls.fast_aggregate_verify_batch` does. They are not cut.

        Args:
            public_keys: m rows; those of signature i are keys offsets[i] until offsets[i + 1].
            offsets: n + 1 whole numbers, ascending from 0 to m.
            messages, signatures, variant, suite, dst: as in `verify_bls`; not the suite `augmented`.
        """
        call = pairing_calls.verify_bls_aggregates(
            public_keys, offsets, messages, signatures, variant, suite, dst, self._limit
        )
        return self._run(call, timeout)

    def verify_blobs(
        self, blobs: RowsLike, commitments: RowsLike, proofs: RowsLike, *, timeout: float | None = None
    ) -> Verdicts:
        """Verify n blobs of 131,072 bytes against KZG commitments and proofs of 48, under the server's trusted setup."""
        return self._run(pairing_calls.verify_blobs(blobs, commitments, proofs, self._limit), timeout)

    def recover(
        self, digests: RowsLike, signatures: RowsLike, *, timeout: float | None = None
    ) -> tuple[Bytes, Verdicts]:
        """Recover n public keys of secp256k1.

        Args:
            digests: n rows of 32 bytes.
            signatures: n rows of 65 bytes, r‖s‖recovery id from 0 to 3.

        Returns:
            uint8 (n, 64) keys x‖y, zero where the verdict is not 1; int8 (n,) verdicts.
        """
        return self._run(calls.recover(digests, signatures, self._limit), timeout)

    def hash(self, function: str, messages: MessagesLike, *, timeout: float | None = None) -> Bytes:
        """Digests of n messages, uint8 (n, 32 or 64).

        Args:
            function: `sha256`, `sha512`, `keccak256` or `blake2b`.
            messages: in any form that `Messages.of` takes.
        """
        return self._run(calls.hash_messages(function, messages, self._limit), timeout)

    def merkle_root(
        self,
        leaves: RowsLike | npt.NDArray[np.uint64],
        hash: str,
        arity: int = 2,
        *,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """The root over n leaves, as `supervm.crypto.merkle.root(…).value`.

        Args:
            leaves: n rows of 32 bytes; for Poseidon uint64 (n, 4), below the modulus. They are not cut.
            hash: `sha256`, `keccak256`, `poseidon_bn254` or `poseidon_bls12_381`.
            arity: children of a node, 2 … 16.

        Returns:
            uint8 (32,), or uint64 (4,) where the leaves are uint64.
        """
        return self._run(calls.merkle_root(leaves, hash, arity, self._limit), timeout)

    def msm(
        self,
        curve: str,
        points: npt.NDArray[Any],
        scalars: npt.NDArray[np.uint64],
        *,
        group: str = "g1",
        encoding: str = "limbs",
        subgroup: bool = False,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """Σ sᵢ·Pᵢ.

        Args:
            curve: `bn254`, `bls12_381` or `ed25519`.
            points: with `limbs` uint64 (n, 2, L), in G2 (n, 2, 2, L), as `supervm.crypto.msm.msm` takes them; with another
                encoding of docs/curves.md uint8 (n, bytes). They are not cut.
            scalars: uint64 (n, 4), below the order.
            group: `g1` or `g2`.
            encoding: of points and result.
            subgroup: refuse points outside the subgroup of prime order.

        Returns:
            One point, of the points' dtype.
        """
        return self._run(calls.msm(curve, points, scalars, group, encoding, subgroup, self._limit), timeout)

    def poseidon(
        self, curve: str, inputs: npt.NDArray[np.uint64], *, timeout: float | None = None
    ) -> npt.NDArray[np.uint64]:
        """Poseidon of each row of inputs, uint64 (n, 4).

        Args:
            curve: `bn254` or `bls12_381`, whose scalar field is meant.
            inputs: uint64 (n, k, 4), k from 1 to 16, below the modulus.
        """
        return self._run(calls.poseidon(curve, inputs, self._limit), timeout)

    def detect_conflicts(
        self,
        read_offsets: npt.NDArray[np.int64],
        read_keys: npt.NDArray[np.uint64],
        write_offsets: npt.NDArray[np.int64],
        write_keys: npt.NDArray[np.uint64],
        *,
        rule: str = "versioned",
        edges: bool = False,
        hot_keys: bool = False,
        timeout: float | None = None,
    ) -> Conflicts:
        """Waves, and on request dependencies and hot keys, of the transactions of a block, which is not cut.

        Args:
            read_offsets, write_offsets: int64 (n + 1,), from 0 to the number of keys.
            read_keys, write_keys: uint64, those of transaction i from offset i to before offset i + 1.
            rule: `versioned` or `locking`.
            edges, hot_keys: whether they are wanted.
        """
        call = calls.detect_conflicts(
            read_offsets, read_keys, write_offsets, write_keys, rule, edges, hot_keys, self._limit
        )
        return self._run(call, timeout)

    def stream(self, *, in_flight: int = 32, pack: int = 32, timeout: float | None = 30.0) -> VerifyStream:
        """A stream for signatures that come one by one; a context manager, see `VerifyStream`.

        Args:
            in_flight: signatures without a verdict yet; one more waits until there is room.
            pack: signatures that wait at the same time and go in one message, at most; 1 for a message each.
            timeout: seconds from a signature's submission to its verdict; None for ever.
        """
        return VerifyStream(
            self._open_stream,
            self._members.failed,
            self._retry,
            checked_count("in_flight", in_flight),
            checked_count("pack", pack),
            timeout,
            self._limit,
        )

    def _open_stream(self, requests: Iterator[pb.VerifyRequest]) -> Attempt:
        member = self._members.pick()
        try:
            call = member.stub.VerifyStream(requests, metadata=self._metadata)
        except ValueError as error:  # as in `_send`
            raise ServiceUnavailable(CLIENT_CLOSED) from error
        return self._members.begin(member, call)

    def _run(self, call: Call[Result], timeout: float | None) -> Result:
        deadline = Deadline.after(self._timeout if timeout is None else timeout)
        running: deque[tuple[Any, Attempt]] = deque()
        replies = []
        try:
            for request in call.requests:
                if len(running) == self._in_flight:
                    replies.append(self._reply(call.method, *running.popleft(), deadline))
                running.append((request, self._send(call.method, request, deadline)))
            while running:
                replies.append(self._reply(call.method, *running.popleft(), deadline))
        finally:
            for _, sent in running:
                sent.call.cancel()
        return call.join(replies)

    def _send(self, method: str, request: Any, deadline: Deadline) -> Attempt:
        member = self._members.pick()
        try:
            call = getattr(member.stub, method).future(
                request, timeout=deadline.left, metadata=self._metadata
            )
        except ValueError as error:  # what gRPC raises for a channel that is closed
            raise ServiceUnavailable(CLIENT_CLOSED) from error
        return self._members.begin(member, call)

    def _reply(self, method: str, request: Any, sent: Attempt, deadline: Deadline) -> Any:
        """The reply to a request that was sent, which is sent again as long as that is of use."""
        attempt = 1
        while True:
            try:
                return sent.call.result()
            except grpc.RpcError as error:
                failed = failure(error)
            pause = self._members.pause(sent.member, failed, self._retry, attempt, deadline)
            if pause is None:
                raise self._members.named(sent.member, failed)
            time.sleep(pause)
            attempt += 1
            sent = self._send(method, request, deadline)
