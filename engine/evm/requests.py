# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests from a block to the consensus layer: deposits from logs, withdrawals and consolidations from system contracts.

Sources: EIP-7685 (requests, their types and their hash), EIP-6110 (deposits: the contract, the event and its layout),
EIP-7002, EIP-7251.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DEPOSIT_CONTRACT = bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")
"""Mainnet's deposit contract (EIP-6110, "Constants")."""

DEPOSIT_EVENT = bytes.fromhex("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")
"""First topic of its event (EIP-6110, "Constants")."""

DEPOSIT, WITHDRAWAL, CONSOLIDATION = range(3)
"""Types of requests (EIP-6110, EIP-7002, EIP-7251)."""

_WORD = 32
_FIELDS = ((160, 48), (256, 32), (320, 8), (384, 96), (512, 8))
"""Where the event's data have each field's length, and that length: key, credentials, amount, signature, index (EIP-6110,
`is_valid_deposit_event_data`)."""
_EVENT_BYTES = 576


def deposit_request(data: bytes) -> bytes | None:
    """The request of a deposit event with these data; None if their layout is not that of the contract."""
    if len(data) != _EVENT_BYTES:
        return None
    places = [int.from_bytes(data[_WORD * k : _WORD * (k + 1)]) for k in range(len(_FIELDS))]
    sizes = [int.from_bytes(data[place : place + _WORD]) for place, _ in _FIELDS]
    if list(zip(places, sizes, strict=True)) != list(_FIELDS):
        return None
    return b"".join(data[place + _WORD : place + _WORD + size] for place, size in _FIELDS)


def encoded_requests(deposits: Iterable[bytes], outputs: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """The requests of a block: type ‖ data, ascending by type, none where a type has no data.

    Args:
        deposits: of the block's logs, in their order.
        outputs: (type, output) of the system contracts, ascending.
    """
    joined = [(DEPOSIT, b"".join(deposits)), *outputs]
    return [bytes([kind]) + data for kind, data in joined if data]
