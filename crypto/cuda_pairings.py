# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairings as programs for a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cuda.constants import pairings
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.batch import Constants, ItemProgram, Launch, run
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.errors import ArgumentError
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.registry import register

SPECS: dict[str, PairingSpec] = {spec.name: spec for spec in (bn254.PAIRING, bls12_381.PAIRING)}
PROGRAMS = {f"{name}.pairing": Program("pairing", pairings.pairing(spec)) for name, spec in SPECS.items()}
"""What is compiled, by a name of its own."""

MOST_PAIRS = 32
"""Pairs of an item: a kernel has a bit for each."""


def _tables(spec: PairingSpec, *names: str) -> dict[str, Constants]:
    return {
        name: Constants(f"{spec.name}.pairing.{name}", lambda name=name: pairings.tables(spec)[name])  # type: ignore[misc]
        for name in ("program", "starts", "constants", *names)
    }


@functools.cache
def miller_loop(name: str, pairs: int) -> ItemProgram:
    """Items of so many pairs."""
    spec = SPECS[name]
    read = ("first", "first.width", "second", "program", "starts", "constants", "digits", "memory", "values")
    return ItemProgram(
        inputs=("first", "second"),
        outputs=("values",),
        scratch={"memory": 8 * spec.field.words * pairings.places(spec, pairs)},
        launches=(Launch(PROGRAMS[f"{name}.pairing"], "pairing_miller", read),),
        tables=_tables(spec, "digits"),  # type: ignore[arg-type]
    )


@functools.cache
def final_exponentiation(name: str) -> ItemProgram:
    """Items of any number of values."""
    spec = SPECS[name]
    read = ("values", "values.width", "program", "starts", "constants", "schedule", "memory", "powers")
    return ItemProgram(
        inputs=("values",),
        outputs=("powers",),
        scratch={"memory": 8 * spec.field.words * pairings.places(spec, 0)},
        launches=(Launch(PROGRAMS[f"{name}.pairing"], "pairing_power", read),),
        tables=_tables(spec, "schedule"),  # type: ignore[arg-type]
    )


def _miller_loop(name: str, first: Any, second: Any, against: Any, prepared: Any, values: Any) -> None:
    """A GPU computes the lines of prepared points itself."""
    if len(prepared):
        points = np.broadcast_to(prepared.points, (len(second), *prepared.points.shape))
        first, second = np.concatenate((first, against), 1), np.concatenate((second, points), 1)
    pairs = first.shape[1]
    if not 0 < pairs <= MOST_PAIRS:
        raise ArgumentError("first", f"{pairs} pairs an item", f"1 to {MOST_PAIRS}")
    run(miller_loop(name, pairs), devices.working_device(), first, second, values)


def _final_exponentiation(name: str, values: Any, powers: Any) -> None:
    run(final_exponentiation(name), devices.working_device(), values, powers)


def register_pairing(name: str) -> None:
    """List the GPU among the backends of a curve's pairing."""
    functions: dict[str, Callable[..., None]] = {
        "miller_loop": _miller_loop,
        "final_exponentiation": _final_exponentiation,
    }
    for operation, function in functions.items():
        called = functools.partial(function, name)
        register(f"{name}.pairing.{operation}", "cuda", called, devices.unavailable)
