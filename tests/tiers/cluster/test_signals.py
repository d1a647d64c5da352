# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that runs contracts goes on to do so when it has joined a cluster."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

TRAPS_BEFORE_AND_AFTER = """
import sys
import wasmtime
from supervm.tiers.cluster.connecting import connect, disconnect

store = wasmtime.Store()
code = '(module (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0)))) (func (export "stop") unreachable))'
contract = wasmtime.Instance(store, wasmtime.Module(store.engine, code), [])


def trap(name):
    try:
        contract.exports(store)[name](store)
    except wasmtime.Trap as trap:
        print(name, trap.trap_code.name)


for step in (lambda: connect(sys.argv[1]), disconnect, lambda: None):
    trap("divide")
    trap("stop")
    step()
"""


def test_a_trap_is_a_verdict_before_a_connection_during_and_after(cluster: Any) -> None:
    command = [sys.executable, "-c", TRAPS_BEFORE_AND_AFTER, cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:-1] == ["divide INTEGER_DIVISION_BY_ZERO", "stop UNREACHABLE"] * 3
