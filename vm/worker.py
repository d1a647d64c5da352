# SPDX-License-Identifier: GPL-3.0-or-later
"""`Worker`: what one thread needs to execute transactions, laid out for compiled code.

A worker belongs to one thread at a time. Its buffers grow between calls only (`grow`), when compiled code says what is
full; addresses that it hands out are valid until then.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import wasmtime
from numpy.typing import NDArray

from supervm.kernels.cpu.state import access_set
from supervm.kernels.keys import aligned
from supervm.vm import context
from supervm.vm.config import guarded
from supervm.vm.context import OBJECT_BYTES, SLOT_WORDS, WORKER_WORDS
from supervm.vm.guest import HostCode
from supervm.vm.host_functions import codes
from supervm.vm.instances import discard_all
from supervm.vm.interface import BY_NAME
from supervm.vm.library import C_FUNCTIONS, c_address, define_host_function, pointer_value
from supervm.vm.limits import KEY_BYTES, OUTPUT_BYTES
from supervm.vm.modules import Contract, ModuleCache

_ENTRIES = 1 << 12
_VALUES = 1 << 18
_EVENTS = 1 << 18
_STACK = 1 << 12
_DIRTY = 1 << 12

_BUFFERS = {
    access_set.NEEDS_ENTRIES: (
        access_set.ENTRIES,
        access_set.ENTRY_CAPACITY,
        access_set.ENTRY_BYTES,
        _ENTRIES,
    ),
    access_set.NEEDS_VALUES: (access_set.VALUES, access_set.VALUES_CAPACITY, 1, _VALUES),
    access_set.NEEDS_EVENTS: (context.EVENTS, context.EVENTS_CAPACITY, 1, _EVENTS),
    access_set.NEEDS_CELLS: (access_set.STACK, access_set.STACK_CAPACITY, 4, _STACK),
    access_set.NEEDS_DIRTY: (access_set.DIRTY, access_set.DIRTY_CAPACITY, 8, _DIRTY),
    access_set.NEEDS_AGAIN: (access_set.AGAIN, access_set.AGAIN_CAPACITY, 8, _DIRTY),
}
"""What can be full → words of address and capacity, bytes of one unit, units at first."""


class Worker:
    """Buffers, host functions and contract instances of one thread.

    Args:
        cache: where contracts come from; its engine runs them.
        keys, versions: addresses of the state's key table and versions.
        crypto: the host functions of `crypto_api`, by name.
    """

    def __init__(self, cache: ModuleCache, keys: int, versions: int, crypto: Mapping[str, HostCode]) -> None:
        self._cache = cache
        self.words = np.zeros(WORKER_WORDS, np.int64)
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._contracts: list[tuple[Contract, list[Any]]] = []
        self._slots = np.zeros((0, SLOT_WORDS), np.int64)
        words = self.words
        words[access_set.KEYS], words[access_set.VERSIONS] = keys, versions
        for need in _BUFFERS:
            self.grow(need, 0)
        self._place(access_set.INDEX, 8 << access_set.INDEX_BITS, fill=True)
        self._place(context.OUTPUT, OUTPUT_BYTES)
        self._place(context.SCRATCH, context.SCRATCH_BYTES)
        # Its first byte is the 0 of every account's key; the address behind it changes.
        self._place(context.ACCOUNT_KEY, 64, fill=True)
        self._place(context.STORAGE_KEY, 64 + KEY_BYTES)
        self._place(context.KEY_RECORD, 64)
        for word, name in C_FUNCTIONS.items():
            words[word] = c_address(name)
        words[context.ENGINE] = pointer_value(cache.engine.ptr())
        self._linker = guarded(wasmtime.Linker(cache.engine))
        self._host_codes = codes(crypto)

    @property
    def address(self) -> int:
        """Of the worker's words, for compiled code."""
        return int(self.words.ctypes.data)

    def grow(self, need: int, amount: int) -> None:
        """Make room for `amount` units in what was full, at least twice as much as before; what it holds is kept."""
        address, _, unit, least = _BUFFERS[need]
        old = self.capacity(need)
        units = max(least, 2 * old, old + amount)
        buffer = aligned(units * unit)
        if old:
            buffer[: old * unit] = self._buffers[address][: old * unit]
        self._buffers[address] = buffer
        self.words[address] = buffer.ctypes.data
        self.use_all(need)

    def capacity(self, need: int) -> int:
        """How many units fit in a buffer."""
        address, _, unit, _ = _BUFFERS[need]
        return self._buffers[address].size // unit if address in self._buffers else 0

    def use_all(self, need: int) -> None:
        """Let compiled code use the whole of a buffer."""
        self.words[_BUFFERS[need][1]] = self.capacity(need)

    def buffer(self, word: int, size: int) -> NDArray[np.uint8]:
        """The first `size` bytes of a buffer, by the word that holds its address."""
        return self._buffers[word][:size]

    def prepare(self, contracts: list[Contract]) -> None:
        """Make slots for contracts, in this order: slot i is for `contracts[i]`. Those that are there stay."""
        new = contracts[len(self._contracts) :]
        if not new:
            return
        slots = np.zeros((len(contracts), SLOT_WORDS), np.int64)
        slots[: len(self._slots)] = self._slots
        for place, contract in enumerate(new, len(self._contracts)):
            self._contracts.append((contract, self._fill(slots[place], contract)))
        self._slots = slots
        self.words[context.SLOTS] = slots.ctypes.data

    def _link(self, imports: Iterable[tuple[str, str]]) -> None:
        """Let the linker satisfy these imports: a host function that no contract asks for need not be compiled."""
        for key in sorted(imports):
            if key in self._host_codes:
                define_host_function(self._linker, BY_NAME[key], self._host_codes[key].address, self.address)
                del self._host_codes[key]

    def _fill(self, slot: NDArray[np.int64], contract: Contract) -> list[Any]:
        """Write a contract's slot; the objects whose addresses stand there."""
        info, exports = contract.info, [name.encode() for name in contract.exports]
        names = [ctypes.create_string_buffer(name) for name in exports]
        table = np.array(
            [[ctypes.addressof(name), len(text)] for name, text in zip(names, exports, strict=True)]
        )
        restored = len(contract.restored_globals)
        objects = aligned(OBJECT_BYTES * len(exports), fill=True)
        initial = aligned(OBJECT_BYTES * restored, fill=True)
        image = aligned(info.memory_initial if info.reused else 0)
        self._link(info.imports)
        pre = guarded(self._linker.instantiate_pre(contract.module))
        slot[context.SLOT_PRE] = pointer_value(pre.ptr())
        slot[context.SLOT_NAMES], slot[context.SLOT_EXPORTS] = table.ctypes.data, len(exports)
        slot[context.SLOT_OBJECTS] = objects.ctypes.data
        slot[context.SLOT_GLOBALS], slot[context.SLOT_INITIAL] = restored, initial.ctypes.data
        slot[context.SLOT_IMAGE], slot[context.SLOT_IMAGE_BYTES] = image.ctypes.data, image.size
        slot[context.SLOT_GROWS] = int(info.grows_memory)
        slot[context.SLOT_RESTORE_GAS] = info.restore_gas
        slot[context.SLOT_INSTANCE_GAS] = info.instance_gas
        return [pre, names, table, objects, initial, image]

    def discard_instances(self) -> None:
        """Give every instance back to the pool; the next calls make new ones."""
        if len(self._slots):
            discard_all(self.address, int(self._slots.ctypes.data), len(self._slots), 8 * SLOT_WORDS)

    def close(self) -> None:
        """Give everything back; the worker is not used after this."""
        self.discard_instances()
        for _, (pre, *_) in self._contracts:
            pre.close()
        self._contracts.clear()
        self._slots = self._slots[:0]
        self._linker.close()

    def _place(self, word: int, size: int, fill: bool = False) -> None:
        buffer = aligned(size, fill)
        self._buffers[word] = buffer
        self.words[word] = buffer.ctypes.data
