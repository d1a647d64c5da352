# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts that would show what an earlier call left behind, and that can be put back without a new instance.

The contract that misbehaves drops segments and copies tables, so that its instances are never used twice. These do not;
`leaky` makes them with and without `memory.grow`, and with more memory than is worth copying.

Entry points: `dirty` changes every global, memory at its first and last byte, grows memory if it can; `dirty_then_trap`
the same and traps inside two calls; `dirty_then_fail` returns −1; `dirty_then_host_trap` gives a host function a bad pointer
within a call; `look` gives all of it as output, which is the same on every new instance; `deep` makes 1,022 nested calls.
"""

from __future__ import annotations

import functools

from contracts_for_tests import compiled, imports

ENDS = ("dirty", "dirty_then_trap", "dirty_then_fail", "dirty_then_host_trap", "too_deep")
"""Entry points after which an instance is not as it was, unless it is put back."""


@functools.cache
def leaky(pages: int = 1, grows: bool = False) -> bytes:
    """The wasm of one of them."""
    last = 65_536 * pages - 1
    grow = "(drop (memory.grow (i32.const 1)))" if grows else ""
    return compiled(f"""(module {imports()}
        (memory (export "memory") {pages} {pages + 2})
        (data (i32.const 100) "as it was")
        (global $a (mut i32) (i32.const 11))
        (global $b (export "open") (mut i64) (i64.const -12))
        (global $c (mut f32) (f32.const 1.5))
        (global $d (mut f64) (f64.const -2.5))
        (global $constant i32 (i32.const 9))
        (table 2 2 funcref) (elem (i32.const 0) $one)
        (func $one (result i32) (i32.const 1))
        (func $deeper (param $left i32) (result i32)
          (if (result i32) (i32.eqz (local.get $left)) (then (i32.const 0))
            (else (i32.add (i32.const 1) (call $deeper (i32.sub (local.get $left) (i32.const 1)))))))
        (func $change
          (global.set $a (i32.add (global.get $a) (i32.const 1)))
          (global.set $b (i64.add (global.get $b) (i64.const 1)))
          (global.set $c (f32.add (global.get $c) (f32.const 1)))
          (global.set $d (f64.add (global.get $d) (f64.const 1)))
          (i32.store8 (i32.const 0) (i32.const 1)) (i32.store8 (i32.const {last}) (i32.const 1))
          (i64.store (i32.const 100) (i64.const -1)) {grow})
        (func $trap_below (result i32) (call $change) (unreachable))
        (func (export "dirty") (result i32) (call $change) (i32.const 0))
        (func (export "dirty_then_trap") (result i32) (call $trap_below))
        (func (export "dirty_then_fail") (result i32) (call $change) (i32.const -1))
        (func (export "dirty_then_host_trap") (result i32) (call $change)
          (call $emit_event (i32.const -1) (i32.const 9)))
        (func (export "too_deep") (result i32) (call $change) (call $deeper (i32.const 100000)))
        (func (export "deep") (result i32) (call $deeper (i32.const 1022)))
        (func (export "look") (result i32)
          (i32.store (i32.const 8) (global.get $a)) (i64.store (i32.const 16) (global.get $b))
          (f32.store (i32.const 24) (global.get $c)) (f64.store (i32.const 32) (global.get $d))
          (i32.store (i32.const 40) (memory.size))
          (i32.store8 (i32.const 44) (i32.load8_u (i32.const {last})))
          (drop (call $set_output (i32.const 0) (i32.const 120)))
          (memory.size)))""")
