# SPDX-License-Identifier: GPL-3.0-or-later
"""The Poseidon kernels for GPUs, run on the host twin: every element as the plain rounds have it."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import host_twin
import numpy as np
import pytest
from host_device import HostDevice

from supervm.crypto import cuda, poseidon, selftest
from supervm.crypto.oracle import poseidon as oracle
from supervm.crypto.params.poseidon import FIELDS, SPONGES, named
from supervm.kernels.cuda.constants import hashes as hash_constants
from supervm.kernels.cuda.runtime import batch, devices
from supervm.kernels.errors import ArgumentError
from supervm.kernels.poseidon_spec import PoseidonSpec, form_of
from supervm.kernels.spec import FieldSpec

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

OPERATIONS = [
    *(f"{curve}.{name}" for curve in FIELDS for name in ("poseidon.t3", "poseidon.t17", "poseidon2.t3")),
    "bn254.poseidon.t2",
    "bn254.poseidon2.t2",
    "bls12_381.poseidon2.t8",
]


def library(curve: str) -> Any:
    program = cuda.programs()[f"poseidon.{curve}"]
    return host_twin.build(program.source, program.constants)


def aligned(array: Any) -> Any:
    """A copy at an address that is a multiple of 64."""
    memory = np.zeros(array.nbytes + 64, np.uint8)
    skip = -memory.ctypes.data % 64
    copy = memory[skip : skip + array.nbytes].view(array.dtype)
    copy[:] = array
    return copy


def words(numbers: list[int]) -> Any:
    return np.frombuffer(b"".join(number.to_bytes(32, "little") for number in numbers), np.uint32).copy()


def integers(array: Any) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in array.reshape(-1, 8)]


def run(kernel: str, spec: PoseidonSpec, numbers: list[int], taken: int) -> list[int]:
    count = len(numbers) // taken
    out = np.zeros((count, spec.width if taken == spec.width else 1, 8), np.uint32)
    form = form_of(spec.width, spec.first is not None)
    shape = (spec.width, spec.full_rounds, spec.partial_rounds, form, spec.capacity)
    constants = aligned(hash_constants.round_constants(spec))
    built = library(spec.name.split(".", maxsplit=1)[0])
    host_twin.call(built, kernel, words(numbers), 32 * taken, constants, *shape, out, count)
    return integers(out)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_hashes_and_permutations(operation: str) -> None:
    spec = named(operation)
    p, t, chosen = spec.field.modulus, spec.width, random.Random(operation)
    edges = [0, 1, p - 1, p - 2, 1 << 128, (1 << 224) - 1]
    numbers = [*edges * t, *(chosen.randrange(p) for _ in range(2 * t)), *[p - 1] * t]
    states = [numbers[i : i + t] for i in range(0, len(numbers), t)]
    kernels = ("poseidon_any", "poseidon_3") if t == 3 else ("poseidon_any",)
    for kernel in kernels:
        assert run(kernel, spec, numbers, t) == [v for state in states for v in oracle.permute(spec, state)]
        inputs = [state[1:] for state in states]
        flat = [value for row in inputs for value in row]
        assert run(kernel, spec, flat, t - 1) == [oracle.compress(spec, row) for row in inputs]


def test_rounds_are_those_of_the_parameters() -> None:
    """What programs say before any constant is made."""
    for operation in OPERATIONS:
        spec = named(operation)
        arguments = cuda.PROGRAMS[operation].launches[0].arguments
        form = form_of(spec.width, spec.first is not None)
        expected = (spec.width, spec.full_rounds, spec.partial_rounds, form, spec.capacity)
        assert arguments[3:8] == expected


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    one = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((one,), ""))
    return one


@pytest.mark.parametrize("operation", SPONGES)
def test_known_answers_of_sponges(operation: str, device: HostDevice) -> None:
    outcome = selftest.known_answers(operation, "cuda")
    assert outcome.ok, outcome.detail


@pytest.mark.parametrize("width", [2, 3, 5, 17])
def test_sponges_in_pieces(width: int, device: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages around one and two blocks, the longest of which makes no room for others; offsets of later pieces."""
    monkeypatch.setattr(batch, "PIECE_ITEMS", 7)
    monkeypatch.setattr(batch, "PIECE_BYTES", 32 * 3 * width)
    spec = named(f"bls12_381.poseidon.t{width}")
    chosen = random.Random(width)
    lengths = [*range(2 * width + 1), 0, 5 * width]
    numbers = [chosen.randrange(spec.field.modulus) for _ in range(sum(lengths))]
    elements = words(numbers).view(np.uint64).reshape(-1, 4)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    found = poseidon.sponge_batch("bls12_381", (elements, offsets), width=width, backend="cuda")
    messages = [numbers[a:b] for a, b in pairwise(offsets.tolist())]
    assert integers(found.view(np.uint32)) == [
        oracle.sponge(spec, message, fixed=False) for message in messages
    ]
    expected = "sponge_3" if width == 3 else "sponge_any"
    assert set(device.launches) == {expected}
    assert len(device.launches) > len(lengths) // 7


@pytest.mark.parametrize("curve", FIELDS)
def test_rows_that_are_not_canonical(curve: str) -> None:
    p = FIELDS[curve].modulus
    values = [0, p - 1, p, 0, 1, p + (1 << 200), (1 << 256) - 1, 5, p - 1, p - (1 << 32), p, p + 1]
    verdicts = np.full(6, 9, np.int8)
    host_twin.call(library(curve), "canonical_rows", words(values), 64, verdicts, 6)
    assert verdicts.tolist() == [all(value < p for value in values[i : i + 2]) for i in range(0, 12, 2)]


def test_a_field_of_another_size_is_refused() -> None:
    with pytest.raises(ArgumentError, match="381 bits"):
        hash_constants.poseidon(FieldSpec("wide", 2**381 - 9))
