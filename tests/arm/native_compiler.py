# SPDX-License-Identifier: GPL-3.0-or-later
"""LLVM's part of compilation for an emulated processor, done by the processor that emulates.

An emulator runs LLVM fifteen times slower than the machine does, and half of a compilation is LLVM. `install`, called in the
emulated process before it compiles, hands Numba's modules to a process of the machine's own Python, which has the same
llvmlite and runs the same passes for the emulated processor; back come optimised bitcode and object code. What is executed
is what the emulated process would have compiled.

    python -I tests/arm/native_compiler.py    the machine's side: requests on standard input, answers on standard output
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any, BinaryIO

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core import codegen

PYTHON = "ARM_COMPILER_PYTHON"
"""The variable with the machine's own Python, which has Numba; without it the emulated process compiles by itself."""


VERSIONS = {"numba": numba.__version__, "llvmlite": llvmlite.__version__}
"""Both sides have the same, or the machine would not compile what the emulated process means."""


class _Compiler(codegen.JITCPUCodegen):
    """Numba's passes, for a processor that is not here: no code of it is executed."""

    def __init__(self, triple: str, options: dict[str, Any], loop_vectorise: bool, level: int) -> None:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        self._tm = llvm.Target.from_triple(triple).create_target_machine(**options)
        self._loopvect, self._opt_level = loop_vectorise, level

    def functions(self, text: str, layout: str) -> bytes:
        """The module of a function, as `CPUCodeLibrary.add_ir_module` makes it ready to be linked."""
        module = llvm.parse_assembly(text)
        module.verify()
        module.data_layout = layout
        for function in module.functions:
            passes, builder = self._function_pass_manager()
            passes.run(function, builder)
        return bytes(module.as_bitcode())

    def module(self, bitcode: bytes) -> tuple[bytes, bytes]:
        """A library's final module, as `CPUCodeLibrary.finalize` makes it, and its object code."""
        module = llvm.parse_bitcode(bitcode)
        cheap = self._module_pass_manager(
            loop_vectorize=self._loopvect, slp_vectorize=False, opt=self._opt_level, cost="cheap"
        )
        for passes, builder in (cheap, self._module_pass_manager()):
            passes.run(module, builder)
        module.verify()
        return bytes(module.as_bitcode()), bytes(self._tm.emit_object(module))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more; the first one says for which processor."""
    pickle.dump(VERSIONS, answers)
    answers.flush()
    compiler = _Compiler(*pickle.load(requests))
    while True:
        try:
            name, *arguments = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(getattr(compiler, name)(*arguments), answers)
        answers.flush()


class _Machine:
    """The other side, started by whoever asks first in a process: a forked one has its own."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.owner = 0

    def ask(self, target: codegen.JITCPUCodegen, *request: Any) -> Any:
        if self.owner != os.getpid():
            self._start(target)
        pickle.dump(request, self.requests)
        self.requests.flush()
        return pickle.load(self.answers)

    def _start(self, target: codegen.JITCPUCodegen) -> None:
        command = [self.python, "-I", os.path.abspath(__file__)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.requests, self.answers = process, process.stdin, process.stdout
        found = pickle.load(self.answers)
        if found != VERSIONS:
            raise RuntimeError(f"{self.python} has {found}, expected {VERSIONS}")
        self.owner = os.getpid()
        options: dict[str, Any] = {"opt": int(codegen.config.OPT)}
        target._customize_tm_options(options)
        pickle.dump((llvm.get_process_triple(), options, target._loopvect, target._opt_level), self.requests)


def install() -> bool:
    """Have the machine compile what this process needs compiled, where `ARM_COMPILER_PYTHON` says by what."""
    python = os.environ.get(PYTHON, "")
    if not python:
        return False
    machine = _Machine(python)
    library_class: Any = codegen.CPUCodeLibrary
    finish = library_class._finalize_final_module

    def add_ir_module(self: Any, ir_module: Any) -> None:
        self._raise_if_finalized()
        text = codegen.cgutils.normalize_ir_text(str(ir_module))
        ready = machine.ask(self._codegen, "functions", text, self._codegen._data_layout)
        self._final_module.link_in(llvm.parse_bitcode(ready))

    def optimise(self: Any) -> None:
        bitcode, self.native_object = machine.ask(self._codegen, "module", self._final_module.as_bitcode())
        self._final_module = llvm.parse_bitcode(bitcode)

    def finalize(self: Any) -> None:
        """The engine asks its cache before it compiles, so that is where the object code is put."""
        code = self.__dict__.pop("native_object", None)
        if code is None:
            finish(self)
            return
        kept = self._object_caching_enabled
        self._object_caching_enabled, self._compiled_object = True, code
        finish(self)
        self._object_caching_enabled, self._compiled, self._compiled_object = (
            kept,
            kept,
            code if kept else None,
        )

    library_class.add_ir_module = add_ir_module
    library_class._optimize_final_module = optimise
    library_class._finalize_final_module = finalize
    return True


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
