;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; A collection of unique tokens, each with an id of 32 bytes.
;;
;;   mint       to (20), id (32)     the first to mint owns the collection and alone mints
;;   transfer   to (20), id (32)     the caller owns the token
;;   owner_of   id (32)              output the owner (20)
;;
;; Returns 0, or
;;   -1 the input has another length    -2 no token has this id    -3 the token exists already
;;   -4 the caller does not own the token    -5 the caller does not own the collection
;;
;; Storage: id (32) is the token's owner (20); "o" is the collection's owner (20).
;; Events, 73 bytes: 01, from (20), to (20), id (32); from is zero when minting.
;;
;; Memory: 63 kind of event, 64 from, 84 to, 104 id, 136 an address read from storage, 160 the key "o".
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 192 192 (pagesize 1))
  (data (i32.const 63) "\01")
  (data (i32.const 160) "o")

  ;; Whether the address at 136 is the caller's, at 64.
  (func $is_caller (result i32)
    (i32.and
      (i32.and
        (i64.eq (i64.load (i32.const 64)) (i64.load (i32.const 136)))
        (i64.eq (i64.load (i32.const 72)) (i64.load (i32.const 144))))
      (i32.eq (i32.load (i32.const 80)) (i32.load (i32.const 152)))))

  ;; The address under a key to 136; 0 if there is none.
  (func $load (param $key i32) (param $length i32) (result i32)
    (if (i64.eqz (call $storage_get (local.get $key) (local.get $length))) (then (return (i32.const 0))))
    (drop (call $storage_read_value (i32.const 136) (i32.const 20)))
    (i32.const 1))

  ;; The token to `to`, with its event; 0.
  (func $give (result i32)
    (drop (call $storage_set (i32.const 104) (i32.const 32) (i32.const 84) (i32.const 20)))
    (drop (call $emit_event (i32.const 63) (i32.const 73)))
    (i32.const 0))

  (func (export "mint") (result i32)
    (drop (call $caller (i32.const 64)))
    (if (i32.ne (call $input_read (i32.const 84) (i32.const 0) (i32.const 53)) (i32.const 52))
      (then (return (i32.const -1))))
    (if (call $load (i32.const 160) (i32.const 1))
      (then (if (i32.eqz (call $is_caller)) (then (return (i32.const -5)))))
      (else (drop (call $storage_set (i32.const 160) (i32.const 1) (i32.const 64) (i32.const 20)))))
    (if (call $load (i32.const 104) (i32.const 32)) (then (return (i32.const -3))))
    (memory.fill (i32.const 64) (i32.const 0) (i32.const 20))
    (call $give))

  (func (export "transfer") (result i32)
    (drop (call $caller (i32.const 64)))
    (if (i32.ne (call $input_read (i32.const 84) (i32.const 0) (i32.const 53)) (i32.const 52))
      (then (return (i32.const -1))))
    (if (i32.eqz (call $load (i32.const 104) (i32.const 32))) (then (return (i32.const -2))))
    (if (i32.eqz (call $is_caller)) (then (return (i32.const -4))))
    (call $give))

  (func (export "owner_of") (result i32)
    (if (i32.ne (call $input_read (i32.const 104) (i32.const 0) (i32.const 33)) (i32.const 32))
      (then (return (i32.const -1))))
    (if (i32.eqz (call $load (i32.const 104) (i32.const 32))) (then (return (i32.const -2))))
    (drop (call $set_output (i32.const 136) (i32.const 20)))
    (i32.const 0)))
