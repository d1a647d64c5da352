# SPDX-License-Identifier: GPL-3.0-or-later
"""circom's `.wtns`: a value for each wire of a circuit, the first of them 1.

(iden3/snarkjs, src/wtns_utils.js, version 2.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from supervm.crypto.circom_files import HEADER, SCALAR_FIELDS, CircomFile, Source, container, modulus_bytes
from supervm.crypto.polynomials.arguments import SPECS, elements, first_not_canonical
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError

_VALUES = 2


@dataclass(frozen=True, eq=False)
class Witness:
    """A value for each wire, which are not shown: most of them are somebody's secret.

    Args:
        curve: whose scalar field they are of.
        values: uint64 (wires, 4), canonical, the first of them 1.

    Raises:
        ArgumentError: another curve, shape or dtype, a value that is not below the modulus, or another first one.
    """

    curve: str
    values: Words = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.curve, str) or self.curve not in SPECS:
            raise ArgumentError("curve", repr(self.curve), " or ".join(map(repr, SPECS)))
        values = elements(SPECS[self.curve], self.values, "values")
        if values.ndim != 2 or not len(values) or values[0].tolist() != [1, 0, 0, 0]:
            raise ArgumentError(
                "values", "values that do not begin with 1", "1, and a value for each other wire"
            )
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)


def load_witness(source: Source) -> Witness:
    """Read a `.wtns`.

    Args:
        source: a path, or the file's bytes.

    Raises:
        CircomFileError: what is wrong, in which section, at which byte.
        MemoryNeeded: it is larger than memory.
        OSError: it cannot be read.
    """
    with CircomFile(source, "wtns", 2) as file:
        header, curve, size = file.header(SCALAR_FIELDS)
        header.require_exactly(8 + size, "a header")
        count = header.number(4 + size, 4)
        section = file.section(_VALUES, "values")
        section.require_exactly(size * count, f"a value for each of {count} wires")
    if not count:
        raise header.error(4 + size, "no values", "a value for each wire")
    values = np.ascontiguousarray(section.words(0, count, 4), np.uint64)
    bad = first_not_canonical(SPECS[curve], values)
    if bad >= 0:
        raise section.error(size * bad, f"value {bad}, which is not below the modulus", "values below it")
    if values[0].tolist() != [1, 0, 0, 0]:
        raise section.error(0, "another value of wire 0", "1")
    return Witness(curve, values)


def write_witness(witness: Witness) -> bytes:
    """The bytes of a `.wtns`."""
    header = modulus_bytes(SPECS[witness.curve]) + len(witness).to_bytes(4, "little")
    return container("wtns", 2, [(HEADER, header), (_VALUES, witness.values.astype("<u8").tobytes())])
