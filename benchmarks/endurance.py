# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm bench service --soak SECONDS` and `--overload SECONDS`: what these find, told."""

from __future__ import annotations

from supervm.benchmarks.service.endurance import Memory, Overload, Soak, overload, soak
from supervm.tiers import console
from supervm.tiers.environment import environment
from supervm.tiers.hardware import detect


def endure(
    soak_seconds: float | None, overload_seconds: float | None, threads: int | None, as_json: bool
) -> None:
    """Run what is asked for, and print it.

    Raises:
        ServiceWrong, ServerFailed: see `supervm.benchmarks.service.endurance`.
    """
    found: dict[str, Soak | Overload] = {}
    with console.progress_line() as line:
        if soak_seconds is not None:
            line.update(f"soak, {soak_seconds:g} seconds")
            found["soak"] = soak(soak_seconds, threads=threads or 1)
        if overload_seconds is not None:
            line.update(f"overload, {overload_seconds:g} seconds")
            found["overload"] = overload(overload_seconds, threads=threads or 1)
    if as_json:
        told = {name: result.to_json() for name, result in found.items()}
        console.print_json({"environment": environment(detect()), **told})
        return
    for result in found.values():
        console.print_pairs(_soak(result) if isinstance(result, Soak) else _overload(result))


def _soak(result: Soak) -> list[tuple[str, str]]:
    answers = [
        (f"answers by {name}", f"{count:,}, 99 of 100 within {result.p99_ms[name]:.1f} ms")
        for name, count in result.answers.items()
    ]
    return [("soak", f"{result.seconds:g} s, every verdict right"), *answers, _memory(result.memory)]


def _overload(result: Overload) -> list[tuple[str, str]]:
    median, p99, worst = result.refusal_ms
    return [
        ("overload", f"{result.seconds:g} s, {result.sent:,} requests of 4,096 signatures"),
        ("capacity", f"{result.capacity:,.1f} requests/s"),
        ("answered", f"{result.answered:,}, every verdict right"),
        ("refused", f"{result.refused:,}, within {median:.1f} ms, {p99:.1f} (99 of 100), {worst:.1f} (all)"),
        ("queue", f"{result.queue_bytes >> 20:,} MiB"),
        _memory(result.memory),
    ]


def _memory(memory: Memory) -> tuple[str, str]:
    grown = (memory.most - memory.before) >> 20
    return "memory", f"{memory.before >> 20:,} MiB before, {memory.most >> 20:,} at most ({grown:+,} MiB)"
