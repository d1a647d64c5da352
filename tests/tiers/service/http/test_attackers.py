# SPDX-License-Identifier: GPL-3.0-or-later
"""The attackers of the suite, small: they do what they say, end in time, and others are answered meanwhile."""

from __future__ import annotations

import json
import threading
import time

import pytest
from http_callers import ask, head
from patience import until

from supervm.benchmarks.attack import http_attackers
from supervm.benchmarks.attack.http_attackers import ATTACKERS
from supervm.tiers.service.core import Limits
from supervm.tiers.service.http_port import HttpLimits

HASH = json.dumps({"function": "sha256", "messages": ["00"]}).encode()
CALL = head("/v1/hash", len(HASH)) + HASH
SECONDS = 1.5
OTHER = "127.0.0.2"


@pytest.mark.parametrize("name", ATTACKERS)
def test_honest_callers_are_answered(served, monkeypatch, name):
    for counted in ("SILENT", "SMALL_STALLED"):
        monkeypatch.setattr(http_attackers, counted, 120)
    ports = HttpLimits(connections=128, each=64, idle=5.0)
    with served(ports=ports, limits=Limits(queue_bytes=1 << 26), service_queue_bytes=1 << 26) as one:
        address, found = one.address.removeprefix("http://"), {}

        def attack():
            begun = time.monotonic()
            found.update(ATTACKERS[name](address, SECONDS), seconds=time.monotonic() - begun)

        attacking = threading.Thread(target=attack)
        attacking.start()
        answered = 0
        while attacking.is_alive():
            assert ask(address, source=OTHER)[0] == 200
            assert ask(address, CALL, OTHER)[0] == 200
            until(
                lambda: ask(address, CALL)[0] == 200
            )  # it shares the attacker's places, and may have to come again
            answered += 1
        attacking.join()
        assert answered
        assert found["seconds"] >= SECONDS
        assert found["connections"] >= 16
        assert ("bytes" in found and found["bytes"] > 0) == (name != "silent")
        until(lambda: one.service.queue.arriving == one.service.queue.unread == 0)
        assert ask(address, CALL)[0] == 200
