# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify`: a file of signatures, of Groth16 proofs or of blobs; or one proof."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from supervm.kernels.errors import ArgumentError
from supervm.tiers import console
from supervm.tiers.commands import options
from supervm.tiers.compose import VerifyPipeline, verify_pipeline
from supervm.tiers.environment import environment
from supervm.tiers.errors import VERIFICATION_FAILED, WRONG_USE, BrokenFile, UsageError
from supervm.tiers.hardware import Hardware
from supervm.tiers.progress import ProgressLine
from supervm.tiers.settings import Settings
from supervm.tiers.signature_files.formats import SignatureFile
from supervm.tiers.signature_files.verdict_writers import partial_name, verdict_writer
from supervm.tiers.signature_files.verification import VERDICT_NAMES, Summary
from supervm.tiers.tables import NUMBER, print_table


class BlsSuite(StrEnum):
    """Suites of BLS signatures."""

    pop = "pop"
    basic = "basic"
    augmented = "augmented"


class Rule(StrEnum):
    """Rules of Ed25519."""

    dalek = "dalek"
    strict = "strict"
    zip215 = "zip215"


def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="JSON Lines, Parquet or Arrow IPC (file or stream); - is standard input; with --cluster a folder "
            "of them too. Not with --proof.",
            allow_dash=True,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Verify Groth16 proofs under this verification_key.json, one or a FILE of them."),
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="One proof, a proof.json.")] = None,
    public: Annotated[Path | None, typer.Option(help="Its public inputs, a public.json.")] = None,
    allow_test_key: options.AllowTestKey = False,
    kzg_setup: Annotated[
        Path | None, typer.Option("--kzg-setup", help="Verify a FILE of blobs under this trusted setup.")
    ] = None,
    bls_suite: Annotated[
        BlsSuite, typer.Option("--bls-suite", help="Which suite BLS signatures are of.")
    ] = BlsSuite.pop,
    bls_tag: Annotated[
        str, typer.Option("--bls-tag", help="A domain separation tag in place of the suite's.")
    ] = "",
    rule: Annotated[Rule, typer.Option(help="How Ed25519 is checked.")] = Rule.dalek,
    low_s: Annotated[bool, typer.Option("--low-s/--no-low-s", help="Refuse a high s in ECDSA.")] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the verdicts here: text, or a column if the name ends in .parquet or .arrow. With "
            "--cluster a folder, which a run that was stopped goes on with."
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="A file without any row is no error.")
    ] = False,
    failures: Annotated[int, typer.Option(min=0, help="How many failures to list.")] = 10,
    tier: options.TierName = None,
    config: options.ConfigFile = None,
    threads: options.Threads = None,
    backend: options.Backend = None,
    strategy: options.Strategy = None,
    batch: options.Batch = None,
    cluster: options.Cluster = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify a file of signatures, of Groth16 proofs or of blobs; or one proof.

    Columns of signatures: scheme (ed25519, ecdsa, schnorr, bls, bls-min-sig), public_key, message or digest
    (ecdsa: digest), signature; hex or binary; in JSON Lines, Parquet or Arrow. With --key, JSON Lines of proof
    and public, as snarkjs writes both; with --kzg-setup, of blob, commitment and proof. Verdicts: 1 valid,
    0 invalid, -1 malformed. Exit code 1 if any is not 1, 2 if the file is broken or has no row.
    """
    with console.reporting(as_json):
        more = {"cluster.address": cluster}
        hardware, settings = options.settings_of(tier, config, threads, backend, batch, strategy, more)
        if cluster not in (None, "off") and (file is None or key is not None or kzg_setup is not None):
            raise UsageError(
                "--cluster verifies a FILE or folder of signatures: leave it out for proofs and blobs"
            )
        if file is None:
            _verify_one(settings, hardware, key, proof, public, allow_test_key, as_json=as_json)
        if proof is not None or public is not None:
            raise UsageError("--proof and --public are for one proof: give them without FILE")
        if key is not None and kzg_setup is not None:
            raise UsageError("--key is for proofs and --kzg-setup for blobs: give one of them")
        rules = {"rule": rule.value, "low_s": low_s, "suite": bls_suite.value, "tag": bls_tag}
        if settings.cluster_address != "off" and key is None and kzg_setup is None:
            from supervm.tiers.commands.verify_cluster import verify_on_cluster  # it loads Ray

            pipeline = verify_pipeline(settings, hardware, **rules)
            verify_on_cluster(settings, pipeline, file, output, rules, failures, allow_empty, as_json)
        pipeline = _pipeline(settings, hardware, key, kzg_setup, allow_test_key, **rules)
        summary = Summary(failures)
        with console.progress_line() as line:
            signatures = pipeline.open(file)
            with closing(signatures.source):
                if output is not None and signatures.source.is_same(output):
                    raise ArgumentError("output", f"the input file {output}", "another file")
                begun, broken = time.perf_counter(), None
                try:
                    _run(pipeline, signatures, summary, output, line, allow_empty=allow_empty)
                except BrokenFile as error:  # what came before the broken row is reported too
                    broken = error
                seconds = time.perf_counter() - begun
            compiling = line.compilations.seconds
        partial = partial_name(output) if output is not None and broken is not None else None
        if as_json:
            answer: dict[str, Any] = {"file": str(file), "format": signatures.format}
            answer |= summary.to_json(signatures.place)
            answer |= {
                "error": console.error_json(broken) if broken else None,
                "rule": rule.value,
                "low_s": low_s,
                "bls_suite": bls_suite.value,
                "bls_tag": bls_tag or None,
                "output": str(output) if output and not partial else None,
                "partial_output": str(partial) if partial else None,
                "allow_empty": allow_empty,
                "seconds": seconds,
                "compile_seconds": compiling,
                "items_per_second": summary.rows / (seconds - compiling) if summary.rows else 0.0,
                "threads": pipeline.threads,
                "backend": pipeline.backend,
                "environment": environment(hardware),
            }
            console.print_json(answer)
        elif summary.rows or broken is None:
            _show(summary, signatures.place, seconds - compiling, compiling)
    if broken is not None:
        console.show_error(broken)
        if partial is not None:
            console.warn(f"{output} is not written; the verdicts before this are in {partial}")
        raise typer.Exit(WRONG_USE)
    if not summary.all_valid:
        raise typer.Exit(VERIFICATION_FAILED)


def _pipeline(
    settings: Settings,
    hardware: Hardware,
    key: Path | None,
    kzg_setup: Path | None,
    allow_test_key: bool,
    **rules: Any,
) -> VerifyPipeline:
    """For a file of proofs, of blobs or, without key and setup, of signatures under these rules."""
    if key is None and kzg_setup is None:
        return verify_pipeline(settings, hardware, **rules)
    from supervm.tiers.commands import verify_proofs  # it loads what signatures do without

    if kzg_setup is None:
        assert key is not None
        return verify_proofs.pipeline_of_proofs(settings, hardware, key, allow_test_key)
    return verify_proofs.pipeline_of_blobs(settings, hardware, kzg_setup)


def _verify_one(
    settings: Settings,
    hardware: Hardware,
    key: Path | None,
    proof: Path | None,
    public: Path | None,
    allow_test_key: bool,
    *,
    as_json: bool,
) -> NoReturn:
    """Raises:
    UsageError: a file is not named.
    """
    if key is None or proof is None or public is None:
        raise UsageError("missing argument 'FILE', or --key, --proof and --public for one proof")
    from supervm.tiers.commands.verify_proofs import verify_one

    verify_one(settings, hardware, key, proof, public, allow_test_key, as_json)


def _run(
    pipeline: VerifyPipeline,
    signatures: SignatureFile,
    summary: Summary,
    output: Path | None,
    line: ProgressLine,
    *,
    allow_empty: bool,
) -> None:
    """Verify the file.

    Raises:
        BrokenFile: it has a broken row, or none. Every row before it is counted and written.
    """
    name = Path(signatures.source.name).name
    line.update(f"verifying {name}")

    def progress(fraction: float | None, rows: int) -> None:
        line.update(f"verifying {name}, {rows:,} rows", fraction)

    with verdict_writer(output) if output else nullcontext() as writer:
        pipeline.run(signatures, summary, writer=writer, progress=progress)
        if not summary.rows and not allow_empty:
            # Whoever made the file, or writes to the pipe, has failed: nothing was found valid.
            raise BrokenFile(signatures.source.name, "", "no row in it; --allow-empty takes that")


def print_counts(summary: Summary) -> None:
    """A row of verdicts for each scheme, and one for all where there are several."""
    rows = [
        (scheme, *(f"{counts[verdict]:,}" for verdict in VERDICT_NAMES), f"{sum(counts.values()):,}")
        for scheme, counts in summary.counts.items()
    ]
    totals = ("all", *(f"{summary.total(verdict):,}" for verdict in VERDICT_NAMES), f"{summary.rows:,}")
    columns = ("scheme", *(NUMBER + name for name in VERDICT_NAMES.values()), "#rows")
    print_table(columns, rows, total=totals if len(summary.counts) > 1 else None)


def _show(summary: Summary, place: str, seconds: float, compiling: float) -> None:
    print_counts(summary)
    out = console.answers()
    if summary.failures:
        out.print(f"first failures ({len(summary.failures)} of {summary.rows - summary.total(1):,}):")
        for number, scheme, verdict in summary.failures:
            out.print(f"  {place} {number}: {scheme}, {VERDICT_NAMES[verdict]} ({verdict})")
    compiled = f", after {compiling:.1f} s of compiling kernels" if compiling else ""
    out.print(f"{summary.rows:,} rows in {seconds:.2f} s, {summary.rows / seconds:,.0f} a second{compiled}")
