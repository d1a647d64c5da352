# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies that are parsed in pieces, against the same bodies parsed by pydantic at once."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http import conversion, models
from supervm.tiers.service.http.document import BODIES
from supervm.tiers.service.http.long_lists import SHAPES
from supervm.tiers.service.http.parsing import parse
from supervm.tiers.service.http.pieces import pieces
from supervm.tiers.service.http.texts import Nested, Texts

WHOLE = 1 << 30

TEXTS = st.text(max_size=5) | st.sampled_from(["00", "0x12", '"', "\\", '",', "],[", "{", "é", "1,2", "\x00"])
ITEMS = st.recursive(
    TEXTS | st.integers(-1, 1 << 65) | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)
LISTS_OF_TEXTS = st.lists(TEXTS, max_size=12)
NESTED_TEXTS = st.lists(LISTS_OF_TEXTS, max_size=8)
NESTED_WORDS = st.lists(st.lists(st.integers(0, (1 << 64) - 1), max_size=8), max_size=8)


def outcome(model, content, size):
    """What a body holds, as plain lists; or what is said of it."""
    try:
        body = parse(model, content, size)
    except ServiceError as error:
        return error.code, error.field, error.message
    return {name: plain(getattr(body, name)) for name in model.model_fields}


def plain(value):
    if isinstance(value, Texts):
        # A text with a comma ends the column: it is refused whatever it is.
        return [value.text(at) for at in range(len(value))]
    if isinstance(value, Nested):
        flat = plain(value.flat)
        ends = np.cumsum(value.lengths)
        return [flat[end - length : end] for end, length in zip(ends, value.lengths, strict=True)]
    return value.tolist() if isinstance(value, np.ndarray) else value


def agree(model, content, size):
    found = outcome(model, content, size)
    assert found == outcome(model, content, WHOLE)
    return found


INDENTS = st.sampled_from([None, 1])
SIZES = st.integers(1, 40)


@given(st.lists(TEXTS | ITEMS, max_size=12), ITEMS, INDENTS, SIZES, st.booleans())
def test_lists_of_texts(messages, function, indent, size, ascii_only):
    for body in ({"function": "sha256", "messages": messages}, {"messages": messages, "function": function}):
        agree(models.HashBody, json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode(), size)


@given(NESTED_TEXTS | st.lists(LISTS_OF_TEXTS | ITEMS, max_size=8), INDENTS, SIZES)
def test_lists_of_lists_of_texts(inputs, indent, size):
    content = json.dumps({"field": "bn254", "inputs": inputs}, indent=indent).encode()
    agree(models.PoseidonBody, content, size)


@given(NESTED_WORDS | st.lists(st.lists(ITEMS), max_size=8), NESTED_WORDS, INDENTS, SIZES)
def test_lists_of_lists_of_words(reads, writes, indent, size):
    content = json.dumps({"writes": writes, "reads": reads, "want_edges": True}, indent=indent).encode()
    agree(models.ConflictsBody, content, size)


@given(st.dictionaries(st.sampled_from([*models.VerifyBody.model_fields, "more"]), ITEMS), SIZES)
def test_any_members(body, size):
    agree(models.VerifyBody, json.dumps(body).encode(), size)


@given(NESTED_WORDS, st.integers(0, 200), st.binary(max_size=2), st.integers(0, 3), SIZES)
def test_what_is_no_json(reads, at, inserted, taken, size):
    content = json.dumps({"reads": reads, "writes": reads}).encode()
    agree(models.ConflictsBody, content[:at] + inserted + content[at + taken :], size)


def test_the_first_fault_is_told_with_its_place():
    """Several members are wrong, each far behind its first piece: that of the model's first member counts."""
    rows = [["1", "2"]] * 50
    for place in range(len(rows)):
        wrong = [*rows[:place], ["1", 2], *rows[place:]]
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "bn254"}).encode(), 30)
        assert found[1] == f"inputs[{place}][1]"
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "none"}).encode(), 30)
        assert found[1] == "field"
    long = ["1"] * 100
    for place in range(len(long)):
        wrong = [rows[0], [*long[:place], None, *long[place:]], rows[0]]
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "bn254"}).encode(), 30)
        assert found[1] == f"inputs[1][{place}]"
    keys = {"public_keys": [*long, 1], "signatures": [1, *long], "messages": long}
    found = agree(models.VerifyBody, json.dumps({"scheme": "ed25519", **keys}).encode(), 30)
    assert found[1] == "public_keys[100]"


REST = b'"function":"sha256","messages":["22","33","44"]}'
TWICE = "found 2 times, expected once"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'{"messages":["00","11"],' + REST, "messages"),
        (b'{"messages":[],' + REST, "messages"),
        (b'{"function":"md5",' + REST, "function"),
        (b'{"\\u0066unction":"md5",' + REST, "function"),
        (b'{"messages":["a:b", "\\":"],' + REST, "messages"),
        (b'{"messages":[123456789012345678901234567890, 1e400, 1.5],' + REST, "messages"),
        (b'{"messages":{"messages":{}},' + REST, "messages"),
        (b'{"messages":' + b"[" * 150 + b"]" * 150 + b"," + REST, "messages"),
    ],
)
def test_a_member_twice(content, name):
    """Whoever reads the first of the two would have had something else verified."""
    assert agree(models.HashBody, content, 8)[1:] == (
        name,
        TWICE.replace("2", "3") if b"{}" in content else TWICE,
    )


@given(
    st.lists(st.sampled_from(list(models.VerifyBody.model_fields)), min_size=1), SIZES, INDENTS, st.booleans()
)
def test_members_in_any_number(names, size, indent, escaped):
    whole = {
        "scheme": '"ed25519"',
        "public_keys": '["00"]',
        "signatures": '["00", "11"]',
        "messages": '["00:"]',
    }
    whole |= {"digests": "null", "rule": '"dalek"', "allow_high_s": "false"}
    pairs = [*whole.items(), *((name, whole[name]) for name in names)]
    escape = (lambda name: f"\\u{ord(name[0]):04x}{name[1:]}") if escaped else str
    content = "{" + ",".join(f'"{escape(name)}": {value}' for name, value in pairs) + "}"
    code, field, _ = agree(models.VerifyBody, content.encode(), size)
    assert (code, field in names) == (Code.INVALID_ARGUMENT, True)


def test_colons_in_texts_are_no_members():
    content = b'{"function":"sha256","messages":["::", "\\":\\""]}'
    assert agree(models.HashBody, content, 8)["messages"] == ["::", '":"']


def test_long_lists_are_columns():
    """Else these tests would compare one way with itself."""
    content = json.dumps({"reads": [[1, 2]] * 20, "writes": [[], [3]] * 10}).encode()
    body = parse(models.ConflictsBody, content, 16)
    assert isinstance(body.reads, Nested)
    assert isinstance(body.writes, Nested)
    assert isinstance(parse(models.HashBody, b'{"function":"sha256","messages":["0011"]}', 7).messages, Texts)


def test_messages_are_those_of_the_whole_body():
    choose = random.Random(5)
    numbers = [choose.choice([str, hex])(choose.randrange(1 << 250)) for _ in range(60)]
    texts = [choose.randbytes(choose.randrange(9)).hex() for _ in range(50)]
    keys = [[choose.randrange(1 << 64) for _ in range(choose.randrange(5))] for _ in range(50)]
    cases = [
        (models.HashBody, conversion.hashed, {"function": "sha512", "messages": texts}),
        (models.MerkleRootBody, conversion.merkle_root, {"hash": "poseidon_bn254", "leaves": numbers}),
        (
            models.PoseidonBody,
            conversion.poseidon,
            {"field": "bn254", "inputs": [numbers[:20], numbers[20:40]]},
        ),
        (models.ConflictsBody, conversion.conflicts, {"reads": keys, "writes": keys[::-1]}),
        (
            models.Groth16Body,
            conversion.groth16,
            {"curve": "bn254", "verifying_key": "", "proofs": ["00"] * 9, "public_inputs": [[], numbers]},
        ),
    ]
    for model, convert, body in cases:
        content = json.dumps(body).encode()
        assert convert(parse(model, content, 20)) == convert(parse(model, content, WHOLE))


def test_every_list_of_a_body_has_a_shape():
    for model in BODIES:
        for name, schema in model.model_json_schema()["properties"].items():
            kinds = [kind.get("type") for kind in (schema, *schema.get("anyOf", []))]
            assert ("array" in kinds) == (name in SHAPES), name


def test_pieces_are_small_and_whole():
    """Every item is in one piece, and no piece holds more than two stretches of the list."""
    rows = [[index, index + 1] for index in range(1000)]
    array = json.dumps(rows).encode()
    found = list(pieces(memoryview(array), 2, 64))
    assert len(found) > 100
    assert max(piece.last - piece.first for piece in found) <= 2 * 64
    flat = [word for piece in found for row in json.loads(piece.json(memoryview(array))) for word in row]
    assert flat == [word for row in rows for word in row]
    assert any(piece.continues for piece in found)


@given(st.lists(TEXTS, max_size=30), SIZES)
def test_pieces_of_texts_are_lists(texts, size):
    array = memoryview(json.dumps(texts, ensure_ascii=False).encode())
    assert [text for piece in pieces(array, 1, size) for text in json.loads(piece.json(array))] == texts


@given(NESTED_TEXTS, SIZES)
def test_pieces_of_lists_are_lists_of_lists(lists, size):
    array = memoryview(json.dumps(lists).encode())
    found = []
    for piece in pieces(array, 2, size):
        first, *rest = json.loads(piece.json(array)) or [None]
        if piece.continues:
            found[-1] += first
        elif first is not None:
            found.append(first)
        found += rest
    assert found == lists


@pytest.mark.parametrize("text", ["\\" * 101, '\\"' * 60, '",' * 60, '\\\\"' * 40])
def test_texts_full_of_escapes(text):
    """At every offset to the pieces' ends."""
    for before in range(20):
        body = {"function": "sha256", "messages": ["0" * before, text, "11", text[1:], "22"]}
        assert agree(models.HashBody, json.dumps(body).encode(), 16)["messages"] == body["messages"]
