# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs that a sparse Merkle tree holds a value under a key, or none, and their encoding.

Version 1: `01` ‖ kind (1) ‖ depth (2, big-endian) ‖ path (32) ‖ bitmap (⌈depth / 8⌉) ‖ siblings (32 each) and, of kind 2,
‖ path of the other leaf (32) ‖ hash of its value (32). Kind 0: the leaf of this path stands at `depth`; 1: the subtree
there is empty; 2: another leaf stands there. Bit i of the bitmap, from the uppermost bit of the first byte, says whether
the sibling at level i + 1 is not empty; only such siblings follow, from the root down. Bits beyond `depth` are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from supervm.crypto.oracle import sparse_merkle as oracle
from supervm.kernels.errors import ArgumentError

__all__ = ["EMPTY", "Proof", "verify_proof"]

EMPTY = bytes(32)
"""The hash of an empty subtree."""

_VERSION = 1
_HEAD = 36


@dataclass(frozen=True)
class Proof:
    """What stands where a path leads, and the subtrees beside the way there.

    Args:
        path: of the key, 32 bytes.
        siblings: the hashes beside the way from the root down, `EMPTY` for empty subtrees; up to 256 of 32 bytes.
        present: whether the leaf of this path stands at the end of the way.
        other: if not, None for an empty subtree, or path and value hash of the leaf that stands there.

    Raises:
        ArgumentError: what no tree gives a proof of: other lengths, another leaf that belongs elsewhere, or a way that
            goes on below the last level where it had a sibling.
    """

    path: bytes
    siblings: tuple[bytes, ...]
    present: bool
    other: tuple[bytes, bytes] | None = None

    def __post_init__(self) -> None:
        for argument, rows in (
            ("path", (self.path,)),
            ("siblings", self.siblings),
            ("other", self.other or ()),
        ):
            for row in rows:
                if not isinstance(row, bytes) or len(row) != 32:
                    raise ArgumentError(argument, repr(row), "32 bytes")
        depth = len(self.siblings)
        if depth > 256:
            raise ArgumentError("siblings", f"{depth} siblings", "256 at most")
        if depth and self.siblings[-1] == EMPTY:
            raise ArgumentError("siblings", "an empty last sibling", "a way that ends at its last sibling")
        if not isinstance(self.present, bool):
            raise ArgumentError("present", repr(self.present), "True or False")
        if self.other is not None:
            self._check_other(depth)

    def _check_other(self, depth: int) -> None:
        assert self.other is not None
        if self.present or len(self.other) != 2:
            raise ArgumentError("other", "another leaf beside the one", "a path and a value hash, or None")
        differ = int.from_bytes(self.path, "big") ^ int.from_bytes(self.other[0], "big")
        if not differ or 256 - differ.bit_length() < depth:
            expected = f"another path with the same first {depth} bits"
            raise ArgumentError("other", self.other[0].hex(), expected)

    def to_bytes(self) -> bytes:
        """The encoding."""
        kind = 0 if self.present else 1 if self.other is None else 2
        depth = len(self.siblings)
        bits = "".join("0" if row == EMPTY else "1" for row in self.siblings)
        size = -(-depth // 8)
        bitmap = int(bits.ljust(8 * size, "0") or "0", 2).to_bytes(size, "big")
        rows = b"".join(row for row in self.siblings if row != EMPTY)
        head = bytes((_VERSION, kind)) + depth.to_bytes(2, "big") + self.path
        return head + bitmap + rows + b"".join(self.other or ())

    @classmethod
    def from_bytes(cls, data: bytes) -> Proof:
        """Decode, strictly: every proof has one encoding.

        Raises:
            ArgumentError: anything else than what `to_bytes` gives.
        """
        if not isinstance(data, bytes) or len(data) < _HEAD:
            found = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
            raise ArgumentError("data", found, f"at least {_HEAD} bytes")
        version, kind, depth = data[0], data[1], int.from_bytes(data[2:4], "big")
        if version != _VERSION or kind > 2 or depth > 256:
            found = f"version {version}, kind {kind}, depth {depth}"
            raise ArgumentError("data", found, "version 1, kind 0 to 2, depth up to 256")
        size = -(-depth // 8)
        bits = f"{int.from_bytes(data[_HEAD : _HEAD + size], 'big'):0{8 * size}b}" if size else ""
        expected = _HEAD + size + 32 * (bits.count("1") + (2 if kind == 2 else 0))
        if len(data) != expected or "1" in bits[depth:]:
            found = f"{len(data)} bytes with a bitmap of {bits or 'no bits'}"
            raise ArgumentError("data", found, f"{expected} bytes, no bit beyond {depth}")
        rows = (data[place : place + 32] for place in range(_HEAD + size, len(data), 32))
        try:
            return cls._of_rows(data[4:_HEAD], bits[:depth], rows, kind)
        except ArgumentError as error:
            raise ArgumentError("data", f"{error.argument}: {error.found}", error.expected) from None

    @classmethod
    def _of_rows(cls, path: bytes, bits: str, rows: Iterator[bytes], kind: int) -> Proof:
        siblings = tuple(next(rows) if bit == "1" else EMPTY for bit in bits)
        if sum(row == EMPTY for row in siblings) != bits.count("0"):
            raise ArgumentError("siblings", "an empty one that is written out", "a bit in the bitmap")
        other = (next(rows), next(rows)) if kind == 2 else None
        return cls(path, siblings, kind == 0, other)


def verify_proof(
    root: bytes, key: bytes, value: bytes | None, proof: Proof | bytes, *, hash: str = "sha256"
) -> bool:
    """Whether the tree with this root holds `value` under `key`, or, if `value` is None, nothing.

    Args:
        root: 32 bytes.
        key, value: byte strings of any length.
        proof: a proof, or its encoding.
        hash: one of `supervm.crypto.sparse_merkle.HASHES`.

    Returns:
        False for a proof of something else, and for bytes that are no encoding.

    Raises:
        ArgumentError: arguments of other types or lengths, or another hash.
    """
    if not isinstance(root, bytes) or len(root) != 32:
        raise ArgumentError("root", repr(root), "32 bytes")
    for argument, given in (("key", key), ("value", value)):
        if not isinstance(given, bytes) and not (argument == "value" and given is None):
            raise ArgumentError(argument, type(given).__name__, "bytes")
    if hash not in oracle.HASHES:
        raise ArgumentError("hash", repr(hash), f"one of {', '.join(oracle.HASHES)}")
    if not isinstance(proof, (Proof, bytes)):
        raise ArgumentError("proof", type(proof).__name__, "a Proof or bytes")
    return oracle.verify(root, key, value, proof.to_bytes() if isinstance(proof, Proof) else proof, hash)
