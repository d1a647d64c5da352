# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts on workers alone, call by call: no blocks, no accounts, no threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from contracts_for_tests import HOST_FUNCTIONS, LONG_RESULTS, compiled, imports
from numba import njit

from supervm.engine.execution.host_crypto import FUNCTIONS, check_addresses
from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state.versions import TAKEN_AT_ONCE
from supervm.vm import call, context
from supervm.vm.modules import ModuleCache
from supervm.vm.outcomes import Reason
from supervm.vm.worker import Worker

GAS = 10_000_000
TRIES = 50
"""Times that a call is tried, with more room each time."""

SELF, CALLER = b"\x5e" * 20, b"\xca" * 20


@njit
def _begin(worker: Any) -> None:
    access_set.begin(worker)


@njit(nogil=True)
def _call_entry(worker: Any, slot: Any, entry: Any) -> Any:
    return call.call_entry(worker, slot, entry)


@dataclass(frozen=True)
class Outcome:
    reason: Reason
    returned: int
    output: bytes
    gas: int

    @property
    def number(self) -> int:
        """The output as a signed integer."""
        return int.from_bytes(self.output, "little", signed=True)


class Runs:
    """Workers that share a store and a pool of instances.

    Args:
        codes: contracts, by number.
        workers, instances: how many.
    """

    def __init__(self, *codes: bytes, workers: int = 1, instances: int = 64) -> None:
        self.store = StateStore()
        self.cache = ModuleCache(instances)
        self.contracts = [self.cache.contract(code) for code in codes]
        self.workers = [
            Worker(self.cache, self.store.keys.address, self.store.versions, FUNCTIONS)
            for _ in range(workers)
        ]
        for worker in self.workers:
            worker.prepare(self.contracts)
            for word, address in check_addresses().items():
                worker.words[word] = address

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.cache.close()

    def slot(self, contract: int = 0, worker: int = 0) -> Any:
        """The words of a contract's slot."""
        return self.workers[worker]._slots[contract]

    def call(
        self, entry: str, data: bytes = b"", contract: int = 0, worker: int = 0, gas: int = GAS
    ) -> Outcome:
        """Call an entry point on what calls before left in the store; what is written is forgotten."""
        number = self.contracts[contract].info.entry_points.index(entry)
        worker_ = self.workers[worker]
        words = worker_.words
        areas = [np.frombuffer(part or b"\0", np.uint8).copy() for part in (CALLER, SELF, bytes(32), data)]
        for word, area in zip(
            (context.CALLER, context.SELF, context.TRANSFERRED, context.INPUT), areas, strict=True
        ):
            words[word] = area.ctypes.data
        words[context.INPUT_BYTES] = len(data)
        key = worker_.buffer(context.STORAGE_KEY, 21)
        key[0], key[1:] = 1, list(SELF)
        for _ in range(TRIES):
            for word in (
                access_set.ENTRY_FIRST,
                access_set.ENTRY_COUNT,
                access_set.VALUES_USED,
                context.EVENTS_USED,
            ):
                words[word] = 0
            _begin(worker_.address)
            words[context.GAS_LIMIT], words[context.GAS_CHARGED] = gas, 0
            slot = int(words[context.SLOTS]) + 8 * context.SLOT_WORDS * contract
            reason = int(_call_entry(worker_.address, slot, number))
            if reason != context.RETRY:
                break
            self._make_room(worker_)
        else:
            raise AssertionError(f"never room enough: {int(words[access_set.NEEDS])}")
        output = worker_.buffer(context.OUTPUT, int(words[context.OUTPUT_BYTES])).tobytes()
        return Outcome(Reason(reason), int(words[context.RETURNED]), output, int(words[context.GAS_CHARGED]))

    def _make_room(self, worker: Worker) -> None:
        need, amount = int(worker.words[access_set.NEEDS]), int(worker.words[access_set.NEEDED])
        if need == access_set.NEEDS_KEYS:
            self.store.make_room(1_000, amount)
        elif need == access_set.NEEDS_CELLS:
            self.store.grow_cells(amount + TAKEN_AT_ONCE)
        elif need == context.NEEDS_INSTANCES:
            for each in self.workers:
                each.discard_instances()
        else:
            worker.grow(need, amount)


def host_caller(pages: int = 2) -> bytes:
    """A contract with an entry point for each host function, which calls it with i32 arguments from the input.

    Input: the arguments, 4 bytes each, then what is copied to memory from byte 1,024 on. Output: the result (8 bytes,
    sign extended), for `out:` entry points instead the 64 KiB from byte 1,024 of the memory on.
    """
    functions = []
    for names in HOST_FUNCTIONS.values():
        for name, parameters in names.items():
            loads = "".join(f"(i32.load (i32.const {4 * place}))" for place in range(len(parameters)))
            called = f"(call ${name} {loads})"
            if name not in LONG_RESULTS:
                called = f"(i64.extend_i32_s {called})"
            for prefix, place, size in (("", 64, 8), ("out:", 1_024, 64_000)):
                functions.append(f"""(func (export "{prefix}{name}") (result i32) (local $result i64)
                    (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const {4 * len(parameters)})))
                    (drop (call $input_read (i32.const 1024) (i32.const {4 * len(parameters)}) (i32.const 66000)))
                    (drop (call $storage_get (i32.const 1024) (i32.const 1)))
                    (drop (call $emit_event (i32.const 1024) (i32.const 5)))
                    (local.set $result {called})
                    (i64.store (i32.const 64) (local.get $result))
                    (call $set_output (i32.const {place}) (i32.const {size})))""")
    return compiled(f'(module {imports()} (memory (export "memory") {pages} {pages}) {" ".join(functions)})')


def arguments(*numbers: int) -> bytes:
    """i32 arguments, unsigned or signed."""
    return b"".join((number % (1 << 32)).to_bytes(4, "little") for number in numbers)
