# SPDX-License-Identifier: GPL-3.0-or-later
"""The status codes that the service answers with; numbers and names of google.rpc.Code, free of gRPC."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Why a request was not carried out."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16
