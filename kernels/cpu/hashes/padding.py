# SPDX-License-Identifier: GPL-3.0-or-later
"""The last blocks of a message: what follows its last whole block, padded, in a scratch row per lane."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes.emitter import HashKernelType
from supervm.kernels.cpu.lanes.lanes import I1, I8, I32, I64, call_llvm, element_pointer, every, vector
from supervm.kernels.hash_spec import HashSpec

CHUNK = 64
"""Bytes that are copied at once into the scratch where the last blocks are padded."""


def tail_stride(spec: HashSpec) -> int:
    """Bytes of scratch per lane: the padded blocks of one message, up to whole chunks."""
    blocks = 1 if spec.padding_bytes <= 1 else 2
    return -(-blocks * spec.block_bytes // CHUNK) * CHUNK


_CHUNK_BYTES = vector(I8, CHUNK)
_CHUNK_WORDS = vector(I64, CHUNK // 8)


@intrinsic
def pad(
    typingctx: Any,
    kernel: Any,
    data: Any,
    start: Any,
    rest: Any,
    scratch: Any,
    row: Any,
    size: Any,
    length: Any,
    stale: Any,
) -> Any:
    """Write the last blocks of a message: its bytes after the last whole block, then the padding.

    Args:
        start, rest: the bytes are data[start:start + rest]; nothing else is read.
        row: where in `scratch`; up to `stride` bytes are overwritten.
        size: bytes of the padded blocks.
        length: bytes of the whole message.
        stale: bytes of the row that are not as they must be already, counted from its start.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = element_pointer(context, builder, data, args[1], args[2])
        target = element_pointer(context, builder, scratch, args[4], args[5])
        if kernel.lanes.width > 1:
            _pad_in_registers(builder, kernel.spec, source, args[3], target, *args[6:])
        else:
            _pad_in_memory(builder, kernel.spec, source, args[3], target, *args[6:8])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(kernel, data, integer, integer, scratch, integer, integer, integer, integer), codegen


def pad_chunk(
    builder: ir.IRBuilder, kernel: HashKernelType, source: ir.Value, length: ir.Value, target: ir.Value
) -> None:
    """Write the only block of a message of CHUNK bytes with its padding; both pointers are to i8."""
    size = ir.Constant(I64, CHUNK)
    if kernel.lanes.width > 1:
        _pad_in_registers(builder, kernel.spec, source, length, target, size, length, size)
    else:
        _pad_in_memory(builder, kernel.spec, source, length, target, size, length)


def _pad_in_registers(
    builder: ir.IRBuilder,
    spec: HashSpec,
    source: ir.Value,
    rest: ir.Value,
    target: ir.Value,
    size: ir.Value,
    length: ir.Value,
    stale: ir.Value,
) -> None:
    """Whole registers only, so that the loads of the first block find what was written in store buffers."""
    for first in range(0, tail_stride(spec), CHUNK):
        with builder.if_then(builder.icmp_signed("<", ir.Constant(I64, first), stale)):
            left = builder.sub(rest, ir.Constant(I64, first))
            chunk = _load_first_bytes(builder, builder.gep(source, [ir.Constant(I64, first)]), left)
            chunk = _add_marks(builder, spec, first, chunk, left)
            if spec.length_bytes:
                chunk = _add_length(builder, first, chunk, size, length)
            address = builder.gep(target, [ir.Constant(I64, first)])
            builder.store(chunk, builder.bitcast(address, _CHUNK_BYTES.as_pointer()), align=1)


def _load_first_bytes(builder: ir.IRBuilder, address: ir.Value, count: ir.Value) -> ir.Value:
    """`count` bytes, none if negative and CHUNK at most, then zeros; what the mask leaves out is not read."""
    whole = ir.Constant(I64, CHUNK)
    # A shift by 64 is undefined: the counts that would need one take the other branch of a select.
    some = builder.lshr(ir.Constant(I64, -1), builder.sub(whole, count))
    some = builder.select(builder.icmp_signed("<", count, whole), some, ir.Constant(I64, -1))
    bits = builder.select(builder.icmp_signed(">", count, ir.Constant(I64, 0)), some, ir.Constant(I64, 0))
    mask = builder.bitcast(bits, vector(I1, CHUNK))
    pointer = builder.bitcast(address, _CHUNK_BYTES.as_pointer())
    operands = [pointer, ir.Constant(I32, 1), mask, ir.Constant(_CHUNK_BYTES, None)]
    return call_llvm(builder, f"llvm.masked.load.v{CHUNK}i8.p0", _CHUNK_BYTES, operands)


def _add_marks(
    builder: ir.IRBuilder, spec: HashSpec, first: int, chunk: ir.Value, place: ir.Value
) -> ir.Value:
    """The byte after the message, at `place` if that lies in this chunk, and the last byte's bits."""
    if spec.marker:
        inside = builder.icmp_unsigned("<", place, ir.Constant(I64, CHUNK))
        bit = builder.select(inside, builder.shl(ir.Constant(I64, 1), place), ir.Constant(I64, 0))
        byte = ir.Constant(_CHUNK_BYTES, [ir.Constant(I8, spec.marker)] * CHUNK)
        chunk = builder.select(builder.bitcast(bit, vector(I1, CHUNK)), byte, chunk)
    final = spec.block_bytes - 1 - first
    if spec.last_marker and 0 <= final < CHUNK:
        bits = [spec.last_marker if index == final else 0 for index in range(CHUNK)]
        chunk = builder.or_(chunk, ir.Constant(_CHUNK_BYTES, [ir.Constant(I8, value) for value in bits]))
    return chunk


def _add_length(
    builder: ir.IRBuilder, first: int, chunk: ir.Value, size: ir.Value, length: ir.Value
) -> ir.Value:
    """The length field at the end of the padded blocks, if that lies in this chunk."""
    indices = [ir.Constant(I64, first + 8 * index + 8) for index in range(CHUNK // 8)]
    final = builder.icmp_unsigned(
        "==", ir.Constant(_CHUNK_WORDS, indices), every(builder, _CHUNK_WORDS, size)
    )
    field = every(builder, _CHUNK_WORDS, _length_field(builder, length))
    words = builder.select(final, field, builder.bitcast(chunk, _CHUNK_WORDS))
    return builder.bitcast(words, _CHUNK_BYTES)


def _pad_in_memory(
    builder: ir.IRBuilder,
    spec: HashSpec,
    source: ir.Value,
    rest: ir.Value,
    target: ir.Value,
    size: ir.Value,
    length: ir.Value,
) -> None:
    """The same with copies of bytes, for processors without masked loads."""
    one = ir.Constant(I64, 1)
    cgutils.memset(builder, target, ir.Constant(I64, tail_stride(spec)), 0)
    cgutils.raw_memcpy(builder, target, source, rest, one)
    if spec.marker:
        builder.store(ir.Constant(I8, spec.marker), builder.gep(target, [rest]))
    if spec.last_marker:
        place = builder.gep(target, [builder.sub(size, one)])
        builder.store(builder.or_(builder.load(place), ir.Constant(I8, spec.last_marker)), place)
    if spec.length_bytes:
        place = builder.gep(target, [builder.sub(size, ir.Constant(I64, 8))])
        builder.store(_length_field(builder, length), builder.bitcast(place, I64.as_pointer()), align=1)


def _length_field(builder: ir.IRBuilder, length: ir.Value) -> ir.Value:
    """The message's length in bits, big-endian; 61 bits of bytes are enough for any memory."""
    return call_llvm(builder, "llvm.bswap.i64", I64, [builder.shl(length, ir.Constant(I64, 3))])
