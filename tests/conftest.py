# SPDX-License-Identifier: GPL-3.0-or-later
"""What every room's tests share: the backends, the GPU switch, and the published vectors."""

from __future__ import annotations

import csv
import functools
import gc
import hashlib
import json
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from lanes_here import FULL

from supervm.crypto.oracle import (
    adversarial_ecdsa,
    adversarial_ed25519,
    adversarial_schnorr,
    ecdsa,
    ed25519,
    hashes,
    poseidon,
    schnorr,
)
from supervm.kernels.poseidon_spec import PoseidonSpec

VECTORS = Path(__file__).resolve().parent / "vectors"

# No test asserts a time, not that of an example either: Hypothesis would fail one of 200 ms, which a busy machine has.
settings.register_profile("supervm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("supervm")

PERMUTATIONS = 1 << 15
"""Of either oracle are remembered; each takes about a kilobyte."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu", action="store_true", help="fail, instead of skipping, where no GPU is found"
    )


def pytest_configure() -> None:
    # A shell that runs the tests in the background has them ignore Ctrl-C; so would the commands that are sent it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Modules and tests stay to the end: collections while they are loaded only look through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _what_stays_is_not_looked_through() -> None:
    """A process that compiled hundreds of kernels keeps millions of objects; each collection would look through them all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_measured() -> Iterator[None]:
    """`auto` is the same on every developer's machine, whatever was measured there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("supervm.kernels.choices._stored", dict)
        yield


@pytest.fixture(autouse=True, scope="session")
def _the_oracles_permute_each_state_once() -> Iterator[None]:
    """In plain Python one takes a millisecond, and tests ask for the same ones with every backend and in every tree."""
    keccak, permute, specs = hashes._permute, poseidon.permute, dict[int, PoseidonSpec]()

    @functools.lru_cache(PERMUTATIONS)
    def keccak_once(state: tuple[int, ...]) -> list[int]:
        return keccak(list(state))

    @functools.lru_cache(PERMUTATIONS)
    def poseidon_once(spec: int, state: tuple[int, ...]) -> list[int]:
        return permute(specs[spec], state)

    def of_poseidon(spec: PoseidonSpec, state: Sequence[int]) -> list[int]:
        specs.setdefault(id(spec), spec)  # kept, so that its number stays its own; hashing it takes too long
        return poseidon_once(id(spec), tuple(state)).copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "_permute", lambda state: keccak_once(tuple(state)).copy())
        patch.setattr(poseidon, "permute", of_poseidon)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None:
        reason = _gpu_missing()
        if reason and item.config.getoption("--require-gpu"):
            pytest.fail(f"--require-gpu: {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)


def _gpu_missing() -> str:
    try:
        import cupy

        return "" if cupy.cuda.runtime.getDeviceCount() else "no NVIDIA GPU"
    except Exception as error:  # a missing package, driver and device are all reasons of the same kind
        return f"no usable NVIDIA GPU: {error}"


@pytest.fixture(params=FULL)
def backend(request: pytest.FixtureRequest) -> str:
    """The best CPU backend of this machine and `scalar`, by name; `lanes_here` has marks for more."""
    name: str = request.param
    return name


class Ed25519Vector(NamedTuple):
    """A published signature and, by rule, whether it is valid."""

    name: str
    public_key: bytes
    message: bytes
    signature: bytes
    valid: dict[str, bool]


class EcdsaVector(NamedTuple):
    """A published signature in DER, over SHA-256 of a message."""

    name: str
    public_key: bytes
    digest: bytes
    der: bytes
    low_s: bool
    valid: bool


class SchnorrVector(NamedTuple):
    """A published BIP-340 signature."""

    name: str
    public_key: bytes
    message: bytes
    signature: bytes
    valid: bool


class RecoverVector(NamedTuple):
    """An input of Ethereum's recovery precompile; the address is empty where it returns nothing."""

    name: str
    digest: bytes
    v: int
    rs: bytes
    address: bytes


class Oracles(NamedTuple):
    """The oracle's functions, each input answered once a session."""

    ed25519: Callable[..., int]
    ecdsa: Callable[..., int]
    recover: Callable[..., tuple[bytes | None, int]]
    schnorr: Callable[..., int]


@pytest.fixture(scope="session")
def oracles() -> Oracles:
    """Called with positional arguments only, so that equal inputs meet in the cache."""
    functions = (ed25519.verify, ecdsa.verify, ecdsa.recover, schnorr.verify)
    return Oracles(*(functools.cache(function) for function in functions))


@pytest.fixture(scope="session")
def ed25519_cases() -> list[adversarial_ed25519.Ed25519Case]:
    return adversarial_ed25519.cases()


@pytest.fixture(scope="session")
def ecdsa_cases() -> list[adversarial_ecdsa.EcdsaCase]:
    return adversarial_ecdsa.cases()


@pytest.fixture(scope="session")
def recovery_cases() -> list[adversarial_ecdsa.RecoveryCase]:
    return adversarial_ecdsa.recovery_cases()


@pytest.fixture(scope="session")
def schnorr_cases() -> list[adversarial_schnorr.SchnorrCase]:
    return adversarial_schnorr.cases()


@pytest.fixture(scope="session")
def ed25519_vectors() -> list[Ed25519Vector]:
    """Wycheproof, CCTV, speccheck and the reference implementation's; only signatures of 64 bytes."""
    return [*_wycheproof_ed25519(), *_cctv(), *_speccheck(), *_reference_ed25519()]


@pytest.fixture(scope="session")
def ecdsa_vectors() -> list[EcdsaVector]:
    """Wycheproof, with any s and with the low-s rule."""
    found = []
    for name, low_s in (
        ("ecdsa_secp256k1_sha256_test", False),
        ("ecdsa_secp256k1_sha256_bitcoin_test", True),
    ):
        for group in _json(f"{name}.json")["testGroups"]:
            key = bytes.fromhex(group["publicKey"]["uncompressed"])
            for case in group["tests"]:
                digest = hashlib.sha256(bytes.fromhex(case["msg"])).digest()
                label = f"{name} {case['tcId']}: {case['comment']}"
                der, valid = bytes.fromhex(case["sig"]), case["result"] == "valid"
                found.append(EcdsaVector(label, key, digest, der, low_s, valid))
    return found


@pytest.fixture(scope="session")
def schnorr_vectors() -> list[SchnorrVector]:
    """BIP-340's own."""
    with (VECTORS / "bip340.csv").open(newline="") as file:
        return [
            SchnorrVector(
                f"BIP-340 {row['index']}: {row['comment']}",
                bytes.fromhex(row["public key"]),
                bytes.fromhex(row["message"]),
                bytes.fromhex(row["signature"]),
                row["verification result"] == "TRUE",
            )
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="session")
def recover_vectors() -> list[RecoverVector]:
    """go-ethereum's, for the precompile at address 1: digest, v, r, s in 32 bytes each."""
    found = []
    for case in _json("ecRecover.json"):
        data = bytes.fromhex(case["Input"])[:128].ljust(128, b"\0")
        v = int.from_bytes(data[32:64], "big")
        found.append(
            RecoverVector(case["Name"], data[:32], v, data[64:], bytes.fromhex(case["Expected"])[12:])
        )
    return found


def _json(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def _wycheproof_ed25519() -> list[Ed25519Vector]:
    found = []
    for group in _json("ed25519_test.json")["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            if len(signature) == 64:
                valid = dict.fromkeys(("dalek", "strict", "zip215"), case["result"] == "valid")
                if "y = 1 with the sign bit of x set" in case["comment"]:
                    valid["zip215"] = True  # RFC 8032 refuses this encoding of R; ZIP-215 decodes it
                name = f"Wycheproof {case['tcId']}: {case['comment']}"
                found.append(Ed25519Vector(name, key, bytes.fromhex(case["msg"]), signature, valid))
    return found


def _cctv() -> list[Ed25519Vector]:
    """The flags say which edges a case has; its README and dalek's tests say which a rule lets pass.

    `reencoded_k` cases are signed over a re-encoded key or R, which no rule here does: they fail, unless A is
    of small order, where any k may do and the residue decides.
    """
    found = []
    for case in _json("ed25519_cctv.json"):
        flags = set(case["flags"] or ())
        sound = "reencoded_k" not in flags or "low_order_A" in flags
        valid = {
            "dalek": sound and not flags & {"non_canonical_R", "low_order_residue"},
            "strict": flags <= {"low_order_component_A", "low_order_component_R"},
            "zip215": sound,
        }
        key, signature = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"])
        found.append(Ed25519Vector(f"CCTV {case['number']}", key, case["msg"].encode(), signature, valid))
    return found


def _speccheck() -> list[Ed25519Vector]:
    table = {"dalek": "VVVVXXXXXXXV", "strict": "XXXVXXXXXXXX", "zip215": "VVVVVVXXXVVV"}
    return [
        Ed25519Vector(
            f"speccheck {index}",
            bytes.fromhex(case["pub_key"]),
            bytes.fromhex(case["message"]),
            bytes.fromhex(case["signature"]),
            {rule: verdicts[index] == "V" for rule, verdicts in table.items()},
        )
        for index, case in enumerate(_json("ed25519_speccheck.json"))
    ]


def _reference_ed25519() -> list[Ed25519Vector]:
    found = []
    for index, line in enumerate((VECTORS / "ed25519_rfc8032_style.txt").read_text().split()):
        _, key, message, signed = (bytes.fromhex(field) for field in line.split(":")[:4])
        valid = dict.fromkeys(("dalek", "strict", "zip215"), True)
        found.append(Ed25519Vector(f"reference {index}", key, message, signed[:64], valid))
    return found
