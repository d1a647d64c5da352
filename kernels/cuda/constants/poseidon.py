# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon as C++: what the source `poseidon` is specialised by. Round constants come as tables, at run time."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.hashes.poseidon import table
from supervm.kernels.cpu.lanes.lanes import LANES_64
from supervm.kernels.cuda.constants.fields import montgomery_params
from supervm.kernels.errors import ArgumentError
from supervm.kernels.poseidon_spec import PoseidonSpec
from supervm.kernels.spec import FieldSpec


def poseidon(spec: FieldSpec) -> str:
    """The text that stands for `constants.cuh`: the type Scalar.

    Raises:
        ArgumentError: the modulus has not eight words.
    """
    if spec.words != 4:
        raise ArgumentError("spec", f"{spec.name}, {spec.bits} bits", "a modulus of 193 to 256 bits")
    return montgomery_params(spec, "ScalarParams") + "using Scalar = MontgomeryField<ScalarParams>;\n"


@functools.cache
def round_constants(spec: PoseidonSpec) -> npt.NDArray[np.uint32]:
    """The table of one permutation, with R = 2^256: that of one 64-bit lane."""
    return table(Field(spec.field, LANES_64), spec).view(np.uint32)
