# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a contract that is compiled: call depth counted, globals visible, memory bounded, nothing superfluous.

Function i becomes a wrapper of the same type. It adds the function's weight (`call_weight`) to a counter of its own,
stops if that makes more than `CALL_DEPTH`, calls the original body, which now stands at the end of the index space,
and takes the weight off again. So every index keeps its meaning, in calls, tables and exports, and bodies stay as they
were deployed, byte for byte. A call of an imported function is not counted.

The wrapper stops by `unreachable` and leaves the counter above `CALL_DEPTH`. No other `unreachable` can find it there,
and no instruction of the contract can reach it: after a trap of that kind the exported counter alone tells
STACK_OVERFLOW (above `CALL_DEPTH`) from UNREACHABLE. Whoever reuses the instance sets it back to 0.
"""

from __future__ import annotations

from dataclasses import replace

from supervm.vm.binary import decode
from supervm.vm.encoding import encode
from supervm.vm.instructions import Body
from supervm.vm.leb128 import signed, unsigned
from supervm.vm.limits import CALL_DEPTH, MEMORY_BYTES, SIZE_PER_DEPTH
from supervm.vm.module import GLOBAL, I32, Code, Export, FunctionType, Global, GlobalType, Module
from supervm.vm.validation import RESERVED_PREFIX, ModuleInfo

DEPTH_EXPORT = RESERVED_PREFIX + "depth"
"""The exported counter of call depth, a mutable i32 that is 0 between calls."""

_END = b"\x0b"


def global_export(index: int) -> str:
    """The name under which the mutable global `index` of the contract is exported."""
    return f"{RESERVED_PREFIX}global:{index}"


def call_weight(kind: FunctionType, body: Body) -> int:
    """What a call adds to the depth: 1, and 1 more for each `SIZE_PER_DEPTH` instructions, parameters and results."""
    return 1 + (body.instructions + len(kind.parameters) + len(kind.results)) // SIZE_PER_DEPTH


def _wrapper(parameters: int, inner: int, depth: int, weight: int) -> Code:
    """The body of a wrapper: `inner` is the function that it calls, `depth` the counter's index."""
    counter, step = unsigned(depth), b"\x41" + signed(weight)
    enter = b"\x23" + counter + step + b"\x6a\x24" + counter
    # if (depth > CALL_DEPTH) unreachable
    check = b"\x23" + counter + b"\x41" + signed(CALL_DEPTH) + b"\x4b\x04\x40\x00" + _END
    arguments = b"".join(b"\x20" + unsigned(index) for index in range(parameters))
    leave = b"\x23" + counter + step + b"\x6b\x24" + counter
    return Code((), enter + check + arguments + b"\x10" + unsigned(inner) + leave + _END)


def _bounded(module: Module) -> Module:
    """The module with a maximum for its memory."""
    memories = tuple(
        replace(memory, maximum=MEMORY_BYTES >> memory.page_bits) if memory.maximum is None else memory
        for memory in module.memories
    )
    return replace(module, memories=memories)


def instrument(code: bytes, info: ModuleInfo) -> bytes:
    """The bytes to compile for an accepted module.

    Args:
        code: the module as deployed.
        info: what `supervm.vm.validation.inspect` returned for it.
    """
    module = _bounded(decode(code))
    imported, own = len(module.imported_functions), len(module.functions)
    depth = len(module.globals)
    kinds = [module.types[index] for index in module.functions]
    wrappers = tuple(
        _wrapper(len(kind.parameters), imported + own + index, depth, call_weight(kind, body))
        for index, (kind, body) in enumerate(zip(kinds, info.bodies, strict=True))
    )
    visible = [Export(global_export(index), GLOBAL, index) for index in info.mutable_globals]
    counter = Global(GlobalType(I32, True), b"\x41\0" + _END)
    return encode(
        replace(
            module,
            functions=module.functions * 2,
            globals=(*module.globals, counter),
            exports=(*module.exports, *visible, Export(DEPTH_EXPORT, GLOBAL, depth)),
            codes=wrappers + module.codes,
            customs=(),
        )
    )
