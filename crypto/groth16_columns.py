# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification keys, proofs and public inputs of Groth16 as arrays; points are checked once, when they come in."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from supervm.crypto import curves, pairings
from supervm.crypto.arguments import same_count
from supervm.crypto.curves import Curve, Group
from supervm.crypto.pairings import Prepared
from supervm.kernels.array_types import Flags, Indices, Verdicts, Words
from supervm.kernels.errors import ArgumentError

ONE = np.array([1, 0, 0, 0], np.uint64)


def curve_of(curve: str) -> Curve:
    """The groups of a curve by its name.

    Raises:
        ArgumentError: another one.
    """
    try:
        return curves.get(curve)
    except ArgumentError as error:
        raise ArgumentError("curve", error.found, error.expected) from None


class Key:
    """A verification key, decoded and checked. Nobody can write to its arrays.

    Args:
        curve: `bn254` or `bls12_381`.
        alpha: affine uint64 (2, L) of G1.
        beta, gamma, delta: (2, 2, L) of G2.
        ic: (k + 1, 2, L) of G1, for k public inputs; infinity is allowed here, and not in the others.
        test_only: whether its maker knew its secrets, which is written with it; it is the same key all the same. One whose
            `secrets_known` is for tests alone in any case.
        backend: of the checks.

    Raises:
        ArgumentError: another curve, shape or dtype; a point that is not canonical, not on the curve, not in the subgroup,
            or infinity where no setup makes it.
    """

    def __init__(
        self,
        curve: str,
        alpha: Any,
        beta: Any,
        gamma: Any,
        delta: Any,
        ic: Any,
        *,
        test_only: bool = False,
        backend: str = "auto",
    ) -> None:
        groups = curve_of(curve)
        self.curve = curve
        self.alpha = _side(groups.g1, alpha, "alpha", backend)
        self.beta = _side(groups.g2, beta, "beta", backend)
        self.gamma = _side(groups.g2, gamma, "gamma", backend)
        self.delta = _side(groups.g2, delta, "delta", backend)
        self.test_only = test_only or secrets_known(curve, self.alpha, self.gamma, self.delta)
        self.ic = _kept(members(groups.g1, *_checked(groups.g1, ic, "ic", backend), "ic"))
        if not len(self.ic):
            raise ArgumentError("ic", "no points", "one more than there are public inputs")
        second = np.stack((self.beta, self.gamma, self.delta))
        self.negated = _kept(groups.g2.negate(second, backend=backend))
        """−β, −γ and −δ: (3, 2, 2, L)."""
        self._paired: Words | None = None
        written = b"".join(part.tobytes() for part in (self.alpha, second, self.ic))
        self.digest = hashlib.sha256(curve.encode() + written).digest()

    @cached_property
    def prepared(self) -> Prepared:
        """−γ and −δ, with the lines of their Miller loops."""
        return pairings.get(self.curve).prepare(self.negated[1:])

    def paired(self, backend: str) -> Words:
        """e(α, β), uint64 (12, L), computed once."""
        if self._paired is None:
            sides = self.alpha[None], self.beta[None], [0, 1]
            self._paired = _kept(pairings.get(self.curve).product(*sides, backend=backend))[0]
        return self._paired

    @property
    def inputs(self) -> int:
        """The number of public inputs."""
        return len(self.ic) - 1


def secrets_known(curve: str, alpha: Words, gamma: Words, delta: Words) -> bool:
    """Whether a key shows that somebody knows its secrets.

    - δ is γ or −γ, as a set-up leaves it until somebody contributes to its second phase. Anybody can prove anything then:
      A = α, B = β, and C cancels the statement.
    - α is the generator of G1 or its negative, as in powers of τ that nobody contributed to, and in our keys for tests.
      Contributions to the second phase do not change α, and no other tool can drop it.

    Args:
        curve: of the key.
        alpha: of G1, (2, L).
        gamma, delta: of G2, (2, 2, L).
    """
    return same_line(gamma, delta) or same_line(alpha, curves.get(curve).g1.generator)


def same_line(first: Words, second: Words) -> bool:
    """Whether two points of a curve are the same, or each other's negative: they have one x then."""
    return bool((first[0] == second[0]).all())


_KEPT_KEYS = 64
_KEPT_BYTES = 1 << 24
"""Limits of `kept_key`: keys, and the bytes that they were read from."""

_kept_keys: OrderedDict[bytes, tuple[Key, int]] = OrderedDict()
_lock = threading.Lock()


def kept_key(form: str, data: bytes, make: Callable[[bytes], Key]) -> Key:
    """The key that `make` reads from bytes, or the one that it read from the same bytes before.

    Args:
        form: what the bytes are; the same bytes in another form are another key.
        data: of the key.
        make: decodes and checks it.
    """
    name = hashlib.sha256(form.encode() + b"\0" + data).digest()
    with _lock:
        if name in _kept_keys:
            _kept_keys.move_to_end(name)
            return _kept_keys[name][0]
    key = make(data)
    with _lock:
        _kept_keys[name] = key, len(data)
        while len(_kept_keys) > _KEPT_KEYS or sum(size for _, size in _kept_keys.values()) > _KEPT_BYTES:
            _kept_keys.popitem(last=False)
    return key


class Proofs:
    """n proofs on one curve, in columns. Nobody can write to the arrays.

    Args:
        curve: `bn254` or `bls12_381`.
        a, c: affine uint64 (n, 2, L) of G1.
        b: (n, 2, 2, L) of G2.
        backend: of the checks.

    A row with a point that is not canonical, not on the curve or not in the subgroup is malformed: `well_formed`, bool (n,),
    is False there and its points are infinity. Infinity itself is a point like any other.

    Raises:
        ArgumentError: another curve, other shapes, dtypes or lengths.
    """

    def __init__(self, curve: str, a: Any, b: Any, c: Any, *, backend: str = "auto") -> None:
        groups = curve_of(curve)
        columns = {}
        for argument, group, points in (("a", groups.g1, a), ("b", groups.g2, b), ("c", groups.g1, c)):
            columns[argument] = _checked(group, points, argument, backend)
        same_count(len(columns["a"][0]), "a", {name: len(found[0]) for name, found in columns.items()})
        self._fill(curve, *columns.values())

    @classmethod
    def decoded(cls, curve: str, *columns: tuple[Words, Verdicts]) -> Proofs:
        """Proofs from what `Group.from_bytes` or `Group.from_snarkjs` gave with `check="subgroup"` for A, B and C."""
        proofs = cls.__new__(cls)
        proofs._fill(curve, *columns)
        return proofs

    def _fill(self, curve: str, *columns: tuple[Words, Verdicts]) -> None:
        self.curve = curve
        self.well_formed: Flags = np.logical_and.reduce([said == 1 for _, said in columns])
        self.well_formed.flags.writeable = False
        for points, _ in columns:
            points[~self.well_formed] = 0
        self.a, self.b, self.c = (_kept(points) for points, _ in columns)

    def __len__(self) -> int:
        return len(self.well_formed)


def joined(proofs: Any) -> Proofs | None:
    """Proofs, or a list of them, as one; None for an empty list.

    Raises:
        ArgumentError: anything else, or proofs on different curves.
    """
    if isinstance(proofs, Proofs):
        return proofs
    if not isinstance(proofs, (list, tuple)) or not all(isinstance(each, Proofs) for each in proofs):
        raise ArgumentError("proofs", _came(proofs), "Proofs, or a list of them")
    if not proofs:
        return None
    for each in proofs:
        if each.curve != proofs[0].curve:
            raise ArgumentError("proofs", f"proofs on {proofs[0].curve} and on {each.curve}", "one curve")
    said = np.concatenate([each.well_formed for each in proofs]).astype(np.int8)
    columns = ([getattr(each, name) for each in proofs] for name in "abc")
    return Proofs.decoded(proofs[0].curve, *((np.concatenate(column), said) for column in columns))


class Keys:
    """Keys of one curve, each once, and their points side by side.

    Args:
        keys: at least one.
        index: int64 (n,), the key of each proof.

    Attributes:
        keys: as they were given.
        alpha: (keys, 2, L).
        negated: −β, −γ and −δ, (keys, 3, 2, 2, L).
        ic: all keys' points, one key's after the other's.
        starts, counts: int64 (keys,), where they begin in `ic`, and how many they are.
    """

    def __init__(self, keys: Sequence[Key], index: Indices) -> None:
        self.keys = keys
        self.curve = curves.get(keys[0].curve)
        self.index = index
        self.alpha = np.stack([key.alpha for key in keys])
        self.negated = np.stack([key.negated for key in keys])
        self.ic = np.concatenate([key.ic for key in keys])
        self.counts: Indices = np.array([len(key.ic) for key in keys], np.int64)
        self.starts: Indices = np.cumsum(self.counts) - self.counts


def keys_of(key: Any, count: int) -> Keys | None:
    """The keys of `count` proofs from a `Key`, a list of a key for each proof, or (keys, index); None for no keys.

    Raises:
        ArgumentError: anything else, keys on different curves, another count, an index that is none of a key.
    """
    if isinstance(key, Key):
        return Keys([key], np.zeros(count, np.int64))
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], np.ndarray):
        given, index = key
        if index.dtype.kind not in "iu" or index.ndim != 1:
            raise ArgumentError("key", f"an index of {_came(index)}", "one of integers of shape (n,)")
        index = index.astype(np.int64)
    else:
        given, index = key, np.arange(len(key) if isinstance(key, (list, tuple)) else 0)
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, Key) for each in given):
        raise ArgumentError("key", _came(key), "a Key, a list of a key for each proof, or (keys, index)")
    if len(index) != count:
        raise ArgumentError("key", f"keys of {len(index)} proofs", f"those of {count}, as many as 'proofs'")
    if len(index) and not 0 <= index.min() <= index.max() < len(given):
        raise ArgumentError("key", "an index that is none of a key", f"0 … {len(given) - 1}")
    if not given:
        return None
    if len({each.curve for each in given}) > 1:
        raise ArgumentError("key", "keys on different curves", "keys on one curve")
    unique = {each.digest: each for each in given}
    number = {digest: at for at, digest in enumerate(unique)}
    places = np.array([number[each.digest] for each in given], np.int64)
    return Keys(list(unique.values()), places[index])


@dataclass(frozen=True, eq=False)
class Statements:
    """1 and the public inputs of each proof, as scalars in rows of a ragged array.

    Args:
        words: uint64 (…, 4), below r.
        starts: int64 (n,), where an item's begin.
        good: bool (n,); nothing stands in `words` for an item that is malformed.
    """

    words: Words
    starts: Indices
    good: Flags


def statements(public_inputs: Any, counts: Indices, order: int) -> Statements:
    """Public inputs, checked.

    Args:
        public_inputs: a list of a list of integers for each proof, or uint8 (n, k, 32), big-endian.
        counts: int64 (n,), how many numbers each proof's statement has with the leading 1.
        order: r.

    Raises:
        ArgumentError: another type, shape or dtype, or another number of items.
    """
    if isinstance(public_inputs, np.ndarray):
        words, good = _from_array(public_inputs, counts, order)
    elif isinstance(public_inputs, (list, tuple)):
        words, good = _from_lists(public_inputs, counts, order)
    else:
        raise ArgumentError("public_inputs", _came(public_inputs), _EXPECTED)
    taken = np.where(good, counts, 0)
    return Statements(words, np.cumsum(taken) - taken, good)


_EXPECTED = "a list of lists of integers, or a uint8 array of shape (n, k, 32), big-endian"


def _from_array(data: Any, counts: Indices, order: int) -> tuple[Words, Flags]:
    if data.dtype != np.uint8 or data.ndim != 3 or data.shape[2] != 32:
        raise ArgumentError("public_inputs", _came(data), _EXPECTED)
    same_count(len(counts), "proofs", {"public_inputs": len(data)})
    words = np.ascontiguousarray(data[:, :, ::-1]).view("<u8").astype(np.uint64)
    good = (counts == data.shape[1] + 1) & below(words, order).all(axis=1)
    ones = np.broadcast_to(ONE, (len(words), 1, 4))
    return np.concatenate((ones, words), axis=1)[good].reshape(-1, 4), good


def _from_lists(rows: Sequence[Any], counts: Indices, order: int) -> tuple[Words, Flags]:
    same_count(len(counts), "proofs", {"public_inputs": len(rows)})
    good = np.zeros(len(rows), bool)
    parts = []
    for item, (row, count) in enumerate(zip(rows, counts.tolist(), strict=True)):
        if not isinstance(row, (list, tuple)) or not all(type(x) is int or _whole(x) for x in row):
            raise ArgumentError("public_inputs", f"{_came(row)} in row {item}", "a list of integers")
        if len(row) == count - 1 and all(0 <= x < order for x in row):
            good[item] = True
            parts.append(1)
            parts += row
    data = b"".join([int(x).to_bytes(32, "little") for x in parts])
    return np.frombuffer(data, "<u8").reshape(-1, 4).astype(np.uint64), good


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def below(words: Words, bound: int) -> Flags:
    """Which numbers of four words, little end first, are below a bound; the last axis is that of the words."""
    result = np.zeros(words.shape[:-1], bool)
    for index in range(4):
        limit = np.uint64(bound >> 64 * index & (1 << 64) - 1)
        result = (words[..., index] < limit) | ((words[..., index] == limit) & result)
    return result


def _checked(group: Group, points: Any, argument: str, backend: str) -> tuple[Words, Verdicts]:
    if not isinstance(points, np.ndarray):
        raise ArgumentError(argument, type(points).__name__, f"affine points of {group.name}, a uint64 array")
    try:
        return group.from_bytes(points, "limbs", "subgroup", backend)
    except ArgumentError as error:
        if error.argument != "data":
            raise
        raise ArgumentError(argument, error.found, error.expected) from None


def _side(group: Group, point: Any, argument: str, backend: str) -> Words:
    """One point that is not infinity."""
    points = point[None] if isinstance(point, np.ndarray) else point
    found = _kept(members(group, *_checked(group, points, argument, backend), argument))
    if not found.any():
        raise ArgumentError(argument, "infinity", "a point that a setup makes")
    side: Words = found[0]
    return side


def members(group: Group, points: Words, said: Verdicts, field: str) -> Words:
    """Points that all are of the group.

    Args:
        points, said: from `Group.from_bytes` or `Group.from_snarkjs`.
        field: what they are called, for the error.

    Raises:
        ArgumentError: naming the first that is not.
    """
    bad = np.flatnonzero(said != 1)
    if bad.size:
        fault = "outside the subgroup" if said[bad[0]] == 0 else "that is malformed or not on the curve"
        place = field if len(said) == 1 else f"{field}[{bad[0]}]"
        raise ArgumentError(place, f"a point {fault}", f"a point of {group.name}")
    return points


def _kept(array: Words) -> Words:
    array.flags.writeable = False
    return array


def _came(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
