# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m supervm.benchmarks.attack`: attacks on a service and a node that it starts itself, over loopback.

Exit code 1 if an attack is felt more than it may be.
"""

from __future__ import annotations

import argparse
import json
import sys

from supervm.benchmarks.attack.attacks import ATTACKS
from supervm.benchmarks.attack.suite import ATTACK_SECONDS, Outcome, run
from supervm.tiers import console
from supervm.tiers.environment import environment
from supervm.tiers.hardware import detect
from supervm.tiers.tables import print_table


def main(arguments: list[str] | None = None) -> None:
    """Attack, and print what was felt of it."""
    parser = argparse.ArgumentParser(prog="supervm.benchmarks.attack", description=__doc__.partition(": ")[2])
    parser.add_argument("attack", nargs="*", choices=[*ATTACKS, []], help="by default all of them")
    parser.add_argument("--seconds", type=float, default=ATTACK_SECONDS, help="of each attack")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    given = parser.parse_args(arguments)
    outcomes = []
    for name in given.attack or ATTACKS:
        print(f"{name}: {ATTACKS[name].what}", file=sys.stderr, flush=True)
        outcomes.append(run(name, given.seconds))
    if given.json:
        print(
            json.dumps(
                {"attacks": [each.to_json() for each in outcomes], "environment": environment(detect())}
            )
        )
    else:
        _print(outcomes)
    sys.exit(any(each.problems() for each in outcomes))


def _print(outcomes: list[Outcome]) -> None:
    columns = ("attack", "#p99 before", "#p99", "#health p99", "#memory", "#refused", "#stop", "holds")
    rows = [
        (
            each.attack,
            f"{each.quiet_ms:.1f} ms",
            f"{each.attacked_ms:.1f} ms",
            f"{each.health_ms:.1f} ms",
            f"+{each.memory_bytes >> 20} MiB",
            f"{each.refusals:,}",
            f"{each.stop_seconds:.1f} s",
            "no" if each.problems() else "yes",
        )
        for each in outcomes
    ]
    print_table(columns, rows)
    out = console.answers()
    for each in outcomes:
        did = ", ".join(f"{name} {count}" for name, count in each.counts.items())
        out.print(f"{each.attack}: {did}")
        for problem in each.problems():
            out.print(f"  does not hold: {problem}")


if __name__ == "__main__":
    main()
