# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict DER of ECDSA signatures (BIP-66, without the trailing hash-type byte), in batches.

The rules are spelled out in `supervm.crypto.oracle.der`; this module and that one agree item by item.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from supervm.crypto.messages import Messages, MessagesLike
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import borrow


def signatures_from_der(encodings: Sequence[bytes] | MessagesLike) -> tuple[Bytes, Verdicts]:
    """Parse n DER signatures into r‖s.

    Args:
        encodings: n byte strings, in any form that `Messages.of` takes.

    Returns:
        (uint8 (n, 64) signatures, int8 (n,) verdicts): 1 parsed, −1 not strict DER, with a zero row. Whether r and s lie in
        1 … n − 1 is left to the verification.

    Raises:
        ArgumentError: no messages.

    >>> rows, verdicts = signatures_from_der([bytes.fromhex("3006020101020102"), b"no DER"])
    >>> verdicts.tolist(), int(rows[0, 31]), int(rows[0, 63])
    ([1, -1], 1, 2)
    """
    batch = Messages.of(encodings, "encodings")
    signatures, verdicts = np.zeros((len(batch), 64), np.uint8), np.empty(len(batch), np.int8)
    _parse_all(borrow(batch.data), borrow(batch.offsets), signatures, verdicts)
    return signatures, verdicts


@njit(nogil=True, cache=True)
def _parse_all(data, offsets, signatures, verdicts):  # type: ignore[no-untyped-def]
    for item in range(verdicts.size):
        start, stop = offsets[item], offsets[item + 1]
        size = stop - start
        verdicts[item] = -1
        if size < 8 or size > 72 or data[start] != 0x30 or data[start + 1] != size - 2:
            continue
        r_at, r_size = start + 4, np.int64(data[start + 3])
        if data[start + 2] != 2 or r_size + 6 > size - 1:
            continue
        s_at, s_size = r_at + r_size + 2, np.int64(data[r_at + r_size + 1])
        if data[r_at + r_size] != 2 or r_size + s_size + 6 != size:
            continue
        if _integer(data, r_at, r_size) and _integer(data, s_at, s_size):
            _copy(data, r_at, r_size, signatures[item, :32])
            _copy(data, s_at, s_size, signatures[item, 32:])
            verdicts[item] = 1


@njit(nogil=True, cache=True)
def _integer(data, at, size):  # type: ignore[no-untyped-def]
    """Whether the content octets are a minimal non-negative integer below 2^256."""
    if size < 1 or data[at] >= 0x80:
        return False
    if size > 1 and data[at] == 0 and data[at + 1] < 0x80:
        return False
    return size <= 32 or (size == 33 and data[at] == 0)


@njit(nogil=True, cache=True)
def _copy(data, at, size, row):  # type: ignore[no-untyped-def]
    """The integer's last 32 bytes, right-aligned."""
    for position in range(min(size, 32)):
        row[31 - position] = data[at + size - 1 - position]
