# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite of attacks: what it judges, whom it attacks, and one attack of each port from its start to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervm.benchmarks.attack import suite
from supervm.benchmarks.attack.attacker import main
from supervm.benchmarks.attack.attacks import ATTACKS, Port
from supervm.benchmarks.attack.suite import HEALTH_MS, QUEUE_BYTES, ROOM_BYTES, Outcome
from supervm.kernels.errors import ArgumentError

HELD = Outcome(
    "grpc-resets",
    "service, gRPC",
    4.0,
    20.0,
    99.0,
    600,
    0,
    {},
    QUEUE_BYTES,
    QUEUE_BYTES,
    3,
    0.5,
    0,
    {"connections": 2},
)


def test_every_attack_says_what_it_does() -> None:
    assert len({attack.run for attack in ATTACKS.values()}) >= 20
    assert {attack.port for attack in ATTACKS.values()} == set(Port)
    for name, attack in ATTACKS.items():
        assert name.startswith(attack.port.name.lower())
        assert attack.what.endswith((".", "."))


def test_what_holds() -> None:
    assert HELD.problems() == []


@pytest.mark.parametrize(
    ("felt", "words"),
    [
        ({"attacked_ms": 20.1}, "over 5x"),
        ({"attacked_ms": float("nan")}, "over 5x"),
        ({"health_ms": HEALTH_MS + 1}, "health"),
        ({"health_ms": float("nan")}, "health"),
        ({"wrong": 1}, "1 wrong answers"),
        ({"failed": {"UNAVAILABLE": 2}}, "2 × UNAVAILABLE"),
        ({"memory_bytes": QUEUE_BYTES + ROOM_BYTES + 1}, "more memory"),
        ({"stop_seconds": 5.1}, "stopped after"),
        ({"exit_code": 3}, "exit code 3"),
    ],
)
def test_what_does_not_hold(felt: dict[str, object], words: str) -> None:
    [problem] = replace(HELD, **felt).problems()  # type: ignore[arg-type]
    assert words in problem


@pytest.mark.parametrize("address", ["10.0.0.1:80", "93.184.216.34:443", "[2001:db8::1]:50051"])
def test_other_machines_are_not_attacked(address: str) -> None:
    with pytest.raises(ArgumentError, match="loopback"):
        main(["grpc-silent-calls", address, "1"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grpc-silent-calls", "http-half-heads", "node-silent-questions"])
def test_an_attack_from_its_start_to_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "QUIET_SECONDS", 1.0)
    outcome = suite.run(name, 1.0)
    assert (outcome.attack, outcome.port) == (name, ATTACKS[name].port.value)
    assert outcome.answered
    assert not outcome.wrong
    assert outcome.exit_code == 0
    assert outcome.counts["connections"] > 0
    assert outcome.to_json()["problems"] == outcome.problems()
