# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads signature files in a process with little memory: `python limited_reader.py FILE...` prints a line of JSON for each.

{"rows", "error", "grown": bytes that its memory grew by at most}. `FILE@SEED` stands for the file with some bytes changed as
the seed says. A file that ends the process leaves no line.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT = 3 << 30
"""Bytes of address space, most of which libraries have taken before anything is read."""

ITEMS, BYTES = 65_536, 8 << 20


def read_limited(*files: object) -> list[dict[str, Any]]:
    """What reading each file comes to, in one process."""
    run = [sys.executable, __file__, *map(str, files)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=600, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(found)) == (0, len(files)), (done.returncode, len(found), done.stderr)
    return found


def changed(data: bytes, seed: int) -> bytes:
    """The bytes with up to eight places changed, near the ends more often than elsewhere."""
    chance, found = random.Random(seed), bytearray(data)
    numbers = (
        b"\xff\xff\xff\x7f",
        b"\0\0\0\x80",
        b"\xff" * 4,
        b"\0\0\0\x40",
        b"\xff" * 7 + b"\x7f",
        b"\xff" * 8,
    )
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        near = min(len(found) - 1, int(chance.expovariate(1 / 400)))
        at = chance.choice((chance.randrange(len(found)), near, len(found) - 1 - near))
        match chance.randrange(5):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at] = chance.choice((0, 0xFF, 0x7F, 0x80, 1))
            case 2:
                number = chance.choice(numbers)
                found[at : at + len(number)] = number
            case 3:
                found[at:at] = chance.choice((b"\xff\xff\xff\xff\x0f", chance.randbytes(8)))
            case _:
                del found[at : at + chance.randrange(1, 16)]
        found = found or bytearray(b"x")
    return bytes(found)


def _memory(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _read(path: Path) -> dict[str, Any]:
    from supervm.tiers.errors import BrokenFile
    from supervm.tiers.signature_files.formats import open_signature_file

    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before, rows, error = _memory("VmRSS"), 0, ""
    try:
        file = open_signature_file(path, ITEMS, BYTES)
        with file.source:
            for batch in file.batches():
                rows += len(batch)
                del batch
    except BrokenFile as broken:
        error = str(broken)
    return {"rows": rows, "error": error, "grown": _memory("VmHWM") - before}


def _main(names: list[str]) -> None:
    import pyarrow as pa

    import supervm.tiers.signature_files.formats  # noqa: F401  before the limit counts

    pa.set_memory_pool(pa.system_memory_pool())  # gives back what it is given back
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path, _, seed = name.partition("@")
            read = Path(path)
            if seed:
                read = Path(folder) / read.name
                read.write_bytes(changed(Path(path).read_bytes(), int(seed)))
            print(json.dumps(_read(read)), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
