# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies that msgspec decodes, against pydantic's reading of the same bodies by the models that the document is made of."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http import models
from supervm.tiers.service.http.document import BODIES
from supervm.tiers.service.http.lists import Nested
from supervm.tiers.service.http.parsing import parse
from supervm.tiers.service.http.problems import of_validation
from supervm.tiers.service.http.texts import Texts

TEXTS = st.text(max_size=5) | st.sampled_from(
    ["00", "0x12", '"', "\\", '",', "],[", "{", "é", "1,2", "\x00", ":", '":']
)
WORDS = st.integers(0, (1 << 64) - 1)
ITEMS = st.recursive(
    TEXTS | st.integers(-1, (1 << 64) - 1) | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)
LISTS_OF_TEXTS = st.lists(TEXTS, max_size=12)
NESTED_TEXTS = st.lists(LISTS_OF_TEXTS, max_size=8)
NESTED_WORDS = st.lists(st.lists(WORDS, max_size=8), max_size=8)
INDENTS = st.sampled_from([None, 1])


def plain(column):
    """What pydantic makes of the same member."""
    if isinstance(column, Texts):
        return [column.text(at) for at in range(len(column))]
    if isinstance(column, np.ndarray):
        return column.tolist()
    if isinstance(column, Nested):
        items = iter(plain(column.flat))
        return [list(islice(items, length)) for length in column.lengths.tolist()]
    return column


def outcome(model, content):
    """What a body holds; or what is said of it."""
    try:
        body = parse(model, content)
    except ServiceError as error:
        return error.code, error.field, error.message
    return {name: plain(getattr(body, name)) for name in model.model_fields}


def agree(model, content):
    """The outcome, which is what pydantic finds; of what is no JSON, that it is refused."""
    found = outcome(model, content)
    try:
        expected = dict(model.model_validate_json(content))
    except ValidationError as error:
        findings = error.errors()
        if findings[0]["type"] == "json_invalid":
            assert found[0] is Code.INVALID_ARGUMENT
            return found
        told = of_validation(findings)
        expected = (told.code, told.field, told.message)
    assert found == expected
    return found


@given(st.lists(TEXTS | ITEMS, max_size=12), ITEMS, INDENTS, st.booleans())
def test_lists_of_texts(messages, function, indent, ascii_only):
    for body in ({"function": "sha256", "messages": messages}, {"messages": messages, "function": function}):
        agree(models.HashBody, json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode())


@given(NESTED_TEXTS | st.lists(LISTS_OF_TEXTS | ITEMS, max_size=8), INDENTS)
def test_lists_of_lists_of_texts(inputs, indent):
    agree(models.PoseidonBody, json.dumps({"field": "bn254", "inputs": inputs}, indent=indent).encode())


@given(NESTED_WORDS | st.lists(st.lists(ITEMS), max_size=8), NESTED_WORDS, INDENTS)
def test_lists_of_lists_of_words(reads, writes, indent):
    content = json.dumps({"writes": writes, "reads": reads, "want_edges": True}, indent=indent).encode()
    agree(models.ConflictsBody, content)


@pytest.mark.parametrize("model", BODIES)
@given(data=st.data())
def test_any_members(model, data):
    names = st.sampled_from([*model.model_fields, "more"])
    right = st.sampled_from(list(model.model_config["json_schema_extra"]["examples"][0].values()))
    body = data.draw(st.dictionaries(names, ITEMS | right))
    agree(model, json.dumps(body).encode())


@pytest.mark.parametrize("model", BODIES)
def test_one_wrong_member(model):
    """Of each, every kind of value: the same member, place and text."""
    (example,) = model.model_config["json_schema_extra"]["examples"]
    agree(model, json.dumps(example).encode())
    values = [None, True, 1, 0, -1, 17, 1.0, 1.5, "x", [], {}, [1], [None], ["x"], [["x"]], [[]], [[1]]]
    values += [[[-1]], [[1.0]], [[True]], [{}], [["1", 2]], [[1, "2"]], [[[1]]], 1 << 64, -(1 << 70)]
    for name in model.model_fields:
        for value in values:
            agree(model, json.dumps(example | {name: value}).encode())
        agree(model, json.dumps({other: value for other, value in example.items() if other != name}).encode())
        for value in (b"1e2", b"[1e2]", b"[[1e2]]", b"1e400", b"[1e400]", b"[[1e400]]", b"-0", b"[[-0]]"):
            pairs = [
                b'"%b":%b' % (at.encode(), json.dumps(example[at]).encode()) for at in example if at != name
            ]
            agree(model, b"{" + b",".join([*pairs, b'"%b":%b' % (name.encode(), value)]) + b"}")


@given(st.lists(st.lists(st.integers(0, 3 << 64) | WORDS | st.sampled_from([10**19, (1 << 64) - 1]))))
def test_words_of_every_size(reads):
    agree(models.ConflictsBody, json.dumps({"reads": reads, "writes": []}).encode())


@given(NESTED_WORDS, st.integers(0, 200), st.binary(max_size=2), st.integers(0, 3))
def test_what_is_no_json(reads, at, inserted, taken):
    content = json.dumps({"reads": reads, "writes": reads}).encode()
    agree(models.ConflictsBody, content[:at] + inserted + content[at + taken :])


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "body", ['{"reads":[[%s]],"writes":[[]]}', '{"reads":%s,"writes":[]}', '{"more":%s}']
)
def test_what_is_no_number_is_no_json(body, value):
    found = outcome(models.ConflictsBody, (body % value).encode())
    assert found[:2] == (Code.INVALID_ARGUMENT, "")
    assert found[2].startswith("no JSON: ")


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xed\xa0\x80"'])
@pytest.mark.parametrize(
    "body",
    [b'{"reads":[[%b]],"writes":[]}', b'{"reads":[],"writes":%b}', b'{"reads":[],"writes":[],"rule":%b}'],
)
def test_what_is_no_utf_8_is_no_json(body, text):
    found = outcome(models.ConflictsBody, body % text)
    assert found[0] is Code.INVALID_ARGUMENT
    assert found[1] in ("", "writes")


def test_the_first_fault_is_told_with_its_place():
    """Several members are wrong, each far behind its beginning: that of the model's first member counts."""
    rows = [["1", "2"]] * 50
    for place in range(len(rows)):
        wrong = [*rows[:place], ["1", 2], *rows[place:]]
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "bn254"}).encode())
        assert found[1] == f"inputs[{place}][1]"
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "none"}).encode())
        assert found[1] == "field"
    long = ["1"] * 100
    for place in range(len(long)):
        wrong = [rows[0], [*long[:place], None, *long[place:]], rows[0]]
        found = agree(models.PoseidonBody, json.dumps({"inputs": wrong, "field": "bn254"}).encode())
        assert found[1] == f"inputs[1][{place}]"
    keys = {"public_keys": [*long, 1], "signatures": [1, *long], "messages": long}
    found = agree(models.VerifyBody, json.dumps({"scheme": "ed25519", **keys}).encode())
    assert found[1] == "public_keys[100]"


@pytest.mark.parametrize("large", [1 << 64, 2 * 10**19, 36893488147419103231, 10**20 - 1, 10**40, 10**4000])
def test_a_word_that_is_too_large(large):
    """As pydantic says it."""
    message = "Input should be less than or equal to 18446744073709551615"
    for place in range(3):
        keys = [[1, 2], [], [1, (1 << 64) - 1, 3, 4]]
        keys[2][place] = large
        for body, name in (
            ({"reads": keys, "writes": []}, "reads"),
            ({"reads": [], "writes": keys}, "writes"),
        ):
            with pytest.raises(ServiceError) as caught:
                parse(models.ConflictsBody, json.dumps(body).encode())
            found = (caught.value.code, caught.value.field, caught.value.message)
            assert found == (Code.INVALID_ARGUMENT, f"{name}[2][{place}]", message)
            with pytest.raises(ValidationError) as invalid:
                models.ConflictsBody.model_validate(body)
            assert invalid.value.errors()[0]["msg"] == message


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
    assert outcome(models.HashBody, content)[1:] == (
        name,
        TWICE.replace("2", "3") if b"{}" in content else TWICE,
    )


@given(st.lists(st.sampled_from(list(models.VerifyBody.model_fields)), min_size=1), st.booleans())
def test_members_in_any_number(names, escaped):
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
    code, field, _ = outcome(models.VerifyBody, content.encode())
    assert (code, field in names) == (Code.INVALID_ARGUMENT, True)


def test_colons_in_texts_are_no_members():
    content = b'{"function":"sha256","messages":["::", "\\":\\""]}'
    assert agree(models.HashBody, content)["messages"] == ["::", '":"']


@given(st.dictionaries(TEXTS, ITEMS, max_size=3), st.lists(TEXTS, max_size=5), st.booleans())
def test_texts_before_a_repeated_member(more, messages, ascii_only):
    """Whatever is in them, and in what is left out."""
    values = [more, messages, "sha256"]
    pairs = [*zip(["function", "messages", "function"], values, strict=True), ("messages", messages)]
    dumped = [(name, json.dumps(value, ensure_ascii=ascii_only)) for name, value in pairs]
    found = outcome(
        models.HashBody, ("{" + ", ".join(f'"{name}" :{value}' for name, value in dumped) + "}").encode()
    )
    assert found[0] is Code.INVALID_ARGUMENT
    assert found[1] in ("function", "messages")
    assert found[2].endswith("times, expected once")


@pytest.mark.parametrize(
    "text", ["\\" * 101, '\\"' * 60, '",' * 60, '\\\\"' * 40, ":" * 60, '":' * 60, '\\":' * 40]
)
def test_texts_full_of_escapes(text):
    """With as many colons as they like: no member comes twice until one does."""
    for before in range(4):
        body = {"function": "sha256", "messages": ["\\" * before, text, "11", text[1:], "22"]}
        content = json.dumps(body).encode()
        assert agree(models.HashBody, content)["messages"] == body["messages"]
        twice = outcome(models.HashBody, content[:-1] + b',"function":"sha256"}')
        assert twice == (Code.INVALID_ARGUMENT, "function", TWICE)
