# SPDX-License-Identifier: GPL-3.0-or-later
"""What `supervm verify` does with Groth16 proofs and blobs; loaded where they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import typer

from supervm.kernels.threads import set_threads
from supervm.tiers import console
from supervm.tiers.compose import VerifyPipeline, file_pipeline, scheduling, threads
from supervm.tiers.environment import environment
from supervm.tiers.errors import DONE, VERIFICATION_FAILED, UsageError
from supervm.tiers.hardware import Hardware
from supervm.tiers.service.setups import trusted_setup
from supervm.tiers.settings import Settings
from supervm.tiers.signature_files.proof_lines import (
    BlobChecks,
    Groth16Checks,
    open_blobs,
    open_proofs,
    read_key,
    read_text,
)
from supervm.tiers.signature_files.verification import VERDICT_NAMES


def pipeline_of_proofs(
    settings: Settings, hardware: Hardware, key: Path, allow_test_key: bool
) -> VerifyPipeline:
    """For files of Groth16 proofs under one key.

    Raises:
        BrokenFile: no such key.
        TestOnlyKey: it is made for tests, or nobody contributed to it, and that is not allowed.
    """
    checks = Groth16Checks(read_key(key, allow_test_only=allow_test_key), settings.backend)
    return file_pipeline(settings, hardware, checks, open_proofs)


def pipeline_of_blobs(settings: Settings, hardware: Hardware, setup: Path) -> VerifyPipeline:
    """For files of blobs under a trusted setup.

    Raises:
        BrokenFile: no such setup.
    """
    read = trusted_setup(str(setup))
    if read is None:
        raise UsageError("--kzg-setup names no file")
    return file_pipeline(settings, hardware, BlobChecks(read, settings.backend), open_blobs)


def verify_one(
    settings: Settings,
    hardware: Hardware,
    key: Path,
    proof: Path,
    public: Path,
    allow_test_key: bool,
    as_json: bool,
) -> NoReturn:
    """Say whether one proof is valid.

    Raises:
        BrokenFile: a file that is missing, unreadable, no JSON or no key.
        TestOnlyKey: the key is made for tests, or nobody contributed to it, and that is not allowed.
        Exit: the exit code.
    """
    checks = Groth16Checks(read_key(key, allow_test_only=allow_test_key), settings.backend)
    texts = read_text(proof), read_text(public)
    set_threads(threads(settings, hardware))
    with console.telling("verifying the proof"), scheduling(settings, hardware):
        verdict, problem = checks.verify_one(*texts)
    name = VERDICT_NAMES[verdict]
    if as_json:
        files = {"key": str(key), "proof": str(proof), "public": str(public)}
        answer = {**files, "scheme": "groth16", "verdict": verdict, "name": name, "problem": problem or None}
        console.print_json({**answer, "backend": settings.backend, "environment": environment(hardware)})
    else:
        console.answers().print(console.plain(f"{name}: {problem}" if problem else name))
    raise typer.Exit(DONE if verdict == 1 else VERIFICATION_FAILED)
