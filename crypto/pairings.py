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
from supervm.crypto.pairing_operations import PAIRINGS
from supervm.kernels.array_types import Verdicts
from supervm.kernels.cpu.backends import CPU_BACKENDS
from supervm.kernels.errors import ArgumentError
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.registry import resolve
from supervm.kernels.threads import get_threads

__all__ = ["Pairing", "get"]

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

    def product(self, first: Points, second: Points, offsets: Any, *, backend: str = "auto") -> Values:
        """Π e(Pⱼ, Qⱼ) over offsets[i] ≤ j < offsets[i + 1], for each of n items; one for no pairs.

        Args:
            first, second: m points of G1 and of G2.
            offsets: n + 1 ascending whole numbers from 0 to m.
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.

        Returns:
            uint64 (n, 12, L).

        Raises:
            ArgumentError: another shape or dtype, or other offsets.
            BackendUnavailable: the named backend cannot run here.
        """
        ends = self._checked(first, second, offsets)
        counts = np.diff(ends)
        results = np.tile(self._one, (len(counts), 1, 1))
        if not len(first):
            return results
        width, side_by_side = self._lanes(backend)
        share = len(first) if len(first) <= FEW_PAIRS.get(width, 0) else -(-len(first) // side_by_side)
        together = int(min(counts.max(), TOGETHER, share))
        values, parts = self._parts(first, second, ends, together, backend)
        numbers = np.diff(parts)
        few = np.flatnonzero((numbers > 0) & (numbers <= FEW_PARTS))
        if few.size:
            results[few] = self._powers(values, parts[few], numbers[few], backend)
        for item in np.flatnonzero(numbers > FEW_PARTS):
            results[item] = self._powers(values, parts[item : item + 1], numbers[item : item + 1], backend)[0]
        return results

    def check(self, first: Points, second: Points, offsets: Any, *, backend: str = "auto") -> Verdicts:
        """int8 (n,): 1 where `product` is one, else 0. Arguments and errors are those of `product`."""
        values = self.product(first, second, offsets, backend=backend)
        verdicts: Verdicts = (values == self._one).all(axis=(1, 2)).astype(np.int8)
        return verdicts

    def _lanes(self, backend: str) -> tuple[int, int]:
        """The lanes of a processor, of a GPU 0; and the parts that are computed at the same time: fewer would leave lanes
        empty, and more share fewer squares."""
        name = resolve(f"{self.name}.pairing.miller_loop", backend).name
        return (0, ITEMS_OF_A_GPU) if name == "cuda" else (_LANES[name], _LANES[name] * get_threads())

    def _checked(self, first: Any, second: Any, offsets: Any) -> Offsets:
        L = self._words
        for name, points, shape in (("first", first, (2, L)), ("second", second, (2, 2, L))):
            if (
                not isinstance(points, np.ndarray)
                or points.dtype != np.uint64
                or points.ndim != 1 + len(shape)
                or points.shape[1:] != shape
            ):
                came = f"{points.dtype} {points.shape}" if isinstance(points, np.ndarray) else type(points)
                wanted = f"a uint64 array of shape (m, {', '.join(map(str, shape))})"
                raise ArgumentError(name, str(came), wanted)
        if len(first) != len(second):
            raise ArgumentError("second", f"{len(second)} points", f"{len(first)}, as many as 'first'")
        return bounds(offsets, len(first))

    def _parts(
        self, first: Points, second: Points, ends: Offsets, together: int, backend: str
    ) -> tuple[Values, Offsets]:
        """The Miller loops of parts of so many pairs, and at which part each item begins."""
        numbers = -(-np.diff(ends) // together)
        parts = np.concatenate(([0], np.cumsum(numbers)))
        item = np.repeat(np.arange(len(numbers)), numbers)
        begins = ends[item] + (np.arange(parts[-1]) - parts[item]) * together
        pairs = begins[:, None] + np.arange(together)
        there = pairs < ends[item + 1][:, None]
        pairs[~there] = 0
        p, q = first[pairs], second[pairs]
        p[~there], q[~there] = 0, 0
        shape = (12, self._words)
        operation = f"{self.name}.pairing.miller_loop"
        (values,) = compute(operation, (p, q), len(p), ((shape, np.uint64),), backend=backend)
        return values, parts

    def _powers(self, values: Values, begins: Offsets, numbers: Offsets, backend: str) -> Values:
        """The last powers of products of `numbers` values each, which begin at these rows."""
        rows = begins[:, None] + np.arange(numbers.max())
        there = rows < (begins + numbers)[:, None]
        rows[~there] = 0
        factors = values[rows]
        factors[~there] = self._one
        output = ((12, self._words), np.uint64)
        operation = f"{self.name}.pairing.final_exponentiation"
        (results,) = compute(operation, (factors,), len(factors), (output,), backend=backend)
        return results  # type: ignore[no-any-return]


@functools.cache
def get(curve: str) -> Pairing:
    """The pairing of `bn254` or of `bls12_381`.

    Raises:
        ArgumentError: another name.
    """
    if curve not in PAIRINGS:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, PAIRINGS)))
    return Pairing(PAIRINGS[curve])
