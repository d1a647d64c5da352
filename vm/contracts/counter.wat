;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; A counter that anyone may increment.
;;
;;   increment   no input; output the new count (8, big-endian)
;;   get         no input; output the count (8, big-endian)
;;
;; Returns 0, or -1 if there is an input. The count starts at 0 and wraps at 2^64. No events.
;; Storage: "c" is the count (8, little-endian).
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))

  (memory (export "memory") 64 64 (pagesize 1))
  (data (i32.const 0) "c")

  ;; The bytes of x in the other order.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  (func $load (result i64)
    (drop (call $storage_get (i32.const 0) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 8) (i32.const 8)))
    (i64.load (i32.const 8)))

  (func $show (param $count i64) (result i32)
    (i64.store (i32.const 16) (call $swap (local.get $count)))
    (drop (call $set_output (i32.const 16) (i32.const 8)))
    (i32.const 0))

  (func (export "increment") (result i32) (local $count i64)
    (if (call $input_len) (then (return (i32.const -1))))
    (local.set $count (i64.add (call $load) (i64.const 1)))
    (i64.store (i32.const 8) (local.get $count))
    (drop (call $storage_set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8)))
    (call $show (local.get $count)))

  (func (export "get") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $show (call $load))))
