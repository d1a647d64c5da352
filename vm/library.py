# SPDX-License-Identifier: GPL-3.0-or-later
"""wasmtime's C API by address, for compiled code, and the few calls of it that its Python package has no name for."""

from __future__ import annotations

import ctypes
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

from supervm.vm import context
from supervm.vm.errors import RuntimeProblem
from supervm.vm.interface import HostFunction
from supervm.vm.module import I64

C_FUNCTIONS = {
    context.CALL_UNCHECKED: "wasmtime_func_call_unchecked",
    context.SET_FUEL: "wasmtime_context_set_fuel",
    context.GET_FUEL: "wasmtime_context_get_fuel",
    context.TRAP_NEW: "wasmtime_trap_new",
    context.TRAP_CODE: "wasmtime_trap_code",
    context.TRAP_DELETE: "wasm_trap_delete",
    context.ERROR_DELETE: "wasmtime_error_delete",
    context.MEMORY_DATA: "wasmtime_memory_data",
    context.MEMORY_SIZE: "wasmtime_memory_data_size",
    context.GLOBAL_GET: "wasmtime_global_get",
    context.GLOBAL_SET: "wasmtime_global_set",
    context.STORE_NEW: "wasmtime_store_new",
    context.STORE_CONTEXT: "wasmtime_store_context",
    context.STORE_DELETE: "wasmtime_store_delete",
    context.INSTANTIATE: "wasmtime_instance_pre_instantiate",
    context.EXPORT_GET: "wasmtime_instance_export_get",
    context.STORE_LIMITER: "wasmtime_store_limiter",
}
"""Word of a worker → name of the function whose address stands there."""


def c_address(name: str) -> int:
    """Where a function of the C API lies."""
    return int(ctypes.cast(getattr(ffi.dll, name), ctypes.c_void_p).value or 0)


def pointer_value(pointer: Any) -> int:
    """The address that a ctypes pointer holds."""
    return int(ctypes.cast(pointer, ctypes.c_void_p).value or 0)


def host_type(function: HostFunction) -> wasmtime.FuncType:
    """The type of a host function for the linker."""
    result = wasmtime.ValType.i64() if function.result == I64 else wasmtime.ValType.i32()
    return wasmtime.FuncType([wasmtime.ValType.i32()] * len(function.parameters), [result])


def define_host_function(linker: wasmtime.Linker, function: HostFunction, code: int, worker: int) -> None:
    """Let a linker satisfy an import with the C function at `code`, which gets the worker's address.

    Raises:
        RuntimeProblem: wasmtime refuses.
    """
    module, name = function.module.encode(), function.name.encode()
    kind = host_type(function)
    error = ffi.wasmtime_linker_define_func_unchecked(
        linker.ptr(),
        ctypes.create_string_buffer(module),
        len(module),
        ctypes.create_string_buffer(name),
        len(name),
        kind.ptr(),
        ctypes.cast(code, ffi.wasmtime_func_unchecked_callback_t),
        ctypes.c_void_p(worker),
        ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    )
    if error:
        raise RuntimeProblem(
            f"host function {function.module}.{function.name}", str(wasmtime.WasmtimeError._from_ptr(error))
        )
