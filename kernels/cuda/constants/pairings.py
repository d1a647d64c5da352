# SPDX-License-Identifier: GPL-3.0-or-later
"""What `pairing.cu` is specialised by: a prime field, and where things stand in a pairing's programs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from supervm.kernels import pairing_programs as programs
from supervm.kernels.cuda.constants.fields import montgomery_params, number, struct, words_of
from supervm.kernels.last_power import last_power
from supervm.kernels.pairing_spec import PairingSpec

_PLACES = ("a", "b", "line", "point", "second", "first", "norm", "end")
_PROGRAMS = {
    "SQUARE": "square",
    "DOUBLE": "double",
    "ADD": "add",
    "SUBTRACT": "subtract",
    "CHORD": "line",
    "MAP": "endomorphism",
    "MULTIPLY": "multiply",
    "CONJUGATE": "conjugate",
}


def pairing(spec: PairingSpec) -> str:
    """The types Prime and Pairing."""
    numbers = {
        **{name.upper(): programs.PLACES[name] for name in _PLACES},
        **{name: programs.SEGMENTS.index(program) for name, program in _PROGRAMS.items()},
        "STATE": programs.STATE,
        "INVERT": programs.INVERT,
        "DIGITS": len(spec.loop),
        "ROWS": len(last_power(spec).rows),
        "DIVIDED": int(spec.divided),
        "TURNED": int(not spec.divided and spec.parameter < 0),
    }
    return (
        '#include "power.cuh"\n#include "montgomery_field.cuh"\n'
        + montgomery_params(spec.field, "BaseParams")
        + "using Prime = MontgomeryField<BaseParams>;\n"
        + struct("Pairing", *(number(name, value) for name, value in numbers.items()))
    )


def _words(numbers: Iterable[int]) -> npt.NDArray[np.uint32]:
    return np.array([value & 0xFFFFFFFF for value in numbers], np.uint32)


def tables(spec: PairingSpec) -> dict[str, npt.NDArray[np.uint32]]:
    """What the kernels read, by the names of their parameters."""
    numbers, starts = programs.code(spec)
    size = 2 * spec.field.words
    return {
        "program": _words(numbers),
        "starts": _words(starts),
        "constants": _words(word for value in programs.constants(spec) for word in words_of(value, size)),
        "digits": _words(digit % 3 for digit in spec.loop),
        "schedule": _words(entry for row in last_power(spec).rows for entry in row),
    }


def places(spec: PairingSpec, pairs: int) -> int:
    """Places of an item whose Miller loop has so many pairs; without pairs, of one whose last power is computed."""
    elements = 12 * last_power(spec).elements
    return programs.PLACES["end"] + (pairs * programs.STATE if pairs else elements)
