# SPDX-License-Identifier: GPL-3.0-or-later
"""One long number-theoretic transform by the four-step split (Bailey 1989): n = n₁·n₂ numbers as a matrix.

With a[j], j = j₁·n₂ + j₂, and y[i], i = i₂·n₁ + i₁, on the coset g·⟨ω⟩:

    y[i₂·n₁ + i₁] = Σ_j₂ (g·ω₂^i₂)^j₂ · ω^(i₁·j₂) · Σ_j₁ (gⁿ²·ω₁^i₁)^j₁ · a[j₁·n₂ + j₂]

where ω₁ and ω₂ are the roots of n₁ and n₂: transforms of columns on the coset of gⁿ², factors ω^(i₁·j₂), transforms of rows
on the coset of g. The inverse goes the other way: rows, factors with ω⁻¹, columns. A part is a number of columns or rows;
between the two steps all numbers come together once, which is what a transform over several machines costs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.ntt import ntt
from supervm.crypto.polynomials.arguments import SPECS, elements, shift_of, spec_of
from supervm.crypto.polynomials.products import multiply_values
from supervm.crypto.polynomials.transforms import ORDERS, check_size
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of
from supervm.tiers.cluster.splitting.parts import Runner
from supervm.tiers.cluster.task import Columns, Options, Task, take_rows

Exponents = NDArray[np.int64]

TASK = "ntt.rows"

PARTS = 16
"""Parts of each of the two steps, at most: a power of two."""


def transform(
    run: Runner,
    curve: str,
    values: Words,
    *,
    inverse: bool = False,
    coset: int | bool | str | None = None,
    order: str = "natural",
    parts: int = PARTS,
) -> Words:
    """As `supervm.crypto.ntt.ntt` of one polynomial, by a runner.

    Args:
        run: does the parts.
        values: uint64 (n, 4), n a power of two.
        parts: of each step, at most; a power of two.

    Raises:
        ArgumentError: as the library's, or several polynomials at once, or another number of parts.
    """
    spec = spec_of(curve)
    found = elements(spec, values, "values")
    if found.ndim != 2:
        raise ArgumentError("values", f"{found.shape}", "one polynomial, (n, 4): each of several is a part")
    check_size(spec, len(found))
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentError("order", repr(order), " or ".join(map(repr, ORDERS)))
    if parts < 1 or parts & (parts - 1):
        raise ArgumentError("parts", repr(parts), "a power of two")
    shift, size = shift_of(spec, coset), len(found)
    if size < 4:
        return ntt(curve, found, inverse=inverse, coset=shift, order=order)
    first = 1 << (size.bit_length() // 2)
    second = size // first
    root = spec.root_of_unity(size)
    column_shift = pow(shift, second, spec.modulus)
    reversed_order = order == "bit_reversed"
    places = _reversed(first) if reversed_order else np.arange(first)
    common = {"curve": curve, "inverse": inverse, "order": order}
    steps = {**common, "coset": hex(column_shift), "root": hex(root)}, {**common, "coset": hex(shift)}
    if not inverse:
        columns = found.reshape(first, second, 4).transpose(1, 0, 2)
        middle = _step(run, columns, np.arange(second), steps[0], parts)
        rows = _step(run, middle.transpose(1, 0, 2), None, steps[1], parts)
        return rows.reshape(-1, 4) if reversed_order else _flat(rows.transpose(1, 0, 2))
    # Row p of what is given holds the values of i₁ = places[p].
    rows = (
        found.reshape(first, second, 4)
        if reversed_order
        else found.reshape(second, first, 4).transpose(1, 0, 2)
    )
    back = pow(root, -1, spec.modulus)
    middle = _step(run, rows, places, {**steps[1], "root": hex(back)}, parts)
    columns = _step(run, middle.transpose(1, 0, 2), None, {**common, "coset": hex(column_shift)}, parts)
    return _flat(columns.transpose(1, 0, 2))


def _flat(matrix: Words) -> Words:
    return np.ascontiguousarray(matrix).reshape(-1, 4)


def _reversed(size: int) -> Exponents:
    """0 … size − 1 with the bits of each read backwards."""
    places = np.zeros(1, np.int64)
    while len(places) < size:
        places = np.concatenate([2 * places, 2 * places + 1])
    return places


def _step(run: Runner, rows: Words, exponents: Exponents | None, options: Options, parts: int) -> Words:
    """Transform rows (m, n, 4), and multiply number c of row r with root^(exponents[r]·c) where there are exponents."""
    size = max(1, len(rows) // parts)

    def cut() -> Iterator[Columns]:
        for start in range(0, len(rows), size):
            part = np.ascontiguousarray(rows[start : start + size])
            yield (part,) if exponents is None else (part, exponents[start : start + size])

    found = np.empty(rows.shape, np.uint64)
    for index, (part,) in run.run(TASK, cut(), options):
        found[index * size : index * size + len(part)] = part
    return found


def _transform_rows(columns: Columns, options: Options) -> Columns:
    curve, inverse, order = options["curve"], options["inverse"], options["order"]
    values, *exponents = columns
    if values.ndim != 3:
        raise ArgumentError("values", f"{values.shape}", "rows of numbers, (rows, n, 4)")
    if exponents and exponents[0].shape != values.shape[:1]:
        raise ArgumentError("exponents", f"{exponents[0].shape}", f"one for each of {len(values)} rows")
    found = ntt(curve, values, inverse=inverse, coset=int(options["coset"], 16), order=order)
    if exponents:
        powers = _powers(curve, int(options["root"], 16), exponents[0], found.shape[1])
        if order == "bit_reversed" and not inverse:
            powers = powers[:, _reversed(found.shape[1])]
        found = multiply_values(curve, found, powers)
    return (found,)


def _powers(curve: str, root: int, exponents: Exponents, count: int) -> Words:
    """root^(e·c) for each e and c < count, a power of two: uint64 (rows, count, 4). By doubling."""
    modulus = SPECS[curve].modulus
    # `multiply_values` repeats factors whose number is a power of two.
    rows = 1 << (len(exponents) - 1).bit_length()
    bases = [pow(root, int(exponent), modulus) for exponent in exponents] + [1] * (rows - len(exponents))
    steps = words_of(bases).reshape(-1, 4)
    table = np.empty((count, rows, 4), np.uint64)
    table[0] = words_of([1])
    have = 1
    while have < count:
        table[have : 2 * have] = multiply_values(curve, table[:have], steps)
        steps = multiply_values(curve, steps, steps)
        have *= 2
    return np.ascontiguousarray(table[:, : len(exponents)].transpose(1, 0, 2))


ROWS = Task(TASK, _transform_rows, items=lambda columns: len(columns[0]), type=TaskType.NTT, take=take_rows)
"""Columns: values uint64 (rows, n, 4), and where rows are multiplied afterwards int64 (rows,), the exponents of the factors.
Options: `curve`, `inverse`, `order` as the library has them, `coset` and `root` in hexadecimal digits. Answer: the rows."""
