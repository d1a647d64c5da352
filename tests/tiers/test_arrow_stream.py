# SPDX-License-Identifier: GPL-3.0-or-later
"""A checked Arrow stream as a file object: every byte once, whatever is asked for at a time, and counted once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from supervm.engine.files.input_files import open_input
from supervm.tiers.signature_files.arrow_stream import CheckedStream


@pytest.mark.parametrize("count", [1, 7, 300, 10_000, 1 << 20])
def test_reads_that_span_messages(tmp_path: Path, count: int) -> None:
    table = pa.table({"number": list(range(3_000))})
    path = tmp_path / "stream.arrows"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)  # more messages than Python calls may be nested
    whole = path.read_bytes()
    with open_input(path) as source:
        stream = CheckedStream(source, 1 << 30)
        found = b""
        while piece := bytes(stream.read(count)):
            found += piece
            assert stream.tell() == len(found)
            assert len(piece) == min(count, len(whole) - len(found) + len(piece))
    assert found == whole
