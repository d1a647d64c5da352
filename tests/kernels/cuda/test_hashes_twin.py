# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA hash functions on the host twin against hashlib, PyCryptodome and the oracle."""

from __future__ import annotations

import ctypes
import hashlib
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import host_twin
import numpy as np
import numpy.typing as npt
import pytest
from Crypto.Hash import keccak as pycryptodome_keccak

from supervm.crypto.oracle import hashes as oracle
from supervm.crypto.params.hashes import BLAKE2B, KECCAK256, SHA256, SHA512
from supervm.kernels.cuda.constants import hashes as hash_constants
from supervm.kernels.cuda.constants.fields import number, struct
from supervm.kernels.errors import ArgumentError
from supervm.kernels.hash_spec import HashSpec, Sha2Spec

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

PADDING = 64
"""Readable bytes that every buffer has after its contents."""

FIRST_OFFSET = 977
"""What offsets begin with in these tests: they count from anywhere."""


@dataclass(frozen=True)
class Function:
    """A program, what it computes by another's code, and by the oracle's.

    Args:
        spec: what the program is made of.
        source: a name in `src/`.
        constants: the generated text.
        expected: the digest of one message by a library that shares no code with this project.
        plain: the digest by the oracle.
    """

    spec: HashSpec
    source: str
    constants: str
    expected: Callable[[bytes], bytes]
    plain: Callable[[bytes], bytes]

    @property
    def twin(self) -> ctypes.CDLL:
        return host_twin.build(self.source, self.constants)


def _keccak256(message: bytes) -> bytes:
    return pycryptodome_keccak.new(digest_bits=256, data=message).digest()


FUNCTIONS = (
    Function(
        SHA256, "sha2", hash_constants.sha2(SHA256), lambda m: hashlib.sha256(m).digest(), oracle.sha256
    ),
    Function(
        SHA512, "sha2", hash_constants.sha2(SHA512), lambda m: hashlib.sha512(m).digest(), oracle.sha512
    ),
    Function(KECCAK256, "keccak", hash_constants.keccak(KECCAK256), _keccak256, oracle.keccak256),
    Function(
        BLAKE2B,
        "blake2b",
        hash_constants.blake2b(BLAKE2B),
        lambda m: hashlib.blake2b(m).digest(),
        oracle.blake2b,
    ),
)
functions = pytest.mark.parametrize("function", FUNCTIONS, ids=[function.spec.name for function in FUNCTIONS])
sha2_functions = pytest.mark.parametrize("function", FUNCTIONS[:2], ids=["sha256", "sha512"])


def lengths_of(spec: HashSpec) -> list[int]:
    """All up to 300, those around whole blocks and around what padding leaves of them, and long ones."""
    edges = [blocks * spec.block_bytes + step for blocks in (1, 2, 3, 8) for step in range(-18, 3)]
    return [*range(301), *edges, 1000, 4095, 4096, 4097]


def aligned_buffer(size: int) -> npt.NDArray[np.uint8]:
    """Bytes at an address that is a multiple of 256, none of them zero."""
    raw = np.full(size + 256, 0xA5, np.uint8)
    start = -raw.ctypes.data % 256
    return raw[start : start + size]


def digests(function: Function, messages: Sequence[bytes], start: int = 0) -> npt.NDArray[np.uint8]:
    """(n, digest bytes) of messages that lie one after the other, the first at `start` bytes after a multiple of 256."""
    data = aligned_buffer(start + sum(map(len, messages)) + PADDING)
    offsets = np.cumsum([FIRST_OFFSET, *map(len, messages)], dtype=np.int64)
    for message, begin in zip(messages, offsets[:-1] - FIRST_OFFSET + start, strict=True):
        data[begin : begin + len(message)] = np.frombuffer(message, np.uint8)
    out = aligned_buffer(len(messages) * function.spec.digest_bytes)
    host_twin.call(function.twin, "hash_messages", data[start:], offsets, out, len(messages))
    return out.reshape(-1, function.spec.digest_bytes)


@functions
@pytest.mark.parametrize("start", range(16))
def test_every_length_at_every_alignment(function: Function, start: int) -> None:
    rng = random.Random(start)
    lengths = lengths_of(function.spec)
    rng.shuffle(lengths)
    messages = [rng.randbytes(length) for length in lengths]
    for message, digest in zip(messages, digests(function, messages, start), strict=True):
        assert digest.tobytes() == function.expected(message), len(message)


@functions
@pytest.mark.parametrize("start", range(16))
def test_each_length_begins_at_this_alignment(function: Function, start: int) -> None:
    """One message to a batch, so that where it begins is not left to chance."""
    rng = random.Random(start)
    for length in [*range(40), *lengths_of(function.spec)[301:]]:
        message = rng.randbytes(length)
        assert digests(function, [message], start)[0].tobytes() == function.expected(message), length


@functions
def test_the_oracle_agrees(function: Function) -> None:
    messages = [
        random.Random(length).randbytes(length) for length in (0, 1, 55, 64, 111, 128, 135, 136, 137, 300)
    ]
    for message, digest in zip(messages, digests(function, messages), strict=True):
        assert digest.tobytes() == function.plain(message), len(message)


@functions
def test_an_empty_batch_writes_nothing(function: Function) -> None:
    out = np.full(64, 7, np.uint8)
    host_twin.call(function.twin, "hash_messages", np.zeros(PADDING, np.uint8), np.zeros(1, np.int64), out, 0)
    assert (out == 7).all()


@functions
def test_rows_of_digests_need_four_byte_alignment_only(function: Function) -> None:
    size = function.spec.digest_bytes
    message, offsets = b"rows", np.array([0, 4], np.int64)
    data = aligned_buffer(4 + PADDING)
    data[:4] = np.frombuffer(message, np.uint8)
    for start in (0, 4, 8, 12):
        out = aligned_buffer(size + 32)
        host_twin.call(function.twin, "hash_messages", data, offsets, out[start:], 1)
        assert out[start : start + size].tobytes() == function.expected(message)
        assert (out[:start] == 0xA5).all()
        assert (out[start + size :] == 0xA5).all()


_GUARDED = """
import ctypes, mmap, sys
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
area = mmap.mmap(-1, 3 * PAGE)
base = ctypes.addressof(ctypes.c_char.from_buffer(area))
for page in (0, 2):
    if libc.mprotect(ctypes.c_void_p(base + page * PAGE), ctypes.c_size_t(PAGE), 0):
        sys.exit("mprotect failed")
run = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])
before = [(ctypes.c_uint32 * 16)()] * (sys.argv[2] == "hash_prefixed")
out = (ctypes.c_uint64 * 8)()
for length in range(600):
    for start in (base + PAGE, *(base + 2 * PAGE - readable - length for readable in (4, 5, 6, 7))):
        offsets = (ctypes.c_int64 * 2)(5, 5 + length)
        run(*before, ctypes.c_void_p(start), offsets, out, ctypes.c_uint32(1))
print("done")
"""


def run_guarded(twin: ctypes.CDLL, kernel: str) -> None:
    """Hash messages before which, or after whose last aligned word, lies a page that must not be touched."""
    command = [sys.executable, "-c", _GUARDED, twin._name, kernel]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr


@functions
def test_reads_stay_within_seven_bytes_of_the_message(function: Function) -> None:
    run_guarded(function.twin, "hash_messages")


def test_addresses_are_the_digests_ends() -> None:
    rng = random.Random(20)
    keys = np.frombuffer(rng.randbytes(64 * 500), np.uint8).reshape(-1, 64)
    out = aligned_buffer(20 * 500 + PADDING)
    twin = FUNCTIONS[2].twin
    host_twin.call(twin, "addresses", keys, out, len(keys))
    for key, address in zip(keys, out[: 20 * 500].reshape(-1, 20), strict=True):
        assert address.tobytes() == _keccak256(key.tobytes())[-20:]
    assert out[:20].tobytes() == oracle.eth_address(keys[0].tobytes())
    assert (out[20 * 500 :] == 0xA5).all()
    host_twin.call(twin, "addresses", keys, out[20:], 0)
    assert out[20:40].tobytes() == _keccak256(keys[1].tobytes())[-20:]


_PREFIXED = """
KERNEL(hash_prefixed, 128, 4)(const u8 *prefixes, const u8 *data, const i64 *offsets, u8 *digests, u32 count)
{
    for_items(item, count)
    {
        u32 prefix[PREFIX ? PREFIX : 1] = {0};
        UNROLL for (int i = 0; i < PREFIX; ++i) prefix[i] = ((const u32 *)prefixes)[item * PREFIX + i];
        Spec::Word state[8];
        Beginning::state(state);
        sha2_prefixed<Spec, PREFIX>(state, Beginning::BYTES, prefix, message_start(data, offsets, item),
                                    offsets[item + 1] - offsets[item]);
        UNROLL for (int i = 0; i < 8; ++i) ((Spec::Word *)digests)[item * 8 + i] = state[i];
    }
}
"""


def prefixed_twin(function: Function, state: Sequence[int], hashed_before: int, words: int) -> ctypes.CDLL:
    """The kernel above for prefixes of `words` words after `hashed_before` bytes that left `state`."""
    beginning = struct(
        "Beginning",
        hash_constants.state_setter("state", state, function.spec.word_bits),
        number("BYTES", hashed_before),
    )
    text = f"{function.constants}{beginning}static constexpr int PREFIX = {words};\n{_PREFIXED}"
    return host_twin.build(function.source, text)


def padded(spec: Sha2Spec, message: bytes, hashed_before: int = 0) -> bytes:
    """FIPS 180-4, section 5.1: the last of a message, after `hashed_before` bytes in whole blocks."""
    zeros = -(len(message) + 1 + spec.length_bytes) % spec.block_bytes
    bits = 8 * (hashed_before + len(message))
    return message + b"\x80" + bytes(zeros) + bits.to_bytes(spec.length_bytes, "big")


@sha2_functions
@pytest.mark.parametrize("words", [0, 1, 5, 8, 16])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_prefixes_after_a_common_beginning(function: Function, words: int, blocks: int) -> None:
    spec = function.spec
    assert isinstance(spec, Sha2Spec)
    rng = random.Random(words)
    common = rng.randbytes(blocks * spec.block_bytes)
    state = hash_constants.sha2_midstate(spec, common)
    twin = prefixed_twin(function, state, len(common), words)
    lengths = [*range(140), *lengths_of(spec)[301:]]
    for start in range(4):
        rng.shuffle(lengths)
        messages = [rng.randbytes(length) for length in lengths]
        prefixes = [rng.randbytes(4 * words) for _ in lengths]
        data = np.frombuffer(bytes(256 + start) + b"".join(messages) + bytes([0xA5]) * PADDING, np.uint8)[
            256 + start :
        ]
        offsets = np.cumsum([FIRST_OFFSET, *lengths], dtype=np.int64)
        out = np.zeros((len(lengths), spec.digest_bytes), np.uint8)
        held = np.frombuffer(b"".join(prefixes) + bytes(4), np.uint8)
        host_twin.call(twin, "hash_prefixed", held, data, offsets, out, len(lengths))
        found = out.view(np.dtype(f"u{spec.word_bits // 8}")).astype(f">u{spec.word_bits // 8}")
        for prefix, message, digest in zip(prefixes, messages, found, strict=True):
            assert digest.tobytes() == function.expected(common + prefix + message), (start, len(message))


@sha2_functions
def test_a_prefix_does_not_move_where_reads_begin(function: Function) -> None:
    spec = function.spec
    assert isinstance(spec, Sha2Spec)
    run_guarded(prefixed_twin(function, spec.initial, 0, 16), "hash_prefixed")


@sha2_functions
@pytest.mark.parametrize("words", [0, 16])
def test_lengths_beyond_32_bits_count(function: Function, words: int) -> None:
    """A common beginning of nearly 4 GiB, which only its length and a state stand for."""
    spec = function.spec
    assert isinstance(spec, Sha2Spec)
    before = (1 << 32) - spec.block_bytes
    state = tuple(word ^ 1 for word in spec.initial)
    twin = prefixed_twin(function, state, before, words)
    for length in (3, spec.block_bytes - 1, spec.block_bytes, 3 * spec.block_bytes):
        whole = random.Random(length).randbytes(4 * words + length)
        prefix = np.frombuffer(whole[: 4 * words] + bytes(4), np.uint8)
        data = np.frombuffer(whole[4 * words :] + bytes(PADDING), np.uint8)
        out = np.zeros(8, f"u{spec.word_bits // 8}")
        host_twin.call(twin, "hash_prefixed", prefix, data, np.array([0, length], np.int64), out, 1)
        expected = hash_constants.sha2_midstate(replace(spec, initial=state), padded(spec, whole, before))
        assert tuple(map(int, out)) == expected, length


@sha2_functions
def test_a_midstate_is_what_the_padded_message_leaves(function: Function) -> None:
    """The state after a padded message is its digest."""
    spec = function.spec
    assert isinstance(spec, Sha2Spec)
    for length in (0, 3, spec.block_bytes, 3 * spec.block_bytes - 1):
        message = random.Random(length).randbytes(length)
        state = hash_constants.sha2_midstate(spec, padded(spec, message))
        assert b"".join(word.to_bytes(spec.word_bits // 8, "big") for word in state) == function.expected(
            message
        )
    assert hash_constants.sha2_midstate(spec, b"") == spec.initial
    with pytest.raises(ArgumentError, match="block"):
        hash_constants.sha2_midstate(spec, bytes(spec.block_bytes - 1))


def test_emitters_refuse_what_the_sources_do_not_compute() -> None:
    with pytest.raises(ArgumentError, match="sha256"):
        hash_constants.sha2(replace(SHA256, digest_bytes=28))
    with pytest.raises(ArgumentError, match="keccak256"):
        hash_constants.keccak(replace(KECCAK256, digest_bytes=64))
    with pytest.raises(ArgumentError, match="blake2b"):
        hash_constants.blake2b(replace(BLAKE2B, word_bits=32))
    with pytest.raises(ArgumentError, match="0x100000000"):
        hash_constants.state_setter("state", [1 << 32])
    with pytest.raises(ArgumentError, match="word_bits"):
        hash_constants.state_setter("state", [1], 16)
