# SPDX-License-Identifier: GPL-3.0-or-later
"""snarkjs' `.ptau`: powers of τ of a ceremony, prepared for phase 2 (iden3/snarkjs, src/powersoftau_utils.js, version 1).

Sections 12 to 15 hold Lagrange polynomials at τ, times 1 in G1, 1 in G2, α in G1 and β in G1, over the domains of 1, 2, 4, …
rows one after the other; that of G1 has one domain more.
"""

from __future__ import annotations

from supervm.crypto import curves
from supervm.crypto.circom_files import BASE_FIELDS, CircomFile, Source
from supervm.crypto.circom_points import check_points, group_of, point_bytes, read_points
from supervm.crypto.errors import CircomFileError, TestOnlyKey
from supervm.crypto.groth16_columns import same_line
from supervm.kernels.array_types import Words

_ALPHA, _BETA, _BETA_2, _CONTRIBUTIONS = 4, 5, 6, 7

LAGRANGE = {"tau": (12, 1), "tau_2": (13, 2), "alpha": (14, 1), "beta": (15, 1)}
"""Section and group of each list of Lagrange polynomials."""

_MOST_POWER = 28


class Ptau:
    """An open `.ptau`. A context manager.

    Args:
        source: a path, or the file's bytes.
        check: `curve` or `subgroup`, what every point that is read is checked for.

    Attributes:
        curve: of its points.
        power: log₂ of the rows of the largest circuit.

    Raises:
        CircomFileError: what is wrong, in which section, at which byte.
        OSError: it cannot be read.
    """

    def __init__(self, source: Source, check: str = "curve") -> None:
        self._check = check
        self._file = CircomFile(source, "ptau", 1)
        try:
            header, self.curve, size = self._file.header(BASE_FIELDS)
            header.require_exactly(12 + size, "a header")
            self.power = header.number(4 + size, 4)
            if not 1 <= self.power <= _MOST_POWER:
                raise header.error(4 + size, f"a power of {self.power}", f"1 … {_MOST_POWER}")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Ptau:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    @property
    def name(self) -> str:
        """Of the file."""
        return self._file.name

    def sides(self) -> dict[str, Words]:
        """α and β in G1 and β in G2, by the names that `ZkeyHeader.sides` has.

        Raises: as `lagrange`.
        """
        parts = {"alpha": (_ALPHA, 1), "beta": (_BETA, 1), "beta_2": (_BETA_2, 2)}
        return {name: self._points(*part, name, 0, 1, "subgroup")[0] for name, part in parts.items()}

    def secrets_known(self) -> str:
        """What shows that τ, α or β are known, as where snarkjs begins a ceremony: all of them are 1; '' if nothing does.

        Raises: as `lagrange`.
        """
        sides, groups = self.sides(), curves.get(self.curve)
        for name, letter, generator in (
            ("alpha", "α", groups.g1.generator),
            ("beta", "β", groups.g1.generator),
            ("beta_2", "β of G2", groups.g2.generator),
        ):
            if same_line(sides[name], generator):
                return f"its {letter} is 1 or −1, as before the first contribution of a ceremony"
        # At a root of unity all Lagrange polynomials but one are 0, and so their points are infinity.
        if not self.lagrange("tau", 1).reshape(2, -1).any(axis=1).all():
            return "its τ is 1 or −1, as before the first contribution of a ceremony"
        if not self._file.has(_CONTRIBUTIONS):
            return "it says of no contribution"
        if not self._file.section(_CONTRIBUTIONS, "contributions", 0, 4).number(0, 4):
            return "nobody contributed to it"
        return ""

    def require_contributions(self, allow: bool) -> bool:
        """Whether its secrets are known, which has to be allowed.

        Raises:
            TestOnlyKey: they are, and that is not allowed: what shows it.
            CircomFileError, MemoryNeeded: as `lagrange`.
        """
        why = self.secrets_known()
        if why and not allow:
            raise TestOnlyKey(self.name, why)
        return bool(why)

    def lagrange(self, name: str, log: int) -> Words:
        """The Lagrange polynomials at τ over the domain of 2^log rows, in snarkjs' order.

        Args:
            name: one of `LAGRANGE`.
            log: up to `power`, for `tau` one more.

        Raises:
            CircomFileError: they are not there: the file is not prepared for phase 2, or damaged.
            MemoryNeeded: they are larger than memory.
        """
        number, group = LAGRANGE[name]
        count = 1 << log
        return self._points(number, group, f"Lagrange polynomials, {name}", count - 1, count, self._check)

    def _points(self, number: int, of: int, name: str, first: int, count: int, check: str) -> Words:
        group = group_of(self.curve, of)
        size = point_bytes(group)
        if not self._file.has(number) and number in dict(LAGRANGE.values()):
            expected = "it, which 'snarkjs powersoftau prepare phase2' adds"
            raise CircomFileError(
                self._file.name, f"section {number} ({name})", 0, "no such section", expected
            )
        section = self._file.section(number, name, first * size, count * size)
        found = read_points(section, group, 0, count)
        check_points(section, group, 0, found, check)
        return found
