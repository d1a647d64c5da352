# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs state tests: the root of the state and the hash of the logs after one transaction, or the rule that it breaks.

What other clients do with these files is done here too: in tests of ethereum/tests the fee recipient is touched after the
transaction, valid or not, as by a reward of nothing, which makes an account before EIP-158; BLOCKHASH of block n is the
Keccak-256 of n in decimal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.receipts import logs_hash
from supervm.engine.ethereum.senders import Recovered, recover_authorities
from supervm.engine.evm.accounts import in_columns
from supervm.engine.evm.columns import transaction_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.errors import MissingState
from supervm.engine.evm.rewards import Payment
from supervm.engine.evm.roots import world_root
from supervm.engine.evm.session import Session
from supervm.engine.evm.state_test_files import Expected, StateTest, read_state_tests
from supervm.engine.evm.world import World
from supervm.vm.evm import forks
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import Fork, fork_named
from supervm.vm.evm.rules import MEANINGS, Rule

ANCESTORS = 256
"""Blocks before it that a block's code may ask for."""

_DEFAULT_BASE_FEE = 10
"""Of a test whose environment has none, though its fork has one (ethereum/retesteth, `currentBaseFee`)."""

_R = Rule
EXCEPTIONS: dict[str, tuple[Rule, ...]] = {
    # Words of ethereum/tests.
    "TR_TypeNotSupported": (_R.TYPE_NOT_SUPPORTED,),
    "TR_NoFunds": (_R.INSUFFICIENT_FUNDS,),
    "TR_NoFundsX": (_R.INSUFFICIENT_FUNDS,),
    "TR_NoFundsOrGas": (_R.INSUFFICIENT_FUNDS, _R.INTRINSIC_GAS_TOO_LOW),
    "IntrinsicGas": (_R.INTRINSIC_GAS_TOO_LOW,),
    "SenderNotEOA": (_R.SENDER_HAS_CODE,),
    # Words of execution-spec-tests, behind `TransactionException.`.
    "INSUFFICIENT_ACCOUNT_FUNDS": (_R.INSUFFICIENT_FUNDS,),
    "INTRINSIC_GAS_TOO_LOW": (_R.INTRINSIC_GAS_TOO_LOW,),
    "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST": (_R.FLOOR_GAS_TOO_LOW,),
    "SENDER_NOT_EOA": (_R.SENDER_HAS_CODE,),
    "INITCODE_SIZE_EXCEEDED": (_R.INITCODE_TOO_LARGE,),
    "GAS_LIMIT_EXCEEDS_MAXIMUM": (_R.GAS_ABOVE_CAP,),
    "INSUFFICIENT_MAX_FEE_PER_GAS": (_R.MAX_FEE_BELOW_BASE_FEE,),
    "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS": (_R.PRIORITY_ABOVE_MAX_FEE,),
    "TYPE_1_TX_PRE_FORK": (_R.TYPE_NOT_SUPPORTED,),
    "TYPE_2_TX_PRE_FORK": (_R.TYPE_NOT_SUPPORTED,),
    "TYPE_3_TX_PRE_FORK": (_R.TYPE_NOT_SUPPORTED,),
    "TYPE_4_TX_PRE_FORK": (_R.TYPE_NOT_SUPPORTED,),
    "TYPE_3_TX_ZERO_BLOBS": (_R.NO_BLOBS,),
    "TYPE_3_TX_BLOB_COUNT_EXCEEDED": (_R.TOO_MANY_BLOBS, _R.BLOBS_ABOVE_BLOCK),
    "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED": (_R.TOO_MANY_BLOBS, _R.BLOBS_ABOVE_BLOCK),
    "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH": (_R.BLOB_HASH_VERSION,),
    "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS": (_R.BLOB_FEE_TOO_LOW,),
    "TYPE_4_TX_CONTRACT_CREATION": (_R.SET_CODE_CREATION,),
    "TYPE_4_EMPTY_AUTHORIZATION_LIST": (_R.NO_AUTHORIZATIONS,),
}
"""An exception that tests expect → the rules that it may mean."""

NO_LOGS = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
"""Keccak-256 of an empty RLP list."""

_PREFIX = "TransactionException."
TOO_LARGE = "TR_RLP_WRONGVALUE"
"""The exception of a transaction that cannot be written down, since a quantity in it has too many bits."""


@dataclass(frozen=True)
class StateTestResult:
    """What became of one expected result; `error` says what is wrong, '' where it passes."""

    name: str
    fork: str
    index: int
    passed: bool
    error: str

    def to_json(self) -> dict[str, object]:
        """As `evm statetest --json` prints it."""
        return {
            "name": self.name,
            "fork": self.fork,
            "index": self.index,
            "pass": self.passed,
            "error": self.error,
        }


def run_state_tests(
    paths: Iterable[Path | str], *, fork: str | None = None, session: Session | None = None
) -> Iterator[StateTestResult]:
    """Run the tests of files, and of all files in folders.

    Args:
        paths: of files or folders.
        fork: only what is expected of this one.
        session: to run them with; by default one of their own.

    Raises:
        InputFileError: a file that cannot be read.
        ArgumentError: a fork that nobody knows.
    """
    only = None if fork is None else fork_named(fork)
    runner = _Runner(session or Session())
    for path in paths:
        for file in _files(Path(path)):
            for test in read_state_tests(file):
                yield from runner.run(test, only)


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.json")) if path.is_dir() else [path]


class _Runner:
    """Runs one test after the other, each in a world of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, test: StateTest, only: Fork | None) -> Iterator[StateTestResult]:
        wanted = [(one, fork_named(one.fork)) for one in test.expected]
        wanted = [(one, rules) for one, rules in wanted if only is None or rules is only]
        if not wanted:
            return
        world = World()
        world.load(*in_columns(test.pre))
        self._session.attach(world)
        columns = transaction_columns(test.transactions, _signed(test), chain_id=test.environment.chain_id)
        for one, rules in wanted:
            error = self._error(test, columns, one, rules)
            yield StateTestResult(test.name, one.fork, one.index, not error, error)

    def _error(self, test: StateTest, columns: TransactionColumns, one: Expected, rules: Fork) -> str:
        """What is wrong with one result, '' if nothing is."""
        session = self._session
        environment = _environment(test, rules)
        session.begin(environment)
        try:
            large = test.too_large[one.variant]
            broken = None if large else session.run_one(columns, one.variant)
            if one.touched:
                session.pay([Payment(environment.coinbase, 0)])
            root = world_root(session.world)
            digest = (
                NO_LOGS if large or broken else logs_hash(session.logs(columns, [one.variant]))[0].tobytes()
            )
        except MissingState as missing:
            return str(missing)
        finally:
            session.undo()
        problem = _exception_problem(one, large, broken)
        if problem:
            return problem
        if root != one.root:
            return f"state root 0x{root.hex()}, expected 0x{one.root.hex()}"
        return "" if digest == one.logs else f"logs hash 0x{digest.hex()}, expected 0x{one.logs.hex()}"


def _exception_problem(one: Expected, large: str, broken: Rule | None) -> str:
    """What is wrong with the rule that a transaction broke, '' if that was expected."""
    if one.exception is None:
        if large:
            return f"{large}: the transaction cannot be written down, expected a valid one"
        return f"{broken.name}: {MEANINGS[broken]}, expected a valid one" if broken else ""
    if large:
        return "" if one.exception == TOO_LARGE else f"{large}, expected {one.exception}"
    if not broken:
        return f"a valid transaction, expected {one.exception}"
    names = [name.removeprefix(_PREFIX) for name in one.exception.split("|")]
    meant = [rule for name in names for rule in EXCEPTIONS.get(name, ())]
    return "" if broken in meant else f"{broken.name}: {MEANINGS[broken]}, expected {one.exception}"


def _signed(test: StateTest) -> Recovered:
    """The sender that the test names, and the authorities that its authorizations give."""
    count = len(test.transactions)
    authorities, found = recover_authorities(test.transactions.authorizations)
    return Recovered(
        senders=np.tile(np.frombuffer(test.sender, np.uint8), (count, 1)),
        faults=np.zeros(count, np.uint8),
        authorities=authorities,
        authority_found=found,
    )


def _environment(test: StateTest, fork: Fork) -> Environment:
    env = test.environment
    base_fee = _DEFAULT_BASE_FEE if env.base_fee is None else env.base_fee
    random = env.random if fork[forks.HAS_RANDAO] and env.random is not None else env.difficulty
    return Environment(
        fork=fork,
        chain_id=env.chain_id,
        number=env.number,
        timestamp=env.timestamp,
        coinbase=env.coinbase,
        gas_limit=env.gas_limit,
        base_fee=base_fee if fork[forks.HAS_BASE_FEE] else 0,
        random=random,
        excess_blob_gas=env.excess_blob_gas or 0,
        hashes=_hashes(env.number),
    )


@lru_cache(maxsize=64)
def _hashes(number: int) -> dict[int, bytes]:
    """The made-up hashes of a block's ancestors."""
    numbers = range(max(0, number - ANCESTORS), number)
    if not numbers:
        return {}
    digests = hashes.keccak256_batch(Messages.of([str(ancestor).encode() for ancestor in numbers]))
    return {ancestor: digest.tobytes() for ancestor, digest in zip(numbers, digests, strict=True)}


__all__ = ["EXCEPTIONS", "StateTestResult", "run_state_tests"]
