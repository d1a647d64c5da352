# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuits against the oracle, and against forgers: who cheats gets no witness, and none made by hand holds.

A forger's witness is solved from the constraints (`r1cs_solver.py`): every signal follows from inputs that the forger chose,
public ones so that as much as possible fits. What is left broken is the one constraint that stops this very fraud.
"""

from __future__ import annotations

import functools
import hashlib
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shielded
from r1cs import R1cs
from r1cs_solver import Solver
from shielded import Inputs, Note, R, element

from supervm.crypto import circuits, witness
from supervm.crypto.circuits import build
from supervm.crypto.errors import Unsatisfied
from supervm.crypto.oracle import notes
from supervm.crypto.params import notes as params
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError, SupervmError

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "circuits.md").read_text("utf-8")


@functools.cache
def compiled(name: str) -> tuple[circuits.Circuit, bytes, R1cs]:
    """A circuit, its calculator and its constraints."""
    circuit = circuits.get(name)
    return circuit, circuit.calculator(), R1cs(circuit.r1cs())


def calculated(name: str, inputs: Inputs) -> list[int]:
    """circom's witness."""
    circuit, wasm, _ = compiled(name)
    data = witness.calculate(wasm, inputs, shapes=circuit.inputs)
    return integers(np.frombuffer(data[-32 * circuit.wires :], np.uint64).reshape(-1, 4))


def flat(value: Any) -> list[int]:
    """Nested lists as one."""
    return [x for part in value for x in flat(part)] if isinstance(value, list) else [value]


@functools.cache
def input_wires(name: str) -> dict[tuple[str, int], int]:
    """Wires of the inputs' elements. Of `ringct_v1` one amount is none: by the balance it is the sum of the others."""
    circuit, _, _ = compiled(name)
    inputs = HONEST[name](random.Random(name))
    honest = calculated(name, inputs)
    found, wire = {}, 1
    for signal in circuit.inputs:
        for place, value in enumerate(flat(inputs[signal])):
            if honest[wire] == value:
                found[signal, place] = wire
                wire += 1
    return found


def forged(name: str, inputs: Inputs) -> list[int]:
    """The witness that follows from inputs."""
    places = input_wires(name)
    known = {wire: flat(inputs[signal])[place] % R for (signal, place), wire in places.items()}
    return Solver(compiled(name)[2], known).solve()[0]


def multiplied(rng: random.Random) -> Inputs:
    left, right = element(rng), element(rng)
    return {"binding": element(rng), "product": left * right % R, "left": left, "right": right}


def ranged(rng: random.Random, amount: int | None = None) -> Inputs:
    amount = rng.randrange(1 << 64) if amount is None else amount
    blinding = element(rng)
    committed = notes.amount_commitment(amount % R, blinding)
    return {"binding": element(rng), "commitment": committed, "amount": amount % R, "blinding": blinding}


def transferred(rng: random.Random) -> Inputs:
    amounts = [rng.randrange(1, 1 << 63) for _ in range(4)]
    spent, root = shielded.planted(rng, amounts[:2])
    total = sum(amounts[:2]) + amounts[2]
    outs = [rng.randrange(1 << 62), rng.randrange(1 << 62)]
    left = total - sum(outs)
    fee = rng.randrange(min(left, 1 << 40))
    split = min(left - fee, (1 << 64) - 1)
    outs[1] += left - fee - split
    return shielded.transfer(rng, spent, root, outs, public_in=amounts[2], public_out=split, fee=fee)


HONEST: dict[str, Callable[[random.Random], Inputs]] = {
    "multiply_v1": multiplied,
    "range_proof_v1": ranged,
    "ring_signature_v1": shielded.signature,
    "ringct_v1": transferred,
}


def test_all_circuits_are_tested():
    assert tuple(sorted(HONEST)) == circuits.names()


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_witness(name):
    """It satisfies all constraints, states its public inputs in the order of the manifest, and nothing else would do: no
    signal may change alone, and every one of them follows from the inputs."""
    circuit, _, r1cs = compiled(name)
    inputs = HONEST[name](random.Random(f"honest {name}"))
    found = calculated(name, inputs)
    assert not r1cs.broken(found)
    public = [value for signal in circuit.public for value in flat(inputs[signal])]
    assert found[: 1 + r1cs.public] == [1, *public]
    assert not r1cs.free(found)
    places = input_wires(name)
    assert len(places) == sum(len(flat(inputs[s])) for s in circuit.inputs) - (name == "ringct_v1")
    known = {wire: flat(inputs[signal])[place] for (signal, place), wire in places.items()}
    assert Solver(r1cs, known).solve() == (found, 0)


@pytest.mark.parametrize("name", HONEST)
def test_any_changed_public_input(name):
    circuit, _, r1cs = compiled(name)
    inputs = HONEST[name](random.Random(f"changed {name}"))
    found = calculated(name, inputs)
    for wire in range(1, 1 + r1cs.public):
        for value in (0, R - found[wire], found[wire] ^ 1, random.Random(wire).randrange(R)):
            if value % R != found[wire]:
                changed = [*found[:wire], value % R, *found[wire + 1 :]]
                assert r1cs.broken(changed, r1cs.uses[wire])
    for signal in set(circuit.public) - {"binding", "recipient"}:
        other = flat(inputs[signal])
        other[0] = (other[0] + 1) % R
        with pytest.raises(Unsatisfied, match="line: "):
            calculated(name, inputs | {signal: other if isinstance(inputs[signal], list) else other[0]})


# ---------------------------------------------------------------------------------------------------------
# Notes that may be spent


def planted(rng: random.Random, *amounts: int) -> tuple[list[Note], int]:
    return shielded.planted(rng, list(amounts))


@pytest.mark.parametrize(
    ("amounts", "outs", "public"),
    [
        ((0, 0), [70, 30], {"public_in": 100}),
        ((0, 0), [(1 << 64) - 1, 0], {"public_in": (1 << 64) - 1}),
        ((100, 0), [60, 39], {"fee": 1}),
        ((0, 100), [60, 39], {"fee": 1}),
        (((1 << 64) - 1, (1 << 64) - 1), [(1 << 64) - 1, (1 << 64) - 1], {}),
        ((30, 40), [0, 0], {"public_out": 69, "fee": 1}),
        ((30, 40), [5, 0], {"public_in": 10, "public_out": 75}),
        ((0, 0), [0, 0], {}),
    ],
)
def test_shield_transfer_and_unshield(amounts, outs, public):
    """Notes of amount 0 need not be in the tree: only the others are."""
    rng = random.Random(str((amounts, outs)))
    real, root = planted(rng, *[amount for amount in amounts if amount])
    left = iter(real)
    spent = [next(left) if amount else Note(rng, 0, rng.randrange(1 << 32)) for amount in amounts]
    found = calculated("ringct_v1", shielded.transfer(rng, spent, root, outs, **public))
    assert not compiled("ringct_v1")[2].broken(found)


def test_the_last_place_of_the_tree():
    rng = random.Random(1)
    note, dummy = Note(rng, 9, (1 << 32) - 1), Note(rng, 0)
    root = notes.climbed(note.leaf, note.index, note.path)
    assert calculated("ringct_v1", shielded.transfer(rng, [note, dummy], root, [9, 0]))


def test_equal_notes_at_two_places():
    """Both can be spent, and in one transaction: their nullifiers differ by their places."""
    rng = random.Random(2)
    first = Note(rng, 5)
    leaves = [element(rng), first.leaf, first.leaf]
    second = Note(random.Random(2), 5)
    for note, index in ((first, 1), (second, 2)):
        note.index, note.path = index, notes.path(leaves, index)
    assert first.leaf == second.leaf
    inputs = shielded.transfer(rng, [first, second], notes.root(leaves), [10, 0])
    assert not compiled("ringct_v1")[2].broken(calculated("ringct_v1", inputs))


# ---------------------------------------------------------------------------------------------------------
# Fraud


@dataclass(frozen=True)
class Fraud:
    """Inputs, and a part of the source's line that stops them. Not all are forged too: that takes seconds."""

    circuit: str
    inputs: Callable[[random.Random], Inputs]
    line: str
    forged: bool = True


def _two(rng: random.Random) -> tuple[list[Note], int]:
    return planted(rng, 50, 70)


def not_a_product(rng: random.Random) -> Inputs:
    return multiplied(rng) | {"product": 6}


def amount_of_65_bits(rng: random.Random) -> Inputs:
    return ranged(rng, 1 << 64)


def negative_amount(rng: random.Random) -> Inputs:
    return ranged(rng, -1)


def other_opening(rng: random.Random) -> Inputs:
    return ranged(rng) | {"amount": 1}


def no_member(rng: random.Random) -> Inputs:
    inputs, stranger = shielded.signature(rng), element(rng)
    return inputs | {"secret": stranger, "nullifier": notes.signature_nullifier(stranger, inputs["scope"])}


def other_nullifier(rng: random.Random) -> Inputs:
    return shielded.signature(rng) | {"nullifier": element(rng)}


def member_at_another_place(rng: random.Random) -> Inputs:
    inputs = shielded.signature(rng)
    return inputs | {"index": inputs["index"] ^ 1}


def member_beyond_the_ring(rng: random.Random) -> Inputs:
    inputs = shielded.signature(rng)
    return inputs | {"index": inputs["index"] + (1 << params.RING_DEPTH)}


def wrong_key(rng: random.Random) -> Inputs:
    """Somebody else's note with one's own key, everything else fitting."""
    (victim, mine), root = _two(rng)
    thief = Note(rng, victim.amount, victim.index)
    thief.blinding, thief.path = victim.blinding, victim.path
    thief.leaf = notes.commitment(thief.amount, thief.keys.owner, thief.blinding)
    return shielded.transfer(rng, [thief, mine], root, [120, 0])


def other_leaf(rng: random.Random) -> Inputs:
    """A note of one's own that is not in the tree, at the place of one that is."""
    (real, mine), root = _two(rng)
    false = Note(rng, 1 << 40, real.index)
    false.path = real.path
    return shielded.transfer(rng, [false, mine], root, [(1 << 40) + 70, 0])


def same_note_twice(rng: random.Random) -> Inputs:
    (note, _), root = _two(rng)
    return shielded.transfer(rng, [note, note], root, [100, 0])


def second_nullifier(rng: random.Random) -> Inputs:
    """A note with the nullifier of another place."""
    (note, mine), root = _two(rng)
    inputs = shielded.transfer(rng, [note, mine], root, [120, 0])
    note.index += 1
    return inputs | {"nullifier": [note.nullifier(), mine.nullifier()]}


def wrapped_amounts(rng: random.Random) -> Inputs:
    """Two new notes whose sum is right modulo r only."""
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [1 << 64, (120 - (1 << 64)) % R])


def negative_note(rng: random.Random) -> Inputs:
    """A note in the tree that no transfer makes, since its amount is −50."""
    spent, root = planted(rng, R - 50, 70)
    return shielded.transfer(rng, spent, root, [20, 0])


def negative_value_in(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [100, 0], public_in=R - 20)


def negative_value_out(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [120, 20], public_out=R - 20)


def negative_fee(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [120, 5], fee=R - 5)


def more_out_than_in(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [120, 1])


def changed_fee(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [100, 15], fee=5) | {"fee": 6}


def unshielded_more(rng: random.Random) -> Inputs:
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [100, 15], public_out=5) | {"public_out": 20}


def other_pool(rng: random.Random) -> Inputs:
    """Nullifiers of one pool, shown to another, which has the same tree."""
    spent, root = _two(rng)
    return shielded.transfer(rng, spent, root, [100, 20]) | {"pool": shielded.POOL + 1}


def index_beyond_the_tree(rng: random.Random) -> Inputs:
    """The same leaf under another number, for a second nullifier."""
    (note, mine), root = _two(rng)
    note.index += 1 << params.TREE_DEPTH
    return shielded.transfer(rng, [note, mine], root, [100, 20])


def dummy_with_value(rng: random.Random) -> Inputs:
    (mine, _), root = _two(rng)
    return shielded.transfer(rng, [Note(rng, 30), mine], root, [80, 0])


def root_of_another_tree(rng: random.Random) -> Inputs:
    spent, _ = _two(rng)
    return shielded.transfer(rng, spent, _two(rng)[1], [100, 20])


FRAUDS = [
    Fraud("multiply_v1", not_a_product, "product ==="),
    Fraud("range_proof_v1", amount_of_65_bits, "Num2Bits"),
    Fraud("range_proof_v1", negative_amount, "Num2Bits"),
    Fraud("range_proof_v1", other_opening, "commitment ==="),
    Fraud("ring_signature_v1", no_member, "root ==="),
    Fraud("ring_signature_v1", other_nullifier, "nullifier ==="),
    Fraud("ring_signature_v1", member_at_another_place, "root ==="),
    Fraud("ring_signature_v1", member_beyond_the_ring, "Num2Bits"),
    Fraud("ringct_v1", wrong_key, "amount * ("),
    Fraud("ringct_v1", other_leaf, "amount * ("),
    Fraud("ringct_v1", same_note_twice, "* inverse ==="),
    Fraud("ringct_v1", second_nullifier, "nullifier[k] ===", forged=False),
    Fraud("ringct_v1", wrapped_amounts, "Num2Bits"),
    Fraud("ringct_v1", negative_note, "Num2Bits", forged=False),
    Fraud("ringct_v1", negative_value_in, "Num2Bits", forged=False),
    Fraud("ringct_v1", negative_value_out, "Num2Bits", forged=False),
    Fraud("ringct_v1", negative_fee, "Num2Bits", forged=False),
    Fraud("ringct_v1", more_out_than_in, "in_amount[0] +", forged=False),
    Fraud("ringct_v1", changed_fee, "in_amount[0] +"),
    Fraud("ringct_v1", unshielded_more, "in_amount[0] +", forged=False),
    Fraud("ringct_v1", other_pool, "nullifier[k] ==="),
    Fraud("ringct_v1", index_beyond_the_tree, "Num2Bits"),
    Fraud("ringct_v1", dummy_with_value, "amount * ("),
    Fraud("ringct_v1", root_of_another_tree, "amount * (", forged=False),
]
ONE_CHECK = 6
"""Constraints at most that a comparison becomes: its sum replaces a wire in those of the last S-boxes before it, and inputs
that the circuit never has may fail two comparisons."""


@pytest.mark.parametrize("fraud", FRAUDS, ids=lambda fraud: f"{fraud.circuit}-{fraud.inputs.__name__}")
def test_fraud(fraud):
    """The calculator stops at the line that is meant to; and the constraints stop a witness that is made without it."""
    rng = random.Random(fraud.inputs.__name__)
    inputs = fraud.inputs(rng)
    with pytest.raises(Unsatisfied) as caught:
        calculated(fraud.circuit, inputs)
    where = re.findall(r"Error in template (\w+?)_\d+ line: (\d+)", str(caught.value))
    assert _stops(fraud.circuit, where[0], fraud.line), where
    if not fraud.forged:
        return
    forgery = forged(fraud.circuit, inputs)
    _, _, r1cs = compiled(fraud.circuit)
    public = [value % R for signal in circuits.get(fraud.circuit).public for value in flat(inputs[signal])]
    assert forgery[: 1 + r1cs.public] == [1, *public]
    assert 1 <= len(r1cs.broken(forgery)) <= ONE_CHECK


def _stops(circuit: str, where: tuple[str, str], line: str) -> bool:
    """Whether a place that the calculator names is a line of the circuit with this text."""
    template, number = where
    if template == "Num2Bits":
        return line == "Num2Bits"
    text = circuits.get(circuit).source().splitlines()
    return line in text[int(number) - 1]


# ---------------------------------------------------------------------------------------------------------
# What is shipped, and what is written about it


def test_shipped_circuits_are_those_of_the_manifest():
    for name in circuits.names():
        circuit = circuits.get(name)
        for kind, data in (("wasm", circuit.calculator()), ("r1cs", circuit.r1cs())):
            assert hashlib.sha256(data).hexdigest() == circuit.digests[kind]
        r1cs = compiled(name)[2]
        counts = (len(r1cs.constraints), r1cs.wires, r1cs.prime)
        assert counts == (circuit.constraints, circuit.wires, R)
        assert r1cs.public == sum(int(np.prod(shape)) for shape in circuit.public.values())


def test_the_manifest_is_of_the_sources():
    """A changed source needs `make circuits`."""
    folder = ROOT / "crypto" / "circuits"
    found = {path.name: build.sha256(path.read_bytes()) for path in folder.glob("*.circom")}
    assert circuits.manifest()["sources"] == found
    assert [path.stem for path in build.mains()] == list(circuits.names())
    for path in folder.glob("*.circom"):
        assert path.read_text("utf-8").startswith("// SPDX-License-Identifier: GPL-3.0-or-later\n")


def test_damaged_artefacts_are_refused(monkeypatch):
    circuit = circuits.get("multiply_v1")
    damaged = circuits.Circuit(**{**vars(circuit), "digests": {"wasm": "00" * 32, "r1cs": "00" * 32}})
    with pytest.raises(SupervmError, match=r"multiply_v1\.wasm\.xz"):
        damaged.calculator()
    with pytest.raises(ArgumentError, match="ringct_v1"):
        circuits.get("../errors")


def test_tags_are_those_of_the_page_and_of_the_sources():
    hashes = (ROOT / "crypto" / "circuits" / "hashes.circom").read_text("utf-8")
    rows = re.findall(r"\| ([A-Z_]+) \| `([a-z/1-]+)` \| `(0x[0-9a-f]+)` \|", PAGE)
    assert len(rows) == 9
    for name, text, number in rows:
        assert int(number, 16) == int.from_bytes(text.encode()) == getattr(params, name)
        assert f"function {name}() {{ return {number}; }} // {text}\n" in hashes
    assert len({number for _, _, number in rows}) == len(re.findall("^function", hashes, re.MULTILINE)) == 9


@pytest.mark.parametrize("name", HONEST)
def test_the_page_has_the_public_inputs_and_the_size(name):
    circuit = circuits.get(name)
    section = PAGE.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\d, ]+) \| `(\w+)(?:\[(\d+)\])?` \|", section, re.MULTILINE)
    shapes = {signal: (int(size),) if size else () for _, signal, size in rows}
    assert (shapes, list(shapes)) == (circuit.public, list(circuit.public))
    places = [int(place) for numbers, _, _ in rows for place in numbers.split(",")]
    assert places == list(range(len(places)))
    assert f"{circuit.constraints:,} constraints, {circuit.wires:,} wires" in section
    assert all(f"`{signal}" in section for signal in circuit.private)


def test_compiling_again_gives_the_same_bytes(tmp_path):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm and node, which run the compiler, are not installed")
    try:
        build.install(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the compiler cannot be installed: npm ends with {error.returncode}")
    entry = build.compile_circuit("multiply_v1", tmp_path, tmp_path)
    assert entry == circuits.manifest()["circuits"]["multiply_v1"]
