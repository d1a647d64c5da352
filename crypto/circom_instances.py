# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of circom's WASM calculators, and the loops that talk to them.

Elements go through a few words of an instance's memory, which begin where `getSharedRWMemoryStart` says: `setInputSignal`
takes one from there, and runs the circuit when it has the last; `getWitness` puts one there. Compiled code makes these calls
through wasmtime's C API. Python sees a witness as an array.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from supervm.crypto import circom_modules
from supervm.crypto.circom_modules import EXPORTS, IMPORTS, Calculator
from supervm.crypto.errors import CalculatorFailed, CalculatorRefused, LimitReached, Unsatisfied
from supervm.crypto.params.poseidon import FIELDS
from supervm.kernels.array_types import Words
from supervm.kernels.cpu.lanes.addresses import call_address, copy, load64, store32, store64

VERSION = 2
"""Of circom's interface; what differs between versions 2.x does not concern callers."""

ELEMENT_WORDS = 4
ELEMENT_BYTES = 8 * ELEMENT_WORDS

EXCEPTIONS = {
    1: "no such signal",
    2: "more values are set than there are",
    3: "a signal is set twice",
    4: "an assertion or constraint fails",
    5: "not enough memory",
    6: "an index is beyond a signal's size",
}
"""What circom's own JavaScript says to the codes that `exceptionHandler` gets."""

ASSERTION = 4
TABLE_ELEMENTS = 1 << 20
"""Of a calculator's one table, which has a function for each template."""

MOST_MESSAGES = 8
MOST_TEXT = 4_096
"""Characters that are kept of what a calculator says about an error."""

VALUE_BYTES = 16
"""Of an argument or result in the C API, `wasmtime_val_raw_t`."""


@njit(nogil=True, cache=True)
def _set_inputs(calls: Any, function: Any, shared: Any, keys: Any, values: Any) -> Any:
    """Hand values in; how many went in before a call failed, and the error, 0 for a trap.

    `calls`: addresses of the call, its context, arguments and trap, of the function for a memory's base, and of the memory.
    """
    call, context, arguments, trap, memory_data, memory = calls
    for row in range(len(values)):
        place = call_address(memory_data, context, memory) + shared
        for word in range(ELEMENT_WORDS):
            store64(place + 8 * word, np.int64(values[row, word]))
        for index in range(3):
            store32(arguments + VALUE_BYTES * index, np.int64(keys[row, index]))
        error = call_address(call, context, function, arguments, 3, trap)
        if error or load64(trap):
            return row, error
    return len(values), 0


@njit(nogil=True, cache=True)
def _read_witness(calls: Any, function: Any, shared: Any, out: Any, count: Any) -> Any:
    """Copy a witness to the address `out`; returns as `_set_inputs`."""
    call, context, arguments, trap, memory_data, memory = calls
    for index in range(count):
        store32(arguments, index)
        error = call_address(call, context, function, arguments, 1, trap)
        if error or load64(trap):
            return index, error
        place = call_address(memory_data, context, memory) + shared
        copy(out + ELEMENT_BYTES * index, place, ELEMENT_BYTES)
    return count, 0


class Instance:
    """A calculator's instance, for one thread at a time. After an error it is not used again.

    Args:
        calculator: whose.
        seconds: that instantiation and each witness may take.
        memory_bytes: that its memory may have.

    Attributes:
        curve: whose scalars the circuit is over.
        inputs: elements of all inputs.
        wires: elements of a witness.

    Raises:
        CalculatorRefused: another version or field.
        LimitReached: its memory is larger than allowed, or the time is over.
        CalculatorFailed: it traps.
    """

    def __init__(self, calculator: Calculator, seconds: float, memory_bytes: int) -> None:
        import wasmtime

        if calculator.memory_bytes > memory_bytes:
            raise LimitReached(f"{calculator.memory_bytes:,} bytes of memory, {memory_bytes:,} are allowed")
        self.calculator, self._ticks, self._seconds = calculator, circom_modules.ticks(seconds), seconds
        self._said: list[str] = []
        self._code = 0
        self._cause: BaseException | None = None
        self._store = wasmtime.Store(circom_modules.engine())
        self._store.set_limits(memory_bytes, TABLE_ELEMENTS, 1, 1, 1)
        self._restart_clock()
        linker = wasmtime.Linker(circom_modules.engine())
        self._callbacks = [self._define(linker, name, count) for name, count in IMPORTS.items()]
        with self._failures():
            exports = linker.instantiate(self._store, calculator.module).exports(self._store)
        linker.close()
        self._functions: dict[str, Any] = {name: exports[name] for name in EXPORTS}
        self._memory: Any = exports["memory"]
        self._raw = np.zeros(2 * 4 + 1, np.int64)
        """Three arguments of two words each, two words of room, and the trap."""
        self._calls = self._addresses()
        # Compiled now, if they never were: that is no time of a witness.
        _set_inputs(self._calls, 0, 0, np.zeros((0, 3), np.int64), np.zeros((0, ELEMENT_WORDS), np.uint64))
        _read_witness(self._calls, 0, 0, 0, 0)
        self.curve = self._checked_form()
        self.inputs, self.wires = self._call("getInputSize"), self._call("getWitnessSize")
        if self.wires < 1 or ELEMENT_BYTES * self.wires > memory_bytes:
            asked = f"a witness of {self.wires:,} elements, {ELEMENT_BYTES} bytes each"
            raise LimitReached(f"{asked}, {memory_bytes:,} bytes are allowed")

    def size_of(self, name: str, key: tuple[int, int]) -> int:
        """Elements of an input by its name and the halves of its hash, 0 or less if there is none."""
        sizes = self.calculator.sizes
        if name not in sizes:
            sizes[name] = self._call("getInputSignalSize", *(_signed(half) for half in key))
        return sizes[name]

    def witness(self, keys: Any, values: Words) -> Words:
        """The witness to all inputs.

        Args:
            keys: int64 (n, 3): of each value the halves of its name's hash, the higher first, and its place in the signal.
            values: uint64 (n, 4).

        Returns:
            uint64 (wires, 4).

        Raises:
            Unsatisfied: an assertion or constraint fails.
            LimitReached, CalculatorFailed: as for the class.
        """
        self._restart_clock()
        self._said.clear()
        self._call("init", 0)
        self._run(_set_inputs, "setInputSignal", keys, values)
        found = np.empty((self.wires, ELEMENT_WORDS), np.uint64)
        self._run(_read_witness, "getWitness", found.ctypes.data, self.wires)
        return found

    def close(self) -> None:
        """Free the instance."""
        self._store.close()

    # ------------------------------------------------------------------------------------------------- inside

    def _restart_clock(self) -> None:
        self._store.set_epoch_deadline(self._ticks)

    def _call(self, name: str, *arguments: int) -> int:
        with self._failures():
            returned = self._functions[name](self._store, *arguments)
        return 0 if returned is None else int(returned)

    def _run(self, loop: Any, name: str, *arguments: Any) -> None:
        """Run a compiled loop over a function."""
        function = ctypes.addressof(self._functions[name]._func)
        self._raw[-1] = 0
        with self._failures():
            _, error = loop(self._calls, function, self._shared, *arguments)
            self._raise(error)

    def _raise(self, error: int) -> None:
        """Take what a loop found, as wasmtime's own exception."""
        import wasmtime
        from wasmtime import _ffi as ffi

        if error:
            raise wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(ffi.wasmtime_error_t)))
        if self._raw[-1]:
            raise wasmtime.Trap._from_ptr(ctypes.cast(int(self._raw[-1]), ctypes.POINTER(ffi.wasm_trap_t)))

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """wasmtime's errors and traps as this project's."""
        import wasmtime

        try:
            yield
        except (wasmtime.WasmtimeError, wasmtime.Trap) as caught:
            error = self._cause or caught
            if not isinstance(error, Exception):
                raise error from None  # somebody interrupts the program
            text = " ".join(str(error).split())
            if isinstance(error, wasmtime.Trap) and error.trap_code == wasmtime.TrapCode.INTERRUPT:
                raise LimitReached(f"no end after {self._seconds:g} seconds") from None
            if self._code == ASSERTION:
                raise Unsatisfied(self._message()) from None
            if self._code:
                raise CalculatorFailed(f"{self._message()} (circom's exception {self._code})") from None
            raise CalculatorFailed(text.rpartition("Caused by: ")[2]) from None  # the rest is a backtrace

    def _message(self) -> str:
        said = "; ".join(text.strip() for text in self._said if text.strip())
        return said or EXCEPTIONS.get(self._code, "an unknown exception")

    def _addresses(self) -> tuple[int, ...]:
        """What compiled loops need of the C API and of this instance."""
        from wasmtime import _ffi as ffi

        context = ctypes.cast(self._store._context(), ctypes.c_void_p).value or 0
        raw = int(self._raw.ctypes.data)
        call, memory_data = (_c_address(ffi, name) for name in ("func_call_unchecked", "memory_data"))
        memory = ctypes.addressof(self._memory._memory)
        return call, context, raw, raw + 8 * (len(self._raw) - 1), memory_data, memory

    def _checked_form(self) -> str:
        """Check version, field and where elements go; the curve that the field is of."""
        version, length = self._call("getVersion"), self._call("getFieldNumLen32")
        if version != VERSION:
            raise CalculatorRefused(f"it is of version {version} of circom's interface, expected {VERSION}")
        if length != 2 * ELEMENT_WORDS:
            raise CalculatorRefused(f"its field has {32 * length} bits, expected {8 * ELEMENT_BYTES}")
        self._call("getRawPrime")
        prime = sum((self._call("readSharedRWMemory", i) & 0xFFFFFFFF) << 32 * i for i in range(length))
        curves = [curve for curve, field in FIELDS.items() if field.modulus == prime]
        if not curves:
            raise CalculatorRefused(
                f"its field has the prime {prime}, expected that of {' or '.join(FIELDS)}"
            )
        self._shared = self._call("getSharedRWMemoryStart") & 0xFFFFFFFF
        size = self._memory.data_len(self._store)
        if self._shared + ELEMENT_BYTES > size:
            raise CalculatorRefused(f"its shared memory begins at {self._shared}, beyond its {size} bytes")
        for index in range(length):
            self._call("writeSharedRWMemory", index, 0x01020304 * (index + 1))
        written = np.array([0x01020304 * (index + 1) for index in range(length)], np.uint32).tobytes()
        if self._memory.read(self._store, self._shared, self._shared + ELEMENT_BYTES) != written:
            raise CalculatorRefused("its shared memory is not where it says")
        return curves[0]

    def _define(self, linker: Any, name: str, parameters: int) -> Any:
        """Let the linker satisfy an import; what must live as long as the instance."""
        import wasmtime
        from wasmtime import _ffi as ffi

        def called(_: Any, caller: Any, arguments: Any, __: Any) -> int:
            try:
                if name == "exceptionHandler":
                    self._code = int(arguments[0].i32) or -1
                    return _new_trap(ffi, "circom's exception")
                if name == "printErrorMessage":  # the others are a circuit's log and a debugger's
                    self._said.append(self._text(wasmtime, ffi.wasmtime_caller_context(caller)))
                    del self._said[:-MOST_MESSAGES]
                return 0
            except BaseException as error:  # nothing may be raised into compiled code
                self._cause = error
                return _new_trap(ffi, name)

        callback = ffi.wasmtime_func_unchecked_callback_t(called)
        kind = wasmtime.FuncType([wasmtime.ValType.i32()] * parameters, [])
        module, function = circom_modules.RUNTIME.encode(), name.encode()
        problem = ffi.wasmtime_linker_define_func_unchecked(
            linker.ptr(),
            ctypes.create_string_buffer(module),
            len(module),
            ctypes.create_string_buffer(function),
            len(function),
            kind.ptr(),
            callback,
            None,
            ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        )
        if problem:
            raise CalculatorFailed(str(wasmtime.WasmtimeError._from_ptr(problem)))
        return callback

    def _text(self, wasmtime: Any, context: Any) -> str:
        """The message that the calculator has ready, of which it gives a character a call, and 0 at the end."""
        there = wasmtime._store.StoreContext(context)
        found: list[str] = []
        while len(found) < MOST_TEXT:
            code = int(self._functions["getMessageChar"](there)) & 0xFF
            if not code:
                break
            found.append(chr(code))
        return "".join(found)


def _signed(half: int) -> int:
    """32 bits as wasmtime-py takes an i32."""
    return half - (1 << 32) if half >> 31 else half


def _c_address(ffi: Any, name: str) -> int:
    """Where a function of wasmtime's C API lies."""
    return int(ctypes.cast(getattr(ffi.dll, f"wasmtime_{name}"), ctypes.c_void_p).value or 0)


def _new_trap(ffi: Any, text: str) -> int:
    """A trap, for a host function to return."""
    message = text.encode()[:MOST_TEXT]
    trap = ffi.wasmtime_trap_new(ctypes.create_string_buffer(message), len(message))
    return int(ctypes.cast(trap, ctypes.c_void_p).value or 0)
