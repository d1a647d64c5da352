# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA field arithmetic on the host twin against Python integers, for every field there is an instance of."""

from __future__ import annotations

import ctypes

import host_twin
import numpy as np
import pytest
from field_programs import EXTREMES, FIELDS, OPERATIONS, FieldProgram, Words, bare_product
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

fields = pytest.mark.parametrize("field", FIELDS, ids=[field.name for field in FIELDS])
operations = pytest.mark.parametrize("operation", OPERATIONS)
generated = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def twin(field: FieldProgram) -> ctypes.CDLL:
    return host_twin.build(field.program.source, field.program.constants)


def run(field: FieldProgram, kernel: str, a: list[int], b: list[int]) -> Words:
    """(n, words) of `kernel`, or (n, 1) of one that gives a word per item."""
    out = np.zeros((len(a), 1 if kernel == "field_equal" else field.words), np.uint32)
    host_twin.call(twin(field), kernel, field.pack(a), field.pack(b), out, len(a))
    return out


def check(field: FieldProgram, operation: str, a: list[int], b: list[int]) -> None:
    found = field.unpack(run(field, f"field_{operation}", a, b))
    for x, y, value in zip(a, b, found, strict=True):
        assert value == OPERATIONS[operation](x, y, field.modulus), (hex(x), hex(y))


def numbers(field: FieldProgram) -> st.SearchStrategy[int]:
    """Numbers below the radix, many of them near an edge or of words that are all ones or zeros."""
    word = st.sampled_from(EXTREMES) | st.integers(0, 0xFFFFFFFF)
    words = st.lists(word, min_size=field.words, max_size=field.words)
    near = st.tuples(st.sampled_from(field.edges), st.integers(-3, 3))
    return (
        st.integers(0, field.radix - 1)
        | words.map(lambda row: sum(value << 32 * index for index, value in enumerate(row)))
        | near.map(lambda pair: (pair[0] + pair[1]) % field.radix)
    )


@fields
@operations
def test_edges_and_random_numbers(field: FieldProgram, operation: str) -> None:
    a, b = field.pairs(len(field.edges), 1000)
    if operation in ("inverse", "square"):
        a = b = [*field.edges, *b[-1000:]]
    check(field, operation, a, b)


@fields
@given(data=st.data())
@generated
def test_generated_numbers(field: FieldProgram, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(numbers(field), numbers(field)), min_size=1, max_size=40))
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    for operation in OPERATIONS:
        check(field, operation, a, b)


@fields
def test_equality_is_that_of_residues(field: FieldProgram) -> None:
    a, b = field.pairs(len(field.edges), 500)
    found = run(field, "field_equal", a, b)[:, 0].tolist()
    expected = [3 if (x - y) % field.modulus == 0 else 0 for x, y in zip(a, b, strict=True)]
    assert found == expected
    assert 3 in found
    assert 0 in found


@fields
@given(data=st.data())
@generated
def test_results_do_not_depend_on_the_representation(field: FieldProgram, data: st.DataObject) -> None:
    """a and a + k·p are the same element to every operation, whatever multiples of p the radix leaves room for."""
    p = field.modulus
    residues = st.integers(0, p - 1) | st.sampled_from([0, 1, 2, (field.radix - 1) % p, p - 1, p - 2])
    a, b = data.draw(residues), data.draw(residues)
    many = [(x, y) for x in range(a, field.radix, p) for y in range(b, field.radix, p)]
    left, right = [x for x, _ in many], [y for _, y in many]
    for operation in (*OPERATIONS, "equal"):
        assert len(np.unique(run(field, f"field_{operation}", left, right), axis=0)) == 1, operation


@fields
def test_bare_products(field: FieldProgram) -> None:
    """`field_product` and `field_squaring` on words as they are: what the instruction counts are taken of.

    A folding field leaves any 256-bit number of the right residue, Montgomery form the number below p; there the
    first factor must be below p.
    """
    a, b = field.pairs(len(field.edges), 1000)
    if not field.folds:
        a = [x % field.modulus for x in a]
    for kernel, left, right in (("field_product", a, b), ("field_squaring", a, a)):
        columns = [np.ascontiguousarray(field.pack(values).T) for values in (left, right)]
        out = np.zeros_like(columns[0])
        host_twin.call(twin(field), kernel, *columns, out, len(left))
        for x, y, value in zip(left, right, field.unpack(out.T), strict=True):
            assert (value % field.modulus if field.folds else value) == bare_product(field, x, y), (
                hex(x),
                hex(y),
            )
