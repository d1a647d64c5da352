# SPDX-License-Identifier: GPL-3.0-or-later
"""Block files: they come back, and nothing else is taken for one; what may follow what."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace

import pytest
from engine_runs import blocks_of
from node_chains import SMALL, block_files

from supervm.engine.transactions.encoding import encode
from supervm.tiers.node.blocks import BlockReader, file_name, pack_block, unpack_block, write_block
from supervm.tiers.node.errors import BlockRefused
from supervm.tiers.node.sources import DirectorySource, Offered, SubmittedBlocks, Tip

WORKLOAD = blocks_of("mixed", **SMALL)


def sealed(body: bytes) -> bytes:
    """A body with its digest: only what the format says is wrong with it then."""
    return body + hashlib.sha256(body).digest()


def test_blocks_come_back(tmp_path):
    files = block_files(tmp_path, WORKLOAD)
    parent = hashlib.sha256((tmp_path / "genesis.work").read_bytes()[:-32]).digest()
    reader, blocks = BlockReader(), []
    for number, (data, batch) in enumerate(zip(files, WORKLOAD.blocks, strict=True), 1):
        path = write_block(tmp_path, number, data)
        assert path.name == f"{number:012d}.block"
        block = reader.read(path)
        blocks.append(block)
        assert (block.number, block.parent, block.timestamp) == (number, parent, number)
        assert block.transactions.equals(batch)
        assert block.hash == hashlib.sha256(data[:-32]).digest()
        parent = block.hash
    # The reader uses its buffer again, and the blocks stay what they are.
    for block, batch in zip(blocks, WORKLOAD.blocks, strict=True):
        assert block.transactions.equals(batch)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_empty_block():
    batch = WORKLOAD.transactions.slice(0, 0)
    block = unpack_block(pack_block(1, bytes(32), 5, encode(batch)), "here")
    assert (len(block.transactions), block.timestamp) == (0, 5)


def test_every_cut_and_every_changed_byte_is_refused(tmp_path):
    data = block_files(tmp_path, WORKLOAD)[1]
    for size in [*range(200), *range(200, len(data), 97)]:
        with pytest.raises(BlockRefused, match="here"):
            unpack_block(data[:size], "here")
    for place in [*range(130), *range(130, len(data), 53)]:
        changed = data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :]
        with pytest.raises(BlockRefused):
            unpack_block(changed, "here")
    with pytest.raises(BlockRefused):
        unpack_block(data + b"\0", "here")


def test_what_is_wrong_behind_a_right_digest(tmp_path):
    body = block_files(tmp_path, WORKLOAD)[1][:-32]
    count = (50).to_bytes(8, "little")
    assert body[56:64] == count
    for changed, words in (
        (body[:56] + (1 << 60).to_bytes(8, "little") + body[64:], "as many as the file holds"),
        (body[:64] + (1).to_bytes(8, "little") + body[72:], "offsets that ascend"),
        (body[:72] + (1 << 63).to_bytes(8, "little") + body[80:], "offsets that ascend"),
        (body[:48] + b"\xff" * 8 + body[56:], "below 2\\^63"),
        (body + b"\0", "offsets that ascend"),
        (body[: 64 + 51 * 8] + b"\2" + body[65 + 51 * 8 :], "transaction 0, byte 0: another version"),
    ):
        with pytest.raises(BlockRefused, match=words) as caught:
            unpack_block(sealed(changed), "call")
        assert caught.value.block == 2
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)


def test_what_may_follow(tmp_path):
    blocks = [unpack_block(data, "here") for data in block_files(tmp_path, WORKLOAD)[:3]]
    tip = Tip(0, blocks[0].parent, 0)
    for wrong, words in (
        (blocks[1], "expected number 1"),
        (replace(blocks[0], number=0), "expected number 1"),
        (replace(blocks[0], parent=bytes(32)), "the block before"),
    ):
        with pytest.raises(BlockRefused, match=words):
            tip.advance(wrong, "here")
    tip.advance(blocks[0], "here")
    with pytest.raises(BlockRefused, match="expected at least 1"):
        tip.advance(replace(blocks[1], timestamp=0), "here")
    with pytest.raises(BlockRefused, match="expected number 2"):
        tip.advance(blocks[0], "here")
    tip.advance(replace(blocks[1], timestamp=1), "here")
    assert (tip.number, tip.hash, tip.timestamp) == (2, blocks[1].hash, 1)


def test_a_file_under_another_name(tmp_path):
    files = block_files(tmp_path, WORKLOAD)
    source = DirectorySource(tmp_path, Tip(0, unpack_block(files[0], "").parent, 0))
    assert source.take() is None
    (tmp_path / file_name(1)).write_bytes(files[1])
    with pytest.raises(BlockRefused, match=r"000000000001\.block, block 2"):
        source.take()
    assert source.tip.number == 0


def test_a_gap_is_told_once(tmp_path, caplog):
    files = block_files(tmp_path, WORKLOAD)
    source = DirectorySource(tmp_path, Tip(0, unpack_block(files[0], "").parent, 0))
    write_block(tmp_path, 2, files[1])
    with caplog.at_level("WARNING"):
        assert [source.take() for _ in range(3)] == [None] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "block 1 is missing before others that are there; waiting for it"
    ]
    write_block(tmp_path, 1, files[0])
    taken = [source.take() for _ in range(3)]
    assert [block.number for block in taken if block is not None] == [1, 2]


def test_a_queue_has_room_for_so_many(tmp_path):
    blocks = [unpack_block(data, "") for data in block_files(tmp_path, WORKLOAD)]
    source = SubmittedBlocks(Tip(0, blocks[0].parent, 0), 2)
    assert source.offer(blocks[0], "call", 0) is Offered.TAKEN
    assert source.offer(blocks[1], "call", 0) is Offered.TAKEN
    assert source.offer(blocks[0], "call", 0) is Offered.KNOWN
    assert source.offer(blocks[2], "call", 0.01) is Offered.NO_ROOM
    assert (source.waiting, source.tip.number) == (2, 2)
    assert source.take() is blocks[0]
    assert source.offer(blocks[2], "call", 0) is Offered.TAKEN
