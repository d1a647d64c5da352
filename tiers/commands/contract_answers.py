# SPDX-License-Identifier: GPL-3.0-or-later
"""What `supervm contract` answers, as plain types and on the screen."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from supervm.engine.blocks.receipts import Receipt
from supervm.engine.single_call import Called
from supervm.tiers import console
from supervm.tiers.environment import environment
from supervm.tiers.tables import print_table
from supervm.vm.errors import ContractRejected
from supervm.vm.limits import MODULE_UNITS, RESTORED_BYTES
from supervm.vm.outcomes import Reason
from supervm.vm.validation import ModuleInfo, inspect


def rejection_json(file: str, error: ContractRejected) -> dict[str, Any]:
    """A contract that breaks a rule."""
    return {
        "file": file,
        "accepted": False,
        "rule": error.rule,
        "found": error.found,
        "expected": error.expected,
        "offset": error.offset,
    }


def check_json(file: str, code: bytes, info: ModuleInfo) -> dict[str, Any]:
    """A contract that is accepted."""
    return {
        "file": file,
        "accepted": True,
        "code_hash": info.code_hash.hex(),
        "code_bytes": len(code),
        "entry_points": list(info.entry_points),
        "imports": [f"{module}.{name}" for module, name in sorted(info.imports)],
        "memory": {
            "initial": info.memory_initial,
            "maximum": info.memory_maximum,
            "page_size": info.page_size,
            "grows": info.grows_memory,
        },
        "restorable": info.restorable,
        "uses_balance": info.uses_balance,
        "compile_units": info.units,
        "instance_gas": _instance_gas(info),
    }


def show_check(code: bytes, info: ModuleInfo) -> None:
    """The same on the screen."""
    console.print_pairs(
        [
            ("code", f"{len(code):,} bytes, SHA-256 {info.code_hash.hex()}"),
            ("entry points", ", ".join(info.entry_points)),
            ("imports", ", ".join(f"{module}.{name}" for module, name in sorted(info.imports)) or "none"),
            ("memory", f"{info.memory_initial:,} bytes, at most {info.memory_maximum:,}"),
            ("instances", _reuse(info)),
            ("to compile", f"{info.units:,} of at most {MODULE_UNITS:,} units"),
        ]
    )
    console.answers().print("[green]accepted[/]")


def _instance_gas(info: ModuleInfo) -> int:
    """What every call pays for the instance, before it runs."""
    return info.restore_gas if info.reused else info.restore_gas + info.new_instance_gas(info.memory_initial)


def _reuse(info: ModuleInfo) -> str:
    price = _instance_gas(info)
    paid = f", {price:,} gas a call" if price else ""
    if not info.restorable:
        return f"made anew for every call{paid}: {', '.join(sorted(info.stateful))}"
    if not info.reused:
        return f"made anew for every call{paid}: memory is empty at first or above {RESTORED_BYTES:,} bytes"
    return f"used again, unless memory has grown{paid}" if info.grows_memory else f"used again{paid}"


def answer(as_json: bool, values: dict[str, Any]) -> None:
    """A few values by name."""
    if as_json:
        console.print_json(values | {"environment": environment()})
        return
    rows = ((name, f"{value:,}" if isinstance(value, int) else value) for name, value in values.items())
    console.print_pairs((name.replace("_", " "), value) for name, value in rows)


def call_json(called: Called, dry_run: bool) -> dict[str, Any]:
    """What became of a call. `gas` is the sum of the two parts behind it."""
    receipt = called.receipt
    intrinsic = min(called.intrinsic, receipt.gas)
    return {
        "accepted": receipt.accepted,
        "success": receipt.success,
        "reason": receipt.reason.name,
        "words": called.words,
        "nonce": called.nonce,
        "gas": receipt.gas,
        "gas_intrinsic": intrinsic,
        "gas_execution": receipt.gas - intrinsic,
        "fees": called.block.fees,
        "fee_split": list(called.block.fee_split),
        "return_value": receipt.return_value,
        "output": receipt.output.hex(),
        "events": [event.hex() for event in receipt.events],
        "dry_run": dry_run,
    }


def show_call(called: Called, outcome: dict[str, Any]) -> None:
    """The same on the screen."""
    receipt = called.receipt
    colour = "green" if receipt.success else "bold red"
    name = receipt.reason.name if receipt.reason else "success"
    parts = f"{outcome['gas_intrinsic']:,} intrinsic and {outcome['gas_execution']:,} in execution"
    shares = ", ".join(f"L{tier} {share:,}" for tier, share in enumerate(called.block.fee_split, 1))
    kept = ", not kept" if outcome["dry_run"] else ""
    console.print_pairs(
        [
            ("outcome", Text.assemble((name, colour), f": {called.words}")),
            ("gas", f"{receipt.gas:,}: {parts}"),
            ("fees", f"{called.block.fees:,}: {shares}" if called.block.fees else "none"),
            ("returned", _returned(receipt)),
            ("output", receipt.output.hex() or "none"),
            *(("" if place else "events", event.hex()) for place, event in enumerate(receipt.events)),
            ("nonce", str(called.nonce)),
            ("state", f"height {outcome['height']:,}, root {outcome['state_root']}{kept}"),
        ]
    )


def _returned(receipt: Receipt) -> str:
    """A contract's own code where it has refused; nothing where it did not come to return."""
    if receipt.reason and receipt.reason is not Reason.CONTRACT_ERROR:
        return "nothing"
    return str(receipt.return_value)


def sample_json(name: str, summary: str, code: bytes) -> dict[str, Any]:
    """A sample contract."""
    info = inspect(code)
    return {
        "name": name,
        "summary": summary,
        "code_bytes": len(code),
        "code_hash": info.code_hash.hex(),
        "entry_points": list(info.entry_points),
    }


def show_samples(rows: list[dict[str, Any]]) -> None:
    """The sample contracts, one a row."""
    cells = [
        (row["name"], f"{row['code_bytes']:,}", ", ".join(row["entry_points"]), console.plain(row["summary"]))
        for row in rows
    ]
    print_table(("name", "#bytes", "entry points", "what it is"), cells)
