;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; A market of two tokens, 0 and 1, with the constant product rule and a fee of 0.3 %.
;;
;; The contract keeps both tokens' balances itself; `deposit` creates them, so that no other contract is called. All
;; amounts are 8 bytes, big-endian in inputs, outputs and events; each, and each reserve, stays below 2^53.
;;
;;   deposit           side (1), amount                          to the caller's balance
;;   add_liquidity     amount 0, most 1, least shares            output shares
;;   remove_liquidity  shares, least 0, least 1                  output amount 0, amount 1
;;   swap              side that is given (1), amount, least     output what is received of the other side
;;   balance           side (1; 2 for shares), owner (20)        output amount
;;   reserves          none                                      output reserve 0, reserve 1, shares
;;
;; Who adds first sets the price: all of `most 1` is taken, and there are as many shares as units of token 0. Later the
;; amount of token 1 follows the price, rounded up; what is paid out is rounded down.
;;
;; Returns 0, or
;;   -1 the input has another length or an unknown side    -2 the balance is too small    -3 a limit is not met
;;   -4 an amount is zero, or it or a sum is not below 2^53    -5 there is no liquidity
;;
;; Storage, amounts little-endian:
;;   side (1), owner (20)    balance of token 0 or 1 (8), of shares for side 2
;;   "p"                     reserve 0, reserve 1, shares (24)
;;   "t"                     all that was ever deposited of token 0, of token 1 (16)
;;
;; The sum of balances and reserve of a token is what was deposited of it.
;;
;; Events:
;;   00, caller (20), side (1), amount (8)                deposit
;;   01, caller (20), side (1), given (8), received (8)   swap
;;   02, caller (20), amount 0, amount 1, shares (24)     add_liquidity
;;   03, caller (20), amount 0, amount 1, shares (24)     remove_liquidity
;;
;; Memory: 0 side, 1 caller, 24 a balance, 32 reserves and shares, 64 input, 96 event (caller at 97), 152 "pt",
;; 160 totals
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 192 192 (pagesize 1))
  (data (i32.const 152) "pt")

  ;; The bytes of x in the other order.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  ;; floor(a b / c) for c > 0; -1 if that takes more than 64 bits. Product by halves, then 64 steps of long division.
  (func $muldiv (param $a i64) (param $b i64) (param $c i64) (result i64)
    (local $high i64) (local $low i64) (local $middle i64) (local $cross i64) (local $left i32) (local $top i64)
    (local.set $low (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff)) (i64.and (local.get $b) (i64.const 0xffffffff))))
    (local.set $middle (i64.add
      (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.and (local.get $b) (i64.const 0xffffffff)))
      (i64.shr_u (local.get $low) (i64.const 32))))
    (local.set $cross (i64.add
      (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff)) (i64.shr_u (local.get $b) (i64.const 32)))
      (i64.and (local.get $middle) (i64.const 0xffffffff))))
    (local.set $high (i64.add
      (i64.add
        (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
        (i64.shr_u (local.get $middle) (i64.const 32)))
      (i64.shr_u (local.get $cross) (i64.const 32))))
    (local.set $low (i64.or
      (i64.shl (local.get $cross) (i64.const 32))
      (i64.and (local.get $low) (i64.const 0xffffffff))))
    (if (i64.ge_u (local.get $high) (local.get $c)) (then (return (i64.const -1))))
    ;; `low` gives up its bits from the top and takes the quotient's from below.
    (local.set $left (i32.const 64))
    (loop $step
      (local.set $top (i64.shr_u (local.get $high) (i64.const 63)))
      (local.set $high (i64.or
        (i64.shl (local.get $high) (i64.const 1))
        (i64.shr_u (local.get $low) (i64.const 63))))
      (local.set $low (i64.shl (local.get $low) (i64.const 1)))
      (if (i32.or (i32.wrap_i64 (local.get $top)) (i64.ge_u (local.get $high) (local.get $c)))
        (then
          (local.set $high (i64.sub (local.get $high) (local.get $c)))
          (local.set $low (i64.or (local.get $low) (i64.const 1)))))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $step (local.get $left)))
    (local.get $low))

  ;; Whether an amount is neither zero nor 2^53 or more.
  (func $fits (param $x i64) (result i32)
    (i64.lt_u (i64.sub (local.get $x) (i64.const 1)) (i64.const 0x1fffffffffffff)))

  ;; The amount at this offset of the input.
  (func $input (param $offset i32) (result i64)
    (call $swap (i64.load offset=64 (local.get $offset))))

  ;; The caller to the key and the event; whether the input has this length.
  (func $begin (param $length i32) (result i32)
    (drop (call $caller (i32.const 1)))
    (memory.copy (i32.const 97) (i32.const 1) (i32.const 20))
    (i32.eq (local.get $length)
      (call $input_read (i32.const 64) (i32.const 0) (i32.add (local.get $length) (i32.const 1)))))

  ;; Add to (or, with a negative amount, take from) the balance under the key at 0; 0 if it is too small or the sum
  ;; too large.
  (func $move (param $side i32) (param $amount i64) (result i32)
    (i32.store8 (i32.const 0) (local.get $side))
    (i64.store (i32.const 24) (i64.const 0))
    (drop (call $storage_get (i32.const 0) (i32.const 21)))
    (drop (call $storage_read_value (i32.const 24) (i32.const 8)))
    (i64.store (i32.const 24) (i64.add (i64.load (i32.const 24)) (local.get $amount)))
    (if (i64.gt_u (i64.load (i32.const 24)) (i64.const 0x1fffffffffffff)) (then (return (i32.const 0))))
    (drop (call $storage_set (i32.const 0) (i32.const 21) (i32.const 24) (i32.const 8)))
    (i32.const 1))

  (func $load_pool
    (drop (call $storage_get (i32.const 152) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 32) (i32.const 24))))

  (func $store_pool
    (drop (call $storage_set (i32.const 152) (i32.const 1) (i32.const 32) (i32.const 24))))

  ;; Emit the event of this kind and length; the last `output` bytes of it are the output; 0.
  (func $done (param $kind i32) (param $length i32) (param $output i32) (result i32)
    (i32.store8 (i32.const 96) (local.get $kind))
    (drop (call $emit_event (i32.const 96) (local.get $length)))
    (drop (call $set_output
      (i32.sub (i32.add (i32.const 96) (local.get $length)) (local.get $output))
      (local.get $output)))
    (i32.const 0))

  (func (export "deposit") (result i32) (local $side i32) (local $amount i64) (local $total i32)
    (if (i32.eqz (call $begin (i32.const 9))) (then (return (i32.const -1))))
    (local.set $side (i32.load8_u (i32.const 64)))
    (if (i32.gt_u (local.get $side) (i32.const 1)) (then (return (i32.const -1))))
    (local.set $amount (call $input (i32.const 1)))
    (if (i32.eqz (call $fits (local.get $amount))) (then (return (i32.const -4))))
    (drop (call $storage_get (i32.const 153) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 160) (i32.const 16)))
    (local.set $total (i32.add (i32.const 160) (i32.shl (local.get $side) (i32.const 3))))
    (i64.store (local.get $total) (i64.add (i64.load (local.get $total)) (local.get $amount)))
    ;; With the total in range no balance and no reserve can leave it.
    (if (i32.eqz (call $fits (i64.load (local.get $total)))) (then (return (i32.const -4))))
    (drop (call $storage_set (i32.const 153) (i32.const 1) (i32.const 160) (i32.const 16)))
    (drop (call $move (local.get $side) (local.get $amount)))
    (memory.copy (i32.const 117) (i32.const 64) (i32.const 9))
    (call $done (i32.const 0) (i32.const 30) (i32.const 0)))

  (func (export "add_liquidity") (result i32)
    (local $zero i64) (local $one i64) (local $shares i64) (local $reserve i64)
    (if (i32.eqz (call $begin (i32.const 24))) (then (return (i32.const -1))))
    (call $load_pool)
    (local.set $zero (call $input (i32.const 0)))
    (local.set $one (call $input (i32.const 8)))
    (if (i32.eqz (call $fits (local.get $zero))) (then (return (i32.const -4))))
    (if (i32.eqz (call $fits (local.get $one))) (then (return (i32.const -4))))
    (local.set $shares (local.get $zero))
    (local.set $reserve (i64.load (i32.const 32)))
    (if (i64.ne (i64.load (i32.const 48)) (i64.const 0))
      (then
        (local.set $shares (call $muldiv (local.get $zero) (i64.load (i32.const 48)) (local.get $reserve)))
        (if (i32.eqz (call $fits (local.get $shares))) (then (return (i32.const -4))))
        ;; Rounded up: one more if the quotient times the divisor is not the product (modulo 2^64 is enough, as the
        ;; remainder is below 2^53).
        (local.set $one (call $muldiv (local.get $zero) (i64.load (i32.const 40)) (local.get $reserve)))
        (if (i64.ne
              (i64.mul (local.get $one) (local.get $reserve))
              (i64.mul (local.get $zero) (i64.load (i32.const 40))))
          (then (local.set $one (i64.add (local.get $one) (i64.const 1)))))
        (if (i32.eqz (call $fits (local.get $one))) (then (return (i32.const -4))))))
    (if (i64.gt_u (local.get $one) (call $input (i32.const 8))) (then (return (i32.const -3))))
    (if (i64.lt_u (local.get $shares) (call $input (i32.const 16))) (then (return (i32.const -3))))
    (if (i32.eqz (call $move (i32.const 0) (i64.sub (i64.const 0) (local.get $zero))))
      (then (return (i32.const -2))))
    (if (i32.eqz (call $move (i32.const 1) (i64.sub (i64.const 0) (local.get $one))))
      (then (return (i32.const -2))))
    (i64.store (i32.const 32) (i64.add (local.get $reserve) (local.get $zero)))
    (i64.store (i32.const 40) (i64.add (i64.load (i32.const 40)) (local.get $one)))
    (i64.store (i32.const 48) (i64.add (i64.load (i32.const 48)) (local.get $shares)))
    (if (i32.eqz (call $fits (i64.load (i32.const 48)))) (then (return (i32.const -4))))
    (call $store_pool)
    (drop (call $move (i32.const 2) (local.get $shares)))
    (i64.store (i32.const 117) (call $swap (local.get $zero)))
    (i64.store (i32.const 125) (call $swap (local.get $one)))
    (i64.store (i32.const 133) (call $swap (local.get $shares)))
    (call $done (i32.const 2) (i32.const 45) (i32.const 8)))

  (func (export "remove_liquidity") (result i32) (local $zero i64) (local $one i64) (local $shares i64)
    (if (i32.eqz (call $begin (i32.const 24))) (then (return (i32.const -1))))
    (call $load_pool)
    (local.set $shares (call $input (i32.const 0)))
    (if (i32.eqz (call $fits (local.get $shares))) (then (return (i32.const -4))))
    (if (i64.eqz (i64.load (i32.const 48))) (then (return (i32.const -5))))
    (if (i32.eqz (call $move (i32.const 2) (i64.sub (i64.const 0) (local.get $shares))))
      (then (return (i32.const -2))))
    (local.set $zero (call $muldiv (local.get $shares) (i64.load (i32.const 32)) (i64.load (i32.const 48))))
    (local.set $one (call $muldiv (local.get $shares) (i64.load (i32.const 40)) (i64.load (i32.const 48))))
    (if (i32.or
          (i64.lt_u (local.get $zero) (call $input (i32.const 8)))
          (i64.lt_u (local.get $one) (call $input (i32.const 16))))
      (then (return (i32.const -3))))
    (drop (call $move (i32.const 0) (local.get $zero)))
    (drop (call $move (i32.const 1) (local.get $one)))
    (i64.store (i32.const 32) (i64.sub (i64.load (i32.const 32)) (local.get $zero)))
    (i64.store (i32.const 40) (i64.sub (i64.load (i32.const 40)) (local.get $one)))
    (i64.store (i32.const 48) (i64.sub (i64.load (i32.const 48)) (local.get $shares)))
    (call $store_pool)
    (i64.store (i32.const 117) (call $swap (local.get $zero)))
    (i64.store (i32.const 125) (call $swap (local.get $one)))
    (i64.store (i32.const 133) (call $swap (local.get $shares)))
    (drop (call $done (i32.const 3) (i32.const 45) (i32.const 24)))
    (drop (call $set_output (i32.const 117) (i32.const 16)))
    (i32.const 0))

  (func (export "swap") (result i32)
    (local $side i32) (local $from i32) (local $to i32) (local $given i64) (local $received i64) (local $net i64)
    (if (i32.eqz (call $begin (i32.const 17))) (then (return (i32.const -1))))
    (local.set $side (i32.load8_u (i32.const 64)))
    (if (i32.gt_u (local.get $side) (i32.const 1)) (then (return (i32.const -1))))
    (local.set $given (call $input (i32.const 1)))
    (if (i32.eqz (call $fits (local.get $given))) (then (return (i32.const -4))))
    (call $load_pool)
    (if (i64.eqz (i64.load (i32.const 48))) (then (return (i32.const -5))))
    (local.set $from (i32.add (i32.const 32) (i32.shl (local.get $side) (i32.const 3))))
    (local.set $to (i32.sub (i32.const 72) (local.get $from)))
    ;; received = y · 997 given / (1000 x + 997 given): all below 2^64, the quotient below y.
    (local.set $net (i64.mul (local.get $given) (i64.const 997)))
    (local.set $received (call $muldiv
      (local.get $net)
      (i64.load (local.get $to))
      (i64.add (i64.mul (i64.load (local.get $from)) (i64.const 1000)) (local.get $net))))
    (if (i64.lt_u (local.get $received) (call $input (i32.const 9))) (then (return (i32.const -3))))
    (if (i32.eqz (call $move (local.get $side) (i64.sub (i64.const 0) (local.get $given))))
      (then (return (i32.const -2))))
    (drop (call $move (i32.xor (local.get $side) (i32.const 1)) (local.get $received)))
    (i64.store (local.get $from) (i64.add (i64.load (local.get $from)) (local.get $given)))
    (i64.store (local.get $to) (i64.sub (i64.load (local.get $to)) (local.get $received)))
    (call $store_pool)
    (memory.copy (i32.const 117) (i32.const 64) (i32.const 9))
    (i64.store (i32.const 126) (call $swap (local.get $received)))
    (call $done (i32.const 1) (i32.const 38) (i32.const 8)))

  (func (export "balance") (result i32)
    (if (i32.ne (call $input_read (i32.const 0) (i32.const 0) (i32.const 22)) (i32.const 21))
      (then (return (i32.const -1))))
    (if (i32.gt_u (i32.load8_u (i32.const 0)) (i32.const 2)) (then (return (i32.const -1))))
    (drop (call $storage_get (i32.const 0) (i32.const 21)))
    (drop (call $storage_read_value (i32.const 24) (i32.const 8)))
    (i64.store (i32.const 24) (call $swap (i64.load (i32.const 24))))
    (drop (call $set_output (i32.const 24) (i32.const 8)))
    (i32.const 0))

  (func (export "reserves") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $load_pool)
    (i64.store (i32.const 32) (call $swap (i64.load (i32.const 32))))
    (i64.store (i32.const 40) (call $swap (i64.load (i32.const 40))))
    (i64.store (i32.const 48) (call $swap (i64.load (i32.const 48))))
    (drop (call $set_output (i32.const 32) (i32.const 24)))
    (i32.const 0)))
