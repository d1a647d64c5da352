# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays that lie on a GPU go in and come out of the public functions; here the GPU is the host twin."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
from types import SimpleNamespace

import numpy as np
import pytest
from host_device import HostDevice, ResidentArray

from supervm.crypto import ed25519, hash_to_curve, hashes, poseidon, secp256k1
from supervm.crypto.messages import Messages
from supervm.crypto.oracle import adversarial_ed25519
from supervm.crypto.oracle import ed25519 as oracle
from supervm.kernels.cuda.runtime import batch, devices
from supervm.kernels.errors import ArgumentError, BackendUnavailable

pytestmark = pytest.mark.twin


def rows(values):
    return np.array([np.frombuffer(value, np.uint8) for value in values])


def test_verdicts_come_back_where_the_signatures_lie(device, monkeypatch):
    cases = adversarial_ed25519.cases()[:60]
    keys, signatures = rows([c.public_key for c in cases]), rows([c.signature for c in cases])
    messages = Messages.of([c.message for c in cases])
    monkeypatch.setattr(batch, "PIECE_ITEMS", 25)
    uploads = []
    there = Messages(ResidentArray(messages.data), ResidentArray(messages.offsets))
    monkeypatch.setattr("host_device.HostStream.upload", counting(uploads))
    found = ed25519.verify_batch(ResidentArray(keys), there, ResidentArray(signatures), rule="strict")
    assert isinstance(found, ResidentArray)
    assert found.get().tolist() == [
        oracle.verify(c.public_key, c.message, c.signature, "strict") for c in cases
    ]
    assert device.synchronized
    assert keys.nbytes not in uploads
    assert messages.data.nbytes not in uploads


def counting(uploads):
    from host_device import HostStream

    original = HostStream.upload

    def upload(self, host, buffer, offset=0):
        uploads.append(host.nbytes)
        original(self, host, buffer, offset)

    return upload


@pytest.mark.parametrize("length", [0, 1, 31, 32, 64, 512])
def test_rows_are_messages(device, length):
    data = np.random.default_rng(length).integers(0, 256, (7, length), np.uint8)
    expected = [hashlib.sha256(row.tobytes()).digest() for row in data]
    found = hashes.sha256_batch(ResidentArray(data))
    assert [row.tobytes() for row in found.get()] == expected


def test_what_lies_there_is_mapped_to_points_here(device):
    messages, elements = Messages.of([b"", b"a", b"two"]), np.ones((2, 6), np.uint64)
    elements[:, 5] = 0x1A0111EA397FE699
    there = Messages(ResidentArray(messages.data), messages.offsets)
    found = hash_to_curve.hash_to_g1(there, b"tag", backend="scalar")
    assert np.array_equal(found, hash_to_curve.hash_to_g1(messages, b"tag", backend="scalar"))
    mapped = hash_to_curve.map_to_g1(ResidentArray(elements), backend="scalar")
    assert np.array_equal(mapped, hash_to_curve.map_to_g1(elements, backend="scalar"))


def test_recovered_keys_go_on_to_addresses_without_leaving(device):
    digests = np.arange(3 * 32, dtype=np.uint8).reshape(3, 32)
    signatures = np.full((3, 65), 1, np.uint8)
    signatures[2, 64] = 9
    keys, verdicts = secp256k1.ecdsa_recover_batch(ResidentArray(digests), ResidentArray(signatures))
    addresses = hashes.eth_address_batch(keys)
    here, verdicts_here = secp256k1.ecdsa_recover_batch(digests, signatures, backend="scalar")
    assert verdicts.get().tolist() == verdicts_here.tolist()
    assert verdicts_here[2] == -1
    assert np.array_equal(keys.get(), here)
    assert np.array_equal(addresses.get(), hashes.eth_address_batch(here, backend="scalar"))


def test_columns_here_and_there_may_be_mixed(device):
    digests, signatures = np.ones((2, 32), np.uint8), np.ones((2, 65), np.uint8)
    keys, _ = secp256k1.ecdsa_recover_batch(digests, ResidentArray(signatures))
    assert np.array_equal(keys.get(), secp256k1.ecdsa_recover_batch(digests, signatures, backend="scalar")[0])


def test_messages_on_a_device_are_checked_and_can_be_read(device):
    data, offsets = np.arange(10, dtype=np.uint8), np.array([0, 4, 10])
    messages = Messages.of((ResidentArray(data), ResidentArray(offsets)))
    assert (len(messages), messages[1]) == (2, bytes(range(4, 10)))
    with pytest.raises(ArgumentError, match="offsets"):
        Messages(ResidentArray(data), ResidentArray(np.array([0, 4, 11])))
    with pytest.raises(ArgumentError, match=r"data.*uint16"):
        Messages(ResidentArray(data.astype(np.uint16)), offsets)


def test_errors_are_those_of_numpy_arrays(device):
    keys, signed = np.zeros((2, 33), np.uint8), np.zeros((2, 64), np.uint8)
    for wrong in (keys, ResidentArray(keys)):
        with pytest.raises(ArgumentError, match=r"public_keys.*uint8 \(2, 33\).*\(n, 32\)"):
            ed25519.verify_batch(wrong, [b"", b""], signed)
    with pytest.raises(ArgumentError, match="1 items"):
        ed25519.verify_batch(ResidentArray(keys[:, :32].copy()), [b""], signed)
    with pytest.raises(ArgumentError, match="contiguous"):
        ed25519.verify_batch(ResidentArray(keys[:, :32]), [b"", b""], signed)
    with pytest.raises(ArgumentError, match=r"backend.*'ifma'"):
        hashes.sha256_batch(ResidentArray(keys), backend="ifma")


class Guarded:
    """Memory that ends where what follows may not be read."""

    def __init__(self, content):
        page = mmap.PAGESIZE
        pages = -(-max(1, content.nbytes) // page)
        self.map = mmap.mmap(-1, (pages + 1) * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(start + pages * page), ctypes.c_size_t(page), 0) == 0
        self.values = np.frombuffer(self.map, np.uint8, content.nbytes, pages * page - content.nbytes)
        self.values[:] = content.reshape(-1)
        self.array = ResidentArray(self.values.reshape(content.shape))


@pytest.mark.parametrize("items", [1, 8, 64])
def test_rows_at_the_end_of_memory(device, items):
    keys = np.random.default_rng(items).integers(0, 256, (items, 64), np.uint8)
    guarded = Guarded(keys)
    found = hashes.eth_address_batch(guarded.array)
    assert np.array_equal(found.get(), hashes.eth_address_batch(keys, backend="scalar"))


@pytest.mark.parametrize("operation", ["sha256", "sha512", "keccak256", "blake2b"])
@pytest.mark.parametrize("behind", [0, 1, 2, 3])
def test_messages_at_the_end_of_memory(device, operation, behind):
    """What lies `behind` the last message is all that may be read there: the next page is protected."""
    data = np.random.default_rng(behind).integers(0, 256, 4000 + behind, np.uint8)
    guarded = Guarded(data)
    batch_of = getattr(hashes, f"{operation}_batch")
    for first in range(3800, 4000, 7):
        offsets = np.array([0, first, 4000])
        found = batch_of((guarded.array, offsets))
        assert np.array_equal(found.get(), batch_of((data, offsets), backend="scalar"))


def test_arrays_of_two_devices_are_refused(monkeypatch):
    monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(0), HostDevice(1)), ""))
    digests, signatures = (ResidentArray(np.ones((1, width), np.uint8)) for width in (32, 65))
    digests.device, signatures.device = SimpleNamespace(id=0), SimpleNamespace(index=1)
    with pytest.raises(ArgumentError, match="arrays on one GPU"):
        secp256k1.ecdsa_recover_batch(digests, signatures)


def test_an_array_of_another_device_is_refused(device):
    array = ResidentArray(np.zeros((1, 64), np.uint8))
    array.device = SimpleNamespace(id=3)
    with pytest.raises(BackendUnavailable, match="GPU 3"):
        hashes.sha256_batch(array)


def test_field_elements_stay_there(device):
    elements = np.arange(5 * 2 * 4, dtype=np.uint64).reshape(5, 2, 4)
    found = poseidon.hash_batch("bn254", ResidentArray(elements))
    assert isinstance(found, ResidentArray)
    assert np.array_equal(found.get(), poseidon.hash_batch("bn254", elements, backend="scalar"))
    states = np.arange(4 * 3 * 4, dtype=np.uint64).reshape(4, 3, 4)
    permuted = poseidon.permute_batch("bls12_381", ResidentArray(states), variant="poseidon2")
    expected = poseidon.permute_batch("bls12_381", states, variant="poseidon2", backend="scalar")
    assert np.array_equal(permuted.get(), expected)
    elements[3, 1] = 2**64 - 1
    with pytest.raises(ArgumentError, match="row 3"):
        poseidon.hash_batch("bn254", ResidentArray(elements))
    with pytest.raises(ArgumentError, match=r"messages.*GPU"):
        poseidon.sponge_batch("bn254", ResidentArray(elements))
