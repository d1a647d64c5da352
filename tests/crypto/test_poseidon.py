# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 on every backend against the plain rounds, and their parameters against published ones."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from supervm.crypto import poseidon
from supervm.crypto.oracle import poseidon as oracle
from supervm.crypto.params import poseidon as params
from supervm.kernels import get_threads, set_threads
from supervm.kernels.cpu.hashes.poseidon import hash_into
from supervm.kernels.errors import ArgumentError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"

CIRCOMLIB_PARTIAL = [56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68]
"""circomlib, circuits/poseidon.circom, N_ROUNDS_P, widths 2 to 17."""

FIRST = {
    # The reference's poseidonperm_x5_254_3, _254_5, _255_3 and _255_5: the first round constant and matrix entry.
    ("bn254", 3): (
        0x0EE9A592BA9A9518D05986D656F40C2114C4993C11BB29938D21D47304CD8E6E,
        0x109B7F411BA0E4C9B2B70CAF5C36A7B194BE7C11AD24378BFEDB68592BA8118B,
    ),
    ("bn254", 5): (
        0x0EB544FEE2815DDA7F53E29CCAC98ED7D889BB4EBD47C3864F3C2BD81A6DA891,
        0x251E7FDF99591080080B0AF133B9E4369F22E57ACE3CD7F64FC6FDBCF38D7DA1,
    ),
    ("bls12_381", 3): (
        0x6C4FFA723EAF1A7BF74905CC7DAE4CA9FF4A2C3BC81D42E09540D1F250910880,
        0x3D955D6C02FE4D7CB500E12F2B55EFF668A7B4386BD27413766713C93F2ACFCD,
    ),
    ("bls12_381", 5): (
        0x5EE52B2F39E240A4006E97A15A7609DCE42FA9AA510D11586A56DB98FA925158,
        0x354423B163D1078B0DD645BE56316E34A9B98E52DCF9F469BE44B108BE46C107,
    ),
}

PERMUTED = {
    # The same files' test vectors: the permutation of 0, 1, 2, …
    "bls12_381.poseidon.t3": (
        0x28CE19420FC246A05553AD1E8C98F5C9D67166BE2C18E9E4CB4B4E317DD2A78A,
        0x51F3E312C95343A896CFD8945EA82BA956C1118CE9B9859B6EA56637B4B1DDC4,
        0x3B2B69139B235626A0BFB56C9527AE66A7BF486AD8C11C14D1DA0C69BBE0F79A,
    ),
    "bls12_381.poseidon.t5": (
        0x2A918B9C9F9BD7BB509331C81E297B5707F6FC7393DCEE1B13901A0B22202E18,
        0x65EBF8671739EEB11FB217F2D5C5BF4A0C3F210E3F3CD3B08B5DB75675D797F7,
        0x2CC176FC26BC70737A696A9DFD1B636CE360EE76926D182390CDB7459CF585CE,
        0x4DC4E29D283AFD2A491FE6AEF122B9A968E74EFF05341F3CC23FDA1781DCB566,
        0x03FF622DA276830B9451B88B85E6184FD6AE15C8AB3EE25A5667BE8592CCE3B1,
    ),
    # HorizenLabs/poseidon2 (commit 055bde3), plain_implementations/src/poseidon2/poseidon2.rs, `kats`.
    "bn254.poseidon2.t3": (
        0x0BB61D24DACA55EEBCB1929A82650F328134334DA98EA4F847F760054F4A3033,
        0x303B6F7C86D043BFCBCC80214F26A30277A15D3F74CA654992DEFE7FF8D03570,
        0x1ED25194542B12EEF8617361C3BA7C52E660B145994427CC86296242CF766EC8,
    ),
    "bls12_381.poseidon2.t2": (
        0x73C46DD530E248A87B61D19E67FA1B4ED30FC3D09F16531FE189FB945A15CE4E,
        0x1F0E305EE21C9366D5793B80251405032A3FEE32B9DD0B5F4578262891B043B4,
    ),
    "bls12_381.poseidon2.t3": (
        0x1B152349B1950B6A8CA75EE4407B6E26CA5CCA5650534E56EF3FD45761FBF5F0,
        0x4C5793C87D51BDC2C08A32108437DC0000BD0275868F09EBC5F36919AF5B3891,
        0x1FC8ED171E67902CA49863159FE5BA6325318843D13976143B8125F08B50DC6B,
    ),
    "bls12_381.poseidon2.t4": (
        0x28FF6C4EDF9768C08AE26290487E93449CC8BC155FC2FAD92A344ADCEB3ADA6D,
        0x0E56F2B6FAD25075AA93560185B70E2B180ED7E269159C507C288B6747A0DB2D,
        0x6D8196F28DA6006BB89B3DF94600ACDC03D0BA7C2B0F3F4409A54C1DB6BF30D0,
        0x07CFB49540EE456CCE38B8A7D1A930A57FFC6660737F6589EF184C5E15334E36,
    ),
    # Barretenberg, crypto/poseidon2: the test vector of its permutation.
    "bn254.poseidon2.t4": (
        0x01BD538C2EE014ED5141B29E9AE240BF8DB3FE5B9A38629A9647CF8D76C01737,
        0x239B62E7DB98AA3A2A8F6A0D2FA1709E7A35959AA6C7034814D9DAA90CBAC662,
        0x04CBB44C61D928ED06808456BF758CBF0C18D1E15A7B6DBC8245FA7515D5E3CB,
        0x2E11C5CFF2A22C64D01304B778D78F6998EFF1AB73163A35603F54794C30847A,
    ),
}

DIAGONAL_8 = 0x1118B610C2544EFA26B70D9D60CA6CA362AFCFFF12436CF3B0F8A3EC5895D9EA
"""HorizenLabs/poseidon2, poseidon2_instance_bls12.rs: the first of MAT_DIAG8_M_1, the matrix without the ones."""

TESTED = [
    *(f"{curve}.poseidon.t{width}" for curve in params.FIELDS for width in (2, 3, 5, 17)),
    "bn254.poseidon2.t2",
    "bn254.poseidon2.t3",
    "bn254.poseidon2.t4",
    "bls12_381.poseidon2.t3",
    "bls12_381.poseidon2.t8",
]


def rows(numbers, *shape):
    """Numbers as four words each."""
    packed = b"".join(number.to_bytes(32, "little") for number in numbers)
    return np.frombuffer(packed, np.uint64).reshape(*shape, 4)


def integers(elements):
    return [int.from_bytes(row.tobytes(), "little") for row in elements.reshape(-1, 4)]


def drawn(spec, count, seed):
    """Zero, one, the largest, and others."""
    p, chosen = spec.field.modulus, random.Random(seed)
    return [chosen.choice((0, 1, p - 1, *(chosen.randrange(p) for _ in range(6)))) for _ in range(count)]


# Parameters


@pytest.mark.parametrize("curve", params.FIELDS)
def test_partial_rounds(curve):
    assert [params.partial_rounds(params.FIELDS[curve], t) for t in params.WIDTHS] == CIRCOMLIB_PARTIAL


@pytest.mark.parametrize("curve", params.FIELDS)
def test_partial_rounds_are_those_of_the_whole_search(curve):
    """`calc_round_numbers.py` of the reference tries every number of full and partial rounds, and takes the cheapest."""
    field = params.FIELDS[curve]
    n, log_p, security = field.bits, math.log2(field.modulus), 128

    def resists(t, full, partial):
        return full >= max(
            6 if security <= (math.floor(log_p - 2)) * (t + 1) else 10,
            1 + math.ceil(math.log(2, 5) * min(security, n)) + math.ceil(math.log(t, 5)) - partial,
            math.ceil(1 + math.log(2, 5) * min(security / 3, log_p / 2) - partial),
            math.ceil(t - 1 + min(math.log(2, 5) * security / (t + 1), math.log(2, 5) * log_p / 2) - partial),
        )

    for t, expected in zip(params.WIDTHS, CIRCOMLIB_PARTIAL, strict=True):
        found = [
            (t * (full + 2) + math.ceil(partial * 1.075), full + 2, math.ceil(partial * 1.075))
            for partial in range(1, 200)
            for full in range(4, 40, 2)
            if resists(t, full, partial)
        ]
        _, full, partial = min(found)
        assert (full, -(-partial // t) * t) == (params.FULL_ROUNDS, expected)


@pytest.mark.parametrize(("curve", "width"), FIRST)
def test_published_constants(curve, width):
    spec = params.poseidon(curve, width)
    assert (spec.constants[0][0], spec.matrix[0][0]) == FIRST[curve, width]
    assert all(0 <= value < spec.field.modulus for row in spec.constants for value in row)
    assert spec.matrix == spec.inner
    assert params.poseidon2("bls12_381", 8).inner[0][0] == DIAGONAL_8 + 1


@pytest.mark.parametrize("operation", PERMUTED)
def test_published_permutations(operation):
    spec = params.named(operation)
    assert tuple(oracle.permute(spec, range(spec.width))) == PERMUTED[operation]


@pytest.mark.parametrize("width", [2, 3, 5, 9])
def test_matrices_have_no_infinite_trails(width):
    for curve, field in params.FIELDS.items():
        assert params.resists_trails(params.poseidon(curve, width).matrix, field.modulus)
        if width in params.WIDTHS_2[curve]:
            assert params.resists_trails(params.poseidon2(curve, width).inner, field.modulus)


def test_trails_are_seen():
    p = params.FIELDS["bn254"].modulus
    assert not params.resists_trails(((1, 0), (0, 1)), p)
    assert not params.resists_trails(((0, 1), (1, 0)), p)  # its square is the identity
    assert not params.resists_trails(((1, 1, 0), (1, 2, 0), (0, 0, 3)), p)  # keeps the last coordinate
    assert not params.resists_trails(((1, 0, 1), (1, 1, 0), (0, 0, 2)), p)


# Backends


def circomlib_cases():
    cases = json.loads((VECTORS / "poseidon_bn254_circomlib.json").read_text(encoding="utf-8"))["cases"]
    assert {case["t"] for case in cases} == {3, 5, 17}
    return cases


def test_circomlib(backend):
    for case in circomlib_cases():
        found = poseidon.hash_batch("bn254", rows(case["inputs"], 1, case["t"] - 1), backend=backend)
        assert integers(found) == [int(case["hash"], 16)]


@pytest.mark.parametrize("operation", TESTED)
def test_hashes_and_permutations(operation, backend):
    spec = params.named(operation)
    curve, variant, _ = operation.split(".")
    t, count = spec.width, 17 if spec.width < 6 else 3
    numbers = drawn(spec, count * t, operation)
    states = [numbers[i * t : i * t + t] for i in range(count)]
    permuted = poseidon.permute_batch(curve, rows(numbers, count, t), variant=variant, backend=backend)
    assert permuted.shape == (count, t, 4)
    assert integers(permuted) == [value for state in states for value in oracle.permute(spec, state)]
    inputs = [state[:-1] for state in states]
    flat = [value for row in inputs for value in row]
    hashed = poseidon.hash_batch(curve, rows(flat, count, t - 1), variant=variant, backend=backend)
    assert integers(hashed) == [oracle.compress(spec, row) for row in inputs]
    if operation in PERMUTED:
        found = poseidon.permute_batch(curve, rows(range(t), 1, t), variant=variant, backend=backend)
        assert tuple(integers(found)) == PERMUTED[operation]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 15, 16, 17, 33])
def test_every_size_of_a_batch(count, backend):
    spec = params.poseidon("bn254", 2)
    numbers = drawn(spec, count, count)
    found = poseidon.hash_batch("bn254", rows(numbers, count, 1), backend=backend)
    assert found.shape == (count, 4)
    assert integers(found) == [oracle.compress(spec, [number]) for number in numbers]


def test_threads_change_nothing(backend):
    inputs = rows(drawn(params.poseidon("bls12_381", 3), 2 * 200, 1), 200, 2)
    messages = (inputs.reshape(-1, 4), np.array([0, 1, 1, *range(5, 400, 7)], np.int64))
    before = get_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            set_threads(threads)
            hashed = poseidon.hash_batch("bls12_381", inputs, backend=backend)
            sponged = integers(poseidon.sponge_batch("bls12_381", messages, backend=backend))
            found.append((integers(hashed), sponged))
    finally:
        set_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("operation", ["bn254.poseidon.t3", "bls12_381.poseidon.t5", "bn254.poseidon2.t4"])
def test_sponges(operation, backend):
    spec = params.named(operation)
    curve, variant, _ = operation.split(".")
    options = {"width": spec.width, "variant": variant, "backend": backend}
    chosen = random.Random(3)
    lengths = [0, 1, 2, 3, 4, 5, 11, *(chosen.randrange(10) for _ in range(14))]
    numbers = drawn(spec, sum(lengths), operation)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    found = poseidon.sponge_batch(curve, (rows(numbers, len(numbers)), offsets), **options)
    messages = [numbers[a:b] for a, b in pairwise(offsets)]
    assert integers(found) == [oracle.sponge(spec, message, fixed=False) for message in messages]
    for length in (0, 1, spec.width - 1, spec.width, 2 * spec.width - 1):
        messages = [numbers[i * length : i * length + length] for i in range(3)]
        flat = [value for message in messages for value in message]
        found = poseidon.sponge_batch(curve, rows(flat, 3, length), **options)
        assert integers(found) == [oracle.sponge(spec, message, fixed=True) for message in messages]


@pytest.mark.parametrize("width", [2, 3, 4])
def test_no_two_messages_have_one_digest(width):
    """All short messages of zeros and ones in both uses, but for the pairs that the module's text names."""
    digests = {}
    for length in range(5):
        messages = list(product((0, 1), repeat=length))
        flat = [value for message in messages for value in message]
        known = poseidon.sponge_batch("bn254", rows(flat, len(messages), length), width=width)
        offsets = np.arange(len(messages) + 1, dtype=np.int64) * length
        unknown = poseidon.sponge_batch("bn254", (rows(flat, len(flat)), offsets), width=width)
        for fixed, found in ((True, known), (False, unknown)):
            for message, digest in zip(messages, integers(found), strict=True):
                digests.setdefault(digest, []).append((fixed, message))
    assert [uses for uses in digests.values() if len(uses) > 1] == [[(False, ()), (True, (1,))]]
    zeros = poseidon.hash_batch("bn254", np.zeros((1, width - 1, 4), np.uint64))
    assert digests[integers(zeros)[0]] == [(True, ())]


def test_a_part_of_the_elements(backend):
    """Offsets that do not begin at the first element, and do not reach the last."""
    spec = params.poseidon("bn254", 3)
    numbers = drawn(spec, 9, 9)
    offsets = np.array([2, 5, 8], np.int64)
    found = poseidon.sponge_batch("bn254", (rows(numbers, 9), offsets), backend=backend)
    assert integers(found) == [oracle.sponge(spec, numbers[a : a + 3], fixed=False) for a in (2, 5)]


def test_levels_of_a_tree(backend):
    """What Merkle trees call: children side by side become parents, without a copy."""
    if backend == "cuda":
        pytest.skip("this entry is for processors")
    spec = params.poseidon("bn254", 3)
    numbers = drawn(spec, 16, 2)
    level = rows(numbers, 16)
    chosen = poseidon.permutation("bn254", 3, backend=backend)
    while len(level) > 1:
        parents = np.empty((len(level) // 2, 4), np.uint64)
        hash_into(chosen, level.reshape(-1, 2, 4), parents)
        numbers = [oracle.compress(spec, numbers[i : i + 2]) for i in range(0, len(numbers), 2)]
        level = parents
        assert integers(level) == numbers


def test_values_that_are_not_canonical(backend):
    for curve, field in params.FIELDS.items():
        for value in (field.modulus, field.modulus + 1, (1 << 256) - 1, field.modulus + (1 << 192)):
            inputs = rows([0] * 11 + [field.modulus - 1] * 10 + [value], 11, 2).copy()
            with pytest.raises(ArgumentError, match=r"inputs.*row 10.*" + field.name.replace(".", r"\.")):
                poseidon.hash_batch(curve, inputs, backend=backend)
            inputs[3] = inputs[10]
            with pytest.raises(ArgumentError, match=r"states.*row 3"):
                poseidon.permute_batch(curve, inputs, backend=backend)
            with pytest.raises(ArgumentError, match=r"messages.*row 3"):
                poseidon.sponge_batch(curve, inputs, backend=backend)


GOOD = np.zeros((2, 2, 4), np.uint64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: poseidon.hash_batch("bn128", GOOD), "curve.*bn128"),
        (lambda: poseidon.hash_batch("bn254", GOOD, variant="poseidon3"), "variant.*poseidon3"),
        (lambda: poseidon.hash_batch("bn254", GOOD.astype(np.int64)), "inputs.*int64"),
        (lambda: poseidon.hash_batch("bn254", GOOD[..., :3]), r"inputs.*\(2, 2, 3\)"),
        (lambda: poseidon.hash_batch("bn254", GOOD[0]), r"inputs.*\(2, 4\)"),
        (lambda: poseidon.hash_batch("bn254", [[1]]), "inputs.*list"),
        (lambda: poseidon.hash_batch("bn254", np.zeros((1, 17, 4), np.uint64)), "width.*18"),
        (lambda: poseidon.hash_batch("bn254", np.zeros((1, 0, 4), np.uint64)), "width.*1"),
        (
            lambda: poseidon.permute_batch("bn254", np.zeros((1, 5, 4), np.uint64), variant="poseidon2"),
            "width.*5",
        ),
        (lambda: poseidon.sponge_batch("bn254", GOOD, width=18), "width.*18"),
        (lambda: poseidon.sponge_batch("bn254", GOOD, width=3.0), r"width.*3\.0"),
        (lambda: poseidon.sponge_batch("bn254", GOOD, width=[3]), r"width.*\[3\]"),
        (lambda: poseidon.sponge_batch("bn254", (GOOD[0], np.array([0, 3]))), "messages.*offsets"),
        # Differences that pass 2^63 are not negative any more.
        (
            lambda: poseidon.sponge_batch("bn254", (GOOD[0], np.array([0, 2**63 - 1, -2, 0]))),
            "messages.*offsets",
        ),
        (lambda: poseidon.sponge_batch("bn254", (GOOD[0], np.array([2, 1]))), "messages.*offsets"),
        (lambda: poseidon.sponge_batch("bn254", (GOOD[0], np.array([0.0, 1.0]))), "messages.*offsets"),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_inputs_of_other_strides_and_read_only(backend):
    inputs = rows(drawn(params.poseidon("bn254", 3), 40, 6), 10, 4)
    assert not inputs.flags.writeable
    found = poseidon.hash_batch("bn254", inputs[::2, 1:3], backend=backend)
    expected = poseidon.hash_batch("bn254", inputs[::2, 1:3].copy(), backend=backend)
    assert np.array_equal(found, expected)
