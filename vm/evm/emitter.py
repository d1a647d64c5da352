# SPDX-License-Identifier: GPL-3.0-or-later
"""What opcodes' handlers are emitted with: places, stack, gas, memory, and the ways on.

A handler is an LLVM function of six registers: the place (address of the opcode at work), the top of the stack (address of
the topmost value; the next one lies 32 bytes below), the gas left, the frame, its memory and the bytes of that. It ends by
a tail call of the next opcode's handler, so that nothing returns before the outermost frame ends, and every handler has
its own jump, which a processor predicts by what was executed before.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from supervm.kernels.cpu.lanes.lanes import I8, I64
from supervm.vm.evm import frame as f
from supervm.vm.evm import machine as m
from supervm.vm.evm.words import I256, load_value, pointer, store_value

CONVENTION = "preserve_nonecc"
"""Calling convention of handlers: all registers are free, and twelve carry arguments."""

HANDLER = ir.FunctionType(I64, [I64] * 6)

STACK_BYTES = m.STACK_LIMIT * m.VALUE_BYTES


def word(number: int) -> ir.Constant:
    """A 64-bit constant."""
    return ir.Constant(I64, number)


def value(number: int) -> ir.Constant:
    """A 256-bit constant."""
    return ir.Constant(I256, number)


class Handler:
    """A handler that is being emitted; the six registers are attributes, which opcodes change before they go on.

    Args:
        loop: the handlers and tables of the module.
        function: of type `HANDLER`, still empty.
    """

    def __init__(self, loop: Loop, function: ir.Function) -> None:
        self.loop = loop
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.place, self.top, self.gas, self.frame, self.memory, self.memory_bytes = function.args

    @classmethod
    def outside(cls, loop: Loop, builder: ir.IRBuilder, machine: ir.Value) -> ir.Value:
        """Call the loop from other code, for the frame at work; the status."""
        frame = builder.load(pointer(builder, builder.add(machine, word(8 * m.FRAME)), I64), align=8)
        registers = (f.F_PLACE, f.F_TOP, f.F_GAS, None, f.F_MEMORY, f.F_MEMORY_BYTES)
        arguments = [
            frame
            if number is None
            else builder.load(pointer(builder, builder.add(frame, word(8 * number)), I64), align=8)
            for number in registers
        ]
        return builder.call(loop.start, arguments, cconv=CONVENTION)

    # Words and values

    def load(self, address: ir.Value, offset: int = 0) -> ir.Value:
        """A 64-bit word."""
        at = self.builder.add(address, word(offset)) if offset else address
        return self.builder.load(pointer(self.builder, at, I64), align=8)

    def store(self, address: ir.Value, offset: int, new: ir.Value) -> None:
        """Set a 64-bit word."""
        at = self.builder.add(address, word(offset)) if offset else address
        self.builder.store(new, pointer(self.builder, at, I64), align=8)

    def byte(self, address: ir.Value) -> ir.Value:
        """A byte, as a 64-bit word."""
        return self.builder.zext(self.builder.load(pointer(self.builder, address, I8), align=1), I64)

    def of_frame(self, number: int) -> ir.Value:
        """A word of the frame."""
        return self.load(self.frame, 8 * number)

    def machine(self) -> ir.Value:
        """The address of the machine."""
        return self.of_frame(f.F_MACHINE)

    def at(self, depth: int) -> ir.Value:
        """The address of a value of the stack, the topmost one at depth 0."""
        return self.builder.add(self.top, word(-m.VALUE_BYTES * depth)) if depth else self.top

    def peek(self, depth: int) -> ir.Value:
        """A value of the stack."""
        return load_value(self.builder, self.at(depth))

    def set(self, depth: int, new: ir.Value) -> None:
        """Change a value of the stack."""
        store_value(self.builder, self.at(depth), new)

    def drop(self, count: int) -> None:
        """Take values from the stack, or make room for them where the count is negative."""
        self.top = self.builder.add(self.top, word(-m.VALUE_BYTES * count))

    def push(self, new: ir.Value) -> None:
        """Put a value of up to 256 bits on the stack."""
        self.drop(-1)
        self.set(0, new)

    def reload(self) -> None:
        """Take all registers from the frame at work, which may be another one."""
        self.frame = self.load(self.machine(), 8 * m.FRAME)
        self.place, self.top, self.gas = (self.of_frame(n) for n in (f.F_PLACE, f.F_TOP, f.F_GAS))
        self.memory, self.memory_bytes = self.of_frame(f.F_MEMORY), self.of_frame(f.F_MEMORY_BYTES)

    def save(self) -> None:
        """Put the registers that change into the frame."""
        for number, register in ((f.F_PLACE, self.place), (f.F_TOP, self.top), (f.F_GAS, self.gas)):
            self.store(self.frame, 8 * number, register)

    # Ways on

    def unless(self, condition: ir.Value, other: ir.Function) -> None:
        """Go to another handler, with the registers as they are, unless a condition holds."""
        self.when(self.builder.not_(condition), lambda: self.go(other))

    def when(self, condition: ir.Value, emit: Callable[[], None], likely: bool = False) -> None:
        """Emit something that ends, for where a condition holds."""
        builder = self.builder
        there, on = (builder.function.append_basic_block(name) for name in ("there", "on"))
        branch = builder.cbranch(condition, there, on)
        branch.set_weights([1, 1] if likely else [1, 1000])
        kept = self.place, self.top, self.gas, self.frame, self.memory, self.memory_bytes
        self.builder = ir.IRBuilder(there)
        emit()
        self.builder = ir.IRBuilder(on)
        self.place, self.top, self.gas, self.frame, self.memory, self.memory_bytes = kept

    def go(self, target: ir.Value) -> None:
        """End with a tail call."""
        registers = [self.place, self.top, self.gas, self.frame, self.memory, self.memory_bytes]
        self.builder.ret(self.builder.call(target, registers, cconv=CONVENTION, tail="musttail"))

    def jump(self) -> None:
        """Go on with the opcode at `place`, whose block is paid for."""
        if self.loop.single:
            self.save()
            self.builder.ret(word(m.CONTINUE))
            return
        self.execute()

    def execute(self) -> None:
        """Go to the handler of the opcode at `place`."""
        builder = self.builder
        slot = builder.gep(self.loop.table, [word(0), self.byte(self.place)])
        self.go(builder.load(slot))

    def next(self, count: int = 1) -> None:
        """Go on with the opcode that many bytes on, in the same block."""
        self.place = self.builder.add(self.place, word(count))
        self.jump()

    def word_of_block(self) -> ir.Value:
        """The word of the byte at `place` (`code`)."""
        return self.load(self.builder.add(self.of_frame(f.F_INFO), self.builder.shl(self.place, word(3))))

    def enter(self, block: ir.Value | None = None) -> None:
        """Pay for the block that begins at `place`, check the stack for it, and go on with it."""
        if self.loop.single:
            self.jump()
            return
        destination = block is not None
        self.pay(self.word_of_block() if block is None else block)
        block = self.paid
        self.place = self.builder.add(
            self.place, word(1) if destination else self.builder.lshr(block, word(63))
        )
        self.execute()

    def pay(self, block: ir.Value) -> None:
        """Pay for a block and check the stack for it."""
        builder = self.builder
        self.paid = block
        gas = builder.sub(self.gas, builder.and_(builder.lshr(block, word(32)), word((1 << 31) - 1)))
        height = builder.sub(self.top, self.of_frame(f.F_STACK))
        spare = builder.sub(height, builder.and_(block, word(0xFFFF)))
        adds = builder.and_(builder.lshr(block, word(16)), word(0xFFFF))
        room = builder.sub(builder.sub(word(STACK_BYTES), adds), height)
        bad = builder.icmp_signed("<", builder.or_(builder.or_(gas, spare), room), word(0))
        self.when(bad, lambda: self.go(self.loop.refuse))
        self.gas = gas

    def jump_to(self, destination: ir.Value) -> None:
        """Jump to a place in the code, a value of 256 bits."""
        builder = self.builder
        inside = builder.icmp_unsigned("<", destination, builder.zext(self.of_frame(f.F_CODE_BYTES), I256))
        self.unless(inside, self.loop.bad_jump)
        origin, builder = self.place, self.builder
        self.place = builder.add(self.of_frame(f.F_CODE), builder.trunc(destination, I64))
        block = self.word_of_block()
        allowed = self.builder.icmp_signed("<", block, word(0))
        target, self.place = self.place, origin
        self.unless(allowed, self.loop.bad_jump)
        self.place = target
        self.enter(block)

    def operation(self, number: ir.Value) -> None:
        """Call an operation with the registers in the frame; end where it does not say `CONTINUE`."""
        builder = self.builder
        self.save()
        machine = self.machine()
        slot = builder.add(self.load(machine, 8 * m.OPERATIONS), builder.shl(number, word(3)))
        kind = ir.FunctionType(I64, [I64, I64])
        function = builder.inttoptr(self.load(slot), kind.as_pointer())
        status = builder.call(function, [machine, number])
        self.when(builder.icmp_signed("!=", status, word(m.CONTINUE)), lambda: self.end(status))
        self.reload()

    def end(self, status: ir.Value) -> None:
        """Let the frame halt where an operation failed; return from the loop for any other status."""
        failed = self.builder.icmp_signed("==", status, word(m.FAILED))
        self.when(failed, lambda: self.go(self.loop.halt))
        self.builder.ret(status)

    def fits(self, new: ir.Value) -> ir.Value:
        """Whether a value is below 2^63."""
        return self.builder.icmp_unsigned("<", new, value(1 << 63))

    def memory_at(self, offset: ir.Value, size: int) -> ir.Value:
        """The address of an area of the memory; where it is not there, memory grows and the opcode begins again."""
        builder = self.builder
        low = builder.trunc(offset, I64)
        room = builder.sub(builder.sub(self.memory_bytes, word(size)), low)
        inside = builder.icmp_signed(">=", builder.or_(room, low), word(0))
        high = builder.icmp_unsigned("==", builder.lshr(offset, value(64)), value(0))
        self.unless(builder.and_(inside, high), self.loop.grow)
        return self.builder.add(self.memory, low)


Emission = Callable[[Handler], None]

OP_REFUSE, OP_BAD_JUMP, OP_GROW, OP_HALT = 256, 257, 258, 259
"""Operations behind those of opcodes: a block that cannot be paid for or lacks stack, a jump to no JUMPDEST, memory for the
access of the opcode at work, the end of a frame that failed."""

OPERATION_COUNT = 260


def _special(handler: Handler, number: int) -> None:
    """Call an operation that leaves the frame."""
    handler.operation(word(number))
    handler.enter()


def _grow(handler: Handler) -> None:
    handler.operation(word(OP_GROW))
    handler.execute()


def _start(handler: Handler) -> None:
    """Begin with the block at `place`."""
    if handler.loop.single:
        handler.pay(handler.word_of_block())
        handler.execute()
    else:
        handler.enter()


def after_next(handler: Handler) -> None:
    """An operation in the middle of a block."""
    handler.operation(handler.byte(handler.place))
    handler.next()


def after_enter(handler: Handler) -> None:
    """An operation that ends a block; it has set the place of what comes next, perhaps in another frame."""
    handler.operation(handler.byte(handler.place))
    handler.enter()


class Loop:
    """The handlers of one module.

    Args:
        module: where they go.
        opcodes: number → what emits its handler.
        operations: number → how the loop goes on after its operation: `after_next` or `after_enter`.
        single: return after every opcode.
    """

    def __init__(
        self, module: ir.Module, opcodes: dict[int, Emission], operations: dict[int, Emission], single: bool
    ) -> None:
        self.module, self.single = module, single
        self.prefix = "evm_single_" if single else "evm_"
        self.table = ir.GlobalVariable(module, ir.ArrayType(HANDLER.as_pointer(), 256), self.prefix + "table")
        self.table.linkage, self.table.global_constant = "internal", True
        ways: dict[str, Emission] = {
            "halt": lambda handler: _special(handler, OP_HALT),
            "refuse": lambda handler: _special(handler, OP_REFUSE),
            "bad_jump": lambda handler: _special(handler, OP_BAD_JUMP),
            "grow": _grow,
            "start": _start,
        }
        functions = {name: self._declare(name) for name in ways}
        self.halt, self.refuse, self.bad_jump = (functions[name] for name in ("halt", "refuse", "bad_jump"))
        self.grow, self.start = functions["grow"], functions["start"]
        for name, emission in ways.items():
            emission(Handler(self, functions[name]))
        shared = {emission: self._declare(emission.__name__) for emission in set(operations.values())}
        for emission, function in shared.items():
            emission(Handler(self, function))
        self.handlers = {number: shared[emission] for number, emission in operations.items()}
        self.handlers |= {number: self._declare(f"{number:02x}") for number in opcodes}
        for number, emission in opcodes.items():
            emission(Handler(self, self.handlers[number]))
        self.table.initializer = ir.Constant(
            self.table.value_type, [self.handlers[number] for number in range(256)]
        )

    def _declare(self, name: str) -> ir.Function:
        function = ir.Function(self.module, HANDLER, self.prefix + name)
        function.linkage, function.calling_convention = "internal", CONVENTION
        function.attributes.add("nounwind")
        return function
