# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimal ate pairings of BN254 and BLS12-381, in batches of products of any number of pairs.

Points are affine, uint64 (m, 2, L) in G1 and (m, 2, 2, L) in G2, as `supervm.crypto.curves` has them, infinity all zero.
They must be of the subgroups, which `curves` tells and nothing here checks. An element of the target group is uint64
(12, L): the coefficients of 1, w … w⁵ of Fp12 = Fp2[w]/(w⁶ − ξ), c₀ before c₁, canonical; ξ is 9 + u on BN254 and 1 + u on
BLS12-381. There it is the cube of the pairing by its definition, as in other libraries.

>>> from supervm.crypto import curves
>>> curve, pairing = curves.get("bn254"), get("bn254")
>>> p, q = curve.g1.generator[None], curve.g2.generator[None]
>>> pairing.check(np.concatenate((p, curve.g1.negate(p))), np.concatenate((q, q)), [0, 2]).tolist()
[1]
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.arguments import bounds
from supervm.crypto.calls import compute
from supervm.crypto.pairing_operations import PAIRINGS, Prepared, nothing_prepared
from supervm.kernels.array_types import Verdicts
from supervm.kernels.cpu.backends import CPU_BACKENDS
from supervm.kernels.errors import ArgumentError
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.registry import resolve
from supervm.kernels.threads import get_threads

__all__ = ["Pairing", "Prepared", "get"]

Points = npt.NDArray[np.uint64]
Values = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

TOGETHER = 16
"""Pairs of an item whose Miller loops share their squares in one lane, at most."""

ITEMS_OF_A_GPU = 1 << 14
"""Parts that keep a GPU busy."""

FEW_PAIRS = {8: 4, 4: 3, 2: 2}
"""Pairs in all, by lanes, up to which an item's stay together, as items then have all lanes to themselves."""

_LANES = {backend.name: backend.lanes.width for backend in CPU_BACKENDS}

MOST_PREPARED = 16
"""Points that are prepared together, at most."""

FEW_PARTS = 8
"""Parts of an item whose values a lane multiplies; one of more parts is finished alone."""


class Pairing:
    """The pairing of a curve; `pairings.get("bn254")`, for example.

    Args:
        spec: its parameters.
    """

    def __init__(self, spec: PairingSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self._words = spec.field.words
        self._one = np.zeros((12, self._words), np.uint64)
        self._one[0, 0] = 1

    def prepare(self, points: Points) -> Prepared:
        """Fixed points of G2 whose lines are kept: a pair with one of them costs about half.

        Args:
            points: uint64 (f, 2, 2, L), up to `MOST_PREPARED` of them.

        Raises:
            ArgumentError: another shape or dtype, or more points.
        """
        self._require(points, "points", (2, 2, self._words))
        if len(points) > MOST_PREPARED:
            raise ArgumentError("points", f"{len(points)} points", f"at most {MOST_PREPARED}")
        return Prepared(self.spec, points)

    def product(
        self,
        first: Points,
        second: Points,
        offsets: Any,
        *,
        prepared: Prepared | None = None,
        against: Points | None = None,
        backend: str = "auto",
    ) -> Values:
        """Π e(Pⱼ, Qⱼ) over offsets[i] ≤ j < offsets[i + 1], for each of n items; one for no pairs.

        Args:
            first, second: m points of G1 and of G2.
            offsets: n + 1 ascending whole numbers from 0 to m.
            prepared: f fixed points of G2, what `prepare` returned.
            against: uint64 (n, f, 2, L), the points of G1 that each item pairs with them besides.
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.

        Returns:
            uint64 (n, 12, L).

        Raises:
            ArgumentError: another shape or dtype, or other offsets; prepared points of another pairing.
            BackendUnavailable: the named backend cannot run here.
        """
        ends = self._checked(first, second, offsets)
        fixed, others = self._fixed(prepared, against, len(ends) - 1)
        counts = np.diff(ends)
        if not len(first) and not others.size:
            return np.tile(self._one, (len(counts), 1, 1))
        together = self._together(len(first) + -(-others.shape[1] * len(counts) // 2), counts, backend)
        most = int(counts.max())
        if most > together and len(fixed):
            # Cut into parts, an item would pay for the fixed points in every lane.
            first, second, ends = _mixed(first, second, ends, fixed, others)
            return self.product(first, second, ends, backend=backend)
        if (counts == most).all() and most <= together:
            p, q = (points.reshape(len(counts), most, *points.shape[1:]) for points in (first, second))
            values = self._loops(p, q, others, fixed, backend)
            return self._powers(values[:, None], backend)
        results = np.tile(self._one, (len(counts), 1, 1))
        values, parts = self._parts(first, second, ends, together, others, fixed, backend)
        numbers = np.diff(parts)
        few = np.flatnonzero((numbers > 0) & (numbers <= FEW_PARTS))
        if few.size:
            results[few] = self._products(values, parts[few], numbers[few], backend)
        for item in np.flatnonzero(numbers > FEW_PARTS):
            results[item] = self._products(values, parts[item : item + 1], numbers[item : item + 1], backend)[
                0
            ]
        return results

    def check(
        self,
        first: Points,
        second: Points,
        offsets: Any,
        *,
        prepared: Prepared | None = None,
        against: Points | None = None,
        backend: str = "auto",
    ) -> Verdicts:
        """int8 (n,): 1 where `product` is one, else 0. Arguments and errors are those of `product`."""
        values = self.product(first, second, offsets, prepared=prepared, against=against, backend=backend)
        verdicts: Verdicts = (values == self._one).all(axis=(1, 2)).astype(np.int8)
        return verdicts

    def _together(self, pairs: int, counts: Offsets, backend: str) -> int:
        """How many pairs of an item go together: so few as to fill the lanes, or all where an item has the lanes to
        itself."""
        width, side_by_side = self._lanes(backend)
        share = pairs if pairs <= FEW_PAIRS.get(width, 0) else -(-int(counts.sum()) // side_by_side)
        return max(1, int(min(counts.max(), TOGETHER, share)))

    def _lanes(self, backend: str) -> tuple[int, int]:
        """The lanes of a processor, of a GPU 0; and the parts that are computed at the same time: fewer would leave lanes
        empty, and more share fewer squares."""
        name = resolve(f"{self.name}.pairing.miller_loop", backend).name
        return (0, ITEMS_OF_A_GPU) if name == "cuda" else (_LANES[name], _LANES[name] * get_threads())

    def _require(self, points: Any, name: str, shape: tuple[int, ...], first: str = "m") -> None:
        if (
            not isinstance(points, np.ndarray)
            or points.dtype != np.uint64
            or points.ndim != 1 + len(shape)
            or points.shape[1:] != shape
        ):
            came = f"{points.dtype} {points.shape}" if isinstance(points, np.ndarray) else type(points)
            wanted = f"a uint64 array of shape ({first}, {', '.join(map(str, shape))})"
            raise ArgumentError(name, str(came), wanted)

    def _checked(self, first: Any, second: Any, offsets: Any) -> Offsets:
        self._require(first, "first", (2, self._words))
        self._require(second, "second", (2, 2, self._words))
        if len(first) != len(second):
            raise ArgumentError("second", f"{len(second)} points", f"{len(first)}, as many as 'first'")
        return bounds(offsets, len(first))

    def _fixed(self, prepared: Any, against: Any, items: int) -> tuple[Prepared, Points]:
        """The prepared points, and the points of G1 that meet them; none of both if there are none."""
        if prepared is None:
            if against is not None:
                raise ArgumentError("against", type(against).__name__, "nothing where nothing is prepared")
            return nothing_prepared(self.spec), np.zeros((items, 0, 2, self._words), np.uint64)
        if not isinstance(prepared, Prepared) or prepared.spec is not self.spec:
            came = prepared.spec.name if isinstance(prepared, Prepared) else type(prepared).__name__
            raise ArgumentError("prepared", came, f"what the pairing of {self.name} prepared")
        self._require(against, "against", (len(prepared), 2, self._words), "n")
        if len(against) != items:
            raise ArgumentError("against", f"{len(against)} rows", f"{items}, one for each item")
        return prepared, against

    def _parts(
        self,
        first: Points,
        second: Points,
        ends: Offsets,
        together: int,
        others: Points,
        fixed: Prepared,
        backend: str,
    ) -> tuple[Values, Offsets]:
        """The Miller loops of parts of so many pairs, and at which part each item begins."""
        numbers = -(-np.diff(ends) // together)
        if len(fixed):  # no item is cut, and one without a pair is a part all the same
            numbers = np.ones_like(numbers)
        parts = np.concatenate(([0], np.cumsum(numbers)))
        item = np.repeat(np.arange(len(numbers)), numbers)
        begins = ends[item] + (np.arange(parts[-1]) - parts[item]) * together
        pairs = begins[:, None] + np.arange(together)
        there = pairs < ends[item + 1][:, None]
        pairs[~there] = 0
        p, q = first[pairs], second[pairs]
        p[~there], q[~there] = 0, 0
        return self._loops(p, q, others[item], fixed, backend), parts

    def _loops(self, p: Points, q: Points, others: Points, fixed: Prepared, backend: str) -> Values:
        """The products of the Miller loops of the pairs in each row."""
        output = ((12, self._words), np.uint64)
        operation = f"{self.name}.pairing.miller_loop"
        inputs = p, q, others
        (values,) = compute(operation, inputs, len(p), (output,), options=(fixed,), backend=backend)
        return values  # type: ignore[no-any-return]

    def _products(self, values: Values, begins: Offsets, numbers: Offsets, backend: str) -> Values:
        """The last powers of products of `numbers` values each, which begin at these rows."""
        rows = begins[:, None] + np.arange(numbers.max())
        there = rows < (begins + numbers)[:, None]
        rows[~there] = 0
        factors = values[rows]
        factors[~there] = self._one
        return self._powers(factors, backend)

    def _powers(self, factors: Values, backend: str) -> Values:
        """The last powers of the products of each row's values."""
        output = ((12, self._words), np.uint64)
        operation = f"{self.name}.pairing.final_exponentiation"
        (results,) = compute(operation, (factors,), len(factors), (output,), backend=backend)
        return results  # type: ignore[no-any-return]


def _mixed(
    first: Points, second: Points, ends: Offsets, fixed: Prepared, others: Points
) -> tuple[Points, Points, Offsets]:
    """All pairs of each item side by side, those with fixed points behind its own."""
    items, count = others.shape[:2]
    row = np.concatenate((np.repeat(np.arange(items), np.diff(ends)), np.repeat(np.arange(items), count)))
    order = np.argsort(row, kind="stable")
    left = np.concatenate((first, others.reshape(-1, *first.shape[1:])))
    right = np.concatenate((second, np.tile(fixed.points, (items, 1, 1, 1))))
    return left[order], right[order], ends + count * np.arange(items + 1)


@functools.cache
def get(curve: str) -> Pairing:
    """The pairing of `bn254` or of `bls12_381`.

    Raises:
        ArgumentError: another name.
    """
    if curve not in PAIRINGS:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, PAIRINGS)))
    return Pairing(PAIRINGS[curve])
