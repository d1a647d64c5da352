# SPDX-License-Identifier: GPL-3.0-or-later
"""What a generator becomes on 64-bit ARM, compiled on whatever processor is here: a listing shows the instructions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

TRIPLE = "aarch64-unknown-linux-gnu"
CPU = "neoverse-n1"


def listing(
    arguments: list[ir.Type],
    write: Callable[..., None],
    features: str = "",
    cpu: str = CPU,
    triple: str = TRIPLE,
) -> str:
    """The assembler listing of a function, optimised as Numba does; skips the test if this LLVM has no code for ARM.

    Args:
        write: called with a builder and the function's arguments.
        features: of the processor, beside those that `cpu` has.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"this LLVM has no code generator for ARM: {error}")
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3)
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "listed")
    builder = ir.IRBuilder(function.append_basic_block())
    write(builder, *function.args)
    builder.ret_void()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    passes: Any = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return str(machine.emit_assembly(parsed))


def instructions(text: str) -> Counter[str]:
    """Mnemonic → how often a listing has it."""
    return Counter(re.findall(r"^\t([a-z][a-z0-9.]*)\b", text, re.MULTILINE))
