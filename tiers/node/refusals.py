# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a node that packs blocks keeps no place for a transaction which the rules allow: numbers beside those of `Reason`."""

from __future__ import annotations

from enum import IntEnum

from supervm.vm.outcomes import Reason


class Refusal(IntEnum):
    """The node's own reasons, from 128: no receipt ever has them."""

    PRICE_TOO_LOW = 128
    """The gas price is below `node.pack.price`."""
    ABOVE_BLOCK = 129
    """Its gas limit is above `node.pack.gas`, or its bytes are above `node.pack.bytes`."""
    NONCE_TOO_FAR = 130
    """The nonce is ahead of the account's by `node.inbox.sender.gap` or more."""
    SENDER_FULL = 131
    """The sender has as many transactions or bytes waiting as it may (`node.inbox.sender`)."""
    NONCE_TAKEN = 132
    """Another transaction of the sender waits with this nonce, and this one's gas price is not a tenth above its."""
    INBOX_FULL = 133
    """As much waits as the node keeps (`node.inbox`), for higher prices or longer."""


LATER = frozenset({Refusal.NONCE_TOO_FAR, Refusal.SENDER_FULL, Refusal.INBOX_FULL})
"""Those that a later try may not meet, with the same transaction."""


def reason_name(number: int) -> str:
    """The name of a reason of the rules or of a node; of a number that this version does not know, the number."""
    for kind in (Reason, Refusal):
        if number in kind._value2member_map_:
            return kind(number).name
    return f"reason {number}"
