# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie: the storage's directory, and the keys of its records in the database.

The directory holds `FORMAT`, one line of text, and `state.rocksdb`, the database. `FORMAT` is written last at creation,
so a directory with it once held a whole database; without it, only what an interrupted creation leaves is taken for ours.

| key | record |
|---|---|
| `F` | format version, the same line as in the file |
| `H` | head |
| `K` | checkpoint |
| `L` ‖ sequence (8) | one commit |
| `P` ‖ generation (8) ‖ page (4) | one page of a checkpoint |
| `C` ‖ SHA-256 (32) | code |
| `R` ‖ height (8) | receipts of a block |

Numbers in keys are big-endian, so that the database's order is theirs.
"""

from __future__ import annotations

from pathlib import Path

FORMAT_FILE = "FORMAT"
UNFINISHED = "FORMAT.new"
DATABASE = "state.rocksdb"
FORMAT_NAME = "supervm-storage"
FORMAT_VERSION = 1

FORMAT = b"F"
HEAD = b"H"
CHECKPOINT = b"K"


def log_key(sequence: int) -> bytes:
    """Key of a commit's record."""
    return b"L" + sequence.to_bytes(8, "big")


def page_key(generation: int, page: int) -> bytes:
    """Key of one page of a checkpoint."""
    return b"P" + generation.to_bytes(8, "big") + page.to_bytes(4, "big")


def code_key(digest: bytes) -> bytes:
    """Key of a code blob."""
    return b"C" + digest


def receipts_key(height: int) -> bytes:
    """Key of a block's receipts."""
    return b"R" + height.to_bytes(8, "big")


AFTER_LOG = b"M"
AFTER_PAGES = b"Q"
AFTER_RECEIPTS = b"S"


def named(key: bytes) -> str:
    """A record's name for messages."""
    number = int.from_bytes(key[1:9], "big")
    match key[:1]:
        case b"F":
            return "the format record"
        case b"H":
            return "the head"
        case b"K":
            return "the checkpoint's record"
        case b"L":
            return f"commit {number}"
        case b"P":
            return f"page {int.from_bytes(key[9:], 'big')} of checkpoint {number}"
        case b"R":
            return f"the receipts of block {number}"
        case _:
            return f"code {key[1:].hex()}"


def format_line() -> bytes:
    """The content of `FORMAT`."""
    return f"{FORMAT_NAME} {FORMAT_VERSION}\n".encode()


def format_version(line: bytes) -> int | None:
    """The version that a format line states; None if it is not one of ours."""
    name, _, version = line.decode("ascii", "replace").strip().partition(" ")
    return int(version) if name == FORMAT_NAME and version.isdecimal() else None


def is_fresh(path: Path) -> bool:
    """Whether a storage may be created in `path`: nothing is there, or only what an interrupted creation left."""
    return not path.exists() or all(entry.name in (DATABASE, UNFINISHED) for entry in path.iterdir())
