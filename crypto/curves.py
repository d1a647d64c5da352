# SPDX-License-Identifier: GPL-3.0-or-later
"""BN254 and BLS12-381: points of G1 and G2 in batches, their encodings and checks.

A point is affine, Jacobian (X, Y, Z with x = X/Z², y = Y/Z³) or extended, XYZZ (X, Y, ZZ, ZZZ with x = X/ZZ, y = Y/ZZZ,
ZZ³ = ZZZ²): uint64 arrays (n, 2, L), (n, 3, L) and (n, 4, L) in G1, (n, 2, 2, L) and so on in G2 with c₀ first. L is 4 for
BN254 and 6 for BLS12-381; words are little-endian, values canonical. Infinity is all zero in affine form; Z, or ZZ and
ZZZ, are zero in the others. Public data only: nothing here is constant-time.

>>> curve = get("bn254")
>>> curve.g1.to_bytes(curve.g1.double(curve.g1.generator[None]), encoding="eip196")[0, :4].tobytes().hex()
'030644e7'
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import snarkjs
from supervm.crypto.arguments import rows, same_count
from supervm.crypto.calls import compute
from supervm.crypto.cuda import points_there
from supervm.crypto.group_operations import GROUPS
from supervm.crypto.point_encodings import base_field, encoding_of, negated, read, write
from supervm.crypto.signatures.batch import VERDICT
from supervm.kernels.array_types import Verdicts
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.errors import ArgumentError
from supervm.kernels.point_checks import CURVE, FIELD, INFINITE, NONE, SUBGROUP
from supervm.kernels.spec import GroupSpec

__all__ = ["Curve", "Group", "get"]

Points = npt.NDArray[np.uint64]

CHECKS = {"none": NONE, "field": FIELD, "curve": CURVE, "subgroup": SUBGROUP}
FORMS = {"affine": 2, "jacobian": 3, "xyzz": 4}
"""Coordinates of a point in each form."""


class Group:
    """One of the groups; `curves.get("bn254").g1`, for example.

    Args:
        spec: its parameters.
    """

    def __init__(self, spec: GroupSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.order = spec.order
        self._words = base_field(spec).words
        self._shape = (spec.field.words // self._words, self._words)[spec.field.words == self._words :]
        self.generator = snarkjs.to_words(spec, [*spec.base, 1]).reshape(2, *self._shape)
        self.generator.flags.writeable = False

    # Encodings -------------------------------------------------------------------------------------------

    def from_bytes(
        self, data: Any, encoding: str, check: str = "subgroup", backend: str = "auto"
    ) -> tuple[Points, Verdicts]:
        """Points from their encodings.

        Args:
            data: uint8 (n, bytes of the encoding); for `limbs`, points as this class has them. An array on a GPU is read
                there, and so the results are arrays there.
            encoding: `limbs`, `big`, `little`, `eip196`, `eip197`, `eip2537`, `zcash_compressed`, `zcash_uncompressed`,
                `arkworks` or `arkworks_compressed`; what each accepts is in `docs/curves.md` and
                `supervm.crypto.oracle.point_encodings`.
            check: `none`, `field` (coordinates below p), `curve` or `subgroup`, each with those before it. A compressed
                point is on the curve in any case.
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.

        Returns:
            Affine points, zeros where a verdict is not 1, and int8 (n,): 1 valid, 0 a point of the curve that is not in
            the subgroup, −1 malformed. With `none` coordinates are what the bytes say.

        Raises:
            ArgumentError: data of another shape or dtype, an encoding that this group does not have, an unknown check.
            BackendUnavailable: the named backend cannot run here.
        """
        if not isinstance(check, str) or check not in CHECKS:
            raise ArgumentError("check", repr(check), f"one of {', '.join(CHECKS)}")
        if encoding == "limbs":
            view = viewed(data, "data")
            if isinstance(view, DeviceArray):
                self._require_shape(view, "data", 2)
                return points_there(self.name, view, (CHECKS[check],), (2, *self._shape), backend)
            words = self._rows(data, "data", 2)
            return self._decode(words, _infinity_flags(words), False, CHECKS[check], backend)
        form = encoding_of(self.spec, encoding)
        given = rows(data, "data", form.length(self.spec))
        if isinstance(given, DeviceArray):
            options = (*form.numbers, CHECKS[check])
            return points_there(self.name, given, options, (2, *self._shape), backend)
        words, flags = read(self.spec, form, given)
        return self._decode(words, flags, form.compressed, CHECKS[check], backend)

    def to_bytes(self, points: Any, encoding: str, backend: str = "auto") -> npt.NDArray[Any]:
        """Encodings of affine points.

        Args:
            points: affine points, or one without the first axis.
            encoding: as in `from_bytes`.
            backend: of the check of the points.

        Returns:
            uint8 (n, bytes), or (bytes,) for one point; for `limbs` the points themselves, copied.

        Raises:
            ArgumentError: another shape or dtype, or a point that is not on the curve, by its row.
        """
        single = isinstance(points, np.ndarray) and points.ndim == 1 + len(self._shape)
        words = self._rows(points[None] if single else points, "points", 2)
        form = None if encoding == "limbs" else encoding_of(self.spec, encoding)
        self._require_on_curve(words, "points", backend)
        if form is None:
            result: npt.NDArray[Any] = words.copy().reshape(-1, 2, *self._shape)
        else:
            result = write(self.spec, form, words)
        return result[0] if single else result

    def from_snarkjs(
        self, points: Sequence[Any], check: str = "subgroup", backend: str = "auto"
    ) -> tuple[Points, Verdicts]:
        """Points from snarkjs' JSON: each [x, y, z] of decimal strings, pairs [c₀, c₁] of them in G2; z is one or zero.

        Returns, and raises, what `from_bytes` does. Malformed besides: what is no list of three, a number that is not
        made of decimal digits alone, z other than one and zero. Where z is zero x and y must be below p and say nothing.
        """
        words, flags = snarkjs.read(self.spec, points)
        if not isinstance(check, str) or check not in CHECKS:
            raise ArgumentError("check", repr(check), f"one of {', '.join(CHECKS)}")
        return self._decode(words, flags, False, CHECKS[check], backend)

    def to_snarkjs(self, points: Any, backend: str = "auto") -> list[Any]:
        """The inverse of `from_snarkjs`: a list of n points; infinity is [0, 1, 0].

        Raises:
            ArgumentError: as `to_bytes`.
        """
        words = self._rows(points, "points", 2)
        self._require_on_curve(words, "points", backend)
        return snarkjs.write(self.spec, words)

    # Checks ----------------------------------------------------------------------------------------------

    def on_curve(self, points: Any, backend: str = "auto") -> Verdicts:
        """int8 (n,): 1 for infinity and points of the curve, −1 for all others."""
        words = self._rows(points, "points", 2)
        return self._decode(words, _infinity_flags(words), False, CURVE, backend)[1]

    def in_subgroup(self, points: Any, backend: str = "auto") -> Verdicts:
        """int8 (n,): 1 for points of the subgroup, 0 for others of the curve, −1 for what is not on the curve."""
        words = self._rows(points, "points", 2)
        (verdicts,) = compute(f"{self.name}.subgroup", (words,), len(words), (VERDICT,), backend=backend)
        return verdicts  # type: ignore[no-any-return]

    # Arithmetic ------------------------------------------------------------------------------------------

    def add(self, a: Any, b: Any, form: str = "affine", backend: str = "auto") -> Points:
        """aᵢ + bᵢ for all points of the curve, in the subgroup or not.

        Args:
            a, b: n points each, in any form.
            form: of the result: `affine`, `jacobian` or `xyzz`.
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.

        Raises:
            ArgumentError: another shape or dtype, other lengths, or a point that is not on the curve, by its row.
            BackendUnavailable: the named backend cannot run here.
        """
        first, second = self._affine(a, "a", backend), self._affine(b, "b", backend)
        same_count(len(first), "a", {"b": len(second)})
        return self._formed(self._add(first, second, "a", "b", backend), form)

    def double(self, a: Any, form: str = "affine", backend: str = "auto") -> Points:
        """2·aᵢ; arguments and errors as `add`."""
        first = self._affine(a, "a", backend)
        return self._formed(self._add(first, first, "a", "a", backend), form)

    def negate(self, a: Any, form: str = "affine", backend: str = "auto") -> Points:
        """−aᵢ; arguments and errors as `add`."""
        words = self._affine(a, "a", backend)
        self._require_on_curve(words, "a", backend)
        return self._formed(negated(self.spec, words), form)

    def multiply(self, points: Any, scalars: Any, form: str = "affine", backend: str = "auto") -> Points:
        """kᵢ·Pᵢ for all points of the curve.

        Args:
            points: n points, in any form.
            scalars: uint64 (n, 4), integers below 2^256, little end first. They are not reduced modulo the order, which
                would be wrong outside the subgroup and changes nothing in it.
            form, backend: as in `add`.

        Raises:
            ArgumentError: as `add`.
        """
        words = self._affine(points, "points", backend)
        if (
            not isinstance(scalars, np.ndarray)
            or scalars.dtype != np.uint64
            or scalars.ndim != 2
            or scalars.shape[1] != 4
        ):
            raise ArgumentError("scalars", _came(scalars), "a uint64 array of shape (n, 4)")
        same_count(len(words), "points", {"scalars": len(scalars)})
        columns = (words, np.ascontiguousarray(scalars))
        results = self._run("multiply", columns, len(words), backend)
        self._refuse(results[1], "points")
        return self._formed(results[0], form)

    def sum(self, points: Any, form: str = "affine", backend: str = "auto") -> Points:
        """Σ Pᵢ, one point without a first axis; infinity for no points. Arguments and errors as `add`."""
        words = self._affine(points, "points", backend)
        self._require_on_curve(words, "points", backend)
        while len(words) > 1:
            half = len(words) // 2
            pairs = self._add(words[:half], words[half : 2 * half], "points", "points", backend)
            words = np.concatenate((pairs, words[2 * half :]))
        if not len(words):
            words = np.zeros((1, 2 * self.spec.field.words), np.uint64)
        total: Points = self._formed(words, form)[0]
        return total

    # Forms -----------------------------------------------------------------------------------------------

    def normalise(self, points: Any, backend: str = "auto") -> Points:
        """Affine points from Jacobian or extended ones; affine ones are copied.

        Whether they are on the curve is not checked.

        Raises:
            ArgumentError: another shape or dtype, coordinates that are not canonical or, in extended form, ZZ³ ≠ ZZZ²,
                by their row.
        """
        return self._formed(self._affine(points, "points", backend).copy(), "affine")

    def convert(self, points: Any, form: str, backend: str = "auto") -> Points:
        """Points of any form in another: `affine`, `jacobian` or `xyzz`, with Z = 1; errors as `normalise`."""
        return self._formed(self._affine(points, "points", backend).copy(), form)

    # Inside ----------------------------------------------------------------------------------------------

    def _rows(self, points: Any, argument: str, *coordinates: int) -> Points:
        """Points as rows of words."""
        self._require_shape(points, argument, *coordinates)
        row = points.shape[1] * self.spec.field.words
        return np.ascontiguousarray(points).reshape(len(points), row)

    def _require_shape(self, points: Any, argument: str, *coordinates: int) -> None:
        if (
            not isinstance(points, (np.ndarray, DeviceArray))
            or points.dtype != np.uint64
            or points.ndim != 2 + len(self._shape)
            or points.shape[1] not in coordinates
            or points.shape[2:] != self._shape
        ):
            shapes = (f"(n, {count}, {', '.join(map(str, self._shape))})" for count in coordinates)
            raise ArgumentError(argument, _came(points), f"a uint64 array of shape {' or '.join(shapes)}")

    def _affine(self, points: Any, argument: str, backend: str) -> Points:
        """Points of any form as rows of affine words."""
        words = self._rows(points, argument, *FORMS.values())
        if words.shape[1] == 2 * self.spec.field.words:
            return words
        results, verdicts = self._run("normalise", (words,), len(words), backend)
        self._refuse(verdicts, argument, "canonical coordinates, in extended form with ZZ³ = ZZZ²")
        return results

    def _formed(self, words: Points, form: str) -> Points:
        """Rows of affine words as points of a form."""
        if not isinstance(form, str) or form not in FORMS:
            raise ArgumentError("form", repr(form), f"one of {', '.join(FORMS)}")
        size, extra = self.spec.field.words, FORMS[form] - 2
        whole = np.zeros((len(words), 2 + extra, size), np.uint64)
        whole[:, :2] = words.reshape(len(words), 2, size)
        if extra:
            infinite = np.flatnonzero(_infinity_flags(words))
            whole[:, 2:, 0] = 1
            whole[infinite, 2:, 0] = 0
            whole[infinite, :2, 0] = 1
        return whole.reshape(len(words), 2 + extra, *self._shape)

    def _run(
        self,
        operation: str,
        columns: tuple[Any, ...],
        items: int,
        backend: str,
        options: tuple[Any, ...] = (),
    ) -> tuple[Points, Verdicts]:
        outputs = (((2 * self.spec.field.words,), np.uint64), VERDICT)
        name = f"{self.name}.{operation}"
        points, verdicts = compute(name, columns, items, outputs, options=options, backend=backend)
        return points, verdicts

    def _decode(
        self, words: Points, flags: Verdicts, compressed: bool, check: int, backend: str
    ) -> tuple[Points, Verdicts]:
        options = (compressed, check)
        points, verdicts = self._run("decode", (words, flags), len(words), backend, options)
        return points.reshape(-1, 2, *self._shape), verdicts

    def _add(self, first: Points, second: Points, a: str, b: str, backend: str) -> Points:
        results, verdicts = self._run("add", (first, second), len(first), backend)
        if (verdicts != 1).any():
            self._require_on_curve(first, a, backend)
            self._require_on_curve(second, b, backend)
        return results

    def _require_on_curve(self, words: Points, argument: str, backend: str) -> None:
        self._refuse(self._decode(words, _infinity_flags(words), False, CURVE, backend)[1], argument)

    @staticmethod
    def _refuse(
        verdicts: Verdicts, argument: str, expected: str = "canonical points on the curve, infinity all zero"
    ) -> None:
        bad = np.flatnonzero(verdicts != 1)
        if bad.size:
            raise ArgumentError(argument, f"row {bad[0]}, which is none", expected)


def _came(array: Any) -> str:
    known = isinstance(array, (np.ndarray, DeviceArray))
    return f"{array.dtype} {array.shape}" if known else type(array).__name__


def _infinity_flags(words: Points) -> Verdicts:
    return np.where(words.any(axis=1), 0, INFINITE).astype(np.int8)


@dataclass(frozen=True)
class Curve:
    """A pairing-friendly curve: its name, the prime order of its groups, and the groups."""

    name: str
    order: int
    g1: Group
    g2: Group


def get(name: str) -> Curve:
    """`bn254` or `bls12_381`.

    Raises:
        ArgumentError: another name.
    """
    names = sorted({key.partition(".")[0] for key in GROUPS})
    if name not in names:
        raise ArgumentError("name", repr(name), f"one of {', '.join(names)}")
    return _get(name)


@functools.cache
def _get(name: str) -> Curve:
    g1, g2 = (Group(GROUPS[f"{name}.{group}"]) for group in ("g1", "g2"))
    return Curve(name, g1.order, g1, g2)
