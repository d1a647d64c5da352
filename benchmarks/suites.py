# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases of every suite that the registry lists, with what stands beside each.

ECDSA keys have 65 bytes in the usual row, since the peer's keys are parsed outside its loop; the row with
33-byte keys counts the decompression on both sides.

On short messages a peer's figure of a hash is mostly the cost of a Python call; 1 KiB shows the hash itself, and
there a processor's SHA instructions can put OpenSSL ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from supervm.benchmarks.cases import Case, Peer, Workload, installed
from supervm.benchmarks.peers import (
    arkworks,
    bls12_381,
    ckzg,
    coincurve,
    conflict_waves,
    cryptography,
    eth_hash,
    groth16py,
    hashlib,
    light_poseidon,
    pycryptodome,
    pynacl,
    solders,
    zksnake,
)
from supervm.benchmarks.workloads import access
from supervm.benchmarks.workloads.bls import BlsItems, committees, signed
from supervm.benchmarks.workloads.compressed_points import compressed
from supervm.benchmarks.workloads.groth16 import proofs
from supervm.benchmarks.workloads.hashes import fixed_length, mixed_lengths
from supervm.benchmarks.workloads.kzg import COMMIT, VERIFY, blobs, cells
from supervm.benchmarks.workloads.merkle import random_leaves
from supervm.benchmarks.workloads.msm import random_msm
from supervm.benchmarks.workloads.ntt import random_polynomial
from supervm.benchmarks.workloads.pairings import checks
from supervm.benchmarks.workloads.poseidon import random_inputs
from supervm.benchmarks.workloads.prove import chains
from supervm.benchmarks.workloads.signatures import (
    SignedItems,
    ecdsa_items,
    ed25519_items,
    recover_items,
    schnorr_items,
)
from supervm.crypto.params.kzg import CELLS

Makers = Sequence[Callable[[], Peer]]

SHORT, LONG, MIXED = 64, 1024, 256
"""Bytes of messages."""

PROVED_ON_DEVICES = tuple(1 << log for log in (10, 12, 14, 16, 18, 20))
"""Rows of circuits; keys of larger ones take minutes to make."""

NO_PACKAGE = "no package for Python computes it in compiled code"
"""light-poseidon-python takes two inputs and no more."""


def signatures() -> list[Case]:
    """Ed25519 under two rules, ECDSA with both key forms, recovery, BIP-340."""
    return [
        _signed("ed25519.verify", "", ed25519_items, [solders.ed25519, pynacl.ed25519, cryptography.ed25519]),
        _signed("ed25519.verify", "rule=strict", partial(ed25519_items, rule="strict"), [solders.ed25519]),
        _signed("secp256k1.ecdsa_verify", "", ecdsa_items, [coincurve.ecdsa, cryptography.ecdsa]),
        _signed(
            "secp256k1.ecdsa_verify",
            "33-byte keys",
            partial(ecdsa_items, key_bytes=33),
            [coincurve.ecdsa_from_bytes],
        ),
        _signed("secp256k1.ecdsa_recover", "", recover_items, [coincurve.recover]),
        _signed("secp256k1.schnorr_verify", "", schnorr_items, [coincurve.schnorr]),
    ]


def _signed(operation: str, variant: str, items: Callable[[int], SignedItems], makers: Makers) -> Case:
    return _case(
        operation,
        variant,
        (65_536, 2_048),
        items,
        makers,
        corrupted=_damaged(items),
        singles=not variant,
    )


def hashes() -> list[Case]:
    """Each hash at 64 bytes; SHA-256 and Keccak-256 at 1 KiB and mixed too."""
    peers: dict[str, Makers] = {
        "sha256": [hashlib.sha256],
        "sha512": [hashlib.sha512],
        "keccak256": [pycryptodome.keccak256, eth_hash.keccak256],
        "blake2b": [hashlib.blake2b],
        "eth_address": [eth_hash.eth_address],
    }
    chosen = ("sha256", "keccak256")
    many, few = (65_536, 65_536), (8_192, 8_192)
    listed = [
        _case(name, "", many, fixed_length(name, SHORT), peers[name], singles=name in chosen)
        for name in peers
    ]
    for name in chosen:
        listed.append(_case(name, "1,024 bytes", few, fixed_length(name, LONG), peers[name]))
        listed.append(_case(name, "0 to 256 bytes", many, mixed_lengths(name, MIXED), peers[name]))
    return listed


def conflicts() -> list[Case]:
    """Waves of 10⁶ transactions with four reads and four writes each, under both rules: uniform keys first.

    The compiled hash table stands beside the `versioned` rows with uint64 keys.
    """
    workloads = {
        "": access.uniform,
        "one key": access.one_key,
        "Zipf": access.zipf,
        "32-byte keys": access.uniform_bytes,
    }
    listed = []
    for rule in ("versioned", "locking"):
        for name, make in workloads.items():
            makers = [conflict_waves.dictionary]
            if rule == "versioned" and name != "32-byte keys":
                makers.append(conflict_waves.hash_table)
            variant = ", ".join(part for part in (name, rule if rule == "locking" else "") if part)
            batches = (1_000_000, 1_000_000)
            listed.append(
                _case("conflicts.detect", variant, batches, make(rule), makers, checked_items=2_000)
            )
    return listed


def msm() -> list[Case]:
    """G1 of both curves at 2^16 points; G2 and Ed25519's group, which are slower or rarer, at 2^13.

    `batch` is the number of points, and a rate counts points.
    """
    return [
        _sum("bn254", "g1", [zksnake.msm], 1 << 16),
        _sum("bls12_381", "g1", [arkworks.msm, zksnake.msm], 1 << 16),
        _sum("bn254", "g2", [zksnake.msm], 1 << 13),
        _sum("bls12_381", "g2", [arkworks.msm, zksnake.msm], 1 << 13),
        _sum("ed25519", "", [pynacl.msm], 1 << 13),
    ]


def _sum(curve: str, group: str, makers: Makers, batch: int) -> Case:
    operation = ".".join(part for part in (curve, group, "msm") if part)
    items = random_msm(curve, group or "g1")
    return _case(operation, "", (batch, batch), items, makers, checked_items=64, swept=group == "g1")


def ntt() -> list[Case]:
    """Forward transforms in natural order over both scalar fields: `batch` is the size, and a rate counts elements."""
    return [
        _case(f"{curve}.ntt", "", (1 << 20, 1 << 18), random_polynomial(curve), [zksnake.ntt], swept=True)
        for curve in ("bn254", "bls12_381")
    ]


def poseidon() -> list[Case]:
    """Hashes of t − 1 field elements: t = 3, which trees use, first; 5, and 3 over the other field and in Poseidon2."""
    return [
        _hashed("bn254", 3, "poseidon", [light_poseidon.hashes], swept=True),
        _hashed("bn254", 5, "poseidon", alone=NO_PACKAGE),
        _hashed("bls12_381", 3, "poseidon", alone=NO_PACKAGE),
        _hashed("bn254", 3, "poseidon2", alone=NO_PACKAGE),
    ]


def _hashed(curve: str, width: int, variant: str, makers: Makers = (), **more: Any) -> Case:
    items = random_inputs(curve, width, variant)
    return _case(f"{curve}.{variant}.t{width}", "", (1 << 16, 1 << 13), items, makers, **more)


def merkle() -> list[Case]:
    """Binary trees, all of which is kept: `batch` is the number of leaves, and a rate counts leaves."""
    peers: dict[str, Makers] = {
        "poseidon_bn254": [light_poseidon.tree],
        "sha256": [hashlib.sha256_tree],
        "keccak256": [pycryptodome.keccak256_tree],
    }
    return [
        _case(
            f"merkle.{hash}",
            "",
            (1 << 20, 1 << 14 if hash.startswith("poseidon") else 1 << 20),
            random_leaves(hash),
            makers,
            swept=True,
        )
        for hash, makers in peers.items()
    ]


def pairings() -> list[Case]:
    """Checks of two pairs on both curves."""
    peers: dict[str, Makers] = {
        "bls12_381": [bls12_381.mcl_pairing, bls12_381.arkworks_pairing],
        "bn254": [],
    }
    return [
        _case(
            f"{curve}.pairing",
            "",
            (4_096, 512),
            checks(curve),
            makers,
            corrupted=_damaged(checks(curve)),
            singles=True,
            checked_items=32,
            runs=f"{curve}.pairing.final_exponentiation",
            alone="" if makers else "no package for Python has it in compiled code",
        )
        for curve, makers in peers.items()
    ]


def bls() -> list[Case]:
    """Keys in G1, each signature on a message of its own, or all on one; committees of 512 keys; points that are read."""
    rows: list[tuple[str, Callable[[int], BlsItems], tuple[int, int], Makers]] = [
        ("", signed(False), (4_096, 512), [bls12_381.blspy_signature, bls12_381.milagro_signature]),
        ("one message", signed(True), (4_096, 512), [bls12_381.blspy_signature]),
        ("512 keys", committees(), (64, 16), [bls12_381.blspy_committee]),
    ]
    verified = [
        _case(
            "bls.verify",
            variant,
            batches,
            make,
            makers,
            corrupted=_damaged(make),
            singles=not variant,
            checked_items=16,
            runs="bls12_381.pairing.miller_loop",
        )
        for variant, make, batches, makers in rows
    ]
    read = [
        _case(
            f"bls12_381.{group}.decode",
            "compressed",
            (100_000, 8_192),
            compressed(group),
            [bls12_381.blspy_points],
            corrupted=_damaged(compressed(group)),
        )
        for group in ("g1", "g2")
    ]
    return verified + read


def groth16() -> list[Case]:
    """Both curves; points are checked with the proofs."""
    peers: dict[str, Makers] = {"bn254": [groth16py.proofs], "bls12_381": []}
    return [
        _case(
            f"{curve}.groth16",
            "",
            (1_024, 128),
            proofs(curve),
            makers,
            corrupted=_damaged(proofs(curve)),
            singles=True,
            checked_items=16,
            runs=f"{curve}.pairing.miller_loop",
            alone="" if makers else "no package for Python verifies it in compiled code",
        )
        for curve, makers in peers.items()
    ]


def prove() -> list[Case]:
    """Single proofs by the rows of their circuit, 2^16 first, and batches of 16 witnesses; on BLS12-381 one size.

    `batch` is the number of rows, and a rate counts rows. Every backend has rows of 2^16, of 2^10 and of BLS12-381, and the
    best one all of them. Rows of one circuit follow each other, whose key is then made once.
    """
    return [
        _proved("bn254", "", 16, 1),
        *(
            _proved("bn254", f"2^{log} rows" + ", 16 witnesses" * (witnesses > 1), log, witnesses)
            for log, witnesses in ((16, 16), (10, 1), (10, 16), (12, 1), (12, 16), (14, 1), (14, 16), (18, 1))
        ),
        _proved("bls12_381", "", 14, 1),
    ]


def _proved(curve: str, variant: str, log: int, witnesses: int) -> Case:
    makers = [groth16py.prover] if curve == "bn254" and witnesses == 1 else []
    alone = "" if makers else "no package for Python proves it in compiled code"
    if curve == "bn254" and witnesses > 1:
        alone = "groth16py has no batches: its single proofs stand in the other rows"
    return _case(
        f"{curve}.groth16.prove",
        variant,
        (1 << log, 1 << min(log, 12)),
        chains(curve, witnesses),
        makers,
        checked_items=64,
        alone=alone,
        on_devices=(1 << log,) if variant else PROVED_ON_DEVICES,
        on_best=bool(variant) and log > 10,
    )


def kzg() -> list[Case]:
    """Commitments to blobs, and blobs with their proofs, of which a block has a few; and all cells of six blobs."""
    return [
        _committed("kzg.commit", (64, 16), blobs(COMMIT), [ckzg.commitments], 4),
        _committed("kzg.verify_blob", (64, 16), blobs(VERIFY), [ckzg.blob_batches, ckzg.blob_proofs], 4),
        _committed("kzg.verify_cells", (6 * CELLS, CELLS), cells, [ckzg.cell_batches], 2 * CELLS),
    ]


def _committed(
    operation: str,
    batches: tuple[int, int],
    items: Callable[[int], _Damageable],
    makers: Makers,
    checked_items: int,
) -> Case:
    return _case(
        operation,
        "",
        batches,
        items,
        makers,
        corrupted=_damaged(items),
        singles=True,
        checked_items=checked_items,
        runs="bls12_381.g1.msm",
    )


class _Damageable(Workload, Protocol):
    def damaged(self) -> Workload:
        """The same items, some of them wrong."""


def _damaged(items: Callable[[int], _Damageable]) -> Callable[[int], Workload]:
    """A maker of the same items, some of them wrong."""
    return lambda count: items(count).damaged()


def _case(
    operation: str,
    variant: str,
    batches: tuple[int, int],
    items: Callable[[int], Workload],
    makers: Makers,
    corrupted: Callable[[int], Workload] | None = None,
    **more: Any,
) -> Case:
    """A case with the peers that are installed.

    Args:
        batches: `batch` and `slow_batch`.
        makers: of the peers.
        corrupted: the same items if None.
    """
    peers, missing = installed(makers)
    return Case(
        operation,
        variant,
        *batches,
        workload=items,
        corrupted=corrupted or items,
        peers=peers,
        missing=missing,
        **more,
    )


CASES: dict[str, Callable[[], list[Case]]] = {
    "signatures": signatures,
    "hashes": hashes,
    "conflicts": conflicts,
    "msm": msm,
    "ntt": ntt,
    "poseidon": poseidon,
    "merkle": merkle,
    "pairings": pairings,
    "bls": bls,
    "groth16": groth16,
    "prove": prove,
    "kzg": kzg,
}
"""Those of `cases.LISTED`."""
