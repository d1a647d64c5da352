# SPDX-License-Identifier: GPL-3.0-or-later
"""snarkjs' `.zkey` of Groth16: a proving key with the matrices A and B of its circuit.

(iden3/snarkjs, src/zkey_utils.js, version 1.) Points are in Montgomery form. A coefficient c stands as c·R², so that one
Montgomery product with a value gives c·value·R. C is not there: on the domain it is A∘B. The rows of A that follow the
constraints have one entry each, the public wires', which keeps their polynomials independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.circom_files import BASE_FIELDS, SCALAR_FIELDS, CircomFile, Section, Source, field_of
from supervm.crypto.circom_points import check_points, group_of, point_bytes, read_points
from supervm.crypto.groth16_columns import Key, secrets_known
from supervm.crypto.polynomials.arguments import SPECS, first_not_canonical
from supervm.crypto.polynomials.products import multiply_values
from supervm.crypto.polynomials.transforms import LARGEST_LOG
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Indices, Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

PROTOCOL, HEADER, IC, COEFFICIENTS, A, B1, B2, C, H, CONTRIBUTIONS = range(1, 11)
"""Numbers of sections."""

NAMES = {
    PROTOCOL: "protocol",
    HEADER: "Groth16 header",
    IC: "IC",
    COEFFICIENTS: "coefficients",
    A: "A in G1",
    B1: "B in G1",
    B2: "B in G2",
    C: "C",
    H: "H",
}

MARK = 0x5375564D
"""The number of a section of our own, which snarkjs passes over: a key with it is for tests alone."""

GROTH16 = 1

ENTRY = np.dtype([("matrix", "<u4"), ("row", "<u4"), ("wire", "<u4"), ("value", "<u8", (4,))])
"""An entry of A (0) or B (1)."""

_SIDES = (("alpha", 1), ("beta", 1), ("beta_2", 2), ("gamma_2", 2), ("delta", 1), ("delta_2", 2))
"""Points of the header, with their groups."""


@dataclass(frozen=True, eq=False)
class ZkeyHeader:
    """What a key is of.

    Args:
        name: of the file.
        curve: of its points.
        wires: of the circuit.
        public: numbers of a statement.
        log: the domain has 2^log rows.
        sides: α, β, δ of G1 and β, γ, δ of G2, by the names `alpha`, `beta`, `delta`, `beta_2`, `gamma_2`, `delta_2`.
        test_only: whether it is marked as made for tests, or its `secrets_known`.
    """

    name: str
    curve: str
    wires: int
    public: int
    log: int
    sides: dict[str, Words]
    test_only: bool

    @property
    def domain(self) -> int:
        """Rows."""
        return 1 << self.log


class Zkey:
    """An open `.zkey` whose header was read; its other sections are read one by one. A context manager.

    Args:
        source: a path, or the file's bytes.
        check: `curve` or `subgroup`, what every point of it is checked for.

    Raises:
        CircomFileError: what is wrong, in which section, at which byte.
        ArgumentError: another check.
        OSError: it cannot be read.
    """

    def __init__(self, source: Source, check: str = "curve") -> None:
        if check not in ("curve", "subgroup"):
            raise ArgumentError("check", repr(check), "'curve' or 'subgroup'")
        self._check = check
        self._file = CircomFile(source, "zkey", 1)
        try:
            self.header = self._header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Zkey:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def _section(self, number: int) -> Section:
        return self._file.section(number, NAMES[number])

    def _header(self) -> ZkeyHeader:
        protocol = self._section(PROTOCOL)
        protocol.require_exactly(4, "a protocol's number")
        if protocol.number(0, 4) != GROTH16:
            raise protocol.error(0, f"protocol {protocol.number(0, 4)}", f"{GROTH16}, Groth16")
        header = self._section(HEADER)
        curve, size = field_of(header, 0, BASE_FIELDS)
        at = 4 + size
        other, scalar_size = field_of(header, at, SCALAR_FIELDS)
        if other != curve:
            raise header.error(at + 4, f"the order of {other}", f"that of {curve}, whose coordinates it has")
        at += 4 + scalar_size
        wires, public, domain = (header.number(at + 4 * index, 4) for index in range(3))
        log = domain.bit_length() - 1
        if domain < 2 or domain != 1 << log or log > min(LARGEST_LOG, SPECS[curve].two_adicity - 1):
            raise header.error(
                at + 8, f"a domain of {domain} rows", f"a power of two from 2 to 2^{LARGEST_LOG}"
            )
        # Before anything is made for so many rows: else a header alone could ask for gigabytes.
        if domain * point_bytes(group_of(curve, 1)) > self._file.section_size(H):
            came = f"a domain of {domain} rows and {self._file.section_size(H)} bytes of section {H} ({NAMES[H]})"
            raise header.error(at + 8, came, "a point for each row")
        if public >= min(wires, domain):
            raise header.error(
                at + 4, f"{public} public numbers", f"fewer than {wires} wires and {domain} rows"
            )
        at += 12
        groups = {name: group_of(curve, number) for name, number in _SIDES}
        header.require_exactly(at + sum(map(point_bytes, groups.values())), "with its points")
        sides = {}
        for name, group in groups.items():
            point = read_points(header, group, at, 1)
            check_points(header, group, at, point, "subgroup")
            if not point.any():
                raise header.error(at, f"infinity for {name}", "a point that a set-up makes")
            sides[name] = point[0]
            at += point_bytes(group)
        shown = secrets_known(curve, sides["alpha"], sides["gamma_2"], sides["delta_2"])
        test_only = self._file.has(MARK) or shown
        return ZkeyHeader(self._file.name, curve, wires, public, log, sides, test_only)

    def points(self, number: int) -> Words:
        """The points of section `IC`, `A`, `B1`, `B2`, `C` or `H`.

        Raises:
            CircomFileError: another number of them, a coordinate that is not canonical, a point off the curve, or outside
                the subgroup if that is checked.
            MemoryNeeded: they are larger than memory.
        """
        of = self.header
        group = group_of(of.curve, 2 if number == B2 else 1)
        count = {IC: of.public + 1, C: of.wires - of.public - 1, H: of.domain}.get(number, of.wires)
        section = self._section(number)
        section.require_exactly(count * point_bytes(group), f"{count} points")
        found = read_points(section, group, 0, count)
        check_points(section, group, 0, found, "subgroup" if number == IC else self._check)
        return found

    def verification(self) -> Key:
        """The key that proofs are verified with.

        Raises: as `points`.
        """
        sides = self.header.sides
        return Key(
            self.header.curve,
            sides["alpha"],
            sides["beta_2"],
            sides["gamma_2"],
            sides["delta_2"],
            self.points(IC),
            test_only=self.header.test_only,
        )

    def matrices(self, places: Indices | None = None) -> tuple[SparseMatrix, SparseMatrix]:
        """A and B, a row for each number of the domain, a column for each wire.

        Args:
            places: int64 (domain,), where each row goes; as they stand if None.

        Raises:
            CircomFileError: a matrix, row or wire that is not there, or a coefficient that is not canonical.
            MemoryNeeded: they are larger than memory.
        """
        of, section = self.header, self._section(COEFFICIENTS)
        count = section.number(0, 4)
        section.require_exactly(4 + count * ENTRY.itemsize, f"{count} entries")
        entries = section.records(ENTRY, 4, count)
        for name, bound in (("matrix", 2), ("row", of.domain), ("wire", of.wires)):
            bad = np.flatnonzero(entries[name] >= bound)
            if bad.size:
                at = 4 + int(bad[0]) * ENTRY.itemsize + ENTRY.fields[name][1]  # type: ignore[index]
                raise section.error(
                    at, f"{name} {entries[name][bad[0]]} in entry {bad[0]}", f"0 … {bound - 1}"
                )
        values = np.ascontiguousarray(entries["value"], np.uint64)
        wrong = first_not_canonical(SPECS[of.curve], values)
        if wrong >= 0:
            at = 4 + wrong * ENTRY.itemsize + 12
            raise section.error(at, f"the modulus or more in entry {wrong}", "coefficients below it")
        modulus = SPECS[of.curve].modulus
        values = multiply_values(of.curve, values, words_of([pow(1 << 512, -1, modulus)]))
        rows: Indices = entries["row"].astype(np.int64)
        if places is not None:
            rows = places[rows]
        first = entries["matrix"] == 0
        found = [
            SparseMatrix.of_entries(rows[which], entries["wire"][which], values[which], of.domain)
            for which in (first, ~first)
        ]
        return found[0], found[1]
