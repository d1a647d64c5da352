# SPDX-License-Identifier: GPL-3.0-or-later
"""Number-theoretic transforms over the scalar fields of BN254 and BLS12-381."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from supervm.crypto.arguments import flag
from supervm.crypto.polynomials.arguments import (
    FIELDS,
    SPECS,
    Elements,
    elements,
    shaped,
    shift_of,
    spec_of,
)
from supervm.crypto.polynomials.recheck import agrees
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import by_name, register_on_cpu
from supervm.kernels.cpu.ntt.plan import LARGEST, plan
from supervm.kernels.cuda import ntt as cuda_ntt
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.errors import ArgumentError
from supervm.kernels.registry import register, resolve, run
from supervm.kernels.spec import FieldSpec
from supervm.kernels.transform import Transform
from supervm.kernels.work import Function, Work

ORDERS = ("natural", "bit_reversed")

LARGEST_LOG = LARGEST
"""log₂ of the longest transform."""


def ntt(
    curve: str,
    values: Elements,
    *,
    inverse: bool = False,
    coset: int | bool | str | None = None,
    order: str = "natural",
    backend: str = "auto",
) -> Elements:
    """Values of polynomials at the powers of a root of unity, or back.

    Forward, from coefficients a: y[i] = Σⱼ a[j]·(g·ω^i)^j, with ω = generator^((r − 1)/n) and g the coset's shift or 1;
    inverse, from y to a. Memory and the tables are described in `supervm.kernels.cpu.ntt.plan`.

    Args:
        curve: `bn254` or `bls12_381`.
        values: uint64 (…, n, 4), canonical, little-endian words; n a power of two up to 2^26. Leading axes are a batch.
            An array that lies on a GPU is transformed there.
        inverse: from values to coefficients.
        coset: the shift g, an integer that is not 0 modulo r; True or "generator" for the field's generator (5 and 7).
        order: `natural`; or `bit_reversed`, where y stands in the order of its indices' bits read backwards: forward
            gives it so and inverse takes it so, which saves the intermediate. Coefficients are always in natural order.
        backend: `auto` or a backend of the operation `<curve>.ntt`.

    Returns:
        A new array of the shape of `values`, canonical; where `values` lies on a GPU, it does too (CuPy's).

    Raises:
        ArgumentError: an unknown curve or order, another shape or dtype, a size that is no power of two or too large, an
            element that is not canonical (its row is named, batch axes flattened), or a shift of 0.
        BackendUnavailable: the named backend cannot run here.
        DeviceError: `values` lies on a GPU, and it failed.
    """
    spec = spec_of(curve)
    values = viewed(values, "values")
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentError("order", repr(order), " or ".join(map(repr, ORDERS)))
    shift = shift_of(spec, coset)
    options = (flag(inverse, "inverse"), shift, order == "bit_reversed")
    if isinstance(values, DeviceArray):
        return _ntt_there(curve, values, options, backend)
    found = elements(spec, values, "values")
    check_size(spec, found.shape[-2])
    work = Transformation(curve, found, *options)
    run(work, backend)
    return work.out.reshape(found.shape)


def _ntt_there(curve: str, values: DeviceArray, options: tuple[bool, int, bool], backend: str) -> Any:
    """For an array that lies on a GPU, with the result there."""
    spec = spec_of(curve)
    size = shaped(values, "values", 2).shape[-2]
    check_size(spec, size)
    if backend not in ("auto", "cuda"):
        raise ArgumentError("backend", repr(backend), "'auto' or 'cuda' for arrays that lie on a GPU")
    resolve(f"{curve}.ntt", "cuda")
    device = values.device()
    with device.use():
        device.synchronize()  # whatever writes the values may be on a stream that nobody named
        if not cuda_ntt.canonical(device, spec, values):
            elements(spec, values.fetched(), "values")
        result = device.empty(values.shape, np.uint64)
        what = Transform(size.bit_length() - 1, *options)
        rows = (values.reshaped((-1, size, 4)), DeviceArray(result).reshaped((-1, size, 4)))
        cuda_ntt.transform(device, spec, rows[0], what, rows[1])
    return result


def check_size(spec: FieldSpec, size: int) -> None:
    """Is there a transform of this many elements?

    Raises:
        ArgumentError: there is none.
    """
    largest = min(LARGEST_LOG, spec.two_adicity)
    if size < 1 or size & (size - 1) or size > 1 << largest:
        raise ArgumentError("values", f"{size} elements", f"a power of two, up to 2^{largest}")


class Transformation(Work):
    """A call of a transform. Its items are elements; a transform is one piece.

    Args:
        curve: whose scalar field.
        values: contiguous, canonical, (…, n, 4).
        inverse, shift, reversed: as in `Transform`.
        out: (m, n, 4), written; made if it is not given.
    """

    def __init__(
        self,
        curve: str,
        values: Elements,
        inverse: bool = False,
        shift: int = 1,
        reversed: bool = False,
        out: Elements | None = None,
    ) -> None:
        self.curve, self.operation = curve, f"{curve}.ntt"
        size = values.shape[-2]
        self.values = values.reshape(-1, size, 4)
        self.what = Transform(size.bit_length() - 1, inverse, shift, reversed)
        self.out = np.empty(self.values.shape, np.uint64) if out is None else out
        self.items = self.values.shape[0] * size
        self.bytes = self.values.nbytes

    def run(self, function: Function) -> None:
        """Call `function(values, what, out)`."""
        function(self.values, self.what, self.out)

    def twin(self) -> Transformation:
        """The same transform of the same values with an `out` of its own, whose contents are unknown."""
        what = self.what
        return Transformation(self.curve, self.values, what.inverse, what.shift, what.reversed)

    def publish(self, other: Work) -> None:
        """Copy the result of a twin over this call's."""
        assert isinstance(other, Transformation)
        self.out[...] = other.out

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """Values against coefficients at a random point, for one of the polynomials; at share 1 everything is computed
        again and compared. A wrong transform passes at no more than n of the field's points.
        """
        if not self.items:
            return 0
        if share >= 1 or random.random() < share:
            again = self.twin()
            again.run(function)
            return int(not np.array_equal(self.out, again.out))
        row = int(random.integers(len(self.values)))
        coefficients, values = self.values[row], self.out[row]
        if self.what.inverse:
            coefficients, values = values, coefficients
        point = int.from_bytes(random.bytes(40), "little") % SPECS[self.curve].modulus
        return int(not agrees(self.curve, coefficients, values, self.what, point))


def _on_cpu(curve: str, backend: str, values: Elements, what: Transform, out: Elements) -> None:
    plan(FIELDS[curve, backend], what).run(borrow(values), out)


def _on_gpu(curve: str, values: Elements, what: Transform, out: Elements) -> None:
    cuda_ntt.transform(devices.working_device(), SPECS[curve], values, what, out)


for _curve in SPECS:
    register_on_cpu(f"{_curve}.ntt", by_name(_on_cpu, _curve))
    register(f"{_curve}.ntt", "cuda", functools.partial(_on_gpu, _curve), devices.unavailable)
