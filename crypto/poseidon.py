# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 over the scalar fields of BN254 and BLS12-381: hashes, sponges and permutations in batches.

Elements are four little-endian 64-bit words of a canonical value. Parameters and their sources: `params/poseidon.py`;
widths t are 2 … 17 for `variant="poseidon"`, and those with published parameters for `variant="poseidon2"`: 2, 3 and 4 for
BN254, 2, 3, 4 and 8 for BLS12-381. Nothing here is constant-time: inputs are public.

Two uses of one permutation:

- `hash_batch`: t − 1 inputs beside a capacity element of zero, one permutation, the first element of the state. Poseidon has
  the capacity first and then the inputs, which is circomlib's `Poseidon(t − 1)`; Poseidon2 has the inputs first and the
  capacity last, which is `compress` of the Merkle tree in HorizenLabs/poseidon2.
- `sponge_batch`: a message of any length by the domain separation of the Poseidon paper (eprint 2019/458, section 4.2),
  with the same places: blocks of t − 1 elements are added to the inputs' places, a permutation after each, and the first
  element is the digest. Messages of equal length (an array) are its constant-input-length hash: the capacity element
  starts as length · 2^64, and zeros fill the last block; an empty message is one block of zeros. Messages of any lengths
  (elements and offsets) are its variable-input-length hash: the capacity element starts as 2^64, and a one and then
  zeros follow the message up to the end of a block, in one more block where the last is full.

Within each use no two messages give the permutation the same input. Between uses the paper's capacity elements separate all
messages except two pairs: the message (1) of known length 1 and the empty message of variable length, both 2^64 and a one;
and the empty message of known length 0 and `hash_batch` of zeros. Use only one of them in a protocol, or separate domains
in the input.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda
from supervm.crypto.calls import compute
from supervm.crypto.params.poseidon import OPERATIONS, SPONGES, named, specification
from supervm.kernels.array_types import Words
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.fields.range_check import first_above
from supervm.kernels.cpu.hashes.poseidon import Permutation, hash_into, sponge_into
from supervm.kernels.cuda.runtime.arrays import DeviceArray, viewed
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec
from supervm.kernels.work import Ragged

__all__ = ["hash_batch", "permutation", "permute_batch", "sponge_batch"]


_LANES = {backend.name: backend.lanes for backend in CPU_BACKENDS}
_WORDS = 4
_BYTES = 8 * _WORDS


def hash_batch(curve: str, inputs: Words, *, variant: str = "poseidon", backend: str = "auto") -> Words:
    """The hash of each row of t − 1 elements.

    Args:
        curve: `bn254` or `bls12_381`, whose scalar field is meant.
        inputs: uint64 (n, t − 1, 4), values below the modulus.
        variant: `poseidon` or `poseidon2`.
        backend: `auto`, or one that the registry lists for the operation.

    Returns:
        uint64 (n, 4); on the GPU, if the inputs lie there.

    Raises:
        ArgumentError: another curve, variant, width, shape or dtype, or a value that is not below the modulus.
        BackendUnavailable: the named backend cannot run here.

    >>> one_and_two = np.array([[[1, 0, 0, 0], [2, 0, 0, 0]]], np.uint64)
    >>> hex(hash_batch("bn254", one_and_two)[0, 3])
    '0x115cc0f5e7d69041'
    """
    columns = _elements(inputs, "inputs", 3)
    spec = specification(curve, columns.shape[1] + 1, variant)
    _check(curve, columns, "inputs", spec.field)
    digests: Words
    (digests,) = compute(spec.name, (columns,), len(columns), (((_WORDS,), np.uint64),), backend=backend)
    return digests


def permute_batch(curve: str, states: Words, *, variant: str = "poseidon", backend: str = "auto") -> Words:
    """The permutation of each row of t elements.

    Args:
        curve: `bn254` or `bls12_381`.
        states: uint64 (n, t, 4), values below the modulus.
        variant: `poseidon` or `poseidon2`.
        backend: as for `hash_batch`.

    Returns:
        uint64 (n, t, 4).

    Raises: as `hash_batch`.
    """
    columns = _elements(states, "states", 3)
    width = columns.shape[1]
    spec = specification(curve, width, variant)
    _check(curve, columns, "states", spec.field)
    permuted: Words
    output = ((width, _WORDS), np.uint64)
    (permuted,) = compute(spec.name, (columns,), len(columns), (output,), backend=backend)
    return permuted


def sponge_batch(
    curve: str,
    messages: Words | tuple[Words, npt.NDArray[np.int64]],
    *,
    width: int = 3,
    variant: str = "poseidon",
    backend: str = "auto",
) -> Words:
    """The digest of each message of field elements, by the sponge that this module's text describes.

    Args:
        curve: `bn254` or `bls12_381`.
        messages: uint64 (n, length, 4), whose length everybody knows; or, for messages of any lengths, (elements,
            offsets) with uint64 (m, 4) and int64 (n + 1,), message i being elements[offsets[i]:offsets[i + 1]].
        width: t; a permutation takes t − 1 elements.
        variant: `poseidon` or `poseidon2`.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        uint64 (n, 4).

    Raises: as `hash_batch`; and ArgumentError where offsets are not ascending within the elements.
    """
    spec = specification(curve, width, variant)
    padded = isinstance(messages, tuple)
    if isinstance(messages, tuple):
        elements = _elements(_here(messages[0]), "messages", 2)
        offsets = _offsets(messages[1], len(elements))
        _check(curve, elements, "messages", spec.field)
    else:
        rows = _elements(_here(messages), "messages", 3)
        _check(curve, rows, "messages", spec.field)
        elements = rows.reshape(-1, _WORDS)
        offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    data = Ragged(elements.reshape(-1).view(np.uint8), offsets * _BYTES)
    digests: Words
    (digests,) = compute(
        f"{curve}.{variant}.sponge",
        (data,),
        offsets.size - 1,
        (((_WORDS,), np.uint64),),
        options=(spec.width, padded),
        backend=backend,
    )
    return digests


def permutation(curve: str, width: int, *, variant: str = "poseidon", backend: str) -> Permutation:
    """What `supervm.kernels.cpu.hashes.poseidon.hash_into` takes, for trees: a permutation in a CPU backend's lanes.

    Args:
        curve, variant: as for `hash_batch`.
        width: t.
        backend: one of the processor.

    Raises:
        ArgumentError: another curve, variant or width.
    """
    return _permutation(specification(curve, width, variant).name, backend)


@functools.cache
def _permutation(operation: str, backend: str) -> Permutation:
    return Permutation.of(named(operation), _LANES[backend])


def _elements(array: Any, argument: str, dimensions: int) -> Any:
    """`array` as contiguous rows of elements: a NumPy array, or a `DeviceArray` of one that lies on a GPU."""
    found = viewed(array, argument)
    known = isinstance(found, (np.ndarray, DeviceArray))
    if not known or found.dtype != np.uint64 or found.ndim != dimensions or found.shape[-1] != _WORDS:
        came = f"{found.dtype} {found.shape}" if known else type(array).__name__
        shape = "(n, elements, 4)" if dimensions == 3 else "(elements, 4)"
        raise ArgumentError(argument, came, f"a uint64 array of shape {shape}")
    return found if isinstance(found, DeviceArray) else np.ascontiguousarray(found)


def _here(array: Any) -> Any:
    """An array that a sponge takes: none that lies on a GPU yet, since offsets are made and checked here."""
    if isinstance(viewed(array, "messages"), DeviceArray):
        raise ArgumentError("messages", "an array on a GPU", "a NumPy array")
    return array


def _offsets(offsets: Any, count: int) -> npt.NDArray[np.int64]:
    if (
        not isinstance(offsets, np.ndarray)
        or offsets.dtype != np.int64
        or offsets.ndim != 1
        or not offsets.size
    ):
        raise ArgumentError("messages", "other offsets", "int64 offsets of shape (n + 1,)")
    if offsets[0] < 0 or offsets[-1] > count or (offsets[1:] < offsets[:-1]).any():
        raise ArgumentError("messages", "offsets that are not", f"ascending offsets of 0 to {count}")
    return np.ascontiguousarray(offsets)


def _check(curve: str, elements: Any, argument: str, field: FieldSpec) -> None:
    """All values are canonical, or the error names the first row with one that is not."""
    if isinstance(elements, DeviceArray):
        row = cuda.first_row_above(curve, elements)
    else:
        row = first_above(elements, field)
        if row >= 0 and elements.ndim == 3:
            row //= elements.shape[1]
    if row >= 0:
        raise ArgumentError(
            argument, f"a value that is not in row {row}", f"values below {field.name}'s modulus"
        )


def _hash(operation: str, backend: str, inputs: Words, out: Words) -> None:
    hash_into(_permutation(operation, backend), inputs, out)


def _sponge(operation: str, backend: str, messages: Ragged, width: int, padded: bool, out: Words) -> None:
    chosen = _permutation(operation.replace("sponge", f"t{width}"), backend)
    elements = messages.data.view(np.uint64).reshape(-1, _WORDS)
    sponge_into(chosen, elements, messages.offsets // _BYTES, padded, out)


def _register() -> None:
    for operation in OPERATIONS:
        register_on_cpu(operation, by_name(_hash, operation))
        cuda.register_operation(operation)
    for operation in SPONGES:
        register_on_cpu(operation, by_name(_sponge, operation))
        cuda.register_sponge(operation)


_register()
