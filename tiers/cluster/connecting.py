# SPDX-License-Identifier: GPL-3.0-or-later
"""This process's connection to a cluster: quiet, and with an error that says what is wrong with an address."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress

# Ray reads these when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray._raylet import GcsClient

from supervm.tiers.cluster.errors import NoCluster
from supervm.tiers.cluster.nodes import NAMESPACE

PATIENCE = 5.0
"""Seconds that an address may take to answer."""


def connect(address: str) -> None:
    """Connect this process, unless it is connected there already.

    Raises:
        NoCluster: nothing answers, something else does, or this machine is no node of that cluster.
    """
    host, port = parse(address)
    if ray.is_initialized():
        if ray.get_runtime_context().gcs_address != f"{host}:{port}":
            raise NoCluster(address, f"this process is connected to {ray.get_runtime_context().gcs_address}")
        return
    reach(address)
    try:
        ray.init(
            address=f"{host}:{port}",
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError, Exception) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NoCluster(
            address, f"{said}; this machine has to be one of its nodes: `supervm cluster join {address}`"
        ) from None


def reach(address: str) -> None:
    """See that a cluster answers.

    Raises:
        NoCluster: none does.
    """
    host, port = parse(address)
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as error:
        raise NoCluster(
            address,
            f"nothing answers ({error.strerror or error}); `supervm cluster start` begins a cluster there",
        ) from None
    try:
        GcsClient(address=f"{host}:{port}").check_alive([], timeout=PATIENCE)
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NoCluster(address, f"what answers there is no Ray cluster of this version ({said})") from None


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
    with suppress(Exception):
        ray.shutdown()
