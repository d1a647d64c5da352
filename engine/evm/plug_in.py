# SPDX-License-Identifier: GPL-3.0-or-later
"""`EvmPlugIn`: the EVM beside the engine's contracts, over the engine's state (docs/evm.md, "In a node").

It executes transactions that carry an Ethereum transaction (`supervm.engine.ethereum.carried`), under the rules of one fork
and without a base fee; the fee recipient is the engine's fee collector.
"""

from __future__ import annotations

import threading

import numpy as np

from supervm.engine.ethereum.carried import read_carried
from supervm.engine.ethereum.senders import Recovered, SignatureFault, recover_authorities
from supervm.engine.ethereum.transactions import EthereumTransactions, TransactionType
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.evm_machine import MOST_CODES, EvmMachine
from supervm.engine.evm.plugged import SIGNATURE, check_plugged, execute_plugged
from supervm.engine.evm.world import code_of
from supervm.engine.execution.plug_in import PluggedColumns
from supervm.engine.state.store import StateStore
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.array_types import Bytes, Numbers
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import machine as m
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.compiled import CompiledFunction
from supervm.vm.evm.forks import NO_LIMIT, fork_named
from supervm.vm.evm.rules import Rule
from supervm.vm.evm.transaction_words import BLOCK_GAS_LEFT
from supervm.vm.limits import GAS_LIMIT
from supervm.vm.outcomes import Reason

_EXECUTE = CompiledFunction(execute_plugged, SIGNATURE)


class EvmPlugIn:
    """The EVM as a plug-in of one engine.

    Args:
        store: of the engine's state.
        fork: name of the fork whose rules hold.
        chain_id: that CHAINID says.
        fee_collector: who gets the fees, 20 bytes.
        backend: where signatures of authorizations are recovered.
    """

    scheme = Scheme.ETHEREUM

    def __init__(
        self, store: StateStore, fork: str, chain_id: int, fee_collector: bytes, backend: str
    ) -> None:
        self.address = _EXECUTE.address
        self._store, self._fork = store, fork_named(fork)
        self._chain_id, self._collector, self._backend = chain_id, fee_collector, backend
        self._codes = CodeStore(self._fork)
        self._machines: dict[int, EvmMachine] = {}
        # For questions from any thread: nothing is executed there, so its access set is never looked at.
        self._nobody = np.zeros(access_set.ACCESS_WORDS, np.int64)
        self._asking = threading.Lock()
        self._asked = self._machine(int(self._nobody.ctypes.data))
        self._asked.begin_block(self._environment(0, 0, bytes(32)))
        self._asked.machine.words[BLOCK_GAS_LEFT] = NO_LIMIT

    def attach(self, worker: int) -> int:
        """A machine for a worker; its address."""
        self._machines[worker] = found = self._machine(worker)
        return found.machine.address

    def begin(self, number: int, timestamp: int, root: bytes) -> None:
        """A block begins; see `plug_in.PlugIn`."""
        if len(self._codes) > MOST_CODES:
            self._codes = CodeStore(self._fork)
        environment = self._environment(number, timestamp, root)
        for machine in self._machines.values():
            if machine.codes is not self._codes:
                machine.use(self._codes)
            machine.begin_block(environment)
            machine.machine.words[BLOCK_GAS_LEFT] = NO_LIMIT
            machine.drop_logs()

    def lay_out(self, batch: TransactionBatch, rows: Numbers) -> tuple[Bytes, PluggedColumns]:
        """See `plug_in.PlugIn`."""
        return self._columns(batch.take(rows))

    def refused(self, batch: TransactionBatch, rows: Numbers) -> Bytes:
        """See `plug_in.PlugIn`."""
        reasons, columns = self._columns(batch.take(rows))
        found = np.zeros(rows.size, np.uint8)
        with self._asking:
            check_plugged(self._asked.machine.address, columns.address, rows.size, found)
        return np.where(reasons != 0, reasons, found)

    def make_room(self, worker: int, need: int, needed: int) -> None:
        """See `plug_in.PlugIn`.

        Raises:
            MissingState: the code of a contract is not in the state.
            HostFunctionFailed: a precompiled contract could not be computed on this machine.
        """
        self._machines[worker].bring(need, needed)

    # ---------------------------------------------------------------------------------------------- inside

    def _machine(self, worker: int) -> EvmMachine:
        return EvmMachine(worker, self._codes, lambda digest: code_of(self._store, digest))

    def _environment(self, number: int, timestamp: int, root: bytes) -> Environment:
        """A block's: what a header would say, as far as there is anything."""
        return Environment(
            fork=self._fork,
            chain_id=self._chain_id,
            number=number,
            timestamp=timestamp,
            coinbase=self._collector,
            gas_limit=GAS_LIMIT,
            base_fee=0,
            random=int.from_bytes(root),
            hashes=dict.fromkeys(range(max(number - m.HASH_ROWS, 0), number), bytes(32)),
        )

    def _columns(self, batch: TransactionBatch) -> tuple[Bytes, TransactionColumns]:
        """What rejects transactions by their form, `Reason` or 0, and their columns."""
        found, wrong = read_carried(batch)
        broken = np.where(found.type == TransactionType.BLOB, Rule.TYPE_NOT_SUPPORTED, 0).astype(np.uint8)
        columns = transaction_columns(
            found, self._signers(batch, found), chain_id=self._chain_id, broken=broken
        )
        return np.where(wrong, Reason.MALFORMED_ETHEREUM, 0).astype(np.uint8), columns

    def _signers(self, batch: TransactionBatch, found: EthereumTransactions) -> Recovered:
        """Senders as the engine has authenticated them, and authorities, which only the EVM knows."""
        authorities, known = recover_authorities(found.authorizations, backend=self._backend)
        faults = np.full(len(batch), SignatureFault.NONE, np.uint8)
        return Recovered(batch.sender, faults, authorities, known)
