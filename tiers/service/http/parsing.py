# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies from JSON: one call of msgspec, which skips over the lists, and then their columns (`lists`).

What is wrong with a body is looked for when it has been refused.

The first fault is told: that the body is no JSON, else the first member of the model that is wrong, else an unknown member,
else one that comes twice, of which the last is the one that has to be right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from pydantic import BaseModel

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import shortened
from supervm.tiers.service.http import lists
from supervm.tiers.service.http.lists import WrongItem

MOST_FAULTS = 100
"""In one body; beyond, none is named."""

_BOUND = re.compile(r"Expected `int` (?P<sign>[<>]=) (?P<bound>-?\d+)")
_SIGNS = {">=": "greater", "<=": "less"}
_SCALARS = {str: lists.TEXT, int: lists.INTEGER, bool: "a valid boolean"}
_COLUMNS = {(1, str): lists.texts, (2, str): lists.nested_texts, (2, int): lists.nested_words}
"""By how deep the items of a list are, and their type."""

_NO_LIST = msgspec.Raw()
_QUOTE, _COLON = ord('"'), ord(":")


def parse(model: type[BaseModel], content: bytes) -> Any:
    """The body.

    Args:
        model: of the body.
        content: JSON.

    Returns:
        Something with the members of the model as attributes, and its defaults for those that are not there. Lists are
        columns: `Texts`, `Nested`.

    Raises:
        ServiceError: INVALID_ARGUMENT that names the member that is wrong, unknown or there twice.
    """
    try:
        body = _decoder(model).decode(content)
        count = _complete(model, body)
    except (ValueError, RecursionError, WrongItem) as error:
        refused = str(error)
    else:
        if content.count(b":") != count:
            _refuse_repeated(content)
        return body
    # Not within the handler: the error's frames would hold the body.
    _refuse(model, content, refused)


@cache
def _types(model: type[BaseModel]) -> dict[str, Any]:
    hints = get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields}


@cache
def _column(kind: Any) -> Callable[[bytes], Any] | None:
    """What makes the column of a list in JSON; None where members of this kind are none."""
    depth, item = 0, kind
    while item not in _SCALARS and get_origin(item) is not Literal:
        depth += get_origin(item) is list
        item = get_args(item)[0]
    column = _COLUMNS.get((depth, item))
    return partial(_or_none, column) if column and type(None) in get_args(kind) else column


def _or_none(column: Callable[[bytes], Any], value: bytes) -> Any:
    return None if value == b"null" else column(value)


@cache
def _decoder(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    """It skips over lists, which tells whether they are JSON."""
    members: list[Any] = []
    for name, kind in _types(model).items():
        kind, default = (
            (msgspec.Raw, _NO_LIST) if _column(kind) else (kind | msgspec.UnsetType, msgspec.UNSET)
        )
        members.append((name, kind) if model.model_fields[name].is_required() else (name, kind, default))
    return msgspec.json.Decoder(
        msgspec.defstruct(model.__name__, members, kw_only=True, forbid_unknown_fields=True)
    )


def _complete(model: type[BaseModel], body: Any) -> int:
    """Give a body its columns, and the model's defaults; how many members it had. Raises: WrongItem; UnicodeDecodeError."""
    count = 0
    for name, kind in _types(model).items():
        value, column = getattr(body, name), _column(kind)
        if value is msgspec.UNSET or value is _NO_LIST:
            setattr(body, name, model.model_fields[name].default)
            continue
        count += 1
        if column:
            setattr(body, name, column(bytes(value)))
    return count


# What is wrong ------------------------------------------------------------------------------------------------


def _refuse(model: type[BaseModel], content: bytes, refused: str) -> NoReturn:
    """Say what is wrong with a body that has been refused with this text. Raises: ServiceError."""
    try:
        members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        faults = [
            fault
            for name, kind in _types(model).items()
            if (fault := _fault(name, kind, members.pop(name, None), model.model_fields[name].is_required()))
        ]
    except msgspec.ValidationError:
        raise ServiceError(Code.INVALID_ARGUMENT, "", "Input should be an object") from None
    except (ValueError, RecursionError) as error:
        raise ServiceError(Code.INVALID_ARGUMENT, "", f"no JSON: {error}") from None
    count = len(faults) + len(members)
    if count > MOST_FAULTS:
        text = f"found {count} members that are wrong or unknown"
        raise ServiceError(Code.INVALID_ARGUMENT, "", text)
    faults += [(name, "Extra inputs are not permitted") for name in members]
    if not faults:
        _refuse_repeated(content)
        faults = [("", refused)]
    field, text = faults[0]
    raise ServiceError(Code.INVALID_ARGUMENT, shortened(field), text)


def _fault(name: str, kind: Any, value: msgspec.Raw | None, required: bool) -> tuple[str, str] | None:
    """The place and the text of what is wrong with a member, or None. Raises: ValueError: it is no JSON."""
    if value is None:
        return (name, "Field required") if required else None
    try:
        if column := _column(kind):
            column(bytes(value))
        else:
            msgspec.json.decode(value, type=kind)
    except WrongItem as error:
        return name + error.place, f"Input should be {error.expected}"
    except msgspec.ValidationError as error:
        return name, f"Input should be {_expected(kind, str(error))}"
    return None


def _expected(kind: Any, text: str) -> str:
    """What a member that is no list should be, where msgspec says this of it."""
    if bound := _BOUND.match(text):
        return f"{_SIGNS[bound['sign']]} than or equal to {bound['bound']}"
    while kind not in _SCALARS and get_origin(kind) is not Literal:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        *first, last = map(repr, get_args(kind))
        return f"{', '.join(first)} or {last}"
    return _SCALARS[kind]


def _refuse_repeated(content: bytes) -> None:
    """Find a member that comes twice: parsers take one of them, and not all the same one.

    A body without one has as many colons as members, unless a text has some: no value of a body is an object.

    Args:
        content: JSON.

    Raises:
        ServiceError: INVALID_ARGUMENT that names it.
    """
    for name, times in Counter(_names(content)).items():
        if times > 1:
            text = f"found {times} times, expected once"
            raise ServiceError(Code.INVALID_ARGUMENT, shortened(name), text)


def _names(content: bytes) -> list[str]:
    """Those of all members: what is before the colons outside of texts."""
    text = content.replace(rb"\\", b"..").replace(rb"\"", b"..")
    characters = np.frombuffer(text, np.uint8)
    outside = (
        np.cumsum(characters == _QUOTE, dtype=np.uint8) & 1 == 0
    )  # the lowest bit does not mind the overflow
    found = []
    for colon in np.flatnonzero((characters == _COLON) & outside).tolist():
        last = text.rindex(b'"', 0, colon)
        first = text.rindex(b'"', 0, last)
        found.append(content[first : last + 1])
    return [str(msgspec.json.decode(name)) for name in found]
