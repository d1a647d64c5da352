# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches: what `of` fills in, what is refused, and rows taken, cut and joined."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_transactions import Plain, batch_of, transactions

from supervm.crypto.messages import Messages
from supervm.engine.errors import MalformedBatch
from supervm.engine.transactions.batch import TransactionBatch

A, B = b"a" * 20, b"b" * 20
THREE = batch_of(
    [
        Plain(sender=A, nonce=5, reads=[b"r0", b"r1"], writes=[b"w0"], objects=[b"o" * 32]),
        Plain(sender=B, entry=b"go", input=b"in", proof=b"p"),
        Plain(sender=A, nonce=6, reads=[], writes=[b"w1", b""], objects=[b"p" * 32, b"q" * 32], value=9),
    ]
)


def plain(**changed: Any) -> TransactionBatch:
    return TransactionBatch.of(**{"sender": A, "nonce": np.arange(3), "to": B, **changed})


def test_what_is_given_once_holds_for_all() -> None:
    batch = plain(value=(1 << 256) - 1, entry=b"go", gas_price=7, input=[b"", b"x", b"yz"])
    assert len(batch) == 3
    assert batch.sender.tobytes() == A * 3
    assert batch.value.tobytes() == b"\xff" * 96
    assert [batch.entry[i] for i in range(3)] == [b"go"] * 3
    assert [batch.input[i] for i in range(3)] == [b"", b"x", b"yz"]
    assert batch.gas_price.tolist() == [7] * 3
    assert batch.chain_id.tolist() == [1] * 3
    assert not batch.declared.any()
    assert not batch.private.any()
    assert not batch.scheme.any()
    assert batch.object_offsets.tolist() == [0] * 4
    assert len(TransactionBatch.of(sender=A, nonce=0, to=B)) == 1
    assert plain(reads=(np.array([0, 1, 1, 1]), [b"k"])).declared.all()


def test_values_in_each_form() -> None:
    numbers = np.array([0, 1, (1 << 64) - 1], np.uint64)
    rows = np.stack([np.frombuffer(int(x).to_bytes(32), np.uint8) for x in numbers])
    assert np.array_equal(plain(value=numbers).value, rows)
    assert np.array_equal(plain(value=rows).value, rows)
    assert plain(value=[1, 2, 3]).value[:, 31].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "field", "row", "words"),
    [
        ({"sender": b"short"}, "sender", None, "uint8 (5,)"),
        ({"to": np.zeros((3, 19), np.uint8)}, "to", None, "uint8 (3, 19)"),
        ({"to": np.zeros((2, 20), np.uint8)}, "nonce", None, "3 rows"),
        ({"nonce": -1}, "nonce", None, "-1"),
        ({"nonce": [0, 5, -1]}, "nonce", None, "-1"),
        ({"nonce": 0.5}, "nonce", None, "float"),
        ({"scheme": 256}, "scheme", None, "256"),
        ({"value": 1 << 256}, "value", None, str(1 << 256)),
        ({"value": -1}, "value", None, "-1"),
        ({"private": 1}, "private", None, "int64"),
        ({"entry": 5}, "entry", None, "int"),
        ({"entry": [b"", b"", b"x" * 65_536]}, "entry", 2, "65,536 bytes"),
        ({"signature": [b"", b"x" * 65_536, b""]}, "signature", 1, "65,536 bytes"),
        ({"objects": (np.array([0, 1, 1, 1]), np.zeros((1, 31), np.uint8))}, "object_ids", None, "(1, 31)"),
        ({"objects": (np.array([0, 1, 1]), np.zeros((1, 32), np.uint8))}, "object_offsets", None, "(3,)"),
        (
            {"objects": (np.array([0, 2, 1, 2]), np.zeros((2, 32), np.uint8))},
            "object_offsets",
            1,
            "1 after 2",
        ),
        (
            {"objects": (np.array([0, 1, 1, 1]), np.zeros((2, 32), np.uint8))},
            "object_offsets",
            None,
            "0 to 1",
        ),
        (
            {"objects": (np.array([1, 1, 1, 1]), np.zeros((1, 32), np.uint8))},
            "object_offsets",
            None,
            "1 to 1",
        ),
        (
            {"objects": (np.array([0, 0, 65_536, 65_536]), np.zeros((65_536, 32), np.uint8))},
            "object_offsets",
            1,
            "65,536 items",
        ),
        ({"reads": (np.array([0, 0, 2, 2]), [b"", b"k" * 65_536])}, "read_keys", 1, "65,536 bytes"),
        ({"writes": (np.array([0, 0, 1, 1]), [b"k"]), "declared": False}, "write_keys", 1, "1 keys"),
        ({"reads": (np.array([0, 0, 0, 1], np.int32), [b"k"])}, "read_offsets", None, "int32"),
    ],
)
def test_malformed(changed: dict[str, Any], field: str, row: int | None, words: str) -> None:
    with pytest.raises(MalformedBatch) as caught:
        plain(**changed)
    error = caught.value
    assert (error.field, error.row) == (field, row)
    assert words in error.found or words in str(error)
    assert field in str(error)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)


@pytest.mark.parametrize("name", [each.name for each in fields(TransactionBatch)])
def test_every_column_is_checked(name: str) -> None:
    """Nothing, a row too many, and another dtype, in each column."""
    column = getattr(THREE, name)
    wrong: list[Any] = [None]
    if isinstance(column, Messages):
        if name not in ("read_keys", "write_keys"):
            wrong.append(Messages(column.data, column.offsets[:-1]))
        else:
            wrong.append(Messages(column.data, np.append(column.offsets, column.offsets[-1])))
    else:
        wrong += [column.astype(np.float32), np.concatenate([column, column[-1:]]), column[..., None]]
    for bad in wrong:
        with pytest.raises(MalformedBatch):
            replace(THREE, **{name: bad})


@pytest.mark.parametrize("name", ["object_offsets", "read_offsets", "write_offsets", "declared"])
def test_arrays_changed_afterwards_are_seen(name: str) -> None:
    batch = THREE.take(np.arange(3))
    column = getattr(batch, name)
    column[-1] = 0 if name == "declared" else column[-1] + 1
    with pytest.raises(MalformedBatch):
        batch.check()


@pytest.mark.parametrize("name", ["private", "declared"])
def test_flags_of_other_memory(name: str) -> None:
    with pytest.raises(MalformedBatch, match="byte 2") as caught:
        replace(THREE, **{name: np.array([1, 2, 0], np.uint8).view(np.bool_)})
    assert (caught.value.field, caught.value.row) == (name, 1)


def test_strings_changed_afterwards_are_seen() -> None:
    batch = THREE.take(np.arange(3))
    batch.input.offsets[1] = 1 << 40
    with pytest.raises(MalformedBatch, match="input"):
        batch.check()
    batch.input.offsets[:] = [-5, -4, 0, 0]
    with pytest.raises(MalformedBatch, match="input"):
        batch.check()


@settings(max_examples=60)
@given(st.lists(transactions(), max_size=7), st.data())
def test_rows_slices_and_joins(made: list[Plain], data: st.DataObject) -> None:
    batch = batch_of(made)
    start = data.draw(st.integers(0, len(made)))
    stop = data.draw(st.integers(start, len(made)))
    part = batch.slice(start, stop)
    part.check()
    assert part.equals(batch_of(made[start:stop]))
    rows = data.draw(st.lists(st.integers(0, max(0, len(made) - 1)), max_size=5 if made else 0))
    taken = batch.take(np.array(rows, np.int64))
    taken.check()
    assert taken.equals(batch_of([made[row] for row in rows]))
    whole = TransactionBatch.concatenate([batch.slice(0, start), part, batch.slice(stop, len(made)), taken])
    whole.check()
    assert whole.equals(batch_of([*made, *(made[row] for row in rows)]))
    mask = np.array([each.private for each in made], np.bool_)
    assert batch.take(mask).equals(batch_of([each for each in made if each.private]))


def test_rows_outside_are_refused() -> None:
    for rows in ([3], [-1]):
        with pytest.raises(IndexError, match="of 3"):
            THREE.take(np.array(rows))


def test_equality_sees_every_column() -> None:
    for name in (each.name for each in fields(TransactionBatch)):
        column = getattr(THREE, name)
        if isinstance(column, Messages):
            changed = Messages(np.append(column.data, np.uint8(1)), column.offsets.copy())
            changed.offsets[-1] += 1
        else:
            changed = column.copy()
            changed.reshape(-1)[-1] ^= 1
        other = TransactionBatch.__new__(TransactionBatch)
        other.__dict__.update(THREE.__dict__, **{name: changed})
        assert not THREE.equals(other), name
    assert THREE.equals(THREE.take(np.arange(3)))


def test_no_transactions() -> None:
    empty = TransactionBatch.concatenate([])
    assert len(empty) == 0
    assert empty.equals(THREE.slice(1, 1))
    assert empty.equals(THREE.take(np.zeros(0, np.int64)))
