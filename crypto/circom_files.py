# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of circom's and snarkjs' binary files: four letters, a version, and sections of a number and a size.

A section is read when it is asked for, and nothing else of the file, so that a file takes no more memory than its largest
section. (iden3/binfileutils; iden3/r1csfile, doc/r1cs_bin_format.md.)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from supervm.crypto import memory
from supervm.crypto.errors import CircomFileError
from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.array_types import Array, Bytes, Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec

Source = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A file by its name, or its bytes."""

SCALAR_FIELDS: dict[str, FieldSpec] = {"bn254": bn254.FR, "bls12_381": bls12_381.FR}
BASE_FIELDS: dict[str, FieldSpec] = {"bn254": bn254.FP, "bls12_381": bls12_381.FP}

HEADER = 1
"""The section that files of a circuit, of a witness and of powers begin with."""

_HEAD = 12
"""Bytes of the file's head, and of a section's."""

MOST_SECTIONS = 1024


class Section:
    """One section of a file.

    Args:
        file: the file's name.
        place: the section's number and name.
        offset: of its first byte in the file.
        data: uint8, its bytes.
    """

    def __init__(self, file: str, place: str, offset: int, data: Bytes) -> None:
        self.file, self.place, self.offset, self.data = file, place, offset, data

    def error(self, at: int, found: str, expected: str) -> CircomFileError:
        """The error about byte `at` of the section."""
        return CircomFileError(self.file, self.place, self.offset + at, found, expected)

    def number(self, at: int, size: int) -> int:
        """`size` bytes at `at` as a number, little end first.

        Raises:
            CircomFileError: the section ends before.
        """
        self.require(at + size)
        return int.from_bytes(self.data[at : at + size].tobytes(), "little")

    def require(self, size: int) -> None:
        """The section must have `size` bytes or more.

        Raises:
            CircomFileError: it is shorter.
        """
        if len(self.data) < size:
            raise self.error(
                len(self.data), f"the end of a section of {len(self.data)} bytes", f"{size} bytes"
            )

    def require_exactly(self, size: int, what: str) -> None:
        """The section must have `size` bytes.

        Raises:
            CircomFileError: it is shorter or longer.
        """
        if len(self.data) != size:
            at = min(len(self.data), size)
            raise self.error(at, f"a section of {len(self.data)} bytes", f"{size} bytes, {what}")

    def words(self, at: int, count: int, words: int) -> Words:
        """uint64 (count, words): numbers of so many words from byte `at` on, a view where memory is aligned."""
        flat = self.data[at : at + 8 * count * words]
        view = flat.view("<u8")
        return (view if view.flags.aligned else view.copy()).reshape(count, words)

    def records(self, dtype: np.dtype[Any], at: int, count: int) -> Array:
        """`count` records from byte `at` on, a view."""
        return self.data[at : at + count * dtype.itemsize].view(dtype)


class CircomFile:
    """An open file whose head and table of sections are sound. A context manager.

    Args:
        source: a path, or bytes.
        magic: its first four letters.
        version: the version that is read.

    Raises:
        CircomFileError: another kind of file, another version, a table that does not fit the file.
        OSError: it cannot be read.
    """

    def __init__(self, source: Source, magic: str, version: int) -> None:
        self._memory: Bytes | None = None
        self._file: BinaryIO | None = None
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.name = f"the .{magic} bytes"
            # Bytes that do not lie one after the other, such as every other one of an array, are copied.
            self._memory = np.frombuffer(bytes(source) if _is_spread(source) else source, np.uint8)
            self.size = len(self._memory)
        elif isinstance(source, (str, os.PathLike)):
            self.name = Path(source).name
            # Not blocking: a pipe would hold the process here. It is refused below.
            descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            found = os.fstat(descriptor)
            self.size = found.st_size
            if not stat.S_ISREG(found.st_mode):
                os.close(descriptor)
                raise CircomFileError(self.name, "", 0, "a directory, device or pipe", "a regular file")
            self._file = os.fdopen(descriptor, "rb")
        else:
            raise ArgumentError("source", type(source).__name__, "a path, or bytes")
        try:
            self._sections = self._table(magic, version)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CircomFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; sections that were read stay."""
        if self._file is not None:
            self._file.close()

    def has(self, number: int) -> bool:
        """Whether there is a section of this number."""
        return number in self._sections

    def section_size(self, number: int) -> int:
        """Bytes of a section; 0 if there is none."""
        return self._sections.get(number, (0, 0))[1]

    def section(self, number: int, name: str, first: int = 0, count: int | None = None) -> Section:
        """Read a section, or `count` bytes of it from byte `first` on.

        Raises:
            CircomFileError: there is none, or it is shorter.
            MemoryNeeded: it is larger than memory.
        """
        place = f"section {number} ({name})"
        if number not in self._sections:
            raise CircomFileError(self.name, place, self.size, "no such section", "one of it")
        offset, size = self._sections[number]
        if count is not None:
            if first + count > size:
                expected = f"{first + count} bytes or more"
                raise CircomFileError(self.name, place, offset + size, f"a section of {size} bytes", expected)
            offset, size = offset + first, count
        if self._file is not None:
            memory.require(size, f"{self.name}: {place}")
        return Section(self.name, place, offset, self._read(offset, size, place))

    def header(self, fields: dict[str, FieldSpec]) -> tuple[Section, str, int]:
        """Section 1, which begins with a field: the section, the field's curve and its bytes.

        Raises:
            CircomFileError: there is none, or its field is not one of these.
        """
        found = self.section(HEADER, "header")
        return found, *field_of(found, 0, fields)

    def _table(self, magic: str, version: int) -> dict[int, tuple[int, int]]:
        head = self._read(0, min(_HEAD, self.size), "").tobytes()
        if head[:4] != magic.encode():
            raise CircomFileError(self.name, "", 0, repr(head[:4]), repr(magic.encode()))
        if len(head) < _HEAD:
            raise CircomFileError(self.name, "", len(head), "the end of the file", f"a head of {_HEAD} bytes")
        found, count = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8))
        if found != version:
            raise CircomFileError(self.name, "", 4, f"version {found}", f"version {version}")
        if count > MOST_SECTIONS:
            raise CircomFileError(self.name, "", 8, f"{count} sections", f"{MOST_SECTIONS} at most")
        sections: dict[int, tuple[int, int]] = {}
        at = _HEAD
        for index in range(count):
            if at + _HEAD > self.size:
                place = f"section head {index + 1} of {count}"
                raise CircomFileError(
                    self.name, place, self.size, "the end of the file", f"{_HEAD} bytes at {at}"
                )
            row = self._read(at, _HEAD, "").tobytes()
            number, size = int.from_bytes(row[:4], "little"), int.from_bytes(row[4:], "little")
            left = self.size - at - _HEAD
            if size > left:
                came = f"a section of {size} bytes"
                raise CircomFileError(
                    self.name, f"section {number}", at + 4, came, f"{left} at most, which are left"
                )
            if number in sections:
                raise CircomFileError(
                    self.name, f"section {number}", at, "it a second time", "each section once"
                )
            sections[number] = at + _HEAD, size
            at += _HEAD + size
        if at != self.size:
            came = f"{self.size - at} bytes behind the last section"
            raise CircomFileError(self.name, "", at, came, "the end of the file")
        return sections

    def _read(self, offset: int, size: int, place: str) -> Bytes:
        if self._memory is not None:
            return self._memory[offset : offset + size]
        assert self._file is not None
        data = np.empty(size, np.uint8)
        self._file.seek(offset)
        done = 0
        while done < size:
            got = self._file.readinto(data[done:].data)  # type: ignore[attr-defined]
            if not got:
                raise CircomFileError(
                    self.name, place, offset + done, "the end of the file", f"{size - done} bytes more"
                )
            done += got
        return data


def _is_spread(source: bytes | bytearray | memoryview) -> bool:
    return isinstance(source, memoryview) and not source.c_contiguous


def container(magic: str, version: int, sections: Sequence[tuple[int, bytes]]) -> bytes:
    """The bytes of a file.

    Args:
        magic, version: of its head.
        sections: their numbers and contents, in order.
    """
    parts = [magic.encode(), version.to_bytes(4, "little"), len(sections).to_bytes(4, "little")]
    for number, data in sections:
        parts += [number.to_bytes(4, "little"), len(data).to_bytes(8, "little"), data]
    return b"".join(parts)


def modulus_bytes(spec: FieldSpec) -> bytes:
    """A modulus as headers have it: its size and itself."""
    size = 8 * spec.words
    return size.to_bytes(4, "little") + spec.modulus.to_bytes(size, "little")


def field_of(section: Section, at: int, fields: dict[str, FieldSpec]) -> tuple[str, int]:
    """(curve, bytes of an element) from a size and a modulus as headers have them.

    Raises:
        CircomFileError: another size, or the modulus of no curve that is known.
    """
    size = section.number(at, 4)
    if size not in (8 * spec.words for spec in fields.values()):
        sizes = " or ".join(sorted({str(8 * spec.words) for spec in fields.values()}))
        raise section.error(at, f"elements of {size} bytes", f"{sizes} bytes")
    modulus = section.number(at + 4, size)
    for curve, spec in fields.items():
        if spec.modulus == modulus and 8 * spec.words == size:
            return curve, size
    known = " or ".join(f"{spec.modulus} ({curve})" for curve, spec in fields.items())
    raise section.error(at + 4, f"the modulus {modulus}", known)
