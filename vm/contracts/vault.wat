;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; A vault that pays out the chain's own money to whom its keys sign for, whoever brings the signature.
;;
;;   set_keys            Ed25519 key (32), compressed secp256k1 key (33)    once
;;   deposit             none; the value of the transaction stays
;;   withdraw_ed25519    recipient (20), amount (32), signature (64)
;;   withdraw_secp256k1  recipient (20), amount (32), signature (64: r, s)
;;   nonce               none; output the next nonce (8, big-endian)
;;
;; What is signed is Keccak-256(address of the vault (20), nonce (8, big-endian), recipient (20), amount (32, big-
;; endian)): with Ed25519 as the message, with secp256k1 (ECDSA, low s) as the digest. Each nonce serves once.
;;
;; Returns 0, or
;;   -1 the input has another length    -2 the keys were set before       -3 there are no keys
;;   -4 the signature is not valid      -5 the vault holds less money
;;
;; Storage: "k" both keys (65); "n" nonce (8, big-endian).
;; Events: 01, depositor (20), value (32); 02, recipient (20), amount (32).
;;
;; Memory: 0 address, 20 nonce, 28 recipient, 48 amount, 80 signature; 160 digest; 192 keys; 264 kind of event,
;; 265 address, 285 amount; 320 "kn"
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "self_address" (func $self_address (param i32) (result i32)))
  (import "chain_api" "value" (func $value (param i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "transfer" (func $transfer (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))
  (import "crypto_api" "keccak256" (func $keccak256 (param i32 i32 i32) (result i32)))
  (import "crypto_api" "verify_ed25519" (func $verify_ed25519 (param i32 i32 i32 i32) (result i32)))
  (import "crypto_api" "verify_secp256k1" (func $verify_secp256k1 (param i32 i32 i32 i32) (result i32)))

  (memory (export "memory") 384 384 (pagesize 1))
  (data (i32.const 320) "kn")

  ;; The bytes of x in the other order.
  (func $swap (param $x i64) (result i64)
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 8)) (i64.const 0x00ff00ff00ff00ff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x00ff00ff00ff00ff)) (i64.const 8))))
    (local.set $x (i64.or
      (i64.and (i64.shr_u (local.get $x) (i64.const 16)) (i64.const 0x0000ffff0000ffff))
      (i64.shl (i64.and (local.get $x) (i64.const 0x0000ffff0000ffff)) (i64.const 16))))
    (i64.rotl (local.get $x) (i64.const 32)))

  (func $load_nonce
    (drop (call $storage_get (i32.const 321) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 20) (i32.const 8))))

  ;; Input, keys and digest in place; 0, or the number to return.
  (func $prepare (result i32)
    (if (i32.ne (call $input_read (i32.const 28) (i32.const 0) (i32.const 117)) (i32.const 116))
      (then (return (i32.const -1))))
    (if (i64.eqz (call $storage_get (i32.const 320) (i32.const 1))) (then (return (i32.const -3))))
    (drop (call $storage_read_value (i32.const 192) (i32.const 65)))
    (drop (call $self_address (i32.const 0)))
    (call $load_nonce)
    (call $keccak256 (i32.const 0) (i32.const 80) (i32.const 160)))

  ;; Pay if the verdict is 1; the number to return.
  (func $pay (param $verdict i32) (result i32)
    (if (i32.ne (local.get $verdict) (i32.const 1)) (then (return (i32.const -4))))
    (i64.store (i32.const 20) (call $swap (i64.add (call $swap (i64.load (i32.const 20))) (i64.const 1))))
    (drop (call $storage_set (i32.const 321) (i32.const 1) (i32.const 20) (i32.const 8)))
    (if (call $transfer (i32.const 28) (i32.const 48)) (then (return (i32.const -5))))
    (memory.copy (i32.const 265) (i32.const 28) (i32.const 52))
    (call $emit (i32.const 2)))

  (func $emit (param $kind i32) (result i32)
    (i32.store8 (i32.const 264) (local.get $kind))
    (drop (call $emit_event (i32.const 264) (i32.const 53)))
    (i32.const 0))

  (func (export "set_keys") (result i32)
    (if (i32.ne (call $input_read (i32.const 192) (i32.const 0) (i32.const 66)) (i32.const 65))
      (then (return (i32.const -1))))
    (if (i64.ne (call $storage_get (i32.const 320) (i32.const 1)) (i64.const 0)) (then (return (i32.const -2))))
    (call $storage_set (i32.const 320) (i32.const 1) (i32.const 192) (i32.const 65)))

  (func (export "deposit") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (drop (call $caller (i32.const 265)))
    (drop (call $value (i32.const 285)))
    (call $emit (i32.const 1)))

  (func (export "withdraw_ed25519") (result i32) (local $problem i32)
    (local.set $problem (call $prepare))
    (if (local.get $problem) (then (return (local.get $problem))))
    (call $pay (call $verify_ed25519 (i32.const 160) (i32.const 32) (i32.const 80) (i32.const 192))))

  (func (export "withdraw_secp256k1") (result i32) (local $problem i32)
    (local.set $problem (call $prepare))
    (if (local.get $problem) (then (return (local.get $problem))))
    (call $pay (call $verify_secp256k1 (i32.const 160) (i32.const 80) (i32.const 224) (i32.const 33))))

  (func (export "nonce") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $load_nonce)
    (call $set_output (i32.const 20) (i32.const 8))))
