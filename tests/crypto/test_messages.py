# SPDX-License-Identifier: GPL-3.0-or-later
"""`Messages`: every accepted form gives back its messages without copying arrays; every other is refused."""

from __future__ import annotations

import doctest

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.crypto import messages as module
from supervm.crypto.messages import Messages
from supervm.kernels.errors import ArgumentError

lists_of_bytes = st.lists(st.binary(max_size=40), max_size=20)


def contents(messages):
    return [messages[index] for index in range(len(messages))]


@given(lists_of_bytes)
def test_lists(items):
    made = Messages.of(items)
    assert contents(made) == items
    assert contents(Messages.of(tuple(items))) == items
    assert made.data.dtype == np.uint8
    assert made.offsets.dtype == np.int64
    assert made.offsets.shape == (len(items) + 1,)


@given(lists_of_bytes, st.integers(0, 20), st.integers(0, 20))
def test_pairs_are_not_copied(items, first, last):
    made = Messages.of(items)
    part = made.offsets[min(first, len(items)) : max(first, len(items) - last) + 1]
    again = Messages.of((made.data, part))
    assert again.data is made.data
    assert np.shares_memory(again.offsets, part)
    assert contents(again) == items[min(first, len(items)) : max(first, len(items) - last)]


@given(st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_rows(count, length, turned):
    rows = np.random.default_rng(0).integers(0, 256, (count, length), dtype=np.uint8)
    given_rows = np.asfortranarray(rows) if turned else rows
    made = Messages.of(given_rows)
    assert contents(made) == [row.tobytes() for row in rows]
    assert rows.size == 0 or turned or np.shares_memory(made.data, rows)


@given(lists_of_bytes, st.sampled_from([pa.binary(), pa.large_binary()]), st.integers(0, 20))
def test_arrow(items, kind, first):
    array = pa.array(items, kind)
    assert contents(Messages.of(array)) == items
    assert contents(Messages.of(array[first:])) == items[first:]
    assert contents(Messages.of(pa.chunked_array([array, array], kind))) == items + items


@given(st.lists(st.binary(min_size=5, max_size=5), max_size=9), st.integers(0, 9))
def test_arrow_of_fixed_size(items, first):
    array = pa.array(items, pa.binary(5))
    assert contents(Messages.of(array)) == items
    assert contents(Messages.of(array[first:])) == items[first:]


def test_arrow_bytes_are_not_copied():
    array = pa.array([b"abc", b"defgh"], pa.large_binary())
    made = Messages.of(array)
    _, offsets, data = array.buffers()
    assert made.data.__array_interface__["data"][0] == data.address
    assert made.offsets.__array_interface__["data"][0] == offsets.address
    fixed = pa.array([b"ab", b"cd"], pa.binary(2))
    assert Messages.of(fixed).data.__array_interface__["data"][0] == fixed.buffers()[1].address


def test_messages_pass_through():
    made = Messages.of([b"a"])
    assert Messages.of(made) is made
    assert repr(made) == "Messages(1 messages, 1 bytes)"


def test_other_buffers_of_bytes():
    assert contents(Messages.of([bytearray(b"ab"), memoryview(b"c"), np.frombuffer(b"d", np.uint8)])) == [
        b"ab",
        b"c",
        b"d",
    ]


@pytest.mark.parametrize("index", [2, -3])
def test_no_such_message(index):
    made = Messages.of([b"a", b"b"])
    assert made[-1] == b"b"
    with pytest.raises(IndexError):
        made[index]


DATA = np.zeros(10, np.uint8)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"alone", "bytes"),
        ("text", "str"),
        (None, "NoneType"),
        (7, "int"),
        ({b"a"}, "set"),
        ([b"a", "b"], "list"),
        ([b"a", None], "list"),
        ([1, 2], "list"),
        ([memoryview(np.zeros(2, np.uint32))], "larger than a byte"),
        (np.zeros(4, np.uint8), r"uint8 \(4,\)"),
        (np.zeros((2, 2, 2), np.uint8), r"uint8 \(2, 2, 2\)"),
        (np.zeros((2, 2), np.int8), r"int8 \(2, 2\)"),
        (np.zeros((2, 2)), r"float64 \(2, 2\)"),
        ((DATA, [0, 5]), "offsets.*list"),
        ((DATA, np.array([0, 5], np.int32)), "offsets.*int32"),
        ((DATA, np.array([0, 5], np.uint64)), "offsets.*uint64"),
        ((DATA, np.array([[0, 5]])), "offsets.*int64"),
        ((DATA, np.zeros(0, np.int64)), "offsets.*empty"),
        ((DATA, np.array([0, 11])), "offsets.*from 0 to 11"),
        ((DATA, np.array([-1, 5])), "offsets.*from -1 to 5"),
        ((DATA, np.array([0, 7, 6, 10])), "offsets.*6 at 2 after 7"),
        ((DATA, np.array([0, 99, 10])), "offsets.*10 at 2 after 99"),
        ((DATA.view(np.int8), np.array([0, 5])), "data.*int8"),
        ((DATA.reshape(2, 5), np.array([0, 5])), "data.*uint8"),
        (pa.array([b"a", None]), "1 nulls"),
        (pa.array(["a"]), "string"),
        (pa.array([1]), "int64"),
        (pa.table({"a": [b"x"]}), "Table"),
    ],
)
def test_refused(value, found):
    with pytest.raises(ArgumentError, match=found) as caught:
        Messages.of(value, argument="texts")
    assert caught.value.argument == "texts"


@pytest.mark.parametrize(
    ("data", "offsets", "argument"),
    [(DATA, np.array([0, 11]), "offsets"), (DATA.astype(np.int16), np.array([0, 1]), "data")],
)
def test_constructor_refuses(data, offsets, argument):
    with pytest.raises(ArgumentError) as caught:
        Messages(data, offsets)
    assert caught.value.argument == argument


def test_examples_in_the_docstrings():
    assert doctest.testmod(module).failed == 0
