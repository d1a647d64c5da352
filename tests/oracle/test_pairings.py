# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle's pairings against published values, py_ecc, and the laws of a pairing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from py_ecc import optimized_bls12_381, optimized_bn128

from supervm.crypto.oracle.pairings import ONE, PAIRINGS, Element, Pairing

VALUES = Path(__file__).resolve().parents[3] / "shared" / "data" / "bls" / "pairing_gt_give.json"
"""e(iG₁, iG₂)³ on BLS12-381, from noble-curves, which has them from kilic/bls12-381: libraries raise to three times the last
exponent, which has a shorter chain (Hayashida, Hayasaka, Teruya, eprint 2020/875)."""

LIBRARIES = {"bn254": optimized_bn128, "bls12_381": optimized_bls12_381}


@pytest.fixture(params=list(PAIRINGS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def pairing(name: str) -> Pairing:
    return PAIRINGS[name]


def _bytes(element: Element) -> bytes:
    """The tower's coefficients, the highest first: w⁵, w³, w, then w⁴, w², 1, of each c₁ before c₀."""
    pairs = [element[index] for index in (5, 3, 1, 4, 2, 0)]
    return b"".join(part.to_bytes(48, "big") for c0, c1 in pairs for part in (c1, c0))


def test_published_values() -> None:
    if not VALUES.exists():
        pytest.skip(f"not here: {VALUES.name}")
    pairing = PAIRINGS["bls12_381"]
    g1, g2 = pairing.first.generator, pairing.second.generator
    for case in json.loads(VALUES.read_text("utf-8"))["cases"]:
        i = case["i"]
        found = pairing.pair(pairing.first.multiply(i, g1), pairing.second.multiply(i, g2))
        assert _bytes(pairing.power(found, 3)).hex() == case["gt"], i


def _theirs(element: Any, pairing: Pairing) -> Element:
    """An element of py_ecc, whose Fp12 is Fp[w]: coefficients of w^i and w^(i + 6) make one pair, as u = w⁶ − ξ₀."""
    shift, p = pairing.xi[0], pairing.field.p
    c = [int(part) for part in element.coeffs]
    pairs = [((c[i] + shift * c[i + 6]) % p, c[i + 6] % p) for i in range(6)]
    return pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], pairs[5]


def test_they_are_those_of_another_library(name: str, pairing: Pairing) -> None:
    library, drawn = LIBRARIES[name], random.Random(7)
    a, b = (drawn.randrange(1, pairing.first.order) for _ in range(2))
    theirs = library.pairing(library.multiply(library.G2, b), library.multiply(library.G1, a))
    at = pairing.first.multiply(a, pairing.first.generator)
    point = pairing.second.multiply(b, pairing.second.generator)
    # py_ecc leaves out that the parameter of BLS12-381 is negative: it has the inverse.
    expected = pairing.conjugate if pairing.parameter < 0 else (lambda same: same)
    assert pairing.pair(at, point) == expected(_theirs(theirs, pairing))


def test_laws(pairing: Pairing) -> None:
    """Bilinear, not degenerate, of the group's order, 1 at infinity; one power serves a product."""
    g1, g2, order = pairing.first, pairing.second, pairing.first.order
    base = pairing.pair(g1.generator, g2.generator)
    assert base != ONE
    assert pairing.power(base, order) == ONE
    assert pairing.multiply(base, pairing.conjugate(base)) == ONE
    three, five = g1.multiply(3, g1.generator), g2.multiply(5, g2.generator)
    assert pairing.pair(three, five) == pairing.power(base, 15)
    pairs = [(three, five), (g1.multiply(-15, g1.generator), g2.generator), (None, five), (three, None)]
    assert pairing.product(pairs) == ONE
    assert pairing.product(pairs[:1]) != ONE
    assert pairing.pair(None, five) == pairing.pair(three, None) == ONE


def test_a_point_of_small_order_is_refused(pairing: Pairing) -> None:
    """A point of order two has a vertical tangent, which no point of G2 has."""
    point = ((0, 0), pairing.field.zero)
    with pytest.raises(ValueError, match="vertical"):
        pairing.pair(pairing.first.generator, point)
