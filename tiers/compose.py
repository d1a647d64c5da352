# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipelines of a tier: settings in, something to run out. Nothing else reads both settings and engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervm.crypto import secp256k1
from supervm.crypto.schemes import BLS, BLS_MIN_SIG, ECDSA, ED25519, SCHNORR, SignatureScheme
from supervm.engine.scheduler import Scheduler, SchedulerSettings, Strategy
from supervm.kernels.array_types import Verdicts
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.threads import set_threads
from supervm.tiers.gpus import driver_present
from supervm.tiers.hardware import Hardware
from supervm.tiers.known_answers import known_answers
from supervm.tiers.settings import Settings

if TYPE_CHECKING:  # files of signatures load Arrow, which most commands do without
    from supervm.engine.config import EngineConfig
    from supervm.engine.ethereum.replay.report import ReplayReport
    from supervm.tiers.signature_files.formats import SignatureFile
    from supervm.tiers.signature_files.verdict_writers import VerdictWriter
    from supervm.tiers.signature_files.verification import Checks, SignatureChecks, Summary

BYTES_PER_ITEM = 4096
"""Memory of a signature in flight: 2 KiB in the kernels, as much again for the row it was read from."""


Scheduling = Callable[[], AbstractContextManager[object]]
"""Makes what places work inside a `with` block."""


@dataclass(frozen=True)
class VerifyPipeline:
    """Verifies files of signatures, proofs or blobs.

    Args:
        checks: verify batches, with rule and backend chosen.
        threads: of each batch.
        backend: as in the settings.
        batch_items: rows of a batch, at most.
        batch_bytes: bytes of a batch, about.
        scheduling: what places the work of `auto` while the pipeline runs.
        reader: makes the reader of a file, from its path and the two limits.
    """

    checks: Checks
    threads: int
    backend: str
    batch_items: int
    batch_bytes: int
    scheduling: Scheduling
    reader: Callable[[Path, int, int], SignatureFile]

    def open(self, path: Path) -> SignatureFile:
        """The file, cut into batches of this pipeline's size.

        Raises:
            BrokenFile: it is missing, unreadable, or of a format that is not read.
        """
        return self.reader(path, self.batch_items, self.batch_bytes)

    def run(
        self,
        file: SignatureFile,
        summary: Summary,
        *,
        writer: VerdictWriter | None = None,
        progress: Callable[[float | None, int], None] | None = None,
    ) -> None:
        """Verify `file` into `summary`; see `signature_files.verification.verify_file`."""
        from supervm.tiers.signature_files.verification import verify_file

        set_threads(self.threads)
        with self.scheduling():
            verify_file(file, self.checks, summary, writer=writer, progress=progress)


def verify_pipeline(settings: Settings, hardware: Hardware, **rules: Any) -> VerifyPipeline:
    """The pipeline behind `supervm verify` of signatures.

    Args:
        rules: as `signature_checks` takes them.
    """
    from supervm.tiers.signature_files.formats import open_signature_file

    checks = signature_checks(settings.backend, **rules)
    return file_pipeline(settings, hardware, checks, open_signature_file)


def file_pipeline(
    settings: Settings, hardware: Hardware, checks: Checks, reader: Callable[[Path, int, int], SignatureFile]
) -> VerifyPipeline:
    """The pipeline behind `supervm verify` of any file.

    Args:
        checks: verify its rows.
        reader: of it; see `VerifyPipeline`.
    """
    # Two batches are in flight, one read while the other is verified.
    affordable = max(1, settings.memory_budget // 2 // BYTES_PER_ITEM)
    return VerifyPipeline(
        checks=checks,
        threads=threads(settings, hardware),
        backend=settings.backend,
        batch_items=min(settings.batch_items, affordable),
        batch_bytes=max(1 << 20, settings.memory_budget // 8),
        scheduling=functools.partial(scheduling, settings, hardware),
        reader=reader,
    )


def signature_checks(
    backend: str, rule: str = "dalek", low_s: bool = True, suite: str = "pop", tag: str = ""
) -> SignatureChecks:
    """The batch functions of `supervm.crypto` under one backend and these rules.

    Args:
        rule: of Ed25519, 'dalek', 'strict' or 'zip215'.
        low_s: whether a high s is refused in ECDSA.
        suite: of BLS, 'pop', 'basic' or 'augmented'.
        tag: of BLS, in place of the suite's domain separation tag.
    """
    from supervm.tiers.signature_files.verification import SignatureChecks

    bls: dict[str, Any] = {"suite": suite, "dst": tag.encode() or None, "backend": backend}

    def of_bls(scheme: SignatureScheme, variant: str) -> Callable[..., Verdicts]:
        # Its module is loaded where a file has such signatures.
        return lambda *columns: scheme.verify_batch(*columns, variant=variant, **bls)

    return SignatureChecks(
        ed25519=functools.partial(ED25519.verify_batch, rule=rule, backend=backend),
        ecdsa=functools.partial(ECDSA.verify_batch, low_s=low_s, backend=backend),
        schnorr=functools.partial(SCHNORR.verify_batch, backend=backend),
        bls=of_bls(BLS, "min-pk"),
        bls_min_sig=of_bls(BLS_MIN_SIG, "min-sig"),
        der=secp256k1.signatures_from_der,
    )


def replay_pipeline(settings: Settings, hardware: Hardware) -> Callable[..., ReplayReport]:
    """The pipeline behind `supervm replay`: (blocks, progress, files of codes and block hashes) → report."""
    from supervm.engine.ethereum.replay.replay import replay
    from supervm.engine.evm.whole_blocks import WholeBlocks

    count = threads(settings, hardware)

    def run(
        paths: Iterable[Path],
        progress: Callable[..., None] | None,
        codes: Path | None = None,
        block_hashes: Path | None = None,
        trace: bytes | None = None,
        trace_memory: bool = False,
    ) -> ReplayReport:
        if settings.cluster_address != "off":
            given = {
                "codes": codes,
                "block_hashes": block_hashes,
                "trace": trace,
                "trace_memory": trace_memory,
            }
            return _replay_on_cluster(settings, paths, progress, given)
        with scheduling(settings, hardware):
            whole = WholeBlocks(
                codes=codes,
                block_hashes=block_hashes,
                trace=trace,
                trace_memory=trace_memory,
                threads=count,
            )
            try:
                return replay(
                    list(paths), whole=whole, threads=count, backend=settings.backend, progress=progress
                )
            finally:
                whole.close()

    return run


def _replay_on_cluster(
    settings: Settings,
    paths: Iterable[Path],
    progress: Callable[..., None] | None,
    given: dict[str, Any],
) -> ReplayReport:
    from supervm.tiers.cluster.pool import Pool  # it loads Ray
    from supervm.tiers.cluster.splitting.parts import OnPool
    from supervm.tiers.cluster.splitting.replaying import replay

    with Pool.connect(settings.cluster_address) as pool:
        return replay(OnPool(pool), paths, progress=progress, **given)


def engine_config(settings: Settings, hardware: Hardware, **choices: Any) -> EngineConfig:
    """The configuration of an engine that executes.

    Args:
        choices: fields of `EngineConfig` that no setting decides.
    """
    from supervm.engine.config import MOST_THREADS, EngineConfig

    count = min(threads(settings, hardware), MOST_THREADS)
    if settings.workers > MOST_THREADS:
        count = settings.workers  # more cores are no error; more that were asked for are
    return EngineConfig(threads=count, backend=settings.backend, **choices)


def scheduling(settings: Settings, hardware: Hardware) -> AbstractContextManager[object]:
    """What places the work of `auto` inside a `with` block; nothing does if the settings name a backend.

    Raises:
        BackendUnavailable: the strategy asks for a GPU and there is none.
        NoCluster: the settings name a cluster and none is there.
    """
    if settings.backend != "auto":
        return nullcontext()
    local = scheduler(settings, hardware)
    if settings.cluster_address == "off":
        return local
    from supervm.tiers.cluster.executor import ClusterScheduler  # it loads Ray
    from supervm.tiers.cluster.pool import Pool

    return ClusterScheduler(local, Pool.connect(settings.cluster_address))


def scheduler(settings: Settings, hardware: Hardware, *, all_cpu_backends: bool = False) -> Scheduler:
    """The scheduler that these settings ask for, over every GPU that this process may use; sets the number of threads.

    Args:
        all_cpu_backends: compare every CPU backend, compiled or not.

    Raises:
        BackendUnavailable: the strategy asks for a GPU and there is none.
    """
    policy = SchedulerSettings(
        strategy=Strategy(settings.strategy), recheck=settings.recheck, all_cpu_backends=all_cpu_backends
    )
    set_threads(threads(settings, hardware))
    if policy.strategy is Strategy.CPU_ONLY:
        return Scheduler(policy, known_answers=known_answers)
    found = devices.devices()
    # Without a driver there never was a device: to compute on the processor is no fallback then, and needs no explanation.
    told = policy.strategy is Strategy.GPU_ONLY or driver_present()
    reason = devices.unavailable() if told else ""
    return Scheduler(policy, found, no_devices=reason, known_answers=known_answers)


def threads(settings: Settings, hardware: Hardware) -> int:
    """Threads of a batch: `workers`, or every usable core; more than these would only be in each other's way."""
    return min(settings.workers or hardware.cores, hardware.cores)
