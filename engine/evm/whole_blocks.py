# SPDX-License-Identifier: GPL-3.0-or-later
"""`WholeBlocks`: what a replay executes blocks whole with, as far as their accounts' codes are given."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from supervm.engine.ethereum.replay.report import WholeBlock
from supervm.engine.ethereum.senders import Recovered
from supervm.engine.ethereum.witness import Witness, read_block_hashes, read_codes
from supervm.kernels.array_types import Bytes

if TYPE_CHECKING:
    from supervm.engine.evm.session import Session


class WholeBlocks:
    """Executes blocks whole; `replay` calls it for each.

    Args:
        codes: a file of codes: with it all blocks are executed; without it those that bring codes themselves.
        block_hashes: a JSON file of hashes by number, which BLOCKHASH reads besides those that a block brings.
        trace: the hash of a transaction to trace (EIP-3155).
        trace_memory: whether each line of the trace has the frame's memory.
        threads: of the execution in parallel, at least two.

    Raises:
        InputFileError: a file that cannot be used.
    """

    def __init__(
        self,
        *,
        codes: Path | str | None = None,
        block_hashes: Path | str | None = None,
        trace: bytes | None = None,
        trace_memory: bool = False,
        threads: int = 2,
    ) -> None:
        self._codes: Mapping[bytes, bytes] | None = None if codes is None else read_codes(codes)
        self._hashes = {} if block_hashes is None else read_block_hashes(block_hashes)
        self._trace, self._trace_memory, self._threads = trace, trace_memory, max(2, threads)
        self._session: Session | None = None

    def __call__(self, witness: Witness, recovered: Recovered, digests: Bytes) -> WholeBlock | None:
        """What came out of a block, None where no codes are given.

        Args:
            witness: the block and what is given with it.
            recovered: senders and authorities of its transactions.
            digests: their hashes, uint8 (n, 32).
        """
        if self._codes is None and not witness.codes:
            return None
        # Loaded only here: the compiled code is much, and blocks without codes have no use for it.
        from supervm.engine.evm.comparison import replay_whole
        from supervm.engine.evm.session import Session

        self._session = self._session or Session(self._threads)
        given = replace(witness, block_hashes={**self._hashes, **witness.block_hashes})
        codes = ChainMap(dict(witness.codes), dict(self._codes or {}))
        traced = [place for place, digest in enumerate(digests) if digest.tobytes() == self._trace]
        return replay_whole(
            self._session,
            given,
            recovered,
            codes,
            traced=traced[0] if traced else None,
            with_memory=self._trace_memory,
        )

    def close(self) -> None:
        """End the threads, if there are any."""
        if self._session is not None:
            self._session.close()
