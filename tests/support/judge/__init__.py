# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: `docs/execution-rules.md` once more, as plain sequential Python, written apart from the engine.

It imports nothing of the engine or of the kernels. What it shares with the engine are the bytes that wasmtime compiles
and the configuration that it compiles them with, because fuel is counted on those; and the readable signature oracles.
Prices, limits and reason numbers are typed a second time here, so that a typing error on either side shows.
"""

from __future__ import annotations

from judge.model import Judge
from judge.rules import Reason
from judge.transaction import Receipt, Tx

__all__ = ["Judge", "Reason", "Receipt", "Tx"]
