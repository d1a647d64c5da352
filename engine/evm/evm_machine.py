# SPDX-License-Identifier: GPL-3.0-or-later
"""`EvmMachine`: the machine of one worker, whose access set is somebody's, in a block, with the codes of a fork."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from supervm.engine.ethereum.precompiles.entry import addresses as precompile_addresses
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.errors import MissingState
from supervm.engine.evm.keccak import keccak256_address
from supervm.engine.host_callbacks import no_answer
from supervm.vm.evm import machine as m
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.forks import BLOB_MAX, NO_LIMIT
from supervm.vm.evm.interpreter import attach
from supervm.vm.evm.machine import BUFFERS, Machine
from supervm.vm.evm.state.records import LOGS_FIRST, LOGS_USED, STATE_BUFFERS
from supervm.vm.evm.transaction_words import BLOCK_BLOBS_LEFT, BLOCK_GAS_LEFT

MOST_CODES = 4096
"""Codes that a store keeps; the next block begins with an empty one."""

FindCode = Callable[[bytes], bytes | None]
"""A code of the state by its Keccak-256; None if there is none."""


class EvmMachine:
    """The machine that goes with an access set.

    Args:
        access: address of the access set's words.
        codes: the analysed codes of the fork whose rules hold.
        find_code: says codes that the store does not have.

    Attributes:
        machine: its words and buffers.
    """

    def __init__(self, access: int, codes: CodeStore, find_code: FindCode) -> None:
        self.machine = Machine({**BUFFERS, **STATE_BUFFERS})
        self._find_code = find_code
        words = self.machine.words
        words[m.WORKER] = access
        words[m.KECCAK256] = keccak256_address()
        words[m.CALL_PRECOMPILE], words[m.PRECOMPILE_TABLE] = precompile_addresses()
        self._hashes = np.full((m.HASH_ROWS, m.HASH_ROW_BYTES), 0xFF, np.uint8)
        self.machine.point(m.BLOCK_HASHES, self._hashes)
        self.use(codes)

    def use(self, codes: CodeStore, single: bool = False) -> None:
        """Follow the rules of the fork of a code store from now on; with `single` the loop returns after every opcode."""
        self.codes = codes
        attach(self.machine, codes, single)

    def drop_logs(self) -> None:
        """There are no logs and no outputs."""
        self.machine.words[LOGS_FIRST] = self.machine.words[LOGS_USED] = 0

    def begin_block(self, environment: Environment) -> None:
        """Tell the machine which block transactions are in."""
        machine, words = self.machine, self.machine.words
        machine.set_value(m.COINBASE, int.from_bytes(environment.coinbase))
        machine.set_value(m.BASE_FEE, environment.base_fee)
        machine.set_value(m.RANDOM, environment.random)
        machine.set_value(m.BLOB_BASE_FEE, environment.blob_base_fee)
        words[m.BLOCK_NUMBER], words[m.TIMESTAMP] = environment.number, environment.timestamp
        words[m.BLOCK_GAS_LIMIT] = environment.gas_limit
        words[m.CHAIN_ID] = np.uint64(environment.chain_id).astype(np.int64)
        words[m.EXCESS_BLOB_GAS] = environment.excess_blob_gas
        words[BLOCK_GAS_LEFT] = environment.gas_limit
        words[BLOCK_BLOBS_LEFT] = environment.fork[BLOB_MAX] or NO_LIMIT
        self._hashes[:] = 0xFF
        for number, digest in environment.hashes.items():
            if environment.number - m.HASH_ROWS <= number < environment.number:
                row = self._hashes[number % m.HASH_ROWS]
                row[:8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
                row[8:] = np.frombuffer(digest, np.uint8)

    def bring(self, need: int, amount: int) -> None:
        """Make room in the machine's own buffers, or bring what it lacks.

        Raises:
            MissingState: a code or an ancestor's hash that nobody has given.
            HostFunctionFailed: a precompiled contract could not be computed on this machine.
        """
        if need == m.NEEDS_CODES:
            self.codes.make_room(amount)
        elif need == m.NEEDS_CODE:
            self._bring_code()
        elif need == m.NEEDS_BLOCK_HASH:
            raise MissingState("block_hash", f"the hash of block {amount}")
        elif need == m.NEEDS_PRECOMPILE:
            raise no_answer(self.machine.address)
        else:
            self.machine.grow(need, amount)

    def _bring_code(self) -> None:
        digest = ctypes.string_at(int(self.machine.words[m.SCRATCH]), 32)
        code = self._find_code(digest)
        if code is None:
            raise MissingState("code", f"the code with Keccak-256 0x{digest.hex()}", digest)
        self.codes.add([code], np.frombuffer(digest, np.uint8).reshape(1, -1))
