# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a question before it is answered, by whichever tier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import node_pb2 as pb

MOST_ACCOUNTS = 100_000
"""Accounts of one question."""


def addresses_of(request: pb.GetAccountsRequest) -> NDArray[np.uint8]:
    """The addresses that are asked for, uint8 (n, 20).

    Raises:
        ArgumentError: they are no rows of 20 bytes, or too many.
    """
    count, rest = divmod(len(request.addresses), 20)
    if rest or count > MOST_ACCOUNTS:
        expected = f"rows of 20 bytes, at most {MOST_ACCOUNTS:,}"
        raise ArgumentError("addresses", f"{len(request.addresses)} bytes", expected)
    return np.frombuffer(request.addresses, np.uint8).reshape(count, 20)
