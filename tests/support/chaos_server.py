# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm serve` on two devices that fail in every way there is, one after another, for as long as it runs.

All work goes to a device first and everything is computed again, so that a wrong result costs time and nothing else. Run as
a program with the arguments of `supervm serve`.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable

from fault_device import FaultDevice, Faults, lend

from supervm.crypto import ed25519, secp256k1  # noqa: F401  (they list their operations)
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import DeviceError
from supervm.tiers import compose
from supervm.tiers.cli import main
from supervm.tiers.known_answers import known_answers

TURN = 0.3
"""Seconds of each fault."""

OPERATIONS = ("ed25519.verify", "secp256k1.ecdsa_verify", "secp256k1.schnorr_verify")

QUICK = {
    "calibrate": False,
    "remember": False,
    "first_deadline": 0.5,
    "deadline_floor": 0.5,
    "cooldown": 0.2,
    "smallest_piece": 2,
    "recheck": 1.0,
}

FAULTS: tuple[Callable[[], Faults], ...] = (
    Faults,
    lambda: Faults(wrong_items=3),
    lambda: Faults(launch=DeviceError("Fault Device", "launch failed (injected)")),
    lambda: Faults(memory_items=4),
    lambda: Faults(now_and_then=2),
    lambda: Faults(hang=threading.Event()),
    lambda: Faults(lost_in_the_middle=True),
)


def change_faults(both: tuple[FaultDevice, FaultDevice]) -> None:
    """Give one device after another the next fault; who hung comes back when its turn is over."""
    for device, make in zip(itertools.cycle(both), itertools.cycle(FAULTS), strict=False):
        before, device.faults, device.lost = device.faults, make(), False
        if before.hang is not None:
            before.hang.set()
        time.sleep(TURN)


def run() -> None:
    """Serve."""
    both = FaultDevice("Fault Device (0)", 0), FaultDevice("Fault Device (1)", 1)
    for operation in OPERATIONS:
        known_answers(operation, "scalar")  # compiles what the devices run
        lend(operation, 1)
    devices._search = lambda: (both, "")  # type: ignore[assignment]
    settings = compose.SchedulerSettings
    compose.SchedulerSettings = lambda **given: dataclasses.replace(settings(**given), **QUICK)  # type: ignore[assignment, misc]
    threading.Thread(target=change_faults, args=(both,), daemon=True).start()
    main()


if __name__ == "__main__":
    run()
