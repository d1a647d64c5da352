# SPDX-License-Identifier: GPL-3.0-or-later
"""A contract whose input is a program: what it reads and writes depends on the input and on what is stored.

Input: operations one after the other, each an opcode (1 byte, the place in `OPERATIONS`) and its operands. Keys are
single bytes; a stored number is 8 bytes, little-endian, and shorter values count as padded with zeros. Operands of more
than one byte are little-endian. There is one register, `acc`, of 64 bits. The program ends at opcode 0 or with the
input; the call then returns the low 31 bits of `acc`. An unknown opcode traps. The functions below assemble operations
of the same name; a program is their concatenation.

operation | operands | effect
-|-|-
`stop` | |
`get` | k | acc = number at k
`set` | k x(4) | number at k = x
`delete` | k |
`has` | k | acc = 1 if k is present, else 0
`add` | k x(4) | number at k += x; acc = the sum
`copy` | a b | value at b = first 300 bytes of the value at a, whatever they are
`event` | n bytes(n) | an event of these bytes
`if_odd` | k n(2) | skips n bytes of the program unless the number at k is odd
`transfer` | address(20) amount(8) | out of the contract's own balance; acc = 0, or 2^64 − 1 if that is too small
`balance` | address(20) | acc = low 64 bits of the balance
`fail` | | returns −1
`trap` | | unreachable
`output` | | output = acc
`put` | k | number at k = acc
`get_at` | k m | acc = number at the key that is (low byte of the number at k) mod m
`add_at` | k m x(4) | number at that key += x; acc = the sum
`spin` | n(2) | a loop of n rounds
`fill` | k n(2) | value at k = n bytes (up to 1,000), each of them k
`about` | | output = caller ‖ own address ‖ value ‖ block number (8) ‖ timestamp (8)
`read_event` | i | acc = first 8 bytes of event i; no such event traps
`hash` | k | acc = first 8 bytes of SHA-256 of the first 300 bytes of the value at k
"""

from __future__ import annotations

import functools

from contracts_for_tests import compiled, imports

ENTRY = b"run"
NOTHING = b"nothing"
"""An entry point that only returns 7."""

_KEY = "(i32.load8_u offset=1 (local.get $p))"
_SECOND = "(i32.load8_u offset=2 (local.get $p))"
_AT = f"(i32.rem_u (i32.and (i32.wrap_i64 (call $number {_KEY})) (i32.const 255)) {_SECOND})"

OPERATIONS: dict[str, tuple[int, str]] = {
    "stop": (0, "(br $end)"),
    "get": (1, f"(local.set $acc (call $number {_KEY}))"),
    "set": (5, f"(call $put {_KEY} (i64.load32_u offset=2 (local.get $p)))"),
    "delete": (1, f"(call $key {_KEY}) (drop (call $storage_delete (i32.const 0) (i32.const 1)))"),
    "has": (
        1,
        f"""(call $key {_KEY})
        (local.set $acc (i64.extend_i32_s (call $storage_has (i32.const 0) (i32.const 1))))""",
    ),
    "add": (
        5,
        f"""(local.set $acc (i64.add (call $number {_KEY}) (i64.load32_u offset=2 (local.get $p))))
        (call $put {_KEY} (local.get $acc))""",
    ),
    "copy": (
        2,
        f"""(local.set $n (call $value_bytes {_KEY})) (call $key {_SECOND})
        (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 16) (local.get $n)))""",
    ),
    "event": (
        1,
        f"""(drop (call $emit_event (i32.add (local.get $p) (i32.const 2)) {_KEY}))
        (local.set $p (i32.add (local.get $p) {_KEY}))""",
    ),
    "if_odd": (
        3,
        f"""(if (i64.eqz (i64.and (call $number {_KEY}) (i64.const 1))) (then
        (local.set $p (i32.add (local.get $p) (i32.load16_u offset=2 (local.get $p))))))""",
    ),
    "transfer": (
        28,
        """(memory.fill (i32.const 400) (i32.const 0) (i32.const 32))
        (local.set $n (i32.const 0))
        (loop $byte
          (i32.store8 (i32.sub (i32.const 431) (local.get $n))
            (i32.load8_u offset=21 (i32.add (local.get $p) (local.get $n))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $byte (i32.lt_u (local.get $n) (i32.const 8))))
        (local.set $acc (i64.extend_i32_s
          (call $transfer (i32.add (local.get $p) (i32.const 1)) (i32.const 400))))""",
    ),
    "balance": (
        20,
        """(drop (call $balance (i32.add (local.get $p) (i32.const 1)) (i32.const 400)))
        (local.set $n (i32.const 0)) (local.set $acc (i64.const 0))
        (loop $byte
          (local.set $acc (i64.or (i64.shl (local.get $acc) (i64.const 8))
            (i64.load8_u offset=424 (local.get $n))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $byte (i32.lt_u (local.get $n) (i32.const 8))))""",
    ),
    "fail": (0, "(return (i32.const -1))"),
    "trap": (0, "(unreachable)"),
    "output": (
        0,
        "(i64.store (i32.const 16) (local.get $acc)) (drop (call $set_output (i32.const 16) (i32.const 8)))",
    ),
    "put": (1, f"(call $put {_KEY} (local.get $acc))"),
    "get_at": (2, f"(local.set $acc (call $number {_AT}))"),
    "add_at": (
        6,
        f"""(local.set $n {_AT})
        (local.set $acc (i64.add (call $number (local.get $n)) (i64.load32_u offset=3 (local.get $p))))
        (call $put (local.get $n) (local.get $acc))""",
    ),
    "spin": (
        2,
        """(local.set $n (i32.load16_u offset=1 (local.get $p)))
        (loop $round (if (local.get $n) (then
          (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $round))))""",
    ),
    "fill": (
        3,
        f"""(local.set $n (i32.load16_u offset=2 (local.get $p)))
        (memory.fill (i32.const 1000) {_KEY} (local.get $n)) (call $key {_KEY})
        (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 1000) (local.get $n)))""",
    ),
    "about": (
        0,
        """(drop (call $caller (i32.const 400))) (drop (call $self_address (i32.const 420)))
        (drop (call $value (i32.const 440))) (i64.store (i32.const 472) (call $block_number))
        (i64.store (i32.const 480) (call $timestamp)) (drop (call $set_output (i32.const 400) (i32.const 88)))""",
    ),
    "read_event": (
        1,
        f"""(i64.store (i32.const 16) (i64.const 0))
        (drop (call $read_event {_KEY} (i32.const 16) (i32.const 8)))
        (local.set $acc (i64.load (i32.const 16)))""",
    ),
    "hash": (
        1,
        f"""(drop (call $sha256 (i32.const 16) (call $value_bytes {_KEY}) (i32.const 400)))
        (local.set $acc (i64.load (i32.const 400)))""",
    ),
}
"""Name: bytes of operands, what is done with `$p` at the opcode."""

CODES = {name: code for code, name in enumerate(OPERATIONS)}


@functools.cache
def program_contract() -> bytes:
    """The wasm of the contract."""
    choices = "\n".join(
        f"""(if (i32.eq (local.get $op) (i32.const {CODES[name]})) (then {body}
        (local.set $p (i32.add (local.get $p) (i32.const {1 + operands}))) (br $next)))"""
        for name, (operands, body) in OPERATIONS.items()
    )
    return compiled(f"""(module {imports()}
        (memory (export "memory") 2 2)
        (func $key (param $k i32) (i32.store8 (i32.const 0) (local.get $k)))
        (func $value_bytes (param $k i32) (result i32) (call $key (local.get $k))
          (drop (call $storage_get (i32.const 0) (i32.const 1)))
          (call $storage_read_value (i32.const 16) (i32.const 300)))
        (func $number (param $k i32) (result i64) (call $key (local.get $k))
          (i64.store (i32.const 16) (i64.const 0))
          (drop (call $storage_get (i32.const 0) (i32.const 1)))
          (drop (call $storage_read_value (i32.const 16) (i32.const 8)))
          (i64.load (i32.const 16)))
        (func $put (param $k i32) (param $x i64) (call $key (local.get $k))
          (i64.store (i32.const 16) (local.get $x))
          (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 8))))
        (func (export "nothing") (result i32) (i32.const 7))
        (func (export "run") (result i32)
          (local $p i32) (local $last i32) (local $op i32) (local $n i32) (local $acc i64)
          (local.set $p (i32.const 65536))
          (local.set $last (i32.add (local.get $p)
            (call $input_read (local.get $p) (i32.const 0) (i32.const 65000))))
          (block $end (loop $next
            (br_if $end (i32.ge_u (local.get $p) (local.get $last)))
            (local.set $op (i32.load8_u (local.get $p)))
            {choices}
            (unreachable)))
          (i32.and (i32.wrap_i64 (local.get $acc)) (i32.const 0x7fffffff))))""")


def _operation(name: str, *operands: bytes) -> bytes:
    return bytes([CODES[name]]) + b"".join(operands)


def stop() -> bytes:
    return _operation("stop")


def get(key: int) -> bytes:
    return _operation("get", bytes([key]))


def set_number(key: int, number: int) -> bytes:
    return _operation("set", bytes([key]), number.to_bytes(4, "little"))


def delete(key: int) -> bytes:
    return _operation("delete", bytes([key]))


def has(key: int) -> bytes:
    return _operation("has", bytes([key]))


def add(key: int, number: int) -> bytes:
    return _operation("add", bytes([key]), number.to_bytes(4, "little"))


def copy(source: int, target: int) -> bytes:
    return _operation("copy", bytes([source, target]))


def event(data: bytes) -> bytes:
    return _operation("event", bytes([len(data)]), data)


def if_odd(key: int, body: bytes) -> bytes:
    """The body runs only if the number at the key is odd."""
    return _operation("if_odd", bytes([key]), len(body).to_bytes(2, "little")) + body


def transfer(to: bytes, amount: int) -> bytes:
    return _operation("transfer", to, amount.to_bytes(8, "little"))


def balance(address: bytes) -> bytes:
    return _operation("balance", address)


def fail() -> bytes:
    return _operation("fail")


def trap() -> bytes:
    return _operation("trap")


def output() -> bytes:
    return _operation("output")


def put(key: int) -> bytes:
    return _operation("put", bytes([key]))


def get_at(key: int, modulus: int) -> bytes:
    return _operation("get_at", bytes([key, modulus]))


def add_at(key: int, modulus: int, number: int) -> bytes:
    return _operation("add_at", bytes([key, modulus]), number.to_bytes(4, "little"))


def spin(rounds: int) -> bytes:
    return _operation("spin", rounds.to_bytes(2, "little"))


def fill(key: int, size: int) -> bytes:
    return _operation("fill", bytes([key]), size.to_bytes(2, "little"))


def about() -> bytes:
    return _operation("about")


def read_event(index: int) -> bytes:
    return _operation("read_event", bytes([index]))


def hash_value(key: int) -> bytes:
    return _operation("hash", bytes([key]))
