# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies from JSON: a small one at once, the long lists of a large one piece by piece, into columns.

Both ways take the same bodies and find the same first fault in others. Where that needs the body as a whole (it is no JSON,
or has unknown members), it is parsed at once after all, which costs some tenths of a second for 16 MB.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import shortened
from supervm.tiers.service.http.long_lists import SHAPES, NoPieces, WrongItem
from supervm.tiers.service.http.pieces import PIECE_BYTES
from supervm.tiers.service.http.problems import of_validation

MOST_FINDINGS = 100
"""In one body; beyond, none is named: each takes half a kilobyte, and a body has room for millions of unknown members."""


class _Refused(NamedTuple):
    """What is wrong with a body.

    Args:
        faults: how many.
        findings: pydantic's, if they are told.
    """

    faults: int
    findings: list[Any]


def parse(model: type[BaseModel], content: bytes, size: int = PIECE_BYTES) -> BaseModel:
    """The body.

    Args:
        model: of the body.
        content: JSON.
        size: bytes of a piece; lists that are longer are parsed in pieces.

    Returns:
        A model, whose long lists are columns: `Texts`, `Nested`.

    Raises:
        ServiceError: INVALID_ARGUMENT that names the member that is wrong.
    """
    try:
        found = _in_pieces(model, content, size) if len(content) > size else _at_once(model, content)
    except NoPieces:
        found = _at_once(model, content)
    if isinstance(found, _Refused):
        raise _refusal(found)
    _refuse_repeated(content, len(found.model_fields_set))
    return found


def _refuse_repeated(content: bytes, members: int) -> None:
    """A member that comes twice: parsers take one of them, and not all the same one.

    No value of a body is an object, so that each member has the only colon outside of texts, and texts that are right have
    none: a body with as many colons as members repeats nothing.

    Args:
        content: of a body that has its model.
        members: that it has, different ones.

    Raises:
        ServiceError: INVALID_ARGUMENT that names it.
    """
    if content.count(b":") == members:
        return
    names: Counter[str] = Counter()

    def count(pairs: list[tuple[str, Any]]) -> None:
        names.update(name for name, _ in pairs)

    json.loads(content, object_pairs_hook=count, parse_int=len, parse_float=len, parse_constant=len)
    for name, times in names.items():
        if times > 1:
            raise ServiceError(Code.INVALID_ARGUMENT, shortened(name), f"found {times} times, expected once")


def _refusal(refused: _Refused) -> ServiceError:
    if refused.faults > MOST_FINDINGS:
        text = f"found {refused.faults} members that are wrong or unknown"
        return ServiceError(Code.INVALID_ARGUMENT, "", text)
    return of_validation(refused.findings)


def _at_once(model: type[BaseModel], content: bytes) -> BaseModel | _Refused:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        count = error.error_count()
        told = count <= MOST_FINDINGS
        details = {"include_url": False, "include_context": False, "include_input": False}
        return _Refused(count, list(error.errors(**details)) if told else [])


def _in_pieces(model: type[BaseModel], content: bytes, size: int) -> BaseModel | _Refused:
    """Raises: NoPieces."""
    columns: dict[str, Any] = {}
    wrong: list[Any] = []
    rest = []
    for name, value in _members(model, content):
        shape = SHAPES.get(name)
        if shape is None or len(value) <= size or value[0] != ord("["):
            rest.append(b'"%b":%b' % (name.encode(), bytes(value)))
            continue
        rest.append(b'"%b":[]' % name.encode())
        try:
            columns[name] = shape.column(value, size)
        except WrongItem as error:
            wrong.append({"type": error.kind, "msg": error.message, "loc": (name, *error.place)})
    found = _at_once(model, b"{%b}" % b",".join(rest))
    if isinstance(found, _Refused):
        wrong += found.findings
        return _Refused(len(wrong), sorted(wrong, key=lambda finding: _order(model, finding)))
    if wrong:
        return _Refused(len(wrong), wrong)
    return found.model_copy(update=columns)


def _order(model: type[BaseModel], finding: Any) -> int:
    """In which pydantic looks at members."""
    return list(model.model_fields).index(finding["loc"][0])


def _members(model: type[BaseModel], content: bytes) -> list[tuple[str, memoryview]]:
    """Those of a body that are there, as JSON.

    Raises:
        NoPieces: it is no JSON, no object, or has a member that the model does not have.
    """
    try:
        found = _splitter(model).decode(content)
    except (ValueError, RecursionError):
        raise NoPieces from None
    values = ((name, memoryview(getattr(found, name))) for name in model.model_fields)
    return [(name, value) for name, value in values if value]


@cache
def _splitter(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    """Splits a body into its members, which it checks to be JSON and leaves as they are."""
    members = [(name, msgspec.Raw, msgspec.Raw()) for name in model.model_fields]
    return msgspec.json.Decoder(msgspec.defstruct(model.__name__, members, forbid_unknown_fields=True))
