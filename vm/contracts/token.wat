;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; A fungible token with the semantics of ERC-20 (EIP-20).
;;
;; Amounts are 256-bit unsigned, 32 bytes big-endian in inputs, outputs and events. Entry points and inputs:
;;
;;   transfer       to (20), amount (32)               output 01
;;   approve        spender (20), amount (32)          output 01; sets the allowance, whatever it was
;;   transfer_from  to (20), amount (32), from (20)    output 01; spends the caller's allowance from `from`
;;   mint           to (20), amount (32)               output 01; the first to mint owns the token and alone mints
;;   balance_of     owner (20)                         output the amount (32)
;;   allowance      spender (20), owner (20)           output the amount (32)
;;   total_supply   none                               output the amount (32)
;;
;; Returns 0, or
;;   -1 the input has another length        -2 the balance is too small     -3 the allowance is too small
;;   -4 the total supply would overflow     -5 the caller does not own the token
;;
;; Storage. An address word is 12 zero bytes and the address. Amounts are stored as four 64-bit words, each
;; little-endian and the least significant first, so that no byte is moved to calculate with them.
;;   address word (32)                                 balance
;;   owner's word (32), spender's word (32)            allowance
;;   "s"                                               total supply
;;   "o"                                               the token's owner (20)
;;
;; Events, 97 bytes:
;;   01, word of from, word of to, amount              Transfer; from is zero when minting
;;   02, word of owner, word of spender, amount        Approval
;;
;; Memory, laid out so that keys and events are built in place:
;;   31 kind of event    32 first word (address at 44)    64 second word (address at 76)    96 amount, big-endian
;;   128 amount, little-endian words    160 stored value    192 output    224 third word (address at 236)
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 288 288 (pagesize 1))
  (data (i32.const 256) "so")

  ;; The words of the amount at 96, swapped to 128.
  (func $swap_amount (local $x i64)
    (local.set $x (i64.load offset=96 (i32.const 0)))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.store offset=152 (i32.const 0) (i64.rotl (local.get $x) (i64.const 32)))
    (local.set $x (i64.load offset=104 (i32.const 0)))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.store offset=144 (i32.const 0) (i64.rotl (local.get $x) (i64.const 32)))
    (local.set $x (i64.load offset=112 (i32.const 0)))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.store offset=136 (i32.const 0) (i64.rotl (local.get $x) (i64.const 32)))
    (local.set $x (i64.load offset=120 (i32.const 0)))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.store offset=128 (i32.const 0) (i64.rotl (local.get $x) (i64.const 32))))

  ;; The stored value of a key, or zero, to 160.
  (func $load (param $key i32) (param $length i32)
    (if (i64.eqz (call $storage_get (local.get $key) (local.get $length)))
      (then
        (memory.fill (i32.const 160) (i32.const 0) (i32.const 32)))
      (else
        (drop (call $storage_read_value (i32.const 160) (i32.const 32))))))

  ;; Subtract the amount from the value of a key; 0 if it is smaller, and nothing is stored.
  (func $debit (param $key i32) (param $length i32) (result i32)
    (local $a i64) (local $b i64) (local $t i64) (local $borrow i64)
    (call $load (local.get $key) (local.get $length))
    (local.set $a (i64.load offset=160 (i32.const 0)))
    (local.set $b (i64.load offset=128 (i32.const 0)))
    (i64.store offset=160 (i32.const 0) (i64.sub (local.get $a) (local.get $b)))
    (local.set $borrow (i64.extend_i32_u (i64.lt_u (local.get $a) (local.get $b))))
    (local.set $a (i64.load offset=168 (i32.const 0)))
    (local.set $b (i64.load offset=136 (i32.const 0)))
    (local.set $t (i64.sub (local.get $a) (local.get $b)))
    (i64.store offset=168 (i32.const 0) (i64.sub (local.get $t) (local.get $borrow)))
    (local.set $borrow (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $a) (local.get $b))
      (i64.lt_u (local.get $t) (local.get $borrow)))))
    (local.set $a (i64.load offset=176 (i32.const 0)))
    (local.set $b (i64.load offset=144 (i32.const 0)))
    (local.set $t (i64.sub (local.get $a) (local.get $b)))
    (i64.store offset=176 (i32.const 0) (i64.sub (local.get $t) (local.get $borrow)))
    (local.set $borrow (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $a) (local.get $b))
      (i64.lt_u (local.get $t) (local.get $borrow)))))
    (local.set $a (i64.load offset=184 (i32.const 0)))
    (local.set $b (i64.load offset=152 (i32.const 0)))
    (local.set $t (i64.sub (local.get $a) (local.get $b)))
    (i64.store offset=184 (i32.const 0) (i64.sub (local.get $t) (local.get $borrow)))
    (local.set $borrow (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $a) (local.get $b))
      (i64.lt_u (local.get $t) (local.get $borrow)))))
    (if (i32.wrap_i64 (local.get $borrow)) (then (return (i32.const 0))))
    (drop (call $storage_set (local.get $key) (local.get $length) (i32.const 160) (i32.const 32)))
    (i32.const 1))

  ;; Add the amount to the value of a key; 0 if it would overflow, and nothing is stored.
  (func $credit (param $key i32) (param $length i32) (result i32)
    (local $b i64) (local $t i64) (local $s i64) (local $carry i64)
    (call $load (local.get $key) (local.get $length))
    (local.set $b (i64.load offset=128 (i32.const 0)))
    (local.set $t (i64.add (i64.load offset=160 (i32.const 0)) (local.get $b)))
    (i64.store offset=160 (i32.const 0) (local.get $t))
    (local.set $carry (i64.extend_i32_u (i64.lt_u (local.get $t) (local.get $b))))
    (local.set $b (i64.load offset=136 (i32.const 0)))
    (local.set $t (i64.add (i64.load offset=168 (i32.const 0)) (local.get $b)))
    (local.set $s (i64.add (local.get $t) (local.get $carry)))
    (i64.store offset=168 (i32.const 0) (local.get $s))
    (local.set $carry (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $t) (local.get $b))
      (i64.lt_u (local.get $s) (local.get $carry)))))
    (local.set $b (i64.load offset=144 (i32.const 0)))
    (local.set $t (i64.add (i64.load offset=176 (i32.const 0)) (local.get $b)))
    (local.set $s (i64.add (local.get $t) (local.get $carry)))
    (i64.store offset=176 (i32.const 0) (local.get $s))
    (local.set $carry (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $t) (local.get $b))
      (i64.lt_u (local.get $s) (local.get $carry)))))
    (local.set $b (i64.load offset=152 (i32.const 0)))
    (local.set $t (i64.add (i64.load offset=184 (i32.const 0)) (local.get $b)))
    (local.set $s (i64.add (local.get $t) (local.get $carry)))
    (i64.store offset=184 (i32.const 0) (local.get $s))
    (local.set $carry (i64.extend_i32_u (i32.or
      (i64.lt_u (local.get $t) (local.get $b))
      (i64.lt_u (local.get $s) (local.get $carry)))))
    (if (i32.wrap_i64 (local.get $carry)) (then (return (i32.const 0))))
    (drop (call $storage_set (local.get $key) (local.get $length) (i32.const 160) (i32.const 32)))
    (i32.const 1))

  ;; Emit the event of this kind from the words and the amount in place; output 01; 0.
  (func $done (param $kind i32) (result i32)
    (i32.store8 (i32.const 31) (local.get $kind))
    (drop (call $emit_event (i32.const 31) (i32.const 97)))
    (i32.store8 (i32.const 31) (i32.const 1))
    (drop (call $set_output (i32.const 31) (i32.const 1)))
    (i32.const 0))

  ;; The value of a key as output; 0.
  (func $show (param $key i32) (param $length i32) (result i32)
    (call $load (local.get $key) (local.get $length))
    (i64.store offset=192 (i32.const 0) (call $swap (i64.load offset=184 (i32.const 0))))
    (i64.store offset=200 (i32.const 0) (call $swap (i64.load offset=176 (i32.const 0))))
    (i64.store offset=208 (i32.const 0) (call $swap (i64.load offset=168 (i32.const 0))))
    (i64.store offset=216 (i32.const 0) (call $swap (i64.load offset=160 (i32.const 0))))
    (drop (call $set_output (i32.const 192) (i32.const 32)))
    (i32.const 0))

  ;; The bytes of x in the other order.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  ;; Whether 20 bytes are equal.
  (func $same (param $a i32) (param $b i32) (result i32)
    (i32.and
      (i32.and
        (i64.eq (i64.load (local.get $a)) (i64.load (local.get $b)))
        (i64.eq (i64.load offset=8 (local.get $a)) (i64.load offset=8 (local.get $b))))
      (i32.eq (i32.load offset=16 (local.get $a)) (i32.load offset=16 (local.get $b)))))

  ;; One byte more than expected is asked for, so that a longer input shows without another host call.
  (func (export "transfer") (result i32)
    (drop (call $caller (i32.const 44)))
    (if (i32.ne (call $input_read (i32.const 76) (i32.const 0) (i32.const 53)) (i32.const 52))
      (then (return (i32.const -1))))
    (call $swap_amount)
    ;; The sender's balance is stored before the receiver's is read: to oneself, that is the same one.
    (if (i32.eqz (call $debit (i32.const 32) (i32.const 32))) (then (return (i32.const -2))))
    (if (i32.eqz (call $credit (i32.const 64) (i32.const 32))) (then (return (i32.const -4))))
    (call $done (i32.const 1)))

  (func (export "approve") (result i32)
    (drop (call $caller (i32.const 44)))
    (if (i32.ne (call $input_read (i32.const 76) (i32.const 0) (i32.const 53)) (i32.const 52))
      (then (return (i32.const -1))))
    (call $swap_amount)
    (drop (call $storage_set (i32.const 32) (i32.const 64) (i32.const 128) (i32.const 32)))
    (call $done (i32.const 2)))

  (func (export "transfer_from") (result i32)
    (if (i32.ne (call $input_read (i32.const 76) (i32.const 0) (i32.const 73)) (i32.const 72))
      (then (return (i32.const -1))))
    ;; `from` stands behind the amount: to the first word with it, `to` aside, and the caller as the spender.
    (memory.copy (i32.const 44) (i32.const 128) (i32.const 20))
    (memory.copy (i32.const 236) (i32.const 76) (i32.const 20))
    (drop (call $caller (i32.const 76)))
    (call $swap_amount)
    (if (i32.eqz (call $debit (i32.const 32) (i32.const 64))) (then (return (i32.const -3))))
    (memory.copy (i32.const 76) (i32.const 236) (i32.const 20))
    (if (i32.eqz (call $debit (i32.const 32) (i32.const 32))) (then (return (i32.const -2))))
    (if (i32.eqz (call $credit (i32.const 64) (i32.const 32))) (then (return (i32.const -4))))
    (call $done (i32.const 1)))

  (func (export "mint") (result i32)
    (drop (call $caller (i32.const 44)))
    (if (i32.ne (call $input_read (i32.const 76) (i32.const 0) (i32.const 53)) (i32.const 52))
      (then (return (i32.const -1))))
    (if (i64.eqz (call $storage_get (i32.const 257) (i32.const 1)))
      (then (drop (call $storage_set (i32.const 257) (i32.const 1) (i32.const 44) (i32.const 20))))
      (else
        (drop (call $storage_read_value (i32.const 192) (i32.const 20)))
        (if (i32.eqz (call $same (i32.const 44) (i32.const 192))) (then (return (i32.const -5))))))
    (call $swap_amount)
    (if (i32.eqz (call $credit (i32.const 256) (i32.const 1))) (then (return (i32.const -4))))
    (if (i32.eqz (call $credit (i32.const 64) (i32.const 32))) (then (return (i32.const -4))))
    (memory.fill (i32.const 44) (i32.const 0) (i32.const 20))
    (call $done (i32.const 1)))

  (func (export "balance_of") (result i32)
    (if (i32.ne (call $input_read (i32.const 44) (i32.const 0) (i32.const 21)) (i32.const 20))
      (then (return (i32.const -1))))
    (call $show (i32.const 32) (i32.const 32)))

  (func (export "allowance") (result i32)
    (if (i32.ne (call $input_read (i32.const 76) (i32.const 0) (i32.const 41)) (i32.const 40))
      (then (return (i32.const -1))))
    (memory.copy (i32.const 44) (i32.const 96) (i32.const 20))
    (call $show (i32.const 32) (i32.const 64)))

  (func (export "total_supply") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $show (i32.const 256) (i32.const 1))))
