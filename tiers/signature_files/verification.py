# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of a signature file: rows are grouped by scheme and key length, and put back in order."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from supervm.crypto.schemes import DIGEST_BYTES, FILE_SCHEMES, SignatureScheme
from supervm.kernels.array_types import Verdicts
from supervm.tiers.signature_files.formats import SignatureFile
from supervm.tiers.signature_files.rows import Batch, Rows, ragged
from supervm.tiers.signature_files.verdict_writers import VerdictWriter

ByteRows = npt.NDArray[np.uint8]

VERDICT_NAMES = {1: "valid", 0: "invalid", -1: "malformed"}


@dataclass(frozen=True)
class SignatureChecks:
    """The batch functions of `supervm.crypto`, with rule and backend already chosen.

    Args:
        ed25519, schnorr: (public_keys (n, 32), messages (data, offsets), signatures (n, 64)) → int8 (n,).
        bls, bls_min_sig: the same, with keys and signatures of the widths of their schemes.
        ecdsa: (public_keys (n, 33 | 64 | 65), digests (n, 32), signatures (n, 64)) → int8 (n,).
        der: list of DER signatures → (signatures (n, 64), int8 (n,)).
    """

    ed25519: Callable[..., Verdicts]
    ecdsa: Callable[..., Verdicts]
    schnorr: Callable[..., Verdicts]
    bls: Callable[..., Verdicts]
    bls_min_sig: Callable[..., Verdicts]
    der: Callable[[list[bytes]], tuple[ByteRows, Verdicts]]

    def of(self, scheme: SignatureScheme) -> Callable[..., Verdicts]:
        """The one of a scheme."""
        found: Callable[..., Verdicts] = getattr(self, scheme.name.replace("-", "_"))
        return found

    def verify(self, rows: Rows) -> Verdicts:
        """See `Checks`."""
        return verify_rows(rows, self)


class Checks(Protocol):
    """What verifies the rows of a file."""

    def verify(self, rows: Any) -> Verdicts:
        """Verdicts int8 (n,) of a batch of rows, in their order."""


@dataclass
class Summary:
    """What a verified file came to.

    Args:
        shown_failures: how many failures to keep.
        counts: scheme → verdict → rows.
        failures: the first rows that are not valid: (number, scheme, verdict).
    """

    shown_failures: int = 10
    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    failures: list[tuple[int, str, int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows counted so far, whatever their verdict."""
        return sum(sum(row.values()) for row in self.counts.values())

    @property
    def all_valid(self) -> bool:
        """Whether every row so far is valid; True of no rows."""
        return self.total(1) == self.rows

    def total(self, verdict: int) -> int:
        """Rows with this verdict."""
        return sum(row[verdict] for row in self.counts.values())

    def add(self, rows: Batch, verdicts: Verdicts) -> None:
        """Count a batch."""
        for code, name in enumerate(rows.names):
            chosen = verdicts[rows.scheme == code]
            if len(chosen):
                row = self.counts.setdefault(name, dict.fromkeys(VERDICT_NAMES, 0))
                for verdict in VERDICT_NAMES:
                    row[verdict] += int((chosen == verdict).sum())
        room = self.shown_failures - len(self.failures)
        for place in np.flatnonzero(verdicts != 1)[:room]:
            self.failures.append(
                (int(rows.numbers[place]), rows.names[rows.scheme[place]], int(verdicts[place]))
            )

    def to_json(self, place: str) -> dict[str, Any]:
        """Plain types; `place` is what a row's number is called."""
        return {
            "rows": self.rows,
            **{name: self.total(verdict) for verdict, name in VERDICT_NAMES.items()},
            "schemes": {
                scheme: {name: row[verdict] for verdict, name in VERDICT_NAMES.items()}
                for scheme, row in self.counts.items()
            },
            "failures": [
                {place: number, "scheme": scheme, "verdict": verdict}
                for number, scheme, verdict in self.failures
            ],
        }


def verify_file(
    file: SignatureFile,
    checks: Checks,
    summary: Summary,
    *,
    writer: VerdictWriter | None = None,
    progress: Callable[[float | None, int], None] | None = None,
) -> None:
    """Verify every row of `file` into `summary`, and write the verdicts as they come.

    While one batch is verified the next one is read.

    Args:
        progress: called after every batch with the fraction of the file read, None of a pipe, and the rows verified so
            far.

    Raises:
        BrokenFile: at the first broken row, when every row before it is counted and written.
    """
    rows_done = 0
    with closing(_read_ahead(file)) as batches:
        for rows, fraction in batches:
            verdicts = checks.verify(rows)
            if writer is not None:
                writer.write(verdicts)
            summary.add(rows, verdicts)
            rows_done += len(rows)
            if progress is not None:
                progress(fraction, rows_done)


def verify_rows(rows: Rows, checks: SignatureChecks) -> Verdicts:
    """Verdicts int8 (n,) in the order of the rows."""
    verdicts = np.full(len(rows), -1, np.int8)
    for code, scheme in enumerate(FILE_SCHEMES):
        places = np.flatnonzero(rows.scheme == code)
        if len(places):
            way = _over_digests if scheme.signs == "digest" else _over_messages
            verdicts[places] = way(scheme, _take(rows, places), checks)
    return verdicts


def _over_messages(scheme: SignatureScheme, rows: Rows, checks: SignatureChecks) -> Verdicts:
    verdicts = np.full(len(rows), -1, np.int8)
    (width,) = scheme.key_bytes
    whole = (_lengths(rows.public_key) == width) & (_lengths(rows.signature) == scheme.signature_bytes)
    places = np.flatnonzero(whole)
    if len(places):
        chosen = _take(rows, places)
        keys = _matrix(chosen.public_key, width)
        signatures = _matrix(chosen.signature, scheme.signature_bytes)
        verdicts[places] = checks.of(scheme)(keys, ragged(chosen.signed), signatures)
    return verdicts


def _over_digests(scheme: SignatureScheme, rows: Rows, checks: SignatureChecks) -> Verdicts:
    """Signatures may be DER, and keys of any width that the scheme has."""
    signatures, verdicts = _compact_signatures(rows.signature, checks)
    key_lengths = _lengths(rows.public_key)
    verdicts[(_lengths(rows.signed) != DIGEST_BYTES) | ~np.isin(key_lengths, scheme.key_bytes)] = -1
    readable = verdicts == 1
    for length in scheme.key_bytes:
        places = np.flatnonzero(readable & (key_lengths == length))
        if len(places):
            chosen = _take(rows, places)
            keys, digests = _matrix(chosen.public_key, length), _matrix(chosen.signed, DIGEST_BYTES)
            verdicts[places] = checks.of(scheme)(keys, digests, signatures[places])
    return verdicts


def _compact_signatures(column: pa.LargeBinaryArray, checks: SignatureChecks) -> tuple[ByteRows, Verdicts]:
    """Compact signatures (n, 64) and, for each, 1 or why it cannot be verified.

    64 bytes are r‖s, anything else is DER. A DER signature of exactly 64 bytes would need r and s to be about
    five bytes short together, which nobody meets by chance.
    """
    compact = _lengths(column) == 64
    if compact.all():
        return _matrix(column, 64), np.ones(len(column), np.int8)
    signatures = np.zeros((len(column), 64), np.uint8)
    verdicts = np.ones(len(column), np.int8)
    if compact.any():
        signatures[compact] = _matrix(column.take(pa.array(np.flatnonzero(compact))), 64)
    der = np.flatnonzero(~compact)
    signatures[der], verdicts[der] = checks.der(column.take(pa.array(der)).to_pylist())
    return signatures, verdicts


def _take(rows: Rows, places: npt.NDArray[np.intp]) -> Rows:
    if len(places) == len(rows):
        return rows
    chosen = pa.array(places)
    return Rows(
        rows.numbers[places],
        rows.scheme[places],
        rows.public_key.take(chosen),
        rows.signed.take(chosen),
        rows.signature.take(chosen),
    )


def _lengths(column: pa.LargeBinaryArray) -> npt.NDArray[np.int64]:
    return np.diff(ragged(column)[1])


def _matrix(column: pa.LargeBinaryArray, width: int) -> ByteRows:
    """Rows that are all `width` bytes long, (n, width), without a copy."""
    return ragged(column)[0].reshape(len(column), width)


def _read_ahead(file: SignatureFile) -> Generator[tuple[Batch, float | None], None, None]:
    """Each batch, and the fraction of the file read by then; the next one is read while the caller works."""
    batches = file.batches()

    def read() -> tuple[Batch | None, float | None]:
        return next(batches, None), file.fraction

    with ThreadPoolExecutor(1, thread_name_prefix="supervm-reader") as reader:
        try:
            coming = reader.submit(read)
            while True:
                rows, fraction = coming.result()
                if rows is None:
                    return
                coming = reader.submit(read)
                yield rows, fraction
        finally:
            # A pipe may keep the thread waiting, and the end of this block waits for the thread.
            file.source.stop()
