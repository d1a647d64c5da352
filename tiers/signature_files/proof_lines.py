# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of Groth16 proofs, and of blobs: JSON Lines, and what verifies their rows.

A line of a file of proofs has `proof`, an object as snarkjs writes it to proof.json, and `public`, the list of public.json;
a line of a file of blobs has `blob`, `commitment` and `proof` as hex text. What is no proof, or has a wrong length, is a
malformed item, verdict −1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from supervm.crypto import groth16
from supervm.engine.files.input_files import open_input, read_input
from supervm.kernels.array_types import Verdicts
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.tiers.signature_files.json_lines import JsonLinesFile
from supervm.tiers.signature_files.rows import Broken

if TYPE_CHECKING:
    from supervm.crypto.kzg import TrustedSetup

MOST_BYTES = 16 << 20
"""Of a key, a proof or public inputs."""

NO_INPUTS = [-1]
"""Public inputs that are malformed, whatever the key."""


class ProofLine(msgspec.Struct, gc=False):
    """A proof and its public inputs; other members are passed over."""

    proof: msgspec.Raw
    public: msgspec.Raw


class BlobLine(msgspec.Struct, gc=False):
    """A blob and what it is checked against; other members are passed over."""

    blob: str
    commitment: str
    proof: str


@dataclass(frozen=True)
class ProofRows:
    """Consecutive rows; see `rows.Batch`.

    Args:
        numbers: int64 (n,), the line of each, counted from 1.
        fields: what its members hold, a list for each member.
        names: of the scheme of all.
    """

    numbers: npt.NDArray[np.int64]
    fields: tuple[list[bytes], ...]
    names: tuple[str, ...]

    @property
    def scheme(self) -> npt.NDArray[np.int8]:
        """See `rows.Batch`."""
        return np.zeros(len(self.numbers), np.int8)

    def __len__(self) -> int:
        return len(self.numbers)


class ProofLinesFile(JsonLinesFile):
    """Groth16 proofs."""

    line = ProofLine
    names: ClassVar[tuple[str, ...]] = ("groth16",)

    def _surely_single(self, block: bytes, lines: list[Any]) -> bool:
        return False  # proofs have colons of their own

    def _columns(self, lines: list[Any], numbers: npt.NDArray[np.int64]) -> tuple[ProofRows, Broken | None]:
        fields = [bytes(line.proof) for line in lines], [bytes(line.public) for line in lines]
        return ProofRows(numbers, fields, self.names), None


class BlobLinesFile(JsonLinesFile):
    """Blobs."""

    line = BlobLine
    names: ClassVar[tuple[str, ...]] = ("kzg",)

    def _surely_single(self, block: bytes, lines: list[Any]) -> bool:
        return block.count(b":") == 3 * len(lines)

    def _columns(self, lines: list[Any], numbers: npt.NDArray[np.int64]) -> tuple[ProofRows, Broken | None]:
        fields: tuple[list[bytes], ...] = [], [], []
        broken = None
        for index, line in enumerate(lines):
            found = [_from_hex(getattr(line, name)) for name in self._members]
            if None in found:
                broken = Broken(index, f"'{self._members[found.index(None)]}' is not hex")
                break
            for column, data in zip(fields, found, strict=True):
                column.append(data or b"")
        return ProofRows(numbers[: len(fields[0])], fields, self.names), broken


def _from_hex(text: str) -> bytes | None:
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    return data if 2 * len(data) == len(digits) else None  # `fromhex` passes over spaces


def open_proofs(path: Path, batch_items: int, batch_bytes: int) -> ProofLinesFile:
    """A file or a pipe of Groth16 proofs; arguments and errors as `formats.open_signature_file`."""
    with told_as_broken_file():
        return ProofLinesFile(open_input(path), batch_items, batch_bytes)


def open_blobs(path: Path, batch_items: int, batch_bytes: int) -> BlobLinesFile:
    """A file or a pipe of blobs; arguments and errors as `formats.open_signature_file`."""
    with told_as_broken_file():
        return BlobLinesFile(open_input(path), batch_items, batch_bytes)


# What verifies them --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Groth16Checks:
    """See `verification.Checks`.

    Args:
        key: of all proofs.
        backend: as in the settings.
    """

    key: groth16.Key
    backend: str

    def verify(self, rows: ProofRows) -> Verdicts:
        """Verdicts of proofs in snarkjs' JSON."""
        proofs, stated = rows.fields
        decoded = groth16.load_snarkjs_proofs(proofs, self.key.curve)
        return groth16.verify_batch(self.key, decoded, list(map(_inputs, stated)), backend=self.backend)

    def verify_one(self, proof: bytes, stated: bytes) -> tuple[int, str]:
        """The verdict on one proof, and what makes it malformed, or ''.

        Args:
            proof, stated: a proof.json and a public.json.
        """
        try:
            decoded = groth16.load_snarkjs_proof(proof)
            if decoded.curve != self.key.curve:
                raise ArgumentError("curve", decoded.curve, f"that of the key, {self.key.curve}")
        except ArgumentError as error:
            return -1, f"the proof: {error}"
        try:
            numbers = groth16.load_snarkjs_public(stated)
        except ArgumentError as error:
            return -1, f"the public inputs: {error}"
        (verdict,) = groth16.verify_batch(self.key, decoded, [numbers], backend=self.backend).tolist()
        expected = f"{self.key.inputs} numbers below the group's order"
        return (
            verdict,
            "" if verdict >= 0 else f"the public inputs: {len(numbers)} found, expected {expected}",
        )


@dataclass(frozen=True)
class BlobChecks:
    """See `verification.Checks`.

    Args:
        setup: of all blobs.
        backend: as in the settings.
    """

    setup: TrustedSetup
    backend: str

    def verify(self, rows: ProofRows) -> Verdicts:
        """Verdicts of blobs against their commitments."""
        from supervm.crypto import kzg

        blobs, commitments, proofs = rows.fields
        return kzg.verify_blob_batch(blobs, commitments, proofs, self.setup, backend=self.backend)


def _inputs(text: bytes) -> list[int]:
    try:
        return groth16.load_snarkjs_public(text)
    except ArgumentError:
        return NO_INPUTS


# Single files ------------------------------------------------------------------------------------------------


def read_key(path: Path, *, allow_test_only: bool = False) -> groth16.Key:
    """The key in a `verification_key.json`.

    Raises:
        BrokenFile: it is missing, unreadable or no key.
        TestOnlyKey: it is made for tests, or nobody contributed to it, and that is not allowed.
    """
    try:
        return groth16.load_snarkjs_key(read_text(path), allow_test_only=allow_test_only)
    except ArgumentError as error:
        raise BrokenFile(str(path), "", f"no verification key: {error}") from None


def read_text(path: Path) -> bytes:
    """A file of JSON.

    Raises:
        BrokenFile: it is missing, unreadable or no JSON.
    """
    with told_as_broken_file():
        text = bytes(read_input(path, MOST_BYTES))
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(str(path), "", f"no JSON: {error}") from None
    return text
