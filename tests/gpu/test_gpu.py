# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs on a real device: every operation against the oracle, hashlib or the CPU, and what only a device gets wrong.

The same programs run in `tests/crypto` and `tests/kernels/cuda` as plain C++; what is new here is the compiler, the driver,
CuPy, and copies that overlap. Needs CuPy, Numba, NumPy and pytest, and none of the libraries that other tests compare with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from lanes_here import ON_PROCESSORS_ONLY

from supervm.benchmarks.workloads import signing
from supervm.crypto import ed25519, hashes, poseidon, secp256k1, selftest
from supervm.crypto.cuda import PROGRAMS
from supervm.crypto.messages import Messages
from supervm.crypto.oracle import hashes as oracle_hashes
from supervm.kernels import registry
from supervm.kernels.cuda.runtime import batch, cubins, devices, nvrtc
from supervm.kernels.errors import DeviceOutOfMemory
from supervm.kernels.work import Ragged

pytestmark = pytest.mark.gpu

POOL = 512
"""Signatures that are made for a scheme; larger batches repeat them before items are damaged."""

SIZES = (1, 2, 31, 127, 128, 129, 1000, 4097, 1 << 17)
RULES = ("dalek", "strict", "zip215")
HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512, "blake2b": hashlib.blake2b}


def rows(values: list[bytes]) -> Any:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1).copy()


def flip(random: np.random.Generator, array: Any) -> None:
    """One bit of one row in sixteen, in place."""
    chosen = random.choice(len(array), -(-len(array) // 16), replace=False)
    array[chosen, random.integers(0, array.shape[1], chosen.size)] ^= np.uint8(1) << random.integers(
        0, 8, chosen.size, dtype=np.uint8
    )


def lengths_of(random: np.random.Generator, count: int) -> Any:
    """Mixed lengths; every other one at the edge of a block of some hash function."""
    edges = np.array([0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 135, 136, 137])
    return np.where(random.integers(0, 2, count), random.integers(0, 300, count), random.choice(edges, count))


def ragged(random: np.random.Generator, count: int) -> Messages:
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(lengths_of(random, count), out=offsets[1:])
    return Messages.of((random.integers(0, 256, int(offsets[-1]), np.uint8), offsets))


class Items:
    """Signed items of a scheme: a pool, repeated and damaged."""

    def __init__(self, scheme: str, count: int) -> None:
        random = np.random.default_rng([count, len(scheme)])
        fixed = scheme in ("ecdsa", "recover")
        lengths = np.full(POOL, 32) if fixed else lengths_of(random, POOL)
        messages = [random.bytes(int(length)) for length in lengths]
        sign = {"ed25519": signing.ed25519, "schnorr": signing.bip340}.get(scheme, signing.ecdsa)
        signed, order = sign(messages), np.arange(count) % POOL
        self.keys, self.signatures = rows(signed.keys)[order], rows(signed.signatures)[order]
        self.messages = Messages.of(Ragged(*_joined(messages)).take(order))
        if scheme == "ecdsa":
            self.signatures = self.signatures[:, :64].copy()
        for array in (self.keys, self.signatures):
            flip(random, array)
        data = self.messages.data
        data[random.choice(data.size, data.size // 1000, replace=False)] ^= np.uint8(4)

    @property
    def digests(self) -> Any:
        """The messages of a scheme that takes digests."""
        return self.messages.data[: len(self.keys) * 32].reshape(-1, 32)


def _joined(messages: list[bytes]) -> tuple[Any, Any]:
    packed = Messages.of(messages)
    return packed.data, packed.offsets


@pytest.fixture(scope="module")
def items() -> Callable[[str], Items]:
    """The largest batch of a scheme, made once."""
    made: dict[str, Items] = {}

    def largest(scheme: str) -> Items:
        if scheme not in made:
            made[scheme] = Items(scheme, SIZES[-1])
        return made[scheme]

    return largest


def same(found: Any, expected: Any) -> None:
    """Equal in every item; else the first that is not."""
    for ours, theirs in zip(_tuple(found), _tuple(expected), strict=True):
        differ = np.flatnonzero((ours != theirs).reshape(len(theirs), -1).any(axis=1))
        assert not differ.size, f"{differ.size} of {len(theirs)} differ, the first is item {differ[0]}"


def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def test_every_operation_has_a_program() -> None:
    for operation in registry.operations():
        names = {backend.name for backend in registry.backends(operation)}
        assert ("cuda" in names) == (operation not in ON_PROCESSORS_ONLY), operation


@pytest.mark.parametrize(
    "operation", [name for name in selftest.operations() if name not in ON_PROCESSORS_ONLY]
)
def test_known_answers(operation: str) -> None:
    outcome = selftest.known_answers(operation, "cuda")
    assert outcome.ok, outcome.detail


@pytest.mark.parametrize("rule", RULES)
def test_adversarial_ed25519(rule: str, ed25519_cases: Any, oracles: Any) -> None:
    keys, signatures = (rows([getattr(c, n) for c in ed25519_cases]) for n in ("public_key", "signature"))
    found = ed25519.verify_batch(
        keys, [c.message for c in ed25519_cases], signatures, rule=rule, backend="cuda"
    )
    expected = [oracles.ed25519(c.public_key, c.message, c.signature, rule) for c in ed25519_cases]
    named(found, expected, ed25519_cases)


@pytest.mark.parametrize("low_s", [True, False])
@pytest.mark.parametrize("length", [33, 64, 65])
def test_adversarial_ecdsa(length: int, low_s: bool, ecdsa_cases: Any, oracles: Any) -> None:
    chosen = [case for case in ecdsa_cases if len(case.public_key) == length]
    assert chosen
    columns = (rows([getattr(c, n) for c in chosen]) for n in ("public_key", "digest", "signature"))
    found = secp256k1.ecdsa_verify_batch(*columns, low_s=low_s, backend="cuda")
    named(found, [oracles.ecdsa(c.public_key, c.digest, c.signature, low_s) for c in chosen], chosen)


def test_adversarial_recovery(recovery_cases: Any, oracles: Any) -> None:
    columns = (rows([getattr(c, n) for c in recovery_cases]) for n in ("digest", "signature"))
    keys, verdicts = secp256k1.ecdsa_recover_batch(*columns, backend="cuda")
    answers = [oracles.recover(c.digest, c.signature) for c in recovery_cases]
    named(verdicts, [verdict for _, verdict in answers], recovery_cases)
    same(keys, rows([key or bytes(64) for key, _ in answers]))


def test_adversarial_schnorr(schnorr_cases: Any, oracles: Any) -> None:
    keys, signatures = (rows([getattr(c, n) for c in schnorr_cases]) for n in ("public_key", "signature"))
    found = secp256k1.schnorr_verify_batch(
        keys, [c.message for c in schnorr_cases], signatures, backend="cuda"
    )
    named(
        found, [oracles.schnorr(c.public_key, c.message, c.signature) for c in schnorr_cases], schnorr_cases
    )


def named(found: Any, expected: list[int], cases: Any) -> None:
    assert len(set(expected)) > 1
    wrong = [
        (case.description, got, want)
        for case, got, want in zip(cases, found.tolist(), expected, strict=True)
        if got != want
    ]
    assert not wrong


def verify(scheme: str, made: Items, count: int, backend: str, rule: str = "dalek") -> Any:
    """The public function on the first `count` items."""
    keys, signatures = made.keys[:count], made.signatures[:count]
    messages = Messages.of((made.messages.data, made.messages.offsets[: count + 1]))
    if scheme == "ed25519":
        return ed25519.verify_batch(keys, messages, signatures, rule=rule, backend=backend)
    if scheme == "ecdsa":
        return secp256k1.ecdsa_verify_batch(keys, made.digests[:count], signatures, backend=backend)
    if scheme == "recover":
        return secp256k1.ecdsa_recover_batch(made.digests[:count], signatures, backend=backend)
    return secp256k1.schnorr_verify_batch(keys, messages, signatures, backend=backend)


SCHEMES = ("ed25519", "ecdsa", "recover", "schnorr")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_signatures_of_every_size(scheme: str, items: Callable[[str], Items]) -> None:
    made = items(scheme)
    expected = verify(scheme, made, SIZES[-1], "auto")
    verdicts = _tuple(expected)[-1]
    assert 0.5 < (verdicts == 1).mean() < 0.99
    for count in SIZES:
        same(verify(scheme, made, count, "cuda"), tuple(part[:count] for part in _tuple(expected)))


@pytest.mark.parametrize("rule", ["strict", "zip215"])
def test_other_rules(rule: str, items: Callable[[str], Items]) -> None:
    made = items("ed25519")
    same(verify("ed25519", made, 50_000, "cuda", rule), verify("ed25519", made, 50_000, "auto", rule))


@pytest.mark.parametrize("name", [*HASHES, "keccak256"])
@pytest.mark.parametrize("count", SIZES)
def test_hashes_of_mixed_lengths(name: str, count: int) -> None:
    messages = ragged(np.random.default_rng(count), count)
    function = getattr(hashes, f"{name}_batch")
    found = function(messages, backend="cuda")
    same(found, function(messages, backend="auto"))
    reference = HASHES.get(name)
    for index in np.unique(np.linspace(0, count - 1, 100).astype(int)).tolist():
        message = messages[index]
        digest = reference(message).digest() if reference else oracle_hashes.keccak256(message)
        assert found[index].tobytes() == digest


@pytest.mark.parametrize("name", list(HASHES))
def test_one_long_message_among_short_ones(name: str) -> None:
    messages = [b"short", bytes(range(256)) * 8192, b"", b"x" * 1000]
    found = getattr(hashes, f"{name}_batch")(messages, backend="cuda")
    assert [row.tobytes() for row in found] == [HASHES[name](message).digest() for message in messages]


@pytest.mark.parametrize("count", SIZES)
def test_addresses(count: int) -> None:
    keys = np.random.default_rng(count).integers(0, 256, (count, 64), np.uint8)
    same(hashes.eth_address_batch(keys, backend="cuda"), hashes.eth_address_batch(keys, backend="auto"))


def field_elements(count: int, each: int) -> Any:
    """Values below 2^252, zeros among them."""
    random = np.random.default_rng(count)
    elements = random.integers(0, 1 << 60, (count, each, 4), np.uint64)
    elements[random.integers(0, 9, (count, each)) == 0] = 0
    return elements


@pytest.mark.parametrize(
    "operation", ["bn254.poseidon.t3", "bls12_381.poseidon.t5", "bls12_381.poseidon2.t3"]
)
@pytest.mark.parametrize("count", SIZES)
def test_poseidon(operation: str, count: int) -> None:
    curve, variant, last = operation.split(".")
    states = field_elements(count, int(last[1:]))
    for function, rows_ in ((poseidon.hash_batch, states[:, 1:]), (poseidon.permute_batch, states)):
        found = function(curve, rows_, variant=variant, backend="cuda")
        same(found, function(curve, rows_, variant=variant, backend="auto"))


@pytest.mark.parametrize("curve", ["bn254", "bls12_381"])
def test_resident_field_elements(curve: str, gpu: Any) -> None:
    inputs = field_elements(1 << 16, 2)
    expected = poseidon.hash_batch(curve, inputs, backend="auto")
    digests = np.zeros_like(expected)
    resident = batch.Resident(PROGRAMS[f"{curve}.poseidon.t3"], gpu, inputs, digests)
    for times in (1, 3):
        resident.compute(times)
        resident.collect()
        same(digests, expected)
        digests.fill(9)


@pytest.mark.parametrize("piece", [64, 1000, 4096])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pieces_across_two_streams(
    scheme: str, piece: int, items: Callable[[str], Items], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small pieces: copies of one run beside the kernels of another, in buffers that are used in turn."""
    monkeypatch.setattr(batch, "PIECE_ITEMS", piece)
    made = items(scheme)
    same(verify(scheme, made, 20_011, "cuda"), verify(scheme, made, 20_011, "auto"))


def test_pieces_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages get longer and longer, so that a stream's buffers are replaced while the other one is at work."""
    monkeypatch.setattr(batch, "PIECE_ITEMS", 16)
    messages = [bytes([index & 255]) * (index * 7) for index in range(2000)]
    found = hashes.sha256_batch(messages, backend="cuda")
    assert [row.tobytes() for row in found] == [hashlib.sha256(message).digest() for message in messages]


def test_threads_work_side_by_side(items: Callable[[str], Items]) -> None:
    """Each thread has streams and buffers of its own; tables and modules are shared."""
    made = {scheme: items(scheme) for scheme in SCHEMES}
    expected = {scheme: verify(scheme, made[scheme], 9000, "auto") for scheme in SCHEMES}

    def work(scheme: str) -> None:
        for _ in range(5):
            same(verify(scheme, made[scheme], 9000, "cuda"), expected[scheme])

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, scheme) for scheme in SCHEMES * 2]:
            done.result()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_resident_batch_is_computed_in_one_piece(
    scheme: str, gpu: Any, items: Callable[[str], Items]
) -> None:
    made, count = items(scheme), SIZES[-1]
    expected = _tuple(verify(scheme, made, count, "auto"))
    operation, inputs = {
        "ed25519": (
            "ed25519.verify",
            (made.keys, made.messages.ragged, made.signatures, ed25519.RULES["dalek"]),
        ),
        "ecdsa": ("secp256k1.ecdsa_verify", (made.keys, made.digests, made.signatures, 1)),
        "recover": ("secp256k1.ecdsa_recover", (made.digests, made.signatures)),
        "schnorr": ("secp256k1.schnorr_verify", (made.keys, made.messages.ragged, made.signatures)),
    }[scheme]
    outputs = tuple(np.full_like(array, 9) for array in expected)
    resident = batch.Resident(PROGRAMS[operation], gpu, *inputs, *outputs)
    for times in (1, 3):
        resident.compute(times)
        resident.collect()
        same(outputs, expected)
        for array in outputs:
            array.fill(9)


def test_pinned_memory_goes_there_and_back(gpu: Any) -> None:
    from supervm.kernels.cuda.runtime.cupy_device import is_pinned, pinned_empty

    sent, back = pinned_empty((1 << 20, 3), np.uint8), pinned_empty((1 << 20, 3), np.uint8)
    sent[...] = np.random.default_rng(1).integers(0, 256, sent.shape, np.uint8)
    back[...] = 0
    stream = gpu.stream()
    buffer = stream.allocate(sent.nbytes)
    stream.upload(sent, buffer)
    stream.download(buffer, back)
    stream.wait()
    assert is_pinned(sent[5:])
    assert is_pinned(back)
    same(back, sent)
    pageable = np.zeros((1000, 3), np.uint8)
    stream.download(buffer, pageable, 30)
    stream.wait()
    same(pageable, sent[10:1010])
    stream.upload(pageable[::-1].copy(), buffer, 3)
    stream.download(buffer, back)
    stream.wait()
    same(back[1:1001], pageable[::-1])
    same(back[1001:], sent[1001:])


@pytest.mark.parametrize("piece", [999, 1 << 17])
def test_inputs_in_pinned_memory(
    piece: int, items: Callable[[str], Items], monkeypatch: pytest.MonkeyPatch
) -> None:
    from supervm.kernels.cuda.runtime.cupy_device import pinned_empty

    monkeypatch.setattr(batch, "PIECE_ITEMS", piece)

    def pinned(array: Any) -> Any:
        made = pinned_empty(array.shape, array.dtype)
        made[...] = array
        return made

    made = items("ed25519")
    messages = Messages.of((pinned(made.messages.data), pinned(made.messages.offsets)))
    found = ed25519.verify_batch(pinned(made.keys), messages, pinned(made.signatures), backend="cuda")
    same(found, verify("ed25519", made, SIZES[-1], "auto"))


def test_cleared_memory_is_zero(gpu: Any) -> None:
    stream, back = gpu.stream(), np.ones(5000, np.uint8)
    buffer = stream.allocate(5000)
    stream.upload(back, buffer)
    stream.clear(buffer)
    stream.download(buffer, back)
    stream.wait()
    assert not back.any()


def test_too_much_memory_is_an_error_and_no_more(gpu: Any) -> None:
    with pytest.raises(DeviceOutOfMemory):
        gpu.stream().allocate(4 * gpu.free_bytes())
    assert selftest.known_answers("sha256", "cuda").ok


def test_a_compiled_program_is_kept(gpu: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled once, told while that lasts, and loaded from the file by whoever comes later."""
    from supervm.kernels.cuda.runtime.cupy_device import CupyDevice

    monkeypatch.setattr(cubins, "cache_root", lambda: tmp_path)
    operation, told = PROGRAMS["sha256"], []
    (program,) = operation.programs
    with cubins.telling(told.append):
        path = cubins.cubin(program, gpu.architecture)
    assert path.parent == tmp_path / "cuda"
    assert [bool(text) for text in told] == [True, False]

    def forbidden(*arguments: Any) -> None:
        raise AssertionError("compiled a second time")

    monkeypatch.setattr(nvrtc, "compile_cubin", forbidden)
    later, out = CupyDevice(gpu.index), np.zeros((2, 32), np.uint8)
    batch.run(operation, later, Messages.of([b"abc", b""]).ragged, out)
    assert [row.tobytes() for row in out] == [hashlib.sha256(text).digest() for text in (b"abc", b"")]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_every_device_gives_the_same(items: Callable[[str], Items]) -> None:
    if len(devices.devices()) < 2:
        pytest.skip("one device only")
    made = items("ed25519")
    expected = verify("ed25519", made, 20_000, "auto")

    def work(device: Any) -> None:
        with device.use():
            assert devices.working_device() is device
            same(verify("ed25519", made, 20_000, "cuda"), expected)

    for device in devices.devices():
        work(device)
    with ThreadPoolExecutor(len(devices.devices())) as pool:
        for done in [pool.submit(work, device) for device in devices.devices()]:
            done.result()
