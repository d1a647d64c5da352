# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm setup`: the Groth16 proving key of a circuit, from a ceremony's powers of τ, or for tests alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from supervm.kernels.threads import set_threads
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.commands.circuit_files import require_other_files, told_of_circuit_files, write_file
from supervm.tiers.compose import threads as threads_of
from supervm.tiers.environment import environment
from supervm.tiers.errors import UsageError

TEST_ONLY = (
    "THIS KEY IS FOR TESTS ALONE: its secrets were known to this process, and whoever has them can forge proofs. "
    "It is marked: commands and services refuse it unless they are told to take it."
)

KNOWN_POWERS = (
    "THIS KEY IS FOR TESTS ALONE: the secrets of its powers of tau are known, and whoever has them can forge proofs. "
    "It is marked: commands and services refuse it unless they are told to take it."
)

ONE_CONTRIBUTION = (
    "the key has one contribution to its second phase, this machine's: who doubts it adds more with "
    "'snarkjs zkey contribute'"
)


def setup(
    r1cs: Annotated[Path, typer.Option(help="The circuit, circom's .r1cs.")],
    key: Annotated[Path, typer.Option(help="Write the proving key here, a .zkey.")],
    ptau: Annotated[
        Path | None,
        typer.Option(help="A ceremony's powers of tau, snarkjs' .ptau, prepared for phase 2."),
    ] = None,
    test_only: Annotated[
        bool,
        typer.Option(
            "--test-only",
            help="Draw all secrets here, in place of --ptau: no proof under it is worth anything.",
        ),
    ] = False,
    verification_key: Annotated[
        Path | None,
        typer.Option("--verification-key", help="Write the verification_key.json here."),
    ] = None,
    check_subgroup: Annotated[
        bool, typer.Option("--check-subgroup", help="Check that the powers of tau are in the subgroup.")
    ] = False,
    allow_test_key: Annotated[
        bool,
        typer.Option(
            "--allow-test-key", help="Take powers of tau that nobody contributed to, and mark the key."
        ),
    ] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Make the proving key of a circuit: from a ceremony's powers of tau, or for tests alone.

    With --ptau one contribution to the second phase is made here, from the operating system's random numbers. With
    --test-only nothing else is needed, and the key is marked: whoever made it can forge proofs. So is one of powers that
    nobody contributed to, which have to be allowed.
    """
    with console.reporting(as_json):
        if (ptau is None) != test_only:
            raise UsageError("give --ptau, or --test-only for a key that no proof can be trusted under")
        require_other_files({"key": key, "verification-key": verification_key}, {"r1cs": r1cs, "ptau": ptau})
        hardware, settings = options.settings_of(tier, config, threads)
        set_threads(threads_of(settings, hardware))
        begun = time.perf_counter()
        with console.progress_line() as line, told_of_circuit_files():
            from supervm.crypto import groth16_setup
            from supervm.crypto.circom_ptau import Ptau
            from supervm.crypto.circom_r1cs import load_r1cs
            from supervm.crypto.circom_zkey import Zkey
            from supervm.crypto.groth16_written import key_to_snarkjs

            line.update("reading the circuit")
            circuit = load_r1cs(r1cs)
            if ptau is None:
                made = groth16_setup.make_test_key(circuit, progress=line.update)
            else:
                line.update("reading the powers of tau")
                with Ptau(ptau, "subgroup" if check_subgroup else "curve") as powers:
                    made = groth16_setup.make_key(
                        circuit, powers, allow_test_only=allow_test_key, progress=line.update
                    )
            with Zkey(made) as found:
                text = key_to_snarkjs(found.verification())
                header = found.header
        seconds = time.perf_counter() - begun
        write_file(key, made)
        if verification_key is not None:
            write_file(verification_key, text.encode())
        about = {
            "curve": header.curve,
            "constraints": circuit.constraints,
            "wires": header.wires,
            "public": header.public,
            "rows": header.domain,
            "bytes": len(made),
            "test_only": header.test_only,
        }
        if as_json:
            files = {"r1cs": str(r1cs), "key": str(key), "ptau": str(ptau) if ptau else None}
            console.print_json({**files, **about, "seconds": seconds, "environment": environment(hardware)})
        else:
            console.answers().print(
                f"a key of {len(made):,} bytes on {header.curve}: {circuit.constraints:,} constraints, "
                f"{header.wires:,} wires, {header.public:,} public numbers, {header.domain:,} rows"
            )
    console.warn(TEST_ONLY if test_only else KNOWN_POWERS if header.test_only else ONE_CONTRIBUTION)
