# SPDX-License-Identifier: GPL-3.0-or-later
"""A contract that misbehaves on demand.

Every misdeed is an entry point under its own name; the entry point `main` commits the one whose number is the first
byte of the input. Arguments of a misdeed begin at the second byte of the input in both cases. `misdeed` gives the
entry point and input, `MISDEEDS` is the list. Memory is two pages and may grow to four.

The entry points named in `OBSERVERS` tell whether an earlier transaction's instance shows through: each returns 0 on a
new instance and something else on one that the misdeed beside it has left behind.
"""

from __future__ import annotations

import functools

import wasmtime

HOST_FUNCTIONS = {
    "storage_api": {
        "storage_get": ("key_ptr", "key_len"),
        "storage_has": ("key_ptr", "key_len"),
        "storage_read_value": ("ptr", "len"),
        "storage_set": ("key_ptr", "key_len", "value_ptr", "value_len"),
        "storage_delete": ("key_ptr", "key_len"),
    },
    "chain_api": {
        "block_number": (),
        "timestamp": (),
        "caller": ("out_ptr",),
        "self_address": ("out_ptr",),
        "value": ("out_ptr",),
        "input_len": (),
        "input_read": ("ptr", "offset", "len"),
        "set_output": ("ptr", "len"),
        "balance": ("addr_ptr", "out_ptr"),
        "transfer": ("to_ptr", "amount_ptr"),
        "emit_event": ("ptr", "len"),
        "events_len": (),
        "read_event": ("index", "ptr", "len"),
    },
    "crypto_api": {
        "sha256": ("ptr", "len", "out_ptr"),
        "keccak256": ("ptr", "len", "out_ptr"),
        "derive_eth_address": ("pubkey_ptr", "pubkey_len", "out_ptr"),
        "verify_ed25519": ("msg_ptr", "msg_len", "sig_ptr", "pubkey_ptr"),
        "verify_secp256k1": ("digest_ptr", "sig_ptr", "pubkey_ptr", "pubkey_len"),
        "recover_secp256k1_pubkey": ("digest_ptr", "sig65_ptr", "out_ptr"),
        "bn254_add": ("in_ptr", "in_len", "out_ptr"),
        "bn254_mul": ("in_ptr", "in_len", "out_ptr"),
        "bn254_pairing_check": ("in_ptr", "in_len", "out_ptr"),
        "bls12_g1add": ("in_ptr", "in_len", "out_ptr"),
        "bls12_g1msm": ("in_ptr", "in_len", "out_ptr"),
        "bls12_g2add": ("in_ptr", "in_len", "out_ptr"),
        "bls12_g2msm": ("in_ptr", "in_len", "out_ptr"),
        "bls12_pairing_check": ("in_ptr", "in_len", "out_ptr"),
        "bls12_map_fp_to_g1": ("in_ptr", "in_len", "out_ptr"),
        "bls12_map_fp2_to_g2": ("in_ptr", "in_len", "out_ptr"),
        "point_evaluation": ("in_ptr", "in_len", "out_ptr"),
    },
}
"""Import module, function, parameters (all i32)."""

LONG_RESULTS = ("storage_get", "block_number", "timestamp")
MEMORY_BYTES = 2 * 65_536


def result_type(function: str) -> str:
    return "i64" if function in LONG_RESULTS else "i32"


def imports() -> str:
    """WAT that imports every host function as `$name`."""
    lines = []
    for module, functions in HOST_FUNCTIONS.items():
        for name, parameters in functions.items():
            kinds = f"(param{' i32' * len(parameters)}) " if parameters else ""
            lines.append(f'(import "{module}" "{name}" (func ${name} {kinds}(result {result_type(name)})))')
    return "\n".join(lines)


def compiled(text: str) -> bytes:
    """WAT to wasm."""
    return bytes(wasmtime.wat2wasm(text))


def host_call(function: str, *arguments: int) -> str:
    """WAT that calls a host function with constants and leaves an i32."""
    constants = " ".join(f"(i32.const {number})" for number in arguments)
    called = f"(call ${function} {constants})"
    return f"(i32.wrap_i64 {called})" if function in LONG_RESULTS else called


def _bad_pointers() -> dict[str, str]:
    """Every pointer of every host function: one byte behind the memory, and with a length that wraps around."""
    found = {}
    for functions in HOST_FUNCTIONS.values():
        for name, parameters in functions.items():
            for index, parameter in enumerate(parameters):
                if not parameter.endswith("ptr"):
                    continue
                arguments = [0 if p.endswith(("ptr", "index", "offset")) else 1 for p in parameters]
                for kind, number in (("behind", MEMORY_BYTES + 1), ("wrapping", -1)):
                    arguments[index] = number
                    found[f"bad_pointer/{name}/{parameter}/{kind}"] = host_call(name, *arguments)
                if index + 1 < len(parameters) and parameters[index + 1].endswith("len"):
                    arguments[index], arguments[index + 1] = 1, -1
                    found[f"bad_pointer/{name}/{parameter}/length"] = host_call(name, *arguments)
    return found


_COUNTED = """
(local $i i32) (drop (call $input_read (i32.const 0) (i32.const 1) (i32.const 4)))
(loop $next
  (if (i32.lt_u (local.get $i) (i32.load (i32.const 0))) (then
    (i32.store (i32.const 8) (local.get $i)) {deed}
    (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next))))
(i32.const 0)
"""
"""Does something for each number below the argument, which is 4 bytes, little-endian."""

_TRAPS = {
    "unreachable": "(unreachable)",
    "infinite_loop": "(loop $again (br $again)) (i32.const 0)",
    "load_out_of_bounds": f"(i32.load (i32.const {MEMORY_BYTES - 3}))",
    "store_out_of_bounds": f"(i32.store (i32.const {MEMORY_BYTES - 3}) (i32.const 1)) (i32.const 0)",
    "fill_out_of_bounds": f"(memory.fill (i32.const {MEMORY_BYTES - 1}) (i32.const 1) (i32.const 2)) (i32.const 0)",
    "copy_out_of_bounds": f"(memory.copy (i32.const 0) (i32.const {MEMORY_BYTES}) (i32.const 1)) (i32.const 0)",
    "init_out_of_bounds": "(memory.init $text (i32.const 0) (i32.const 4) (i32.const 2)) (i32.const 0)",
    "table_copy_out_of_bounds": "(table.copy (i32.const 0) (i32.const 3) (i32.const 2)) (i32.const 0)",
    "division_by_zero": "(i32.div_u (i32.const 1) (global.get $zero))",
    "remainder_by_zero": "(i32.wrap_i64 (i64.rem_s (i64.const 1) (i64.extend_i32_u (global.get $zero))))",
    "integer_overflow": "(i32.div_s (i32.const 0x80000000) (i32.sub (global.get $zero) (i32.const 1)))",
    "conversion_out_of_range": "(i32.trunc_f32_s (f32.const 1e30))",
    "conversion_of_nan": "(i32.wrap_i64 (i64.trunc_f64_u (f64.const nan)))",
    "indirect_call_out_of_range": "(call_indirect (result i32) (i32.const 4))",
    "indirect_call_of_null": "(call_indirect (result i32) (i32.const 3))",
    "indirect_call_of_another_type": "(call_indirect (result i32) (i32.const 1))",
    "endless_recursion": "(call $deeper (i32.const 0x7fffffff))",
    "grow_then_trap": "(drop (memory.grow (i32.const 1))) (i32.store (i32.const 131072) (i32.const 9)) (unreachable)",
    "global_then_trap": "(global.set $private (i32.const 7)) (unreachable)",
    "dirty_memory_then_trap": "(i32.store8 (i32.const 9000) (i32.const 90)) (unreachable)",
    "drop_segment_then_trap": "(data.drop $text) (unreachable)",
    "copy_table_then_trap": "(table.copy (i32.const 0) (i32.const 2) (i32.const 1)) (unreachable)",
    "write_then_trap": """
        (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
        (drop (call $storage_delete (i32.const 1) (i32.const 2)))
        (drop (call $emit_event (i32.const 0) (i32.const 3)))
        (drop (call $set_output (i32.const 0) (i32.const 3))) (unreachable)""",
}

_ERRORS = {
    "returns_negative": "(i32.const -5)",
    "returns_least": "(i32.const 0x80000000)",
    "write_then_return_negative": """
        (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 8)))
        (drop (call $emit_event (i32.const 0) (i32.const 3))) (i32.const -1)""",
    "read_value_before_get": host_call("storage_read_value", 0, 4),
    "event_index": host_call("read_event", 0, 0, 4),
    "event_index_of_minus_one": f"(drop {host_call('emit_event', 0, 1)}) {host_call('read_event', -1, 0, 4)}",
    "too_many_event_bytes": f"(drop {host_call('emit_event', 0, 65_536)}) {host_call('emit_event', 0, 1)}",
    "big_output": host_call("set_output", 0, 65_537),
    "big_value": host_call("storage_set", 0, 1, 0, 65_537),
    "long_key_set": host_call("storage_set", 0, 257, 0, 1),
    "long_key_delete": host_call("storage_delete", 0, 257),
    "long_key_get": host_call("storage_get", 0, 257),
    "long_key_has": host_call("storage_has", 0, 257),
}

_DEEDS = {
    "grow_memory": "(drop (memory.grow (i32.const 2))) (i32.store8 (i32.const 200000) (i32.const 1)) (i32.const 0)",
    "grow_beyond_maximum": "(i32.eq (memory.grow (i32.const 3)) (i32.const -1))",
    "set_global": "(global.set $private (i32.const 7)) (i32.const 0)",
    "dirty_memory": "(i32.store8 (i32.const 9000) (i32.const 90)) (i32.const 0)",
    "drop_segment": "(data.drop $text) (i32.const 0)",
    "copy_table": "(table.copy (i32.const 0) (i32.const 2) (i32.const 1)) (i32.const 0)",
    "recursion": """
        (drop (call $input_read (i32.const 0) (i32.const 1) (i32.const 4)))
        (call $deeper (i32.load (i32.const 0)))""",
    "many_events": _COUNTED.format(deed="(drop (call $emit_event (i32.const 8) (i32.const 4)))"),
    "write_keys": _COUNTED.format(
        deed="(drop (call $storage_set (i32.const 8) (i32.const 4) (i32.const 8) (i32.const 2)))"
    ),
    "read_keys": _COUNTED.format(deed="(drop (call $storage_get (i32.const 8) (i32.const 4)))"),
    "has_keys": _COUNTED.format(deed="(drop (call $storage_has (i32.const 8) (i32.const 4)))"),
    "read_key": """
        (local $size i32) (local.set $size (call $input_read (i32.const 0) (i32.const 1) (i32.const 300)))
        (i32.wrap_i64 (call $storage_get (i32.const 0) (local.get $size)))""",
    "write_key": """
        (local $size i32) (local.set $size (call $input_read (i32.const 0) (i32.const 1) (i32.const 300)))
        (call $storage_set (i32.const 0) (local.get $size) (i32.const 0) (local.get $size))""",
}

OBSERVERS = {
    "read_global": ("(global.get $private)", "set_global", "global_then_trap"),
    "read_memory": ("(i32.load8_u (i32.const 9000))", "dirty_memory", "dirty_memory_then_trap"),
    "read_memory_size": ("(i32.sub (memory.size) (i32.const 2))", "grow_memory", "grow_then_trap"),
    "read_segment": (
        """(memory.init $text (i32.const 0) (i32.const 0) (i32.const 4))
           (i32.sub (i32.load8_u (i32.const 0)) (i32.const 65))""",
        "drop_segment",
        "drop_segment_then_trap",
    ),
    "read_table": ("(call_indirect (result i32) (i32.const 0))", "copy_table", "copy_table_then_trap"),
}
"""Entry point: its body, the deed that a dirty instance would show, the same with a trap behind it."""

MISDEEDS = {
    **_TRAPS,
    **_ERRORS,
    **_DEEDS,
    **{name: row[0] for name, row in OBSERVERS.items()},
    **_bad_pointers(),
}
"""Name: body in WAT. A misdeed's number is its place here."""


def misdeed(name: str, arguments: bytes = b"", by_number: bool = False) -> tuple[bytes, bytes]:
    """(entry point, input) of a misdeed."""
    number = list(MISDEEDS).index(name)
    return (b"main" if by_number else name.encode()), bytes([number]) + arguments


@functools.cache
def misbehaving() -> bytes:
    """The wasm of the contract."""
    functions = "\n".join(
        f'(func $deed{number} (export "{name}") (result i32) {body})'
        for number, (name, body) in enumerate(MISDEEDS.items())
    )
    choices = "\n".join(
        f"(if (i32.eq (local.get $number) (i32.const {number})) (then (return (call $deed{number}))))"
        for number in range(len(MISDEEDS))
    )
    return compiled(f"""(module {imports()}
        (memory (export "memory") 2 4)
        (table 4 4 funcref)
        (elem (i32.const 0) $zero_function $another_type $one_function)
        (data $text "ABCDE")
        (global $zero (mut i32) (i32.const 0))
        (global $private (mut i32) (i32.const 0))
        (func $zero_function (result i32) (i32.const 0))
        (func $one_function (result i32) (i32.const 1))
        (func $another_type (param i64))
        (func $deeper (param $left i32) (result i32)
          (if (result i32) (i32.eqz (local.get $left)) (then (i32.const 0))
            (else (i32.add (i32.const 1) (call $deeper (i32.sub (local.get $left) (i32.const 1)))))))
        {functions}
        (func (export "main") (result i32) (local $number i32)
          (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
          (local.set $number (i32.load8_u (i32.const 0)))
          {choices}
          (unreachable)))""")
