# SPDX-License-Identifier: GPL-3.0-or-later
"""How wasmtime is set up: which proposals it accepts, what makes it deterministic, how much native stack it may use; and
what becomes of its objects that are open when the interpreter ends.

Everything that a contract could see of the machine is switched off here. wasmtime's own validator then refuses each
proposal outside `ALLOWED_PROPOSALS`, except constant expressions with arithmetic, which it cannot be told to refuse:
`supervm.vm.binary` does.
"""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import Any, TypeVar

import wasmtime
from wasmtime import _ffi

from supervm.vm.limits import MEMORY_BYTES, TABLE_ELEMENTS

ALLOWED_PROPOSALS = (
    "mutable globals",
    "sign extension",
    "non-trapping conversions",
    "multi-value",
    "bulk memory",
    "custom page sizes",
)
"""What the rules allow beyond WebAssembly 1.0. The first three are always on in wasmtime and have no switch."""

MAX_WASM_STACK = 6 << 20
"""Bytes of native stack that wasm code may use. A thread that runs contracts has at least `THREAD_STACK` bytes."""

THREAD_STACK = 8 << 20
"""Bytes of stack of a thread that runs contracts: `MAX_WASM_STACK`, and room for what calls it and what it calls."""

POOL_INSTANCES = 1_024
"""Instances that live at once unless said otherwise: 16 GiB of address space, of which none is used ahead."""

_OFF = (
    "wasm_reference_types",
    "wasm_function_references",
    "wasm_gc",
    "wasm_simd",
    "wasm_relaxed_simd",
    "wasm_threads",
    "wasm_tail_call",
    "wasm_multi_memory",
    "wasm_memory64",
    "wasm_exceptions",
    "wasm_wide_arithmetic",
    "wasm_stack_switching",
    "wasm_component_model",
    "shared_memory",
    "gc_support",
    "debug_info",
)
_OFF_IN_C = (
    "wasm_branch_hinting",
    "wasm_compact_imports",
    "wasm_component_model_async",
    "wasm_component_model_map",
    "wasm_component_model_async_stackful",
    "wasm_component_model_more_async_builtins",
    "wasm_component_model_accessors",
    "wasm_component_model_canonical_names",
    "concurrency_support",
)
"""Switches of the C API that wasmtime-py has no property for; asynchronous components would need reference types."""


def make_config(instances: int = POOL_INSTANCES) -> wasmtime.Config:
    """The one configuration that contracts are validated, compiled and run with.

    Fuel is consumed, NaNs are canonical, Cranelift optimises for speed on the calling thread alone. Instances come
    from a pool: on one Zen 4 core a store and an instance with 4 KiB of memory take 10 µs from it, 42 µs without.

    Args:
        instances: how many instances may live at once in all stores of the engine. Each reserves 16 MiB of address
            space; instantiating one more fails.
    """
    config = wasmtime.Config()
    for name in _OFF:
        setattr(config, name, False)
    for name in _OFF_IN_C:
        getattr(_ffi, f"wasmtime_config_{name}_set")(config.ptr(), False)
    config.wasm_multi_value = True
    config.wasm_bulk_memory = True
    config.wasm_custom_page_sizes = True
    config.consume_fuel = True
    config.strategy = "cranelift"
    config.cranelift_opt_level = "speed"
    config.parallel_compilation = False
    # No stack is ever made for asynchronous calls, but wasmtime wants this one to be the larger.
    _ffi.wasmtime_config_async_stack_size_set(config.ptr(), THREAD_STACK)
    config.max_wasm_stack = MAX_WASM_STACK
    _ffi.wasmtime_config_cranelift_nan_canonicalization_set(config.ptr(), True)
    _ffi.wasmtime_config_wasm_relaxed_simd_deterministic_set(config.ptr(), True)
    _use_pool(config, instances)
    return config


def _use_pool(config: wasmtime.Config, instances: int) -> None:
    """Let instances come from a pool of this many slots, each as large as the rules allow and no larger."""
    pointer = config.ptr()
    _ffi.wasmtime_config_memory_reservation_set(pointer, MEMORY_BYTES)
    _ffi.wasmtime_config_memory_guard_size_set(pointer, 1 << 16)
    settings = {
        "total_core_instances": instances,
        "total_memories": instances,
        "total_tables": instances,
        "max_core_instance_size": 4 << 20,
        "max_memories_per_module": 1,
        "max_tables_per_module": 1,
        "max_memory_size": MEMORY_BYTES,
        "table_elements": TABLE_ELEMENTS,
        # What an instance used of its memory and table up to here is zeroed in place, not given back to the system.
        "linear_memory_keep_resident": 1 << 16,
        "table_keep_resident": 1 << 14,
    }
    pool = _ffi.wasmtime_pooling_allocation_config_new()
    try:
        for name, value in settings.items():
            getattr(_ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
        _ffi.wasmtime_pooling_allocation_strategy_set(pointer, pool)
    finally:
        _ffi.wasmtime_pooling_allocation_config_delete(pool)


Managed = TypeVar("Managed")

_open: weakref.WeakSet[Any] = weakref.WeakSet()


def guarded(managed: Managed) -> Managed:
    """The same object of wasmtime's, which may now stay open until the interpreter ends.

    wasmtime-py frees an object when Python does. At the end of the interpreter its own modules may have been taken apart by
    then, and it says so on stderr. What is open at that moment is given up instead of being freed: the process ends, and a
    thread may still be using it.
    """
    _open.add(managed)
    return managed


@atexit.register
def _give_up() -> None:
    for managed in list(_open):
        with contextlib.suppress(ValueError):  # closed already
            managed._consume()
