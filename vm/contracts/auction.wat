;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; An auction in the chain's own money: the highest bid wins, who is outbid gets the bid back at once.
;;
;;   open      end (8, seconds, big-endian)    the caller becomes the beneficiary
;;   bid       none; the bid is the value of the transaction
;;   close     none; from the end on, by anyone: the highest bid goes to the beneficiary
;;   highest   none; output bidder (20), amount (32, big-endian), zeros if nobody has bid
;;
;; Returns 0, or
;;   -1 the input has another length     -2 the bid is not above the highest    -3 there is no auction, or it has ended
;;   -4 the auction has not ended yet    -5 it was opened before                -6 it is closed already
;;   -7 a payment was refused            -8 money was sent along where none is taken
;;
;; Storage: "a" beneficiary (20), end (8, little-endian), closed (1); "h" bidder (20), amount (32, big-endian).
;; Events: 01, bidder (20), amount (32) for a bid; 02, bidder (20), amount (32) when closed.
;;
;; Memory: 0 beneficiary, 20 end, 28 closed; 31 kind of event, 32 highest bidder, 52 highest amount; 96 caller,
;; 116 value; 160 input; 176 "ah"
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "timestamp" (func $timestamp (result i64)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "value" (func $value (param i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "transfer" (func $transfer (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 192 192 (pagesize 1))
  (data (i32.const 176) "ah")

  ;; The bytes of x in the other order.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  ;; The auction to 0; 0 if there is none.
  (func $load_auction (result i32)
    (if (i64.eqz (call $storage_get (i32.const 176) (i32.const 1))) (then (return (i32.const 0))))
    (drop (call $storage_read_value (i32.const 0) (i32.const 29)))
    (i32.const 1))

  ;; The highest bid to 32; 0 if there is none.
  (func $load_highest (result i32)
    (if (i64.eqz (call $storage_get (i32.const 177) (i32.const 1))) (then (return (i32.const 0))))
    (drop (call $storage_read_value (i32.const 32) (i32.const 52)))
    (i32.const 1))

  ;; Whether the value at 116 is above the highest amount at 52: the first word that differs decides.
  (func $above (result i32) (local $at i32) (local $a i64) (local $b i64)
    (loop $next
      (local.set $a (call $swap (i64.load offset=116 (local.get $at))))
      (local.set $b (call $swap (i64.load offset=52 (local.get $at))))
      (if (i64.ne (local.get $a) (local.get $b)) (then (return (i64.gt_u (local.get $a) (local.get $b)))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 32))))
    (i32.const 0))

  ;; Whether money came along.
  (func $paid (result i32)
    (drop (call $value (i32.const 116)))
    (i64.ne (i64.const 0) (i64.or
      (i64.or (i64.load (i32.const 116)) (i64.load (i32.const 124)))
      (i64.or (i64.load (i32.const 132)) (i64.load (i32.const 140))))))

  (func $emit (param $kind i32)
    (i32.store8 (i32.const 31) (local.get $kind))
    (drop (call $emit_event (i32.const 31) (i32.const 53))))

  (func (export "open") (result i32)
    (if (i32.ne (call $input_read (i32.const 160) (i32.const 0) (i32.const 9)) (i32.const 8))
      (then (return (i32.const -1))))
    (if (call $paid) (then (return (i32.const -8))))
    (if (call $load_auction) (then (return (i32.const -5))))
    (drop (call $caller (i32.const 0)))
    (i64.store (i32.const 20) (call $swap (i64.load (i32.const 160))))
    (i32.store8 (i32.const 28) (i32.const 0))
    (drop (call $storage_set (i32.const 176) (i32.const 1) (i32.const 0) (i32.const 29)))
    (i32.const 0))

  (func (export "bid") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (if (i32.eqz (call $load_auction)) (then (return (i32.const -3))))
    (if (i32.load8_u (i32.const 28)) (then (return (i32.const -3))))
    (if (i64.ge_u (call $timestamp) (i64.load (i32.const 20))) (then (return (i32.const -3))))
    (drop (call $value (i32.const 116)))
    (if (call $load_highest)
      (then
        (if (i32.eqz (call $above)) (then (return (i32.const -2))))
        (if (call $transfer (i32.const 32) (i32.const 52)) (then (return (i32.const -7)))))
      (else
        (if (i32.eqz (call $above)) (then (return (i32.const -2))))))
    (drop (call $caller (i32.const 32)))
    (memory.copy (i32.const 52) (i32.const 116) (i32.const 32))
    (drop (call $storage_set (i32.const 177) (i32.const 1) (i32.const 32) (i32.const 52)))
    (call $emit (i32.const 1))
    (i32.const 0))

  (func (export "close") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (if (call $paid) (then (return (i32.const -8))))
    (if (i32.eqz (call $load_auction)) (then (return (i32.const -3))))
    (if (i32.load8_u (i32.const 28)) (then (return (i32.const -6))))
    (if (i64.lt_u (call $timestamp) (i64.load (i32.const 20))) (then (return (i32.const -4))))
    (i32.store8 (i32.const 28) (i32.const 1))
    (drop (call $storage_set (i32.const 176) (i32.const 1) (i32.const 0) (i32.const 29)))
    (if (call $load_highest)
      (then (if (call $transfer (i32.const 0) (i32.const 52)) (then (return (i32.const -7))))))
    (call $emit (i32.const 2))
    (i32.const 0))

  (func (export "highest") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (if (call $paid) (then (return (i32.const -8))))
    (drop (call $load_highest))
    (drop (call $set_output (i32.const 32) (i32.const 52)))
    (i32.const 0)))
