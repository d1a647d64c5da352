# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is set up with to verify proofs: the keys of circuits, and the trusted setup of blobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervm.crypto.errors import TestOnlyKey
from supervm.crypto.groth16 import Circuits, load_snarkjs_key
from supervm.engine.files.input_files import read_input
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import BrokenFile, told_as_broken_file

if TYPE_CHECKING:
    from supervm.crypto.kzg import TrustedSetup

MOST_BYTES = 16 << 20
"""Of a key."""

SUFFIX = ".json"


def circuits(folder: str, *, allow_test_only: bool = False) -> Circuits:
    """The circuits whose keys lie in a folder, as snarkjs writes them: `ID.json` is that of circuit ID.

    Args:
        folder: its name; '' for none.
        allow_test_only: take keys that are marked as made for tests.

    Raises:
        BrokenFile: there is no such folder, no key in it, or a file that is no key, or one that is not allowed.
    """
    known = Circuits()
    if not folder:
        return known
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise BrokenFile(folder, "", error.strerror or str(error)) from None
    if not files:
        raise BrokenFile(folder, "", f"no verification key in it, a file ID{SUFFIX} for the circuit ID")
    for path in files:
        with told_as_broken_file():
            text = bytes(read_input(path, MOST_BYTES))
        try:
            known.register(path.stem, load_snarkjs_key(text, allow_test_only=allow_test_only))
        except TestOnlyKey as error:
            hint = "service.groth16.test_keys or node.groth16.test_keys = 'allow' takes it"
            raise BrokenFile(str(path), "", f"{error}; {hint}") from None
        except ArgumentError as error:
            raise BrokenFile(str(path), "", f"no verification key: {error}") from None
    return known


def trusted_setup(file: str) -> TrustedSetup | None:
    """The setup of a ceremony.

    Args:
        file: its name; '' for none.

    Raises:
        BrokenFile: there is no such file, or it is no setup.
    """
    if not file:
        return None
    from supervm.crypto.kzg import load_trusted_setup

    try:
        return load_trusted_setup(file)
    except ArgumentError as error:
        raise BrokenFile(file, "", f"no trusted setup: {error.found}") from None
