# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm prove`: a Groth16 proof of a witness, or of a circuit's inputs, that was verified before it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from supervm.crypto.groth16_written import Proof
from supervm.engine.files.input_files import read_input
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.commands.circuit_files import require_other_files, told_of_circuit_files, write_files
from supervm.tiers.compose import scheduling, threads
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, BrokenFile, UsageError, told_as_broken_file
from supervm.tiers.hardware import Hardware
from supervm.tiers.progress import ProgressLine
from supervm.tiers.settings import Settings

MOST_INPUT_BYTES = 256 << 20
"""Of a circuit, and of its inputs."""

CODES: Mapping[str, int] = dict.fromkeys(("UnsatisfiedWitness", "Unsatisfied"), VERIFICATION_FAILED)
"""Errors that say that there is no proof, by names: the prover's, and the calculator's."""


def prove(
    key: Annotated[Path, typer.Option(help="The circuit's proving key, a .zkey of snarkjs or of `setup`.")],
    proof: Annotated[Path, typer.Option(help="Write the proof here, as snarkjs' proof.json.")],
    public: Annotated[Path, typer.Option(help="Write the public numbers here, as snarkjs' public.json.")],
    witness: Annotated[Path | None, typer.Option(help="The witness, a .wtns.")] = None,
    circuit: Annotated[
        Path | None, typer.Option(help="The circuit's calculator, circom's .wasm, in place of --witness.")
    ] = None,
    input: Annotated[Path | None, typer.Option("--input", help="Its inputs, a JSON object.")] = None,
    r1cs: Annotated[
        Path | None, typer.Option(help="The circuit's .r1cs: a constraint that fails is named by its number.")
    ] = None,
    arkworks: Annotated[
        Path | None, typer.Option(help="Write the proof here too, in arkworks' compressed bytes.")
    ] = None,
    precompile: Annotated[
        Path | None, typer.Option(help="Write it here too, as Ethereum's precompiles have points.")
    ] = None,
    allow_test_key: options.AllowTestKey = False,
    check_subgroup: Annotated[
        bool, typer.Option("--check-subgroup", help="Check that the key's points are in the subgroup.")
    ] = False,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    cluster: options.Cluster = None,
    upstream: options.TaskUpstream = None,
    upstream_token: options.UpstreamToken = None,
    upstream_tls_authorities: options.UpstreamAuthorities = None,
    upstream_tls_certificate: options.UpstreamCertificate = None,
    upstream_tls_key: options.UpstreamKey = None,
    as_json: options.AsJson = False,
) -> None:
    """Prove with Groth16 that a circuit of circom holds, and verify the proof.

    The witness comes from a .wtns, or is calculated by the circuit's .wasm from a JSON object of its inputs. Nothing is
    written unless the proof verifies under the key's own verification key. With --cluster or --upstream another machine
    makes it, and learns the witness; what it sends is verified here. Exit code 1 if the witness does not satisfy the
    circuit, 2 if a file is broken.
    """
    with console.reporting(as_json, CODES):
        if (witness is None) == (circuit is None) or (circuit is None) != (input is None):
            raise UsageError("give --witness, or --circuit and --input")
        written = {"proof": proof, "public": public, "arkworks": arkworks, "precompile": precompile}
        read = {"key": key, "witness": witness, "circuit": circuit, "input": input, "r1cs": r1cs}
        require_other_files(written, read)
        reached = (upstream_token, upstream_tls_authorities, upstream_tls_certificate, upstream_tls_key)
        more = {"cluster.address": cluster, **options.upstream_flags(upstream, *reached)}
        hardware, settings = options.settings_of(tier, config, threads, backend, None, strategy, more)
        elsewhere = settings.cluster_address != "off" or upstream is not None
        begun = time.perf_counter()
        with console.progress_line() as line, told_of_circuit_files():
            given = witness if witness is not None else _calculated(circuit, input, line)
            proving = _proved_elsewhere if elsewhere else _proved
            found, about = proving(settings, hardware, key, given, r1cs, allow_test_key, check_subgroup, line)
            compiling = line.compilations.seconds
        seconds = time.perf_counter() - begun
        files = [(public, found.public_to_snarkjs().encode())]
        if arkworks is not None:
            files.append((arkworks, found.to_arkworks()))
        if precompile is not None:
            files.append((precompile, found.to_precompile()))
        write_files([*files, (proof, found.to_snarkjs().encode())])
        if as_json:
            names = {name: str(path) for name, path in {**read, **written}.items() if path is not None}
            answer = {**names, **about, "seconds": seconds, "compile_seconds": compiling}
            console.print_json({**answer, "backend": settings.backend, "environment": environment(hardware)})
        else:
            out = console.answers()
            out.print(
                f"proved and verified on {about['curve']}: {about['wires']:,} wires, {about['rows']:,} rows, "
                f"{about['public_numbers']:,} public numbers, in {seconds - compiling:.2f} s"
            )
    if about["test_only"]:
        console.warn("the key is made for tests alone: whoever made it can forge such proofs")


def _proved(
    settings: Settings,
    hardware: Hardware,
    key: Path,
    witness: Path | bytes,
    r1cs: Path | None,
    allow_test_key: bool,
    check_subgroup: bool,
    line: ProgressLine,
) -> tuple[Proof, dict[str, Any]]:
    """The proof, and what it is of."""
    from supervm.crypto.circom_r1cs import load_r1cs
    from supervm.crypto.groth16_prove import load_zkey
    from supervm.crypto.groth16_prove import prove as make_proof
    from supervm.kernels.threads import set_threads

    set_threads(threads(settings, hardware))
    with scheduling(settings, hardware):
        line.update("reading the circuit")
        constraints = load_r1cs(r1cs) if r1cs is not None else None
        line.update("reading the key")
        found = load_zkey(
            key,
            check="subgroup" if check_subgroup else "curve",
            multiples=1,
            allow_test_only=allow_test_key,
            backend=settings.backend,
            progress=line.update,
        )
        made = make_proof(found, witness, r1cs=constraints, backend=settings.backend, progress=line.update)
    about = {"curve": found.curve, "wires": found.wires, "rows": found.domain, "public_numbers": found.public}
    return made, {**about, "test_only": found.test_only}


def _proved_elsewhere(
    settings: Settings,
    hardware: Hardware,
    key: Path,
    witness: Path | bytes,
    r1cs: Path | None,
    allow_test_key: bool,
    check_subgroup: bool,
    line: ProgressLine,
) -> tuple[Proof, dict[str, Any]]:
    """As `_proved`, by a cluster or a node upstream; the witness is checked here where its circuit is given."""
    from supervm.crypto.circom_r1cs import load_r1cs
    from supervm.crypto.circom_witness import load_witness
    from supervm.crypto.circom_zkey import Zkey
    from supervm.crypto.groth16_prove import check_witness
    from supervm.kernels.threads import set_threads
    from supervm.tiers.cluster.runners import runner
    from supervm.tiers.cluster.splitting.proving import Prover

    set_threads(threads(settings, hardware))
    check = "subgroup" if check_subgroup else "curve"
    with Zkey(key, check) as opened:
        of = opened.header
    found = load_witness(witness)
    if r1cs is not None:
        line.update("checking the witness")
        check_witness(load_r1cs(r1cs), found)
    with runner(settings) as run:
        assert run is not None
        line.update("proving elsewhere")
        (made,) = Prover(run, key, allow_test_only=allow_test_key, check=check).prove([found])
    about = {"curve": of.curve, "wires": of.wires, "rows": of.domain, "public_numbers": of.public}
    return made, {**about, "test_only": of.test_only}


def _calculated(circuit: Path | None, input: Path | None, line: ProgressLine) -> bytes:
    """The `.wtns` of a circuit's inputs.

    Raises:
        BrokenFile: a file that cannot be read, or inputs that are no JSON object.
    """
    from supervm.crypto import witness

    assert circuit is not None
    assert input is not None
    with told_as_broken_file():
        module, text = (bytes(read_input(path, MOST_INPUT_BYTES)) for path in (circuit, input))
    try:
        inputs = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BrokenFile(str(input), "", f"no JSON: {error}") from None
    if not isinstance(inputs, dict):
        raise BrokenFile(str(input), "", f"a {type(inputs).__name__}, expected an object of inputs")
    line.update("calculating the witness")
    calculated: bytes = witness.calculate(module, inputs)
    return calculated


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose fields are all different."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found
