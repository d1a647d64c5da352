# SPDX-License-Identifier: GPL-3.0-or-later
"""This process's connection to a cluster: quiet, and with an error that says what is wrong with an address."""

from __future__ import annotations

import logging
import os
import platform
import socket
from contextlib import suppress
from typing import Any

# Ray reads it when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray._raylet import GcsClient

from supervm.tiers.cluster.errors import NoCluster, NodeRefused
from supervm.tiers.cluster.nodes import NAMESPACE, first_line
from supervm.tiers.cluster.signals import handlers_kept
from supervm.tiers.cluster.worker import sources

PATIENCE = 5.0
"""Seconds that an address may take to answer."""

GLANCE = 1.0
"""Seconds that a head which answered before may take to take a connection."""

SOURCES = b"sources"
"""The key of our digest in the head's own store."""

SETTINGS = b"\x04"
"""The type of a frame of settings of HTTP/2."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + SETTINGS + bytes(5)
"""The preface of a client, and its first frame: settings, without any."""


class _Here:
    """The address that this process is connected to, as it was given: Ray may have another name for the same."""

    address = ""


def connect(address: str) -> None:
    """Connect this process, unless it is connected there already.

    Raises:
        NoCluster: nothing answers, something else does, or this machine is no node of that cluster.
    """
    host, port = parse(address)
    if ray.is_initialized():
        ours = ray.get_runtime_context().gcs_address
        if address != _Here.address and ours != f"{host}:{port}":
            raise NoCluster(address, f"this process is connected to {ours}")
        return
    reach(address)
    _head(address)  # it says what is wrong with a token or a version, which a connection would not
    _silence()
    try:
        with handlers_kept():
            ray.init(
                address=f"{host}:{port}",
                namespace=NAMESPACE,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                configure_logging=False,
            )
    except Exception as error:  # Ray has no common base for them
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NoCluster(
            address, f"{said}; this machine has to be one of its nodes: `supervm cluster join {address}`"
        ) from None
    _Here.address = address


def reach(address: str) -> None:
    """See that something answers there as Ray's head does.

    Raises:
        NoCluster: nothing does, or something else.
    """
    host, port = parse(address)
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            speaks = _speaks_http2(connection)
    except OSError as error:
        why = error.strerror or str(error)
        raise NoCluster(
            address, f"nothing answers ({why}); `supervm cluster start` begins a cluster there"
        ) from None
    if not speaks:
        raise NoCluster(
            address,
            "what answers there is no head of a Ray cluster, or one under TLS, and RAY_USE_TLS is not set here",
        )


def _silence() -> None:
    """Keep Ray from printing the logs of what died; nodes are told of by `Pool.nodes`.

    It has no setting for that. A version that prints otherwise prints as it does.
    """
    from ray._private import worker

    worker.print_to_stdstream = lambda *_, **__: None


def note_sources(address: str) -> None:
    """Leave our digest at the head, where nobody has left one: who joins compares it with its own."""
    _head(address).internal_kv_put(SOURCES, sources().encode(), False, NAMESPACE.encode(), PATIENCE)


def require_same_sources(address: str) -> None:
    """Compare our digest with the one at the head; a head that `supervm cluster start` did not begin has none.

    Raises:
        NodeRefused: they differ.
        NoCluster: the head is of another version of Ray.
    """
    theirs = _head(address).internal_kv_get(SOURCES, NAMESPACE.encode(), PATIENCE)
    if theirs is not None and theirs.decode() != sources():
        raise NodeRefused(
            platform.node(),
            f"its sources are {sources()}, those of the cluster at {address} are {theirs.decode()}: install the "
            "same version here",
        )


def _head(address: str) -> Any:
    try:
        return GcsClient(address="{}:{}".format(*parse(address)))
    except Exception as error:  # Ray has no common base for them
        raise NoCluster(address, f"{first_line(error)} (Ray here is {ray.__version__})") from None


def answers(address: str) -> bool:
    """Whether a head takes connections now: whoever asks Ray for what the head knows waits, and ends, without one."""
    try:
        socket.create_connection(parse(address), GLANCE).close()
    except OSError:
        return False
    return True


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether it answers the preface of HTTP/2 with a frame of settings (RFC 9113, section 3.4), as gRPC does.

    Ray itself tries for forty seconds before it says that something is no head. Under TLS it has to.
    """
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    connection.settimeout(PATIENCE)
    connection.sendall(PREFACE)
    try:
        return connection.recv(9)[3:4] == SETTINGS
    except OSError:
        return False


def parse(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        NoCluster: it is not HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise NoCluster(address, "expected HOST:PORT, such as 10.0.0.1:6379")
    return host.strip("[]"), int(port)


def disconnect() -> None:
    """Leave the cluster."""
    with suppress(Exception), handlers_kept():
        ray.shutdown()
