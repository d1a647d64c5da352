# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU backends that can run on this machine, and field elements of any of them as Python integers."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from supervm.kernels.cpu.backends import CPU_BACKENDS, best
from supervm.kernels.cpu.fields.doubles import DoublesField, bits_of, centred
from supervm.kernels.cpu.lanes.emitter import digits

HERE = {each.name: each.lanes for each in CPU_BACKENDS if not each.unavailable()}
"""Name → lanes, best first."""

FULL = list(dict.fromkeys([best().name, "scalar"]))
"""What the whole suite runs on."""

KINDS = list({lanes.multiplier: name for name, lanes in HERE.items()}.values())
"""What decisive tests run on: a backend of each multiplier, of those with doubles the narrowest, since all of them come from
one generator. `tests/agreement` compares the others, on one scheme."""

ON_PROCESSORS_ONLY = frozenset({"bls12_381.g1.map", "bls12_381.g2.map", "x25519"})
"""Operations that have no CUDA program."""

TWIN = pytest.param("cuda", marks=pytest.mark.twin)

on_kinds_and_twin = pytest.mark.parametrize("backend", [*KINDS, TWIN], indirect=True)
"""For tests with the fixture `backend`: `KINDS`, and the CUDA sources."""


def radix_of(code: Any) -> int:
    """Bits of a limb's place in a prime field whose elements are not doubles; those that fold have no attribute for it."""
    return int(getattr(code, "radix", 52))


def raw_value(code: Any, limbs: Any) -> int:
    """The integer that the stored limbs of a prime field's element stand for, in the field's own form."""
    if isinstance(code, DoublesField):
        return sum(double(word) << place for word, place in zip(limbs, code.places, strict=True))
    return sum(int(word) << (radix_of(code) * index) for index, word in enumerate(limbs))


def raw_limbs(code: Any, number: int) -> list[int]:
    """The inverse: limbs to store, of the integer itself, which need not be below p.

    Doubles of a field that folds hold only what is between −p/2 and p/2, so that theirs are of a number modulo p.
    """
    if isinstance(code, DoublesField):
        if code.spec.fold:
            number = (number + code.spec.modulus // 2) % code.spec.modulus - code.spec.modulus // 2
        return [bits_of(digit) for digit in centred(number, code.widths)]
    return digits(number, radix_of(code), code.limbs)


def scale(code: Any) -> int:
    """What takes a raw value out of Montgomery form, modulo p."""
    return int(pow(getattr(code, "r", 1), -1, code.spec.modulus))


def double(word: Any) -> int:
    """The integer that a stored double is."""
    value = struct.unpack("<d", struct.pack("<Q", int(word)))[0]
    assert value.is_integer(), f"{value} in a limb"
    return int(value)
