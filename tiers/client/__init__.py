# SPDX-License-Identifier: GPL-3.0-or-later
"""A typed client of the verification service, synchronous and asyncio: docs/client.md."""

from supervm.tiers.client.aio_client import AsyncClient
from supervm.tiers.client.aio_stream import AsyncVerifyStream
from supervm.tiers.client.calls import Conflicts
from supervm.tiers.client.client import Client
from supervm.tiers.client.connection import Tls
from supervm.tiers.client.errors import ClientError, DeadlineExceeded, ServiceRefused, ServiceUnavailable
from supervm.tiers.client.retry import Retry
from supervm.tiers.client.stream import VerifyStream

__all__ = [
    "AsyncClient",
    "AsyncVerifyStream",
    "Client",
    "ClientError",
    "Conflicts",
    "DeadlineExceeded",
    "Retry",
    "ServiceRefused",
    "ServiceUnavailable",
    "Tls",
    "VerifyStream",
]
