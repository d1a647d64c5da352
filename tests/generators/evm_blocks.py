# SPDX-License-Identifier: GPL-3.0-or-later
"""Records `benchmarks/data/evm`: blocks of calls of our own contracts, mined by a real node and fetched from it.

    python tests/generators/evm_blocks.py [FOLDER]

anvil (npm) executes the transactions that `tests/support/evm_traffic.py` signs; `supervm fetch` writes the folders. Receipts
roots, gas, blooms and state roots are the node's. Needs npm and a network.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from anvil import running  # noqa: E402
from evm_traffic import Traffic  # noqa: E402

from supervm.engine.ethereum.fetch import Node, chain_of, fetch_block, write_block  # noqa: E402
from supervm.engine.ethereum.fetch.block_folder import NODES_FILE  # noqa: E402

TARGET = ROOT / "benchmarks" / "data" / "evm"
FORK = "osaka"

UNPROVEN = ("storage", "nested")
"""Blocks whose nodes are left out: anvil keeps slots of value 0 in its tries, so the roots of these are not Ethereum's."""


def record(target: Path, work: Path) -> dict[str, int]:
    """Mine and fetch; the number of each block that is kept, by what it is."""
    with running(work, FORK) as anvil:
        traffic = Traffic(anvil)
        traffic.deploy()
        traffic.prepare()
        numbers = {
            "tokens": traffic.tokens(),
            "exchange": traffic.exchange(),
            "storage": traffic.storage(),
            "nested": traffic.nested(),
            "delegations": traffic.delegations(),
        }
        node = Node(anvil.url)
        chain = chain_of(node)
        for name, number in numbers.items():
            folder = target / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            fetched = fetch_block(node, number, chain)
            if name in UNPROVEN:
                del fetched.files[NODES_FILE]
            write_block(folder, fetched)
    return numbers


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for name, number in record(target, ROOT / "build" / "anvil").items():
        files = sorted((target / str(number)).iterdir())
        print(f"{number}: {name}, {sum(path.stat().st_size for path in files):,} bytes")


if __name__ == "__main__":
    main()
