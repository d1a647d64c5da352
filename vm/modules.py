# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts as they are compiled: once each in a process, kept by the hash of their code."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from importlib.metadata import version

import wasmtime

from supervm.vm.config import guarded, make_config
from supervm.vm.errors import RuntimeProblem
from supervm.vm.gas import WASMTIME_MAJOR
from supervm.vm.instrument import DEPTH_EXPORT, global_export, instrument
from supervm.vm.validation import ModuleInfo, inspect


@dataclass(frozen=True)
class Contract:
    """A compiled contract.

    Args:
        info: what validation found.
        module: the instrumented module, compiled.
    """

    info: ModuleInfo
    module: wasmtime.Module

    @property
    def restored_globals(self) -> tuple[int, ...]:
        """Indices of the globals that are put back after a call."""
        return tuple(index for index in self.info.mutable_globals if index in self.info.globals_set)

    @property
    def exports(self) -> tuple[str, ...]:
        """What a worker asks an instance for, in the order of a slot's exports."""
        variables = (global_export(index) for index in self.restored_globals)
        return ("memory", DEPTH_EXPORT, *variables, *self.info.entry_points)


class ModuleCache:
    """Compiles contracts and keeps them; any thread may ask.

    Args:
        instances: how many instances may live at once.

    Raises:
        RuntimeProblem: the wasmtime that is installed is not the one that the gas schedule is pinned to.
    """

    def __init__(self, instances: int) -> None:
        found = version("wasmtime")
        if int(found.split(".")[0]) != WASMTIME_MAJOR:
            expected = f"wasmtime {WASMTIME_MAJOR}, whose fuel the gas schedule counts; install that version"
            raise RuntimeProblem("wasmtime", f"version {found} is installed, expected {expected}")
        self.engine = guarded(wasmtime.Engine(make_config(instances)))
        self._contracts: dict[bytes, Contract] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._contracts)

    def close(self) -> None:
        """Free what was compiled, after the workers that use it are closed. A second call does nothing."""
        with self._lock:
            for contract in self._contracts.values():
                contract.module.close()
            self._contracts.clear()
            self.engine.close()

    def contract(self, code: bytes) -> Contract:
        """The compiled contract of this code.

        Raises:
            ContractRejected: the code breaks a rule.
            RuntimeProblem: it breaks none, and wasmtime does not compile it: the rules have a gap.
        """
        digest = hashlib.sha256(code).digest()
        with self._lock:
            if digest not in self._contracts:
                info = inspect(code)
                self._contracts[digest] = Contract(info, self._compile(instrument(code, info)))
            return self._contracts[digest]

    def _compile(self, instrumented: bytes) -> wasmtime.Module:
        try:
            return guarded(wasmtime.Module(self.engine, instrumented))
        except wasmtime.WasmtimeError as error:
            words = " ".join(str(error).split())
            problem = f"does not compile a contract that the rules accept, please report it: {words}"
            raise RuntimeProblem("wasmtime", problem) from None


def check(code: bytes) -> ModuleInfo:
    """Accept a contract and compile it, and keep nothing: what a deployment would meet.

    Raises: as `ModuleCache` and `ModuleCache.contract`.
    """
    cache = ModuleCache(instances=1)
    try:
        return cache.contract(code).info
    finally:
        cache.close()
