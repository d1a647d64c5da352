# SPDX-License-Identifier: GPL-3.0-or-later
"""Witnesses of circom circuits, by circom's own WASM calculators in wasmtime: inputs in, the bytes of a `.wtns` file out.

A calculator is code of whoever compiled the circuit. It gets nothing but the inputs, and no more time and memory than
`Limits` allow; a module that imports anything beyond circom's runtime is refused. Whether a witness satisfies the
constraints is for the prover to check: here it is what the calculator says.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.crypto import circom_modules
from supervm.crypto.circom_instances import ELEMENT_BYTES, ELEMENT_WORDS, Instance
from supervm.crypto.errors import WitnessError
from supervm.crypto.params.poseidon import FIELDS
from supervm.kernels.array_types import Indices, Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads, run_slices

__all__ = ["Limits", "calculate", "calculate_many"]

Shapes = Mapping[str, tuple[int, ...]]

WTNS_VERSION = 2
_HEADER, _VALUES = 1, 2
"""Sections of a `.wtns` file."""

MOST_LEVELS = 64
"""Of lists in each other, as many as an array of NumPy has."""


@dataclass(frozen=True)
class Limits:
    """What a calculator may use.

    Args:
        seconds: for each witness, and for making an instance.
        memory_bytes: of an instance. A batch has one for each thread.
        module_bytes: of the WASM module, which is compiled before anything can be stopped.

    Raises:
        ArgumentError: one that is no number above 0.
    """

    seconds: float = 60.0
    memory_bytes: int = 1 << 30
    module_bytes: int = 1 << 26

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_bytes", "module_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 62:
                raise ArgumentError(name, repr(value), "a number above 0 and below 2^62")


def calculate(
    wasm: bytes, inputs: Mapping[str, Any], *, shapes: Shapes | None = None, limits: Limits | None = None
) -> bytes:
    """The witness to inputs.

    Args:
        wasm: circom's calculator, `NAME_js/NAME.wasm`.
        inputs: of each input signal by name an integer of 0 … r − 1, the same in decimal digits, or nested lists of them.
        shapes: the circuit's inputs with their shapes, where they are known: an error then names what is missing.
        limits: what the calculator may use; `Limits()` unless said otherwise.

    Returns:
        The bytes of a `.wtns` file.

    Raises:
        ArgumentError: an input that the circuit does not have, that is missing, of another size, or not in 0 … r − 1.
        Unsatisfied: the inputs break an assertion or a constraint.
        CalculatorRefused, LimitReached, CalculatorFailed: as `supervm.crypto.errors` says.
    """
    return _calculated(wasm, [inputs], shapes, limits, alone=True)[0]


def calculate_many(
    wasm: bytes,
    inputs: Sequence[Mapping[str, Any]],
    *,
    shapes: Shapes | None = None,
    limits: Limits | None = None,
) -> list[bytes]:
    """The witnesses to many inputs of one circuit, on as many threads as `supervm.kernels.set_threads` says.

    Args:
        wasm, shapes, limits: as for `calculate`.
        inputs: a mapping as `calculate` takes it for each witness.

    Returns:
        The bytes of a `.wtns` file for each.

    Raises: as `calculate`, for the first inputs that fail on their thread; `row` says which these are.
    """
    return _calculated(wasm, inputs, shapes, limits, alone=False)


def _calculated(
    wasm: Any, inputs: Sequence[Any], shapes: Shapes | None, limits: Limits | None, *, alone: bool
) -> list[bytes]:
    """Witnesses of a batch, or of a single call, whose errors name no row."""
    allowed = _checked(wasm, limits or Limits())
    calculator = circom_modules.compiled(bytes(wasm))
    found: list[bytes] = [b""] * len(inputs)

    def work(start: int, stop: int) -> None:
        instance = Instance(calculator, allowed.seconds, int(allowed.memory_bytes))
        try:
            for row in range(start, stop):
                try:
                    keys, values = _prepared(
                        instance, inputs[row], shapes, "inputs" if alone else f"inputs[{row}]"
                    )
                    found[row] = _wtns(instance.curve, instance.witness(keys, values))
                except WitnessError as error:
                    error.row = None if alone else row
                    raise
        finally:
            instance.close()

    with circom_modules.CLOCK.running():
        run_slices(work, len(inputs), max(1, -(-len(inputs) // get_threads())))
    return found


def _checked(wasm: Any, limits: Any) -> Limits:
    if not isinstance(wasm, bytes | bytearray | memoryview):
        raise ArgumentError("wasm", type(wasm).__name__, "the bytes of a WASM module")
    if not isinstance(limits, Limits):
        raise ArgumentError("limits", type(limits).__name__, "Limits")
    if len(wasm) > limits.module_bytes:
        raise ArgumentError("wasm", f"{len(wasm):,} bytes", f"{limits.module_bytes:,} at most, as limits say")
    return limits


def _prepared(
    instance: Instance, inputs: Mapping[str, Any], shapes: Shapes | None, argument: str
) -> tuple[Indices, Words]:
    """Keys and values as `Instance.witness` takes them."""
    if not isinstance(inputs, Mapping):
        raise ArgumentError(argument, type(inputs).__name__, "a mapping of input signals by name")
    if shapes is not None and (missing := [name for name in shapes if name not in inputs]):
        raise ArgumentError(argument, f"nothing for {', '.join(missing)}", "a value for every input signal")
    order = FIELDS[instance.curve].modulus
    keys: list[tuple[int, int, int]] = []
    data = bytearray()
    for name, value in inputs.items():
        where = f"{argument}[{name!r}]"
        high, low = divmod(_fnv1a(str(name)), 1 << 32)
        expected = instance.size_of(name, (high, low))
        if expected <= 0:
            raise ArgumentError(where, "a value", "none, since the circuit has no such input")
        shape, elements = _flat(value, where)
        if len(elements) != expected or (shapes is not None and shape != shapes.get(name)):
            wanted = f"of shape {shapes.get(name)}" if shapes is not None else f"{expected} in all"
            raise ArgumentError(where, f"{len(elements)} elements of shape {shape}", f"elements, {wanted}")
        for place, element in enumerate(elements):
            data += _element(element, order, where, place)
            keys.append((high, low, place))
    if len(keys) != instance.inputs:
        expected_all = f"{instance.inputs}, for all input signals"
        raise ArgumentError(argument, f"{len(keys)} elements for {', '.join(map(str, inputs))}", expected_all)
    return np.array(keys, np.int64).reshape(-1, 3), np.frombuffer(data, np.uint64).reshape(-1, ELEMENT_WORDS)


def _flat(value: Any, where: str, level: int = 0) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists, and what they hold, in order."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return (), [value]
    if level == MOST_LEVELS:
        raise ArgumentError(
            where, f"more than {MOST_LEVELS} lists in each other", "nested lists of one shape"
        )
    parts = [_flat(part, where, level + 1) for part in value]
    inner = parts[0][0] if parts else ()
    if any(shape != inner for shape, _ in parts):
        raise ArgumentError(where, "lists of different lengths", "nested lists of one shape")
    return (len(parts), *inner), [element for _, elements in parts for element in elements]


def _element(element: Any, order: int, where: str, place: int) -> bytes:
    """An element in 32 bytes, little-endian."""
    value = -1
    if isinstance(element, str):
        value = int(element) if element.isascii() and element.isdigit() and len(element) < 100 else -1
    elif not isinstance(element, bool | float):
        try:
            value = operator.index(element)
        except TypeError:
            value = -1
    if not 0 <= value < order:
        if isinstance(element, int) and value.bit_length() > 1_000:
            element = hex(element)  # Python refuses thousands of decimal digits
        raise ArgumentError(where, f"{str(element)[:100]!r} at {place}", f"an integer of 0 … {order - 1}")
    return value.to_bytes(ELEMENT_BYTES, "little")


def _fnv1a(name: str) -> int:
    """The 64-bit FNV-1a hash, by which circom finds a signal (isthe.com/chongo/tech/comp/fnv)."""
    found = 0xCBF29CE484222325
    for byte in name.encode("utf-8", "surrogatepass"):
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return found


def _wtns(curve: str, witness: Words) -> bytes:
    """The file: two sections, the field with the number of elements, and the elements."""
    prime = FIELDS[curve].modulus.to_bytes(ELEMENT_BYTES, "little")
    field = struct.pack("<I", ELEMENT_BYTES) + prime + struct.pack("<I", len(witness))
    start = b"wtns" + struct.pack("<II", WTNS_VERSION, 2)
    header = struct.pack("<IQ", _HEADER, len(field)) + field
    return start + header + struct.pack("<IQ", _VALUES, witness.nbytes) + witness.tobytes()
