# SPDX-License-Identifier: GPL-3.0-or-later
"""The emitted loop as machine code of both architectures: handlers go on by jumps and take no room on the stack."""

from __future__ import annotations

import re

import pytest
from llvmlite import binding, ir

from supervm.kernels.cpu.lanes.lanes import I64
from supervm.vm.evm.emitter import Handler, Loop
from supervm.vm.evm.fused_handlers import FUSED_HANDLERS
from supervm.vm.evm.handlers import HANDLERS
from supervm.vm.evm.interpreter import emissions
from supervm.vm.evm.opcodes import NUMBERS

TARGETS = {"x86_64-unknown-linux-gnu": ("x86-64", "jmpq"), "aarch64-unknown-linux-gnu": ("generic", "br")}


def assembly(triple: str, processor: str) -> str:
    """Of the loop and a function that enters it."""
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(I64, [I64]), "enter")
    builder = ir.IRBuilder(function.append_basic_block())
    loop = Loop(module, HANDLERS | FUSED_HANDLERS, emissions(), False)
    builder.ret(Handler.outside(loop, builder, function.args[0]))
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=processor, opt=2)
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(2))
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(parsed)


@pytest.mark.parametrize("triple", TARGETS)
def test_handlers_end_with_a_jump(triple: str) -> None:
    processor, jump = TARGETS[triple]
    text = assembly(triple, processor)
    for name in ("ADD", "PUSH1", "DUP3", "JUMPDEST", "MSTORE", "CALLER"):
        body = re.search(rf"^evm_{NUMBERS[name]:02x}:\n(.*?)^\.Lfunc_end", text, re.DOTALL | re.MULTILINE)
        assert body, name
        words = [line.split()[0] for line in body[1].splitlines() if line.strip()]
        assert jump in words, name
        assert not {"callq", "retq", "bl", "blr", "ret"} & set(words), name
