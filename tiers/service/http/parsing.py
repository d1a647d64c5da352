# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies from JSON, in one call of msgspec. What is wrong with a body is looked for when it has been refused.

The first fault is told: that the body is no JSON, else the first member of the model that is wrong, else an unknown member,
else one that comes twice, of which the last is the one that has to be right.
"""

from __future__ import annotations

import gc
import re
from collections import Counter
from functools import cache
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from pydantic import BaseModel

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import shortened

MOST_FAULTS = 100
"""In one body; beyond, none is named."""

MANY_BYTES = 32 << 10
"""Of a body, beyond which Python does not look for garbage among the lists that are made of it, again and again."""

_FAULT = re.compile(r"(?P<text>.*?)(?: - at `\$(?P<place>.*)`)?", re.DOTALL)
_BOUND = re.compile(r"Expected `int` (?P<sign>[<>]=) (?P<bound>-?\d+)")
_SIGNS = {">=": "greater", "<=": "less"}
_KINDS = {str: "a valid string", int: "a valid integer", bool: "a valid boolean"}
_QUOTE, _COLON = ord('"'), ord(":")


def parse(model: type[BaseModel], content: bytes) -> Any:
    """The body.

    Args:
        model: of the body.
        content: JSON.

    Returns:
        Something with the members of the model as attributes, and its defaults for those that are not there.

    Raises:
        ServiceError: INVALID_ARGUMENT that names the member that is wrong, unknown or there twice.
    """
    try:
        body = _decoded(_decoder(model), content)
    except (ValueError, RecursionError) as error:
        refused = str(error)
    else:
        if content.count(b":") != _complete(model, body):
            _refuse_repeated(content)
        return body
    # Not within the handler: the error's frames would hold the body.
    _refuse(model, content, refused)


def _decoded(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    collecting = len(content) > MANY_BYTES and gc.isenabled()
    if not collecting:
        return decoder.decode(content)
    gc.disable()  # no garbage comes of it, and a search for every 700 lists takes three times the rest
    try:
        return decoder.decode(content)
    finally:
        gc.enable()


@cache
def _types(model: type[BaseModel]) -> dict[str, Any]:
    hints = get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields}


@cache
def _decoder(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    members = [
        (name, kind)
        if model.model_fields[name].is_required()
        else (name, kind | msgspec.UnsetType, msgspec.UNSET)
        for name, kind in _types(model).items()
    ]
    return msgspec.json.Decoder(
        msgspec.defstruct(model.__name__, members, kw_only=True, forbid_unknown_fields=True)
    )


def _complete(model: type[BaseModel], body: Any) -> int:
    """Give a body the model's defaults; how many members it had."""
    count = 0
    for name, field in model.model_fields.items():
        if getattr(body, name) is msgspec.UNSET:
            setattr(body, name, field.default)
        else:
            count += 1
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
        _decoded(msgspec.json.Decoder(kind), bytes(value))
    except msgspec.ValidationError as error:
        found = _FAULT.fullmatch(str(error))
    else:
        return None
    assert found is not None
    place = found["place"] or ""
    return name + place, f"Input should be {_expected(kind, place.count('['), found['text'])}"


def _expected(kind: Any, depth: int, text: str) -> str:
    """What a member, or what is so deep in its lists, should be, where msgspec says this of it."""
    lists = 0
    while kind not in _KINDS and get_origin(kind) is not Literal:
        lists += get_origin(kind) is list
        kind = get_args(kind)[0]
    if depth < lists:
        return "a valid array"
    if bound := _BOUND.fullmatch(text):
        return f"{_SIGNS[bound['sign']]} than or equal to {bound['bound']}"
    if get_origin(kind) is Literal:
        *first, last = map(repr, get_args(kind))
        return f"{', '.join(first)} or {last}"
    return _KINDS[kind]


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
