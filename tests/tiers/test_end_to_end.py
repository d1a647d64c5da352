# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands over the kernels: the options reach them, and the verdicts are the oracle's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from supervm.crypto.oracle import adversarial_ed25519
from supervm.crypto.oracle import ed25519 as oracle_ed25519
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.tiers import Hardware
from supervm.tiers.cli import app
from supervm.tiers.compose import threads, verify_pipeline
from supervm.tiers.known_answers import CONFLICTS, known_answers, warm
from supervm.tiers.settings import load

BLOCKS = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "ethereum"


def _run(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_verify_a_parquet_file_of_every_scheme(tmp_path: Path, mixed_items: list[Any]) -> None:
    path, output = tmp_path / "signatures.parquet", tmp_path / "verdicts.parquet"
    names = ("scheme", "public_key", "message", "digest", "signature")
    pq.write_table(pa.table({name: [getattr(item, name) for item in mixed_items] for name in names}), path)
    code, answer = _run("verify", path, "--output", output, "--threads", 2, "--batch", 20)
    assert code == 1
    assert answer["threads"] == 2
    verdicts = [item.verdict for item in mixed_items]
    assert pq.read_table(output).column("verdict").to_pylist() == verdicts
    assert answer["valid"] == verdicts.count(1)


def test_the_rule_of_ed25519_reaches_the_kernels(
    tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str]
) -> None:
    def verdicts(case: Any) -> list[int]:
        return [
            oracle_ed25519.verify(case.public_key, case.message, case.signature, rule)
            for rule in ("dalek", "strict", "zip215")
        ]

    cases = adversarial_ed25519.cases()
    first = next(case for case in cases if verdicts(case) == [1, 0, 1])
    second = next(case for case in cases if verdicts(case) == [0, 0, 1])
    path = tmp_path / "rules.jsonl"
    lines = [
        json_line(
            mixed_items[0],
            public_key=case.public_key.hex(),
            message=case.message.hex(),
            signature=case.signature.hex(),
        )
        for case in (first, second)
    ]
    path.write_text("\n".join(lines))
    for rule, valid in (("dalek", 1), ("strict", 0), ("zip215", 2)):
        code, answer = _run("verify", path, "--rule", rule)
        assert answer["valid"] == valid
        assert code == (0 if valid == 2 else 1)


def test_low_s_reaches_the_kernels(
    tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str]
) -> None:
    item = mixed_items[1]
    s = SECP256K1.scalar_field.modulus - int.from_bytes(item.signature[32:], "big")
    path = tmp_path / "high.jsonl"
    path.write_text(json_line(item, signature=(item.signature[:32] + s.to_bytes(32, "big")).hex()))
    assert _run("verify", path)[0] == 1
    assert _run("verify", path, "--no-low-s")[0] == 0


def test_replay_of_the_first_block_with_a_transaction() -> None:
    code, answer = _run("replay", BLOCKS / "46147")
    assert code == 0
    assert answer["blocks"][0]["number"] == 46147
    assert answer["blocks"][0]["senders_recovered"] == 1
    assert set(answer) == {"blocks", "totals", "checked", "not_checked", "environment"}


def test_replay_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    code, answer = _run("replay", tmp_path / "absent")
    assert code == 2
    assert "absent" in answer["error"]["message"]


def test_conflict_detection_has_known_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    warm(CONFLICTS, "auto")
    outcome = known_answers(CONFLICTS, "auto")
    assert outcome.ok, outcome.detail
    monkeypatch.setattr("supervm.tiers.known_answers.EXPECTED", {"versioned": {"wave": [0, 1, 0, 1, 1]}})
    outcome = known_answers(CONFLICTS, "auto")
    assert not outcome.ok
    assert outcome.detail == "uint64 keys, rule versioned: wave is [0, 1, 0, 1, 0], expected [0, 1, 0, 1, 1]"
    assert "no backend" in known_answers(CONFLICTS, "no backend").detail


def test_a_pipeline_keeps_to_the_memory_budget() -> None:
    hardware = Hardware(cores=3, memory=10**9)
    settings = load(hardware, environment={"SUPERVM_MEMORY_BUDGET": "16 MiB"})
    pipeline = verify_pipeline(settings, hardware)
    assert pipeline.threads == 3
    assert pipeline.batch_items == (16 << 20) // 2 // 4096
    assert pipeline.batch_bytes == 2 << 20
    assert threads(load(hardware, flags={"workers": 1}, environment={}), hardware) == 1
