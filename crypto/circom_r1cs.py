# SPDX-License-Identifier: GPL-3.0-or-later
"""circom's `.r1cs`: the constraints ⟨aᵢ, w⟩ · ⟨bᵢ, w⟩ = ⟨cᵢ, w⟩ of a circuit, whose wires are w, the first of them 1.

(iden3/r1csfile, doc/r1cs_bin_format.md, version 1.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from supervm.crypto import memory
from supervm.crypto.circom_files import SCALAR_FIELDS, CircomFile, Section, Source
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import borrow, number_words

_CONSTRAINTS, _LABELS, _GATES = 2, 3, 4

_WIRE = 4
"""Bytes of a wire's number, and of a count."""

_Three = tuple[SparseMatrix, SparseMatrix, SparseMatrix]

_GOOD, _SHORT, _FOREIGN_WIRE, _LARGE_VALUE = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class ConstraintSystem:
    """A circuit. Its wires are 1, the public outputs, the public inputs, the private inputs, and all others.

    Args:
        curve: whose scalar field it is over.
        wires: how many, the one among them.
        outputs, public_inputs, private_inputs: how many.
        a, b, c: matrices of a row for each constraint and a column for each wire.
        labels: uint64 (wires,), circom's number of the signal behind each wire.
    """

    curve: str
    wires: int
    outputs: int
    public_inputs: int
    private_inputs: int
    a: SparseMatrix
    b: SparseMatrix
    c: SparseMatrix
    labels: Words

    @property
    def constraints(self) -> int:
        """How many."""
        return self.a.rows

    @property
    def public(self) -> int:
        """Numbers of a statement: public outputs and inputs."""
        return self.outputs + self.public_inputs


def load_r1cs(source: Source) -> ConstraintSystem:
    """Read a `.r1cs`.

    Args:
        source: a path, or the file's bytes.

    Raises:
        CircomFileError: what is wrong, in which section, at which byte.
        MemoryNeeded: it is larger than memory.
        OSError: it cannot be read.
    """
    with CircomFile(source, "r1cs", 1) as file:
        memory.require(2 * file.size, f"reading {file.name}")
        header, curve, size = file.header(SCALAR_FIELDS)
        at = _WIRE + size
        header.require_exactly(at + 28, "a header")
        wires, outputs, public, private = (header.number(at + 4 * index, 4) for index in range(4))
        constraints = header.number(at + 24, 4)
        if wires < 1 + outputs + public + private:
            came = f"{wires} wires, {outputs} outputs, {public} public and {private} private inputs"
            raise header.error(at, came, "a wire for each of these, and one for 1")
        if file.has(_GATES) and (gates := file.section(_GATES, "custom gates")).number(0, 4):
            raise gates.error(0, "custom gates", "none: Groth16 has constraints alone")
        matrices = _matrices(file.section(_CONSTRAINTS, "constraints"), curve, constraints, wires)
        labels = file.section(_LABELS, "wires to labels")
        labels.require_exactly(8 * wires, f"a label for each of {wires} wires")
        names = labels.words(0, wires, 1).reshape(-1)
    return ConstraintSystem(curve, wires, outputs, public, private, *matrices, labels=names)


def _matrices(section: Section, curve: str, constraints: int, wires: int) -> _Three:
    section.require(3 * _WIRE * constraints)
    data = borrow(section.data)
    modulus = number_words(SCALAR_FIELDS[curve].modulus, 4)
    counts = np.empty(3 * constraints, np.int64)
    code, at = _count(data, modulus, wires, counts)
    if code == _SHORT:
        raise section.error(
            at, "the end of the section in a constraint", f"{constraints} constraints of three sums"
        )
    if code == _FOREIGN_WIRE:
        raise section.error(at, f"wire {section.number(at, _WIRE)}", f"0 … {wires - 1}")
    if code == _LARGE_VALUE:
        raise section.error(at, "a coefficient of the modulus or more", "one below it")
    section.require_exactly(at, f"as long as its {constraints} constraints are")
    found = []
    for matrix in range(3):
        starts = np.append(0, np.cumsum(counts[matrix::3]))
        entries = int(starts[-1])
        found.append(SparseMatrix(starts, np.empty(entries, np.uint32), np.empty((entries, 4), np.uint64)))
        _copy(data, counts, matrix, found[-1].columns, found[-1].values)
    return found[0], found[1], found[2]


@njit(nogil=True, cache=True)
def _word(data, at, size):  # type: ignore[no-untyped-def]
    """`size` bytes at `at` as a number, little end first."""
    value = np.uint64(0)
    for index in range(size):
        value |= np.uint64(data[at + index]) << np.uint64(8 * index)
    return value


@njit(nogil=True, cache=True)
def _count(data, modulus, wires, counts):  # type: ignore[no-untyped-def]
    """Walk over all sums, checking every one, and write how many entries each has; (what is wrong, at which byte)."""
    at = 0
    for index in range(counts.size):
        if at + 4 > data.size:
            return _SHORT, data.size
        count = np.int64(_word(data, at, 4))
        at += 4
        if count > (data.size - at) // 36:
            return _SHORT, data.size
        counts[index] = count
        for _ in range(count):
            if np.int64(_word(data, at, 4)) >= wires:
                return _FOREIGN_WIRE, at
            word = 3
            while word > 0 and _word(data, at + 4 + 8 * word, 8) == modulus[word]:
                word -= 1
            if _word(data, at + 4 + 8 * word, 8) >= modulus[word]:
                return _LARGE_VALUE, at + 4
            at += 36
    return _GOOD, at


@njit(nogil=True, cache=True)
def _copy(data, counts, matrix, columns, values):  # type: ignore[no-untyped-def]
    """Entries of every third sum, from sum `matrix` on, to a matrix's columns."""
    at, place = 0, 0
    for index in range(counts.size):
        at += 4
        if index % 3 != matrix:
            at += 36 * counts[index]
            continue
        for _ in range(counts[index]):
            columns[place] = _word(data, at, 4)
            for word in range(4):
                values[place, word] = _word(data, at + 4 + 8 * word, 8)
            place += 1
            at += 36
