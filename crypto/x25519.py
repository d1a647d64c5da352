# SPDX-License-Identifier: GPL-3.0-or-later
"""X25519 (RFC 7748) of one secret with many public keys: what finds the messages that were encrypted to somebody.

The lanes take the same steps whatever the secret is, but nothing here is claimed to be constant-time; a key agreement with
somebody who measures belongs to `cryptography`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from supervm.crypto.arguments import rows
from supervm.crypto.calls import Output, compute
from supervm.crypto.one import bytes_of
from supervm.crypto.params.curve25519 import A24, FP
from supervm.crypto.signatures.batch import VERDICT, for_slices
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import borrow, words
from supervm.kernels.cpu.backends import CpuBackend, register_on_cpu
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.curves.ladder import ladder_slice
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cuda.runtime.arrays import fetched

__all__ = ["multiply_batch"]

OPERATION = "x25519"
_BITS = 255
_ROW: Output = ((32,), np.uint8)


def multiply_batch(secret: bytes, public_keys: Bytes, *, backend: str = "auto") -> tuple[Bytes, Verdicts]:
    """X25519(secret, u) of n abscissas u.

    Args:
        secret: 32 bytes, clamped here.
        public_keys: uint8 (n, 32), any bytes: bit 255 is ignored, and what is not below p is reduced.
        backend: `auto`, or a processor's that the registry lists for `x25519`.

    Returns:
        uint8 (n, 32), and int8 (n,): 1, or 0 where the result is zero, as that of every point of small order is.

    Raises:
        ArgumentError: a secret that is not 32 bytes, keys of another shape or dtype.
        BackendUnavailable: the named backend cannot run here.

    >>> base = np.zeros((1, 32), np.uint8)
    >>> base[0, 0] = 9
    >>> multiply_batch(bytes(31) + b"\\1", base)[0][0, :4].tobytes().hex()
    'fd3384e1'
    """
    scalar = np.frombuffer(bytes_of(secret, "secret", 32), "<u8").tolist()
    keys = rows(fetched(public_keys, "public_keys"), "public_keys", 32)
    found = compute(OPERATION, (keys,), len(keys), (_ROW, VERDICT), options=(tuple(scalar),), backend=backend)
    return found[0], found[1]


def _multiply(
    ladder: Bound, keys: Bytes, secret: tuple[int, ...], results: Bytes, verdicts: Verdicts
) -> None:
    scalar = np.array(secret, np.uint64)
    scalar[0] &= ~np.uint64(7)
    scalar[3] = scalar[3] & np.uint64((1 << 62) - 1) | np.uint64(1 << 62)
    abscissas, found = borrow(words(keys)), results.reshape(-1).view(np.uint64)
    for_slices(
        len(verdicts),
        lambda start, stop: ladder(A24, _BITS, abscissas, scalar, start, stop, found, verdicts),
    )


def _made(backend: CpuBackend) -> partial[None]:
    return partial(_multiply, Bound(ladder_slice, Field(FP, backend.lanes)))


register_on_cpu(OPERATION, _made)
