# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `supervm run`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from supervm.engine.config import Schedule


class Modes(StrEnum):
    """Modes of a run; both compares them."""

    parallel = "parallel"
    sequential = "sequential"
    both = "both"


Workload = Annotated[
    str | None,
    typer.Option(
        "--workload",
        help="transfers, token, amm, nft, mixed, private or mainnet; in the EVM: erc20, uniswap, mixed-evm.",
        show_default="mixed",
    ),
]
Load = Annotated[Path | None, typer.Option("--load", help="Run a workload file in place of a made one.")]
Save = Annotated[Path | None, typer.Option("--save", help="Write the workload to this file.")]
Blocks = Annotated[
    list[Path] | None,
    typer.Option(
        "--blocks",
        help="mainnet: folder with block.json and pre_state.json; may come often.",
        show_default="the bundled ones",
    ),
]
Transactions = Annotated[int | None, typer.Option(help="How many.", show_default="100000")]
Accounts = Annotated[int | None, typer.Option(help="Accounts.", show_default="10000")]
HotKeys = Annotated[int | None, typer.Option(help="Accounts that traffic meets at.", show_default="0")]
HotShare = Annotated[
    float | None,
    typer.Option(help="The share of it, 0 to 1.", show_default="0.5 if there are hot keys"),
]
BlockSize = Annotated[int | None, typer.Option(help="Transactions of a block.", show_default="10000")]
Seed = Annotated[int | None, typer.Option(help="Of the workload.", show_default="0")]
Declared = Annotated[
    bool | None,
    typer.Option(
        "--declared/--undeclared", help="Transactions say what they touch.", show_default="declared"
    ),
]
GasPrice = Annotated[int | None, typer.Option(help="Of every transaction.", show_default="1")]
PrivateShare = Annotated[
    float | None,
    typer.Option(
        help="Share of the transactions that are private transfers with a proof; one proof in 8 is wrong.",
        show_default="0",
    ),
]
ProvingKey = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="private: prove with this key of ringct_v1, a .zkey; the other proofs are simulated.",
        show_default="simulated proofs",
    ),
]
Mode = Annotated[Modes, typer.Option(help="How blocks are executed; both compares.")]
ScheduleName = Annotated[Schedule, typer.Option("--schedule", help="How a parallel block finds its order.")]
Signatures = Annotated[
    bool, typer.Option("--signatures/--no-signatures", help="Sign transactions (Ed25519) and verify them.")
]
State = Annotated[
    Path | None, typer.Option("--state", help="Keep the state in this directory, which is new or empty.")
]
