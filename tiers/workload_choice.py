# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workload a command line asks for, and making it, reading it or translating it from blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervm.engine.workloads import NAMES, PRIVATE, Parameters, Workload, generate, mainnet, read_workload
from supervm.engine.workloads.evm_calls import EVM_NAMES
from supervm.kernels.errors import ArgumentError

if TYPE_CHECKING:
    from supervm.crypto.groth16_proving_key import ProvingKey

MAINNET = "mainnet"
WORKLOADS = (*NAMES, PRIVATE, MAINNET)
DEFAULT = "mixed"

HOT_SHARE = 0.5
"""Share of the traffic that meets at hot keys where only their number is given."""

PROVEN, PROVEN_BLOCK = 64, 16
"""Transactions, and those of a block, where a prover makes the proofs and nothing is said: each takes a part of a second."""

BLOCKS_PACKAGE = "supervm.benchmarks"
"""Which has the bundled blocks among its data."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is, and how much there is."""


@dataclass(frozen=True)
class WorkloadChoice:
    """What was asked for.

    Args:
        name: one of `WORKLOADS`, or None.
        load: a workload file, or None.
        blocks: folders of Ethereum blocks; empty for the bundled ones.
        parameters: of `Parameters`, as far as they were given: None counts as not given.
        signatures: whether signatures are to be verified.
        proven: whether a key is given to prove with.
    """

    name: str | None = None
    load: Path | None = None
    blocks: Sequence[Path] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    signatures: bool = False
    proven: bool = False

    def make(self, progress: Progress, key: ProvingKey | None = None) -> tuple[Workload, int | None]:
        """The workload; and how many transactions of the blocks are not in it, None unless it is made from blocks.

        Args:
            progress: told of what is done.
            key: to prove with.

        Raises:
            ArgumentError: choices that exclude each other, or parameters out of range.
            InputFileError: a file that cannot be used.
            MissingPackage: it is to be signed, and `cryptography` is not installed.
        """
        self.check()
        if self.load is not None:
            progress(f"reading {self.load.name}", 0, 0)
            workload = read_workload(self.load)
            if self.signatures and not workload.parameters.signed:
                raise ArgumentError("signatures", "a workload without any", "one made with --signatures")
            return workload, None
        name = self.name or DEFAULT
        if name == MAINNET:
            progress("reading blocks", 0, 0)
            return mainnet(self.blocks or bundled_blocks())
        progress(f"generating {name}", 0, 0)
        doing = "proving" if self.proven else "signing"
        made = generate(name, self._parameters(), lambda done, total: progress(doing, done, total), key=key)
        return made, None

    def check(self) -> None:
        """Make sure that the choices go together.

        Raises:
            ArgumentError: they do not.
        """
        if self.name is not None and self.name not in WORKLOADS:
            known = ", ".join((*WORKLOADS, *EVM_NAMES))
            raise ArgumentError("workload", repr(self.name), f"one of {known}")
        given = [name for name, value in self.parameters.items() if value is not None]
        if self.load is not None and (self.name is not None or given):
            found = f"--load besides {', '.join(['workload'] * (self.name is not None) + given)}"
            raise ArgumentError("load", found, "only --load: the file says what the workload is like")
        if self.proven and self.load is None and self.name != PRIVATE:
            raise ArgumentError("key", "a proving key for another workload", f"--workload {PRIVATE}")
        if self.blocks and self.name != MAINNET:
            raise ArgumentError("blocks", "blocks for another workload", f"--workload {MAINNET}")
        if self.name == MAINNET and (given or self.signatures):
            found = ", ".join(given + ["signatures"] * self.signatures)
            raise ArgumentError(
                "workload", f"{MAINNET} with {found}", "none of them: the blocks are what they are"
            )

    def _parameters(self) -> Parameters:
        given = {name: value for name, value in self.parameters.items() if value is not None}
        given.setdefault("declared", True)
        if self.proven:
            given.setdefault("transactions", PROVEN)
            given.setdefault("block_size", PROVEN_BLOCK)
        if given.get("hot_keys"):
            given.setdefault("hot_share", HOT_SHARE)
        return Parameters(signed=self.signatures, **given)


def bundled_blocks() -> list[Path]:
    """Folders with `block.json` and `pre_state.json` of the blocks that come with the benchmarks, by block number.

    Raises:
        ArgumentError: the benchmarks are not installed.
    """
    try:
        folder = Path(str(files(BLOCKS_PACKAGE))) / "data" / "ethereum"
        found = [path for path in folder.iterdir() if path.name.isdigit()]
    except (ModuleNotFoundError, OSError):
        found = []
    if not found:
        raise ArgumentError("blocks", "none, and no bundled ones are installed", "folders of blocks")
    return sorted(found, key=lambda path: int(path.name))
