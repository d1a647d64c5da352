# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash functions' instructions on 64-bit ARM, compiled for a processor that is not here.

Which instructions there are is here; that they give the right digests is for an emulator to say, `make arm`.
"""

from __future__ import annotations

from arm_code import instructions, listing
from llvmlite import ir

from supervm.crypto.params.hashes import KECCAK256, SHA256
from supervm.kernels.cpu.hashes import keccak
from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.hashes.sha_instructions import TOGETHER, rounds_for
from supervm.kernels.cpu.lanes.lanes import FMA_64X2, I8, I64

BLOCK, DIGEST = 64, 32
QUADS = len(SHA256.constants) // 4
"""Steps of four rounds in a block; the first four take the block's own words."""


def test_sha256_takes_the_instructions_for_it():
    """One of each half of the state for four rounds, one of each half of the schedule."""

    def write(builder, data, out):
        rounds = rounds_for(builder, SHA256)
        blocks = [
            [
                rounds.words(part, part, 0)
                for part in (rounds.load(data, BLOCK * item + offset) for offset in range(0, BLOCK, 16))
            ]
            for item in range(TOGETHER)
        ]
        initial = rounds.initial()
        for item, added in enumerate(rounds.compress([initial] * TOGETHER, blocks)):
            rounds.store(rounds.add(initial, added), builder.gep(out, [ir.Constant(I64, DIGEST * item)]))

    found = instructions(listing([I8.as_pointer()] * 2, write, "+sha2"))
    assert found["sha256h"] == found["sha256h2"] == TOGETHER * QUADS
    assert found["sha256su0"] == found["sha256su1"] == TOGETHER * (QUADS - 4)
    assert found["rev32"] == TOGETHER * (BLOCK + DIGEST) // 16
    assert not found["bl"]


def test_a_known_schedule_is_not_computed():
    def write(builder, keyed, state):
        rounds = rounds_for(builder, SHA256)
        [added] = rounds.compress_scheduled([rounds.initial()], [keyed])
        rounds.store(added, state)

    found = instructions(listing([I8.as_pointer()] * 2, write, "+sha2"))
    assert found["sha256h"] == found["sha256h2"] == QUADS
    assert not found["sha256su0"] + found["sha256su1"]


def permutation(features):
    lanes = FMA_64X2.type

    def write(builder, words):
        places = [builder.gep(words, [ir.Constant(I64, index)]) for index in range(25)]
        state = [builder.load(place) for place in places]
        for word, place in zip(
            keccak.permute(HashEmitter(builder, lanes), KECCAK256, state), places, strict=True
        ):
            builder.store(word, place)

    return instructions(listing([lanes.llvm.as_pointer()], write, features))


def test_keccak_takes_the_instructions_for_sha3():
    """LLVM finds them in the lanes' code: rotation with exclusive or, three-way exclusive or, and the mixing of rows."""
    rounds = len(KECCAK256.round_constants)
    with_sha3, without = permutation("+sha3"), permutation("")
    for name, least in (("xar", 24), ("bcax", 20), ("eor3", 10), ("rax1", 5)):
        assert with_sha3[name] >= least * rounds, name
        assert not without[name], name
    assert 2 * with_sha3.total() < without.total()
