# SPDX-License-Identifier: GPL-3.0-or-later
"""Every formula that curves asked `field.formula` for: on intervals, on integers at the edges, and on doubles.

As in `test_bounds`, whose parts this uses, a stand-in takes the place of the LLVM builder.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest
from double_proofs import Proof

from supervm.kernels.cpu.curves import edwards, ladder, weierstrass_prime_order  # noqa: F401  their formulas are proven
from supervm.kernels.cpu.fields.doubles import SPAN
from supervm.kernels.cpu.fields.field import FORMULAS
from supervm.kernels.cpu.lanes.emitter import Emitter

_spec = importlib.util.spec_from_file_location("bounds", Path(__file__).with_name("test_bounds.py"))
assert _spec
assert _spec.loader
bounds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bounds)
FOLDING, WIDTHS, FIELDS = bounds.FOLDING, bounds.WIDTHS, bounds.FIELDS


def combined(generated: Any, builder: Any, formula: Any, elements: list[Any]) -> list[list[Any]]:
    """The generator's results for one of `FORMULAS`."""
    factors, rows = formula
    return generated.combinations(  # type: ignore[no-any-return]
        Emitter(builder, generated.lanes),
        [(elements[a], elements[b]) for a, b in factors],
        [(products, [(k, elements[index]) for k, index in terms]) for products, terms in rows],
    )


def test_the_curves_formulas_are_found():
    assert sorted(len(factors) for factors, _ in FORMULAS) == [2, 2, 2, 3, 4, 4]


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", FOLDING)
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: str(len(formula[0])))
class TestIntegers:
    def test_the_contract_is_kept(self, name, kind, formula):
        generated = bounds.code(name, kind)
        builder = bounds.standin(generated)
        for limbs in combined(generated, builder, formula, [bounds.widest(generated) for _ in range(8)]):
            bounds.check_contract(generated, limbs)
        assert builder.lost() == 0

    def test_values(self, name, kind, formula):
        generated = bounds.code(name, kind)
        source = random.Random(f"{name} {kind} formulas")
        edges = bounds.edge_elements(generated)
        factors, rows = formula
        for turn in range(24):
            elements = [
                list(source.choice(edges)) if turn % 3 else bounds.random_element(generated, source)
                for _ in range(8)
            ]
            values = [bounds.value_of(generated, limbs) for limbs in elements]
            results = combined(generated, bounds.standin(generated), formula, elements)
            for limbs, (products, terms) in zip(results, rows, strict=True):
                bounds.check_element(generated, limbs)
                expected = sum(k * values[factors[i][0]] * values[factors[i][1]] for k, i in products)
                expected += sum(k * values[i] for k, i in terms)
                assert bounds.value_of(generated, limbs) == expected % generated.spec.modulus


@pytest.mark.parametrize("name", FOLDING)
def test_doubles(name):
    """Of elements, and with a sum of two as the first factor of a product, as points are added."""
    for formula in FORMULAS:
        proof = Proof(FIELDS[name])
        elements = [proof.element() for _ in range(8)]
        sums = {a for a, b in formula[0] if a != b}
        lazy = [
            proof.code.lazy(proof.e, [(1, limbs), (-1, proof.element())], 0) if index in sums else limbs
            for index, limbs in enumerate(elements)
        ]
        for operands in (elements, lazy):
            for limbs in combined(proof.code, proof.builder, formula, operands):
                proof.check(limbs)
        assert proof.builder.largest_column < 1 << SPAN
        assert all(size <= 1 << k for k, size in proof.builder.largest_products.items())
