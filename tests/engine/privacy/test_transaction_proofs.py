# SPDX-License-Identifier: GPL-3.0-or-later
"""Private transactions: what their proofs are bound to, which pass, and that no other one is executed in any way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from Crypto.Hash import keccak
from engine_adapter import FEW_WAYS, SEQUENTIAL, batch_of, opened, run_all, state_of
from judge import Reason, Tx
from judge.rules import intrinsic_gas, proof_gas
from judge.transaction import unsigned_bytes
from simulated_groth16 import Setup
from stories import GAS, Story, person

from supervm.crypto.errors import CircuitWithoutKey, UnknownCircuit
from supervm.crypto.groth16 import Circuits, Key
from supervm.crypto.messages import Messages
from supervm.engine.blocks import layout
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.transaction_proofs import TransactionProofs, encode_proofs
from supervm.engine.transactions.encoding import proof_bindings, signing_digests
from supervm.kernels.errors import ArgumentError

PAY, VOTE = "pay_v1", "vote_v1"
P = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The modulus of BN254's coordinates."""

TX = Tx(
    person(1),
    7,
    person(2),
    value=5,
    gas_limit=40_000,
    gas_price=3,
    entry=b"run",
    input=b"input",
    objects=[b"\x0b" * 32],
    private=True,
    scheme=1,
    declared=True,
    reads=[b"\x00" + person(1)],
    writes=[b"\x00" + person(2)],
)


class Prover:
    """Two circuits whose secrets are known: `PAY` with three public inputs, `VOTE` with the binding alone."""

    def __init__(self) -> None:
        self.setups = {PAY: Setup("bn254", 3, 3), VOTE: Setup("bn254", 1, 4)}
        self.keys = {name: Key(*setup.key_points()) for name, setup in self.setups.items()}

    def verifier(self, circuits: tuple[str, ...] = (PAY, VOTE)) -> TransactionProofs:
        registry = Circuits()
        for name, key in self.keys.items():
            registry.register(name, key)
        return TransactionProofs(BatchVerifier(registry), circuits)

    def prove(self, tx: Tx, circuit: str = PAY) -> bytes:
        """The column of a transaction, written down by hand."""
        setup = self.setups[circuit]
        stated = [binding(tx), *setup.statement()[1:]]
        return column(circuit, setup.encoded([setup.scalars(stated)])[0].tobytes(), stated[1:])

    def proven(self, tx: Tx, circuit: str = PAY) -> Tx:
        return replace(tx, proof=self.prove(tx, circuit))


@pytest.fixture(scope="module")
def prover() -> Prover:
    return Prover()


def binding(tx: Tx) -> int:
    """What the rules bind a proof to."""
    data = b"supervm/proof/1" + unsigned_bytes(replace(tx, proof=b""))
    return int.from_bytes(keccak.new(digest_bits=256, data=data).digest()[:31])


def column(circuit: str, proof: bytes, inputs: list[int]) -> bytes:
    name = circuit.encode()
    head = b"\x01" + bytes([len(name)]) + name + len(proof).to_bytes(2)
    return head + proof + b"".join(number.to_bytes(32) for number in inputs)


def test_a_binding_covers_every_field_but_proof_and_signature():
    others: dict[str, Any] = {
        "sender": person(3),
        "nonce": 8,
        "to": person(4),
        "value": 6,
        "gas_limit": 40_001,
        "gas_price": 4,
        "entry": b"other",
        "input": b"Input",
        "objects": [b"\x0c" * 32],
        "chain_id": 2,
        "private": False,
        "scheme": 2,
        "declared": False,
        "reads": [b"\x00" + person(5)],
        "writes": [],
    }
    assert others.keys() == vars(TX).keys() - {"proof", "signature"}
    same = [TX, replace(TX, proof=b"p"), replace(TX, signature=b"s"), replace(TX, proof=bytes(900))]
    changed = [replace(TX, **{name: value}) for name, value in others.items()]
    batch = batch_of([*same, *changed])
    found = [int.from_bytes(row.tobytes()) for row in proof_bindings(batch)]
    assert found == [binding(tx) for tx in (*same, *changed)]
    assert len(set(found)) == 1 + len(changed)
    assert max(found) < 1 << 248
    # Whoever signs a transaction signs its proof.
    assert len(np.unique(signing_digests(batch_of(same)), axis=0)) == 3


def test_the_encoding(prover: Prover):
    proofs = np.arange(2 * 128, dtype=np.uint8).reshape(2, 128)
    inputs = np.arange(2 * 64, dtype=np.uint8).reshape(2, 2, 32)
    made = encode_proofs("pay_v1", proofs, inputs)
    for n in range(2):
        stated = [int.from_bytes(row.tobytes()) for row in inputs[n]]
        assert made[n] == column("pay_v1", proofs[n].tobytes(), stated)
    assert len(encode_proofs("é" * 127, proofs, inputs[:, :0])[0]) == 4 + 254 + 128
    assert len(encode_proofs("x", proofs[:0], inputs[:0])) == 0
    with pytest.raises(ArgumentError, match="256 bytes"):
        encode_proofs("é" * 128, proofs, inputs)
    with pytest.raises(ArgumentError, match="65,536"):
        encode_proofs("x", np.zeros((1, 1 << 16), np.uint8), inputs[:1])


def cases(prover: Prover) -> list[tuple[str, Tx, int]]:
    """What each is, the transaction, and the verdict."""
    good, vote = prover.proven(TX), prover.proven(TX, VOTE)
    proof, at = good.proof, len(column(PAY, b"", []))
    order = prover.setups[PAY].order
    above = column(PAY, proof[at : at + 128], [order, 1])

    def spoilt(place: int, bit: int = 1) -> bytes:
        return proof[:place] + bytes([proof[place] ^ bit]) + proof[place + 1 :]

    made: list[tuple[str, Tx | bytes, int]] = [
        ("valid", good, 1),
        ("valid, of another circuit", vote, 1),
        ("valid, whoever signs it", replace(good, signature=bytes(96)), 1),
        ("copied by another sender", replace(good, sender=person(5)), 0),
        ("used again with the next nonce", replace(good, nonce=8), 0),
        ("for another value", replace(good, value=6), 0),
        ("for another recipient", replace(good, to=person(3)), 0),
        ("on another chain", replace(good, chain_id=9), 0),
        ("another public input", spoilt(len(proof) - 1), 0),
        ("the proof of another circuit", column(PAY, vote.proof[-128:], [1, 2]), 0),
        ("zeros: no point", column(PAY, bytes(128), [1, 2]), -1),
        ("nothing", b"", -1),
        ("version 2", b"\x02" + proof[1:], -1),
        ("version 0", b"\x00" + proof[1:], -1),
        ("a circuit that nobody knows", column("pay_v2", proof[at : at + 128], [1, 2]), -1),
        ("a known circuit that is not accepted", column("ringct_v1", bytes(128), [1, 2]), -1),
        ("too few public inputs", proof[:-32], -1),
        ("too many", proof + bytes(32), -1),
        ("a byte too many", proof + b"\x00", -1),
        ("a byte too few", proof[:-1], -1),
        ("another length of the id", spoilt(1), -1),
        ("another length of the proof", spoilt(at - 1), -1),
        ("an input that is r", above, -1),
        ("a coordinate that is p", proof[:at] + P.to_bytes(32, "little") + proof[at + 32 :], -1),
        ("flags that are none", spoilt(at + 31, 0xC0), -1),
    ]
    return [(name, tx if isinstance(tx, Tx) else replace(TX, proof=tx), said) for name, tx, said in made]


def test_verdicts(prover: Prover):
    made = cases(prover)
    order = np.random.default_rng(1).permutation(3 * len(made)) % len(made)
    batch = batch_of([made[n][1] for n in order])
    found = prover.verifier()(batch)
    assert found.dtype == np.int8
    assert not {made[n][0] for n, said in zip(order, found.tolist(), strict=True) if said != made[n][2]}
    only = prover.verifier((VOTE,))(batch)
    assert {made[n][0] for n in order[only == 1]} == {"valid, of another circuit"}
    assert (prover.verifier(())(batch) == -1).all()


def test_circuits_that_bind_nothing_are_refused(prover: Prover):
    registry = Circuits()
    nothing = Setup("bn254", 0, 5)
    registry.register("nothing", Key(*nothing.key_points()))
    *sides, ic = prover.setups[PAY].key_points()
    ignored = ic.copy()
    ignored[1] = 0
    registry.register("ignored", Key(*sides, ignored))
    last = ic.copy()
    last[-1] = 0
    registry.register("last", Key(*sides, last))
    registry.register("é" * 128, prover.keys[PAY])
    verifier = BatchVerifier(registry)
    for circuit, number in (("nothing", 1), ("ignored", 1), ("last", len(ic) - 1)):
        with pytest.raises(ArgumentError, match=f"{circuit}.*public input {number}"):
            TransactionProofs(verifier, [circuit])
    with pytest.raises(ArgumentError, match="256 bytes"):
        TransactionProofs(verifier, ["é" * 128])
    with pytest.raises(UnknownCircuit):
        TransactionProofs(verifier, [PAY])
    with pytest.raises(CircuitWithoutKey):
        TransactionProofs(verifier, ["ringct_v1"])


def _story(prover: Prover) -> tuple[Story, dict[bytes, int]]:
    """Private transactions of every kind between public ones, calls and transfers, in two blocks; their verdicts."""
    story, verdicts = Story(9), {}
    kinds = cases(prover)
    for _ in range(2):
        steps = []
        for n in range(84):
            who, to = person(n % 9), person((n + 1) % 9)
            tx = story.transfer(who, to, 5, gas_price=1, gas_limit=10_000 if n % 3 else GAS)
            if n % 3:
                steps.append(tx)
                continue
            _, spoilt, said = kinds[n // 3 % len(kinds)]
            tx = prover.proven(replace(tx, private=True), VOTE if n % 2 else PAY)
            if said == 0:
                tx = replace(tx, proof=prover.prove(replace(tx, nonce=tx.nonce + 1)))
            elif said == -1:
                tx = replace(tx, proof=spoilt.proof)
            if said != 1:
                story._nonces[who] -= 1
            verdicts[tx.proof] = said
            steps.append(tx)
        story.block(steps)
    return story, verdicts


def test_blocks_run_as_the_rules_say_in_every_way(prover: Prover):
    story, verdicts = _story(prover)
    assert {said: list(verdicts.values()).count(said) > 5 for said in (1, 0, -1)} == {
        1: True,
        0: True,
        -1: True,
    }
    verifier = prover.verifier()
    stats = run_all(
        story.scenario(),
        FEW_WAYS,
        judge={"verifier": lambda tx: verdicts[tx.proof]},
        verifier=verifier,
    )
    rejected = sum(said != 1 for said in verdicts.values())
    assert rejected
    for blocks in stats.values():
        assert sum(block.rejected for block in blocks) >= rejected
        assert sum(block.failed for block in blocks) == 0


def test_what_is_refused_leaves_no_trace_and_takes_no_other_path(prover: Prover):
    story, verdicts = _story(prover)
    scenario = story.scenario()
    with opened(scenario, SEQUENTIAL, verifier=prover.verifier()) as engine:
        for block in scenario.blocks:
            receipts = engine.execute(batch_of(block.transactions)).receipts
            for n, tx in enumerate(block.transactions):
                if tx.private:
                    reasons = {1: Reason.NONE, 0: Reason.BAD_PROOF, -1: Reason.MALFORMED_PROOF}
                    assert receipts[n].reason == reasons[verdicts[tx.proof]]
                    assert receipts[n].path.name == "PRIVACY"
                    assert receipts[n].accepted == (verdicts[tx.proof] == 1)
    refused = [
        tx for block in scenario.blocks for tx in block.transactions if tx.private and verdicts[tx.proof] != 1
    ]
    with opened(scenario, SEQUENTIAL, verifier=prover.verifier()) as engine:
        before = state_of(engine)
        result = engine.execute(batch_of(refused))
        assert state_of(engine) == before
        assert (result.fees, result.stats.rejected, result.stats.fast) == (0, len(refused), 0)


def test_without_a_verifier_every_private_transaction_is_refused(prover: Prover):
    private = [prover.proven(TX), replace(TX, proof=b""), prover.proven(TX, VOTE)]
    with opened(Story(9).scenario(), SEQUENTIAL) as engine:
        receipts = engine.execute(batch_of(private)).receipts
        assert [receipts[n].reason for n in range(3)] == [Reason.NO_VERIFIER] * 3
        assert not receipts.accepted.any()


@pytest.mark.parametrize(
    "said",
    [
        np.ones(3, np.int8),
        np.ones(1, np.int8),
        np.ones((2, 1), np.int8),
        np.ones(2, np.uint8),
        np.ones(2, np.int64),
        np.ones(2),
        None,
        1,
        "ok",
    ],
    ids=repr,
)
def test_what_is_no_verdict_stops_the_block(said: Any):
    story = Story(3)
    story.block([story.transfer(person(n), person(2), 1, private=True, gas_limit=GAS) for n in range(2)])
    scenario = story.scenario()
    with opened(scenario, SEQUENTIAL, verifier=lambda batch: said) as engine:
        before, root = state_of(engine), engine.state_root
        with pytest.raises(ArgumentError, match="verifier"):
            engine.execute(batch_of(scenario.blocks[0].transactions))
        assert (state_of(engine), engine.state_root) == (before, root)


@pytest.mark.parametrize("other", [0, -1, 2, -128])
def test_only_one_is_valid(other: int):
    story = Story(3)
    story.block([story.transfer(person(n), person(2), 1, private=True, gas_limit=GAS) for n in range(2)])
    scenario = story.scenario()
    verdicts = np.array([1, other], np.int8)
    with opened(scenario, SEQUENTIAL, verifier=lambda batch: verdicts) as engine:
        receipts = engine.execute(batch_of(scenario.blocks[0].transactions)).receipts
        refused = Reason.MALFORMED_PROOF if other == -1 else Reason.BAD_PROOF
        assert [receipts[n].reason for n in range(2)] == [Reason.NONE, refused]


def test_a_proof_is_charged_as_data_and_for_its_verification(prover: Prover):
    """Gas of a private transfer: 1,000, 4 for each byte of its proof, 120,000 for a proof on BN254, 2,000 an input."""
    story = Story(3)
    least = 1_000 + 4 * (4 + len(PAY) + 128 + 64) + 120_000 + 3 * 2_000
    paid = prover.proven(story.transfer(person(0), person(1), 1, private=True, gas_limit=least))
    short = prover.proven(replace(paid, gas_limit=least - 1))
    with opened(story.scenario(), SEQUENTIAL, verifier=prover.verifier()) as engine:
        receipts = engine.execute(batch_of([short, paid])).receipts
        assert receipts[0].reason == Reason.GAS_LIMIT_TOO_LOW
        assert (receipts[1].success, receipts[1].gas) == (True, least)
        fees = int(engine.account(engine.config.fee_collector)[1])
        assert fees == least * paid.gas_price
    # A public transaction's proof is data alone.
    with opened(story.scenario(), SEQUENTIAL) as engine:
        receipt = engine.execute(batch_of([replace(paid, private=False)])).receipts[0]
        assert receipt.gas == least - 126_000


FIELDS = [
    b"",
    b"\1",
    b"\1\3",
    b"\1\1x\0",
    *(
        b"\1\1x" + size.to_bytes(2) + bytes(more)
        for size in (0, 127, 128, 191, 192, 65_535)
        for more in (0, 160, 300)
    ),
    *(b"\1\1x" + bytes([0, 128]) + bytes(128 + more) for more in (31, 32, 33, 63, 64, 32 * 70)),
    *(b"\1\1x" + bytes([0, 192]) + bytes(192 + more) for more in (31, 32, 33, 63, 64, 32 * 70)),
    b"\1\xff" + bytes(255) + bytes([1, 0]) + bytes(256 + 320),
    b"\1\xff" + bytes(255) + b"\1",
    b"\xff" * 5_000,
]


def test_the_price_of_any_field_is_that_of_the_rules():
    """Also where a verifier takes what has no form; of private transactions alone, at any place of a column."""
    made = [replace(TX, proof=field, private=private) for field in FIELDS for private in (True, False)]
    batch = batch_of(made)
    expected = [
        intrinsic_gas(tx.entry, tx.input, tx.proof, objects=1, declared=[*tx.reads, *tx.writes])
        + (proof_gas(tx.proof) if tx.private else 0)
        for tx in made
    ]
    assert layout.intrinsic_gas(batch)[0].tolist() == expected
    assert layout.intrinsic_gas(batch.slice(7, 31))[0].tolist() == expected[7:31]
    order = np.random.default_rng(2).permutation(len(made))
    assert layout.intrinsic_gas(batch.take(order))[0].tolist() == [expected[n] for n in order]


def test_columns_of_other_buffers(prover: Prover):
    """A batch whose proofs are a part of a larger buffer gets the same verdicts."""
    made = cases(prover)
    batch = batch_of([made[n][1] for n in range(len(made))])
    verifier = prover.verifier()
    whole = verifier(batch)
    assert verifier(batch.slice(3, 17)).tolist() == whole[3:17].tolist()
    assert verifier(batch.take(np.arange(len(batch))[::-1])).tolist() == whole[::-1].tolist()
    assert len(verifier(batch.slice(2, 2))) == 0
    assert isinstance(batch.proof, Messages)
