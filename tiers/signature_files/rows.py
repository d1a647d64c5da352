# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a signature file as columns, whatever the format: schemes as codes, fields as ragged bytes."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from supervm.crypto.schemes import DIGEST_BYTES, FILE_SCHEMES

CODES = {
    name: code for code, scheme in enumerate(FILE_SCHEMES) for name in (scheme.name, *scheme.other_names)
}
"""The code of a scheme is its place in `FILE_SCHEMES`."""

NAMES = tuple(scheme.name for scheme in FILE_SCHEMES)

REQUIRED = ("scheme", "public_key", "signature")
SIGNED = ("message", "digest")
COLUMNS = ("scheme", "public_key", "message", "digest", "signature")

_HEX_DIGITS = "0123456789abcdefABCDEF"
_IS_HEX = np.zeros(256, bool)
_IS_HEX[list(_HEX_DIGITS.encode())] = True


@dataclass(frozen=True)
class Broken:
    """The first row, counted from 0 in its batch, that cannot be read, and what is wrong with it."""

    index: int
    problem: str


class Batch(Protocol):
    """Consecutive rows of any file."""

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Int64 (n,), how messages call the rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the schemes that there may be."""

    @property
    def scheme(self) -> npt.NDArray[np.int8]:
        """Int8 (n,), places in `names`."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Rows:
    """Consecutive rows.

    Args:
        numbers: int64 (n,), the line (JSON Lines) or row (other formats) of each, counted from 1.
        scheme: int8 (n,), places in `FILE_SCHEMES`.
        public_key, signature: ragged bytes.
        signed: ragged bytes, the message or the digest, whichever the scheme takes.
    """

    numbers: npt.NDArray[np.int64]
    scheme: npt.NDArray[np.int8]
    public_key: pa.LargeBinaryArray
    signed: pa.LargeBinaryArray
    signature: pa.LargeBinaryArray

    @property
    def names(self) -> tuple[str, ...]:
        """See `Batch`."""
        return NAMES

    def __len__(self) -> int:
        return len(self.numbers)


def read_columns(
    columns: Mapping[str, pa.Array], numbers: npt.NDArray[np.int64]
) -> tuple[Rows, Broken | None]:
    """Decode `columns` up to the first broken row.

    Args:
        columns: every name of `REQUIRED`, at least one of `SIGNED`; text (hex) or binary, nulls allowed.
        numbers: int64 (n,), how messages call the rows.

    Returns:
        The rows before the first broken one, and that one, if any.
    """
    # Plain before anything is asked of them: a dictionary may hold nulls that its indices do not show.
    columns = {name: _plain(column) for name, column in columns.items()}
    broken: list[Broken] = []
    scheme = _schemes(columns["scheme"], broken)
    fields = {
        name: _binary(name, columns[name], broken)
        for name in ("public_key", "signature", *SIGNED)
        if name in columns
    }
    for name in ("public_key", "signature"):
        _note(broken, _nulls(columns[name]), f"'{name}' is missing")
    signed = _signed(scheme, columns, fields, broken)
    first = min(broken, key=lambda row: row.index, default=None)
    stop = len(numbers) if first is None else first.index
    rows = Rows(
        numbers[:stop],
        scheme[:stop],
        fields["public_key"].slice(0, stop),
        signed.slice(0, stop),
        fields["signature"].slice(0, stop),
    )
    return rows, first


def ragged(column: pa.LargeBinaryArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a column and its offsets (n + 1,), from 0; the bytes are not copied."""
    _, offset_buffer, data_buffer = column.buffers()
    if len(column) == 0 or offset_buffer is None:
        return np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.empty(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def value_lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    """The bytes of each value of a column, int64 (n,), as far as `read_columns` takes it; 0 for others and for nulls."""
    kind = column.type
    if len(column) == 0:
        return np.zeros(0, np.int64)
    if pa.types.is_dictionary(kind):
        lengths = value_lengths(column.dictionary)
        indices = column.indices.fill_null(0).to_numpy(zero_copy_only=False)
        return np.asarray(lengths[indices] if len(lengths) else np.zeros(len(column)), np.int64)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # A view has 16 bytes, of which the first 4 are its length (Arrow, "variable-size binary view layout").
        views = np.frombuffer(column.buffers()[1], "<i4")[::4][column.offset : column.offset + len(column)]
        return np.where(_nulls(column), 0, views).astype(np.int64)
    if _is_ragged(kind) or pa.types.is_fixed_size_binary(kind):
        known = pc.binary_length(column).fill_null(0)
        return np.asarray(known.to_numpy(zero_copy_only=False), np.int64)
    return np.zeros(len(column), np.int64)


def _is_ragged(kind: pa.DataType) -> bool:
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def of_ragged(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> pa.LargeBinaryArray:
    """A column over these bytes and offsets, without a copy."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _note(broken: list[Broken], where: npt.NDArray[np.bool_], problem: str) -> None:
    if where.any():
        broken.append(Broken(int(where.argmax()), problem))


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_]:
    if column.null_count == 0:
        return np.zeros(len(column), bool)
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False), bool)


def _schemes(column: pa.Array, broken: list[Broken]) -> npt.NDArray[np.int8]:
    known = ", ".join(scheme.name for scheme in FILE_SCHEMES)
    if not (pa.types.is_large_string(column.type) or pa.types.is_null(column.type)):
        broken.append(Broken(0, f"'scheme' is {column.type}, expected text: {known}"))
        return np.zeros(len(column), np.int8)
    column = column.cast(pa.large_string())
    places = pc.index_in(column, value_set=pa.array(list(CODES), pa.large_string()))
    unknown = _nulls(places)
    if unknown.any():
        index = int(unknown.argmax())
        found = column[index].as_py()
        broken.append(Broken(index, f"scheme {found!r} is not known, expected one of {known}"))
    codes = np.array(list(CODES.values()), np.int8)
    chosen: npt.NDArray[np.int8] = codes[places.fill_null(0).to_numpy(zero_copy_only=False)]
    return chosen


def _plain(column: pa.Array) -> pa.Array:
    """Dictionaries decoded, text as large_string, bytes as large_binary; other types as they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    ):
        return column.cast(pa.large_binary())
    return column


def _binary(name: str, column: pa.Array, broken: list[Broken]) -> pa.LargeBinaryArray:
    """The bytes of a column; nulls become empty."""
    if pa.types.is_null(column.type):
        return column.cast(pa.large_binary()).fill_null(b"")
    if pa.types.is_large_binary(column.type):
        return column.fill_null(b"") if column.null_count else column
    if pa.types.is_large_string(column.type):
        text = column.fill_null("") if column.null_count else column
        return _from_hex(name, text, broken)
    broken.append(Broken(0, f"'{name}' is {column.type}, expected hex text or binary"))
    return of_ragged(np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64))


def _from_hex(name: str, column: pa.LargeStringArray, broken: list[Broken]) -> pa.LargeBinaryArray:
    """Decode hex text. The rows from the first broken one on come back empty."""
    text, offsets = ragged(column)
    text, offsets = _without_prefix(text, offsets)
    lengths = np.diff(offsets)
    stop = len(lengths)
    odd = lengths & 1 == 1
    if odd.any():
        stop = int(odd.argmax())
        broken.append(Broken(stop, f"'{name}' has {lengths[stop]} hex digits, expected an even number"))
    try:
        decoded = binascii.a2b_hex(text[: offsets[stop]].data)
    except binascii.Error:
        stop = int(np.searchsorted(offsets, int((~_IS_HEX[text]).argmax()), side="right")) - 1
        # Decoded from the row's start: what is not ASCII takes several bytes.
        whole = bytes(text[offsets[stop] : offsets[stop + 1]]).decode("utf-8", "replace")
        wrong = next(mark for mark in whole if mark not in _HEX_DIGITS)
        broken.append(Broken(stop, f"'{name}' is not hex: found {wrong!r}"))
        decoded = binascii.a2b_hex(text[: offsets[stop]].data)
    return of_ragged(np.frombuffer(decoded, np.uint8), np.minimum(offsets, offsets[stop]) // 2)


def _without_prefix(
    text: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The same rows without a leading 0x."""
    starts = offsets[:-1][np.diff(offsets) >= 2]
    starts = starts[(text[starts] == ord("0")) & (text[starts + 1] | 0x20 == ord("x"))]
    if len(starts) == 0:
        return text, offsets
    keep = np.ones(len(text), bool)
    keep[starts] = keep[starts + 1] = False
    return text[keep], offsets - 2 * np.searchsorted(starts, offsets, side="left")


def _signed(
    scheme: npt.NDArray[np.int8],
    columns: Mapping[str, pa.Array],
    fields: Mapping[str, pa.LargeBinaryArray],
    broken: list[Broken],
) -> pa.LargeBinaryArray:
    """The message or the digest of each row, as its scheme asks.

    A field that the scheme does not take counts as absent when it is empty: files whose columns cannot hold
    null write it so.
    """
    rows = len(scheme)
    given = {name: ~_nulls(columns[name]) if name in columns else np.zeros(rows, bool) for name in SIGNED}
    filled = {
        name: given[name] & (np.diff(ragged(fields[name])[1]) > 0) if name in fields else given[name]
        for name in SIGNED
    }
    digest = np.zeros(rows, bool)
    for code, one in enumerate(FILE_SCHEMES):
        here = scheme == code
        if one.digest_for_message:
            missing = f"{one.name} takes 'message', which is missing"
            _note(broken, here & ~given["message"] & ~given["digest"], missing)
            both = filled["message"] & filled["digest"]
            _note(broken, here & both, f"{one.name} takes 'message' or 'digest', the row gives both")
            digest |= here & given["digest"] & ~filled["message"]
            continue
        other = "message" if one.signs == "digest" else "digest"
        takes = f"{one.name} takes '{one.signs}'"
        if one.signs == "digest":
            missing = f"{one.name} verifies a {DIGEST_BYTES}-byte 'digest', which is missing"
            digest |= here
        else:
            missing = f"{takes}, which is missing"
        _note(broken, here & ~given[one.signs], missing)
        _note(broken, here & filled[other], f"{takes}, the row gives '{other}'")
    if not digest.any() and "message" in fields:
        return fields["message"]
    if digest.all() and "digest" in fields:
        return fields["digest"]
    absent = of_ragged(np.empty(0, np.uint8), np.zeros(rows + 1, np.int64))
    return pc.if_else(pa.array(digest), fields.get("digest", absent), fields.get("message", absent))
