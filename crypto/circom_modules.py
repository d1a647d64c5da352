# SPDX-License-Identifier: GPL-3.0-or-later
"""circom's WASM calculators, compiled: what a module must be, the engine that runs it, and the engine's clock.

Nothing but circom's runtime may be imported, and no proposal beyond WebAssembly 1.0 is on that circom does not need.
wasmtime is imported inside functions: the rest of this room works without it.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from supervm.crypto.errors import CalculatorRefused

if TYPE_CHECKING:
    import wasmtime

RUNTIME = "runtime"
IMPORTS = {"exceptionHandler": 1, "printErrorMessage": 0, "writeBufferMessage": 0, "showSharedRWMemory": 0}
"""What a calculator may import from `RUNTIME`: functions of so many i32, without a result."""

EXPORTS = {
    "getVersion": (0, 1),
    "getFieldNumLen32": (0, 1),
    "getRawPrime": (0, 0),
    "getSharedRWMemoryStart": (0, 1),
    "readSharedRWMemory": (1, 1),
    "writeSharedRWMemory": (2, 0),
    "getMessageChar": (0, 1),
    "init": (1, 0),
    "getInputSize": (0, 1),
    "getInputSignalSize": (2, 1),
    "setInputSignal": (3, 0),
    "getWitnessSize": (0, 1),
    "getWitness": (1, 0),
}
"""What it must export beside its `memory`: functions of so many i32, with so many i32 as results."""

MEMORY = "memory"
PAGE = 1 << 16

TICK = 0.02
"""Seconds between two ticks of the clock, which stops calculations: so much later than asked, or a little more."""

KEPT = 16
"""Compiled calculators that are kept."""

_OFF = (
    "wasm_bulk_memory",
    "wasm_component_model",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_multi_value",
    "wasm_reference_types",
    "wasm_relaxed_simd",
    "wasm_simd",
    "wasm_stack_switching",
    "wasm_tail_call",
    "wasm_threads",
    "wasm_wide_arithmetic",
    "gc_support",
)
_OFF_IN_C = (
    "wasm_component_model_async",
    "wasm_component_model_map",
    "wasm_component_model_async_stackful",
    "wasm_component_model_more_async_builtins",
    "concurrency_support",
)
"""Switches that wasmtime-py has no property for; asynchronous components would need reference types."""

_lock = threading.Lock()
_engines: list[Any] = []
_kept: OrderedDict[bytes, Calculator] = OrderedDict()


class Calculator:
    """A compiled calculator; any thread may use it.

    Args:
        wasm: the module.

    Attributes:
        memory_bytes: of its memory, from the start.
        sizes: of the inputs that were asked for, by name, the elements; 0 or less where the circuit has no such input.

    Raises:
        CalculatorRefused: it is no WebAssembly, imports anything but circom's runtime, or lacks an export.
    """

    def __init__(self, wasm: bytes) -> None:
        import wasmtime

        try:
            self.module = wasmtime.Module(engine(), wasm)
        except wasmtime.WasmtimeError as error:
            raise CalculatorRefused(" ".join(str(error).split())) from None
        for entry in self.module.imports:
            parameters = IMPORTS.get(entry.name or "") if entry.module == RUNTIME else None
            if parameters is None or not _is_function(entry.type, parameters, 0):
                raise CalculatorRefused(f"it imports {entry.module}.{entry.name}, which is not circom's")
        exports = {entry.name: entry.type for entry in self.module.exports}
        for name, (parameters, results) in EXPORTS.items():
            if not _is_function(exports.get(name), parameters, results):
                raise CalculatorRefused(f"it has no {name} as circom's have it")
        memory = exports.get(MEMORY)
        if not isinstance(memory, wasmtime.MemoryType):
            raise CalculatorRefused("it exports no memory")
        self.memory_bytes = memory.limits.min * PAGE
        self.sizes: dict[str, int] = {}


def compiled(wasm: bytes) -> Calculator:
    """The calculator of a module; the same bytes are compiled once.

    Raises:
        CalculatorRefused: as `Calculator`.
    """
    digest = hashlib.sha256(wasm).digest()
    with _lock:
        if digest in _kept:
            _kept.move_to_end(digest)
            return _kept[digest]
    made = Calculator(wasm)
    with _lock:
        _kept[digest] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made


def engine() -> wasmtime.Engine:
    """The engine that all calculators are compiled for."""
    with _lock:
        if not _engines:
            _engines.append(_made())
        found: wasmtime.Engine = _engines[0]
        return found


def _made() -> wasmtime.Engine:
    import wasmtime
    from wasmtime import _ffi

    config = wasmtime.Config()
    for name in _OFF:
        setattr(config, name, False)
    for name in _OFF_IN_C:
        getattr(_ffi, f"wasmtime_config_{name}_set")(config.ptr(), False)
    config.strategy = "cranelift"
    config.cranelift_opt_level = "speed"
    config.parallel_compilation = False
    config.epoch_interruption = True
    return wasmtime.Engine(config)


def _is_function(kind: Any, parameters: int, results: int) -> bool:
    """Whether an import or export is a function of so many i32 with so many i32 as results."""
    import wasmtime

    if not isinstance(kind, wasmtime.FuncType):
        return False
    expected = [wasmtime.ValType.i32()] * parameters, [wasmtime.ValType.i32()] * results
    return (kind.params, kind.results) == expected


def ticks(seconds: float) -> int:
    """Ticks of the clock after which so much time is over."""
    return min(math.ceil(seconds / TICK) + 1, 1 << 40)


class _Clock:
    """Advances the engine's epoch while anybody calculates. Of two calls at once the first starts it, the last stops it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """With the clock running; without it nothing that calculates is ever stopped."""
        with self._lock:
            if not self._users:
                self._stop = threading.Event()
                name = "supervm-witness-clock"
                threading.Thread(target=_tick, args=(engine(), self._stop), name=name, daemon=True).start()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._stop.set()


def _tick(engine: wasmtime.Engine, stop: threading.Event) -> None:
    while not stop.wait(TICK):
        engine.increment_epoch()


CLOCK = _Clock()


def _forget() -> None:
    """Free what is compiled while Python can, and in a forked process, which has none of the threads."""
    global _lock, CLOCK
    _lock, CLOCK = threading.Lock(), _Clock()
    _kept.clear()
    _engines.clear()


atexit.register(_forget)
os.register_at_fork(after_in_child=_forget)
