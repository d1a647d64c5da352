# SPDX-License-Identifier: GPL-3.0-or-later
"""BLS keys that come again: what is kept of them says what decoding says, however little room there is."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import numpy as np
import pytest
from pairing_requests import bls_request, bls_signed

from supervm.crypto import bls
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.tiers.service.core import VerificationService
from supervm.tiers.service.kept_keys import KeptKeys

BACKEND = "auto"


def outside(variant: str) -> bytes:
    """A point of the curve that is not in the group, in ZCash's compressed form."""
    oracle = GROUPS["bls12_381.g1" if variant == "min-pk" else "bls12_381.g2"]
    x, _ = oracle.curve_point(5)
    parts = [x] if isinstance(x, int) else [x[1], x[0]]
    data = bytearray(b"".join(part.to_bytes(48, "big") for part in parts))
    data[0] |= 0x80
    return bytes(data)


def keys_of(variant: str) -> np.ndarray[Any, Any]:
    """Twelve good keys, and four that are refused: infinity, no flag, x of p or more, outside the group."""
    good = [bls.public_key(number, variant=variant) for number in range(3, 15)]
    size = len(good[0])
    bad = [b"\xc0" + bytes(size - 1), bytes(size), b"\x9f" + b"\xff" * (size - 1), outside(variant)]
    return np.frombuffer(b"".join(good + bad), np.uint8).reshape(-1, size)


def same(found: bls.Keys, expected: bls.Keys) -> None:
    assert found.variant == expected.variant
    assert np.array_equal(found.encoded, expected.encoded)
    assert np.array_equal(found.points, expected.points)
    assert found.verdicts.tolist() == expected.verdicts.tolist()


@pytest.mark.parametrize("most", [1, 3, 12, 100])
@pytest.mark.parametrize("variant", ["min-pk", "min-sig"])
def test_keys_are_what_decoding_says(variant: str, most: int) -> None:
    """Any of them, in any order, twice in a call, in calls after each other."""
    every, kept, drawn = keys_of(variant), KeptKeys(variant, most), random.Random(most)
    decoded = bls.decode_keys(every, variant=variant)
    assert decoded.verdicts.tolist() == [1] * 12 + [-1] * 4
    for _ in range(30):
        rows = np.array([drawn.randrange(len(every)) for _ in range(drawn.randrange(0, 20))], np.int64)
        same(kept.decode(every[rows], BACKEND), decoded.take(rows))
        assert len(kept) <= most
    assert len(kept) == min(most, 12)


def test_only_what_is_new_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    every, kept, asked = keys_of("min-pk"), KeptKeys("min-pk", 8), []
    original = bls.decode_keys

    def decode(keys: Any, **options: Any) -> bls.Keys:
        asked.append(len(keys))
        return original(keys, **options)

    monkeypatch.setattr(bls, "decode_keys", decode)
    for rows in ([0, 1, 2], [2, 1, 0], [0, 3, 3], [4, 12, 13], [4, 12, 13]):
        kept.decode(every[rows], BACKEND)
    # Those that are refused are decoded each time; of the same one twice in a call, both.
    assert asked == [3, 2, 3, 2]
    assert len(kept) == 5
    kept.decode(every[5:12], BACKEND)
    assert len(kept) == 8
    asked.clear()
    kept.decode(every[[4, 11]], BACKEND)
    kept.decode(every[[0]], BACKEND)
    assert asked == [1]


def test_threads_get_their_own_keys() -> None:
    every, kept = keys_of("min-pk"), KeptKeys("min-pk", 5)
    decoded, wrong = bls.decode_keys(every), []

    def run(seed: int) -> None:
        drawn = random.Random(seed)
        for _ in range(40):
            rows = [drawn.randrange(len(every)) for _ in range(6)]
            found = kept.decode(every[rows], "scalar")
            if not np.array_equal(found.points, decoded.points[rows]) or (
                found.verdicts.tolist() != decoded.verdicts[rows].tolist()
            ):
                wrong.append(rows)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(kept) == 5


def test_verdicts_do_not_depend_on_what_came_before() -> None:
    """A key that was kept of a good signature is no excuse for a bad one; a refused key stays refused; committees too."""
    signed = bls_signed(4)
    spoilt = signed[0]._replace(message=signed[0].message + b"!")
    infinity = signed[1]._replace(key=b"\xc0" + bytes(47))
    requests = [
        bls_request(signed),
        bls_request([spoilt, *signed[1:]]),
        bls_request([infinity, signed[0], spoilt]),
        bls_request(signed[:1], key_offsets=np.array([0, 1], np.uint64).tobytes()),
        bls_request([spoilt], key_offsets=np.array([0, 1], np.uint64).tobytes()),
        bls_request([infinity], key_offsets=np.array([0, 1], np.uint64).tobytes()),
    ]

    async def verdicts(order: list[int], one_service: bool) -> dict[int, list[int]]:
        found, service = {}, VerificationService()
        for place in order:
            reply = await service.verify_bls(requests[place])
            found[place] = np.frombuffer(reply.verdicts, np.int8).tolist()
            if not one_service:
                service.close()
                service = VerificationService()
        service.close()
        return found

    alone = asyncio.run(verdicts(list(range(6)), one_service=False))
    for order in (range(6), range(5, -1, -1), [3, 0, 4, 2, 5, 1]):
        assert asyncio.run(verdicts(list(order), one_service=True)) == alone
    assert alone[0] == [each.verdict for each in signed]
    assert [alone[place] for place in (2, 3, 4, 5)] == [[-1, 1, 0], [1], [0], [-1]]
