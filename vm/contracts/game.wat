;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; Tic-tac-toe between two players. Cells are numbered 0 to 8, row by row.
;;
;;   join    none           the first to join plays first; once a game is over, joining begins another
;;   move    cell (1)       output the status (1)
;;   state   none           output cells of the first player (2), of the second (2), status (1), both players (40);
;;                          sets of cells are big-endian with bit i for cell i
;;
;; A second player who is awaited shows as 20 bytes ff. Status: 0 waiting for a player, 1 or 2 that player moves, 3 or 4 the first or second has won, 5 a draw.
;;
;; Returns 0, or
;;   -1 the input has another length    -2 no game is going on    -3 it is not the caller's turn
;;   -4 the cell does not exist or is taken    -5 both players are there, or the caller has joined already
;;
;; Storage: "g" is the state, as output.
;; Events: 01, player (20), cell (1), status (1).
;;
;; Memory: 0 cells of the first, 2 of the second, 4 status, 5 first player, 25 second player; 64 kind of event,
;; 65 caller, 85 cell, 86 status; 96 "g"; 100 the winning sets of three cells
(module
  (import "storage_api" "storage_get" (func $storage_get (param i32 i32) (result i64)))
  (import "storage_api" "storage_read_value" (func $storage_read_value (param i32 i32) (result i32)))
  (import "storage_api" "storage_set" (func $storage_set (param i32 i32 i32 i32) (result i32)))
  (import "chain_api" "caller" (func $caller (param i32) (result i32)))
  (import "chain_api" "input_len" (func $input_len (result i32)))
  (import "chain_api" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "chain_api" "set_output" (func $set_output (param i32 i32) (result i32)))
  (import "chain_api" "emit_event" (func $emit_event (param i32 i32) (result i32)))

  (memory (export "memory") 128 128 (pagesize 1))
  (data (i32.const 64) "\01")
  (data (i32.const 96) "g")
  ;; Rows 007 038 1c0, columns 049 092 124, diagonals 111 054; two bytes each, little-endian.
  (data (i32.const 100) "\07\00\38\00\c0\01\49\00\92\00\24\01\11\01\54\00")

  (func $load
    (drop (call $storage_get (i32.const 96) (i32.const 1)))
    (drop (call $storage_read_value (i32.const 0) (i32.const 45)))
    (drop (call $caller (i32.const 65))))

  (func $store
    (drop (call $storage_set (i32.const 96) (i32.const 1) (i32.const 0) (i32.const 45))))

  ;; Whether the address here is the caller's.
  (func $is_caller (param $at i32) (result i32)
    (i32.and
      (i32.and
        (i64.eq (i64.load (local.get $at)) (i64.load (i32.const 65)))
        (i64.eq (i64.load offset=8 (local.get $at)) (i64.load (i32.const 73))))
      (i32.eq (i32.load offset=16 (local.get $at)) (i32.load (i32.const 81)))))

  ;; A set of cells, stored big-endian.
  (func $cells (param $at i32) (result i32)
    (i32.or
      (i32.shl (i32.load8_u (local.get $at)) (i32.const 8))
      (i32.load8_u offset=1 (local.get $at))))

  ;; Whether a set holds three in a line.
  (func $wins (param $set i32) (result i32) (local $at i32) (local $line i32)
    (local.set $at (i32.const 100))
    (loop $next
      (local.set $line (i32.load16_u (local.get $at)))
      (if (i32.eq (i32.and (local.get $set) (local.get $line)) (local.get $line)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 116))))
    (i32.const 0))

  (func (export "join") (result i32) (local $status i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $load)
    (local.set $status (i32.load8_u (i32.const 4)))
    (if (i32.gt_u (local.get $status) (i32.const 2))
      (then
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 45))
        (local.set $status (i32.const 0))))
    (if (local.get $status) (then (return (i32.const -5))))
    ;; The first player's bytes are followed by a mark in the second's place, so that an address of zeros is a player.
    (if (i32.eqz (i32.load8_u (i32.const 25)))
      (then
        (memory.copy (i32.const 5) (i32.const 65) (i32.const 20))
        (memory.fill (i32.const 25) (i32.const 0xff) (i32.const 20)))
      (else
        (if (call $is_caller (i32.const 5)) (then (return (i32.const -5))))
        (memory.copy (i32.const 25) (i32.const 65) (i32.const 20))
        (i32.store8 (i32.const 4) (i32.const 1))))
    (call $store)
    (i32.const 0))

  (func (export "move") (result i32)
    (local $status i32) (local $cell i32) (local $mine i32) (local $set i32) (local $all i32)
    (if (i32.ne (call $input_read (i32.const 85) (i32.const 0) (i32.const 2)) (i32.const 1))
      (then (return (i32.const -1))))
    (call $load)
    (local.set $status (i32.load8_u (i32.const 4)))
    (if (i32.gt_u (i32.sub (local.get $status) (i32.const 1)) (i32.const 1)) (then (return (i32.const -2))))
    (if (i32.eqz (call $is_caller (i32.sub (i32.mul (local.get $status) (i32.const 20)) (i32.const 15))))
      (then (return (i32.const -3))))
    (local.set $cell (i32.load8_u (i32.const 85)))
    (if (i32.gt_u (local.get $cell) (i32.const 8)) (then (return (i32.const -4))))
    (local.set $all (i32.or (call $cells (i32.const 0)) (call $cells (i32.const 2))))
    (if (i32.and (i32.shr_u (local.get $all) (local.get $cell)) (i32.const 1)) (then (return (i32.const -4))))
    (local.set $mine (i32.sub (i32.shl (local.get $status) (i32.const 1)) (i32.const 2)))
    (local.set $set (i32.or
      (call $cells (local.get $mine))
      (i32.shl (i32.const 1) (local.get $cell))))
    (local.set $all (i32.or (local.get $all) (local.get $set)))
    (i32.store8 (local.get $mine) (i32.shr_u (local.get $set) (i32.const 8)))
    (i32.store8 offset=1 (local.get $mine) (local.get $set))
    (local.set $status
      (if (result i32) (call $wins (local.get $set))
        (then (i32.add (local.get $status) (i32.const 2)))
        (else (select
          (i32.const 5)
          (i32.sub (i32.const 3) (local.get $status))
          (i32.eq (local.get $all) (i32.const 0x1ff))))))
    (i32.store8 (i32.const 4) (local.get $status))
    (i32.store8 (i32.const 86) (local.get $status))
    (call $store)
    (drop (call $emit_event (i32.const 64) (i32.const 23)))
    (drop (call $set_output (i32.const 86) (i32.const 1)))
    (i32.const 0))

  (func (export "state") (result i32)
    (if (call $input_len) (then (return (i32.const -1))))
    (call $load)
    (drop (call $set_output (i32.const 0) (i32.const 45)))
    (i32.const 0)))
