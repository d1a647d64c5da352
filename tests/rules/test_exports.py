# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules say they export is what they define; the published names are there with their arguments."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("kernels", "crypto", "vm", "engine", "tiers", "benchmarks")

PUBLISHED = {
    "supervm.crypto.ed25519": {
        "verify": "(public_key, message, signature, *, rule='dalek', backend='auto')",
        "verify_batch": "(public_keys, messages, signatures, *, rule='dalek', backend='auto')",
    },
    "supervm.crypto.secp256k1": {
        "ecdsa_verify": "(public_key, digest, signature, *, low_s=True, backend='auto')",
        "ecdsa_recover": "(digest, signature, *, backend='auto')",
        "schnorr_verify": "(public_key, message, signature, *, backend='auto')",
        "ecdsa_verify_batch": "(public_keys, digests, signatures, *, low_s=True, backend='auto')",
        "ecdsa_recover_batch": "(digests, signatures, *, backend='auto')",
        "schnorr_verify_batch": "(public_keys, messages, signatures, *, backend='auto')",
        "signatures_from_der": None,
    },
    "supervm.crypto.hashes": {
        "sha256": "(message, *, backend='auto')",
        "sha512": "(message, *, backend='auto')",
        "keccak256": "(message, *, backend='auto')",
        "blake2b": "(message, *, backend='auto')",
        "sha256_batch": "(messages, *, backend='auto')",
        "sha512_batch": "(messages, *, backend='auto')",
        "keccak256_batch": "(messages, *, backend='auto')",
        "blake2b_batch": "(messages, *, backend='auto')",
        "eth_address_batch": "(public_keys, *, backend='auto')",
    },
    "supervm.crypto.curves": {"get": "(name)", "Curve": None, "Group": None},
    "supervm.crypto.hash_to_curve": {
        "hash_to_g1": "(messages, dst, *, backend='auto')",
        "hash_to_g2": "(messages, dst, *, backend='auto')",
        "encode_to_g1": "(messages, dst, *, backend='auto')",
        "encode_to_g2": "(messages, dst, *, backend='auto')",
        "map_to_g1": "(elements, *, backend='auto')",
        "map_to_g2": "(elements, *, backend='auto')",
        "expand_message_xmd": "(messages, dst, length, *, backend='auto')",
    },
    "supervm.crypto.merkle": {
        "build": "(leaves, hash, arity=2, *, depth=None, backend='auto')",
        "root": "(leaves, hash, arity=2, *, depth=None, backend='auto')",
        "verify_batch": "(root, leaves, proofs, *, backend='auto')",
        "Proofs": None,
        "Root": None,
        "Tree": None,
    },
    "supervm.crypto.groth16_prove": {
        "load_zkey": None,
        "prove": None,
        "prove_batch": None,
        "check_witness": "(r1cs, witness)",
        "Proof": None,
        "ProvingKey": None,
    },
    "supervm.crypto.kzg": {
        "TrustedSetup": None,
        "load_trusted_setup": "(path, *, backend='auto')",
        "insecure_setup": "()",
        "blob_to_commitment": "(blobs, setup, *, backend='auto')",
        "compute_proof": "(blobs, points, setup, *, backend='auto')",
        "compute_blob_proof": "(blobs, commitments, setup, *, backend='auto')",
        "verify_proof": "(commitment, point, value, proof, setup, *, backend='auto')",
        "verify_blob": "(blob, commitment, proof, setup, *, backend='auto')",
        "verify_blob_batch": "(blobs, commitments, proofs, setup, *, backend='auto')",
        "compute_cells": "(blobs, *, backend='auto')",
        "compute_cells_and_proofs": "(blobs, setup, *, backend='auto')",
        "recover_cells_and_proofs": "(cell_indices, cells, setup, *, backend='auto')",
        "verify_cell_batch": "(commitments, cell_indices, cells, proofs, setup, *, backend='auto')",
    },
    "supervm.crypto.precompiles": {
        "gas": "(name, input)",
        "bn254_add": "(input, *, backend='auto')",
        "bn254_mul": "(input, *, backend='auto')",
        "bn254_pairing_check": "(input, *, backend='auto')",
        "bls12_g1add": "(input, *, backend='auto')",
        "bls12_g1msm": "(input, *, backend='auto')",
        "bls12_g2add": "(input, *, backend='auto')",
        "bls12_g2msm": "(input, *, backend='auto')",
        "bls12_pairing_check": "(input, *, backend='auto')",
        "bls12_map_fp_to_g1": "(input, *, backend='auto')",
        "bls12_map_fp2_to_g2": "(input, *, backend='auto')",
        "point_evaluation": "(input, *, backend='auto')",
    },
    "supervm.crypto.groth16": {
        "load_snarkjs_key": "(text, *, allow_test_only=False)",
        "load_snarkjs_proof": "(text)",
        "load_arkworks_key": "(data, curve)",
        "load_arkworks_proof": "(data, curve)",
        "verify_batch": "(key, proofs, public_inputs, *, backend='auto')",
        "Circuits": None,
        "Key": None,
        "Proofs": None,
    },
    "supervm.crypto.ntt": {
        "ntt": "(curve, values, *, inverse=False, coset=None, order='natural', backend='auto')",
        "multiply": "(curve, a, b, *, backend='auto')",
        "evaluate": "(curve, coefficients, points)",
        "divide_by_vanishing": "(curve, coefficients, n)",
        "divide_values_by_vanishing": "(curve, values, n, *, coset=True)",
    },
    "supervm.crypto.msm": {
        "msm": "(curve, points, scalars, *, group='g1', backend='auto', subgroup=False, memory_limit=None)",
        "prepare": "(curve, points, *, group='g1', precompute=1, backend='auto', subgroup=False)",
        "Table": None,
    },
    "supervm.crypto.poseidon": {
        "hash_batch": "(curve, inputs, *, variant='poseidon', backend='auto')",
        "permute_batch": "(curve, states, *, variant='poseidon', backend='auto')",
        "sponge_batch": "(curve, messages, *, width=3, variant='poseidon', backend='auto')",
    },
    "supervm.engine.conflicts": {
        "detect": "(read_offsets, read_keys, write_offsets, write_keys, *, rule='versioned', edges=False, "
        "backend='auto')",
        "Conflicts": None,
    },
    "supervm.tiers": {"detect": None, "choose": "(hardware)"},
    "supervm.kernels": {"set_threads": "(count)", "get_threads": "()"},
}


def exported(tree: ast.Module) -> list[str] | None:
    """The literal `__all__` of a module, or None."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def defined(tree: ast.Module) -> set[str]:
    """Public functions and classes that a module itself defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def _modules() -> list[Path]:
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return [path for path in paths if exported(ast.parse(path.read_text(encoding="utf-8"))) is not None]


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_all_is_the_public_surface(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = exported(tree)
    assert names is not None
    assert len(set(names)) == len(names)
    assert not defined(tree) - set(names)
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(("supervm", *(part for part in parts if part != "__init__"))))
    assert not [name for name in names if not hasattr(module, name)]


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PUBLISHED.items() for name in names]
)
def test_published_names(module, name):
    loaded = importlib.import_module(module)
    assert name in loaded.__all__
    expected = PUBLISHED[module][name]
    if expected is None:
        return
    signature = inspect.signature(getattr(loaded, name))
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    found = inspect.Signature(bare, return_annotation=inspect.Signature.empty)
    assert str(found) == expected


def test_signature_modules_export_no_other_function():
    for name in ("supervm.crypto.ed25519", "supervm.crypto.secp256k1"):
        module = importlib.import_module(name)
        assert {item for item in module.__all__ if callable(getattr(module, item))} == set(PUBLISHED[name])
