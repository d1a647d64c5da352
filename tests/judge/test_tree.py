# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge's tree against trees put together by hand, and proofs that hold and that do not."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge import tree


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def leaf(key: bytes, value: bytes) -> bytes:
    return sha(b"\0" + sha(key) + sha(value))


def starting_with(bits: str, *, other_than: bytes = b"") -> bytes:
    """A key whose path begins with these bits."""
    return next(
        key
        for key in (str(number).encode() for number in range(10**6))
        if key != other_than and f"{int.from_bytes(sha(key), 'big'):0256b}".startswith(bits)
    )


def test_empty_and_single():
    assert tree.root({}) == bytes(32)
    assert tree.root({b"k": b"v"}) == leaf(b"k", b"v")
    assert tree.root({b"k": b""}) == leaf(b"k", b"")


def test_two_leaves_part_at_the_first_bit():
    left, right = starting_with("0"), starting_with("1")
    expected = sha(b"\1" + leaf(left, b"l") + leaf(right, b"r"))
    assert tree.root({left: b"l", right: b"r"}) == expected


def test_leaves_with_a_common_beginning_have_empty_siblings():
    a = starting_with("0101")
    b = starting_with("0100")
    pair = sha(b"\1" + leaf(b, b"b") + leaf(a, b"a"))
    # Below 01 the third bit is 0 for both: the pair stands left there, and nothing right.
    third = sha(b"\1" + pair + bytes(32))
    expected = sha(b"\1" + sha(b"\1" + bytes(32) + third) + bytes(32))
    assert tree.root({a: b"a", b: b"b"}) == expected


def test_hashes_differ_and_the_names_are_known():
    state = {b"a": b"1", b"b": b"2"}
    assert tree.root(state, "keccak256") != tree.root(state)
    assert tree.root({b"k": b"v"}, "keccak256") == tree.keccak256(
        b"\0" + tree.keccak256(b"k") + tree.keccak256(b"v")
    )
    with pytest.raises(KeyError):
        tree.root(state, "md5")


STATES = st.dictionaries(st.binary(max_size=4), st.binary(max_size=4), max_size=12)


@given(STATES, st.binary(max_size=4), st.sampled_from(["sha256", "keccak256"]))
def test_proofs(state: dict[bytes, bytes], key: bytes, name: str):
    root, beside = tree.root(state, name), tree.siblings(state, key, name)
    value, other = state.get(key), tree.other_leaf(state, key, name)
    if value is None:
        assert tree.excludes(root, key, beside, other, name)
        assert not tree.includes(root, key, b"", beside, name)
    else:
        assert tree.includes(root, key, value, beside, name)
        assert not tree.includes(root, key, value + b"x", beside, name)
        assert not tree.excludes(root, key, beside, other, name)
        assert not tree.excludes(root, key, beside, None, name)
    if beside:
        for wrong in (beside[:-1], [*beside[:-1], sha(b"other")], [bytes(32), *beside]):
            assert value is None or not tree.includes(root, key, value, wrong, name)
            assert value is not None or not tree.excludes(root, key, wrong, other, name)


def test_a_leaf_of_another_subtree_proves_no_absence():
    left, right = starting_with("0"), starting_with("1")
    state = {left: b"l", right: b"r"}
    root, absent = tree.root(state), starting_with("0", other_than=left)
    assert tree.excludes(root, absent, tree.siblings(state, absent), (sha(left), sha(b"l")))
    assert not tree.excludes(root, absent, tree.siblings(state, right), (sha(right), sha(b"r")))
    assert not tree.includes(root, left, b"l", [bytes(32)] * 257)
