# SPDX-License-Identifier: GPL-3.0-or-later
"""Measured backends: kept in a file that may be lost, damaged or another machine's; `auto` takes them by number of items."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from supervm.kernels import choices, registry
from supervm.kernels.choices import Choices
from supervm.kernels.errors import BackendUnavailable
from supervm.kernels.work import Batch

ONE_THEN_LANES = ((1, "scalar"), (3, "ifma"))


def test_what_is_saved_is_loaded(tmp_path, caplog):
    assert Choices(tmp_path / "new").load() == {}
    Choices(tmp_path / "new").save({"one": ONE_THEN_LANES})
    Choices(tmp_path / "new").save({"two": ((1, "ifma"),)})
    assert Choices(tmp_path / "new").load() == {"one": ONE_THEN_LANES, "two": ((1, "ifma"),)}
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".json"]
    assert not caplog.records


DAMAGED = {
    "no JSON": "{",
    "no text": b"\xff\xfe\x00",
    "a list": "[]",
    "a number": "7",
    "nested too deeply": "[" * 200_000,
    "another format": {"format": 99},
    "another machine": {"machine": ["Z80"]},
    "no operations": {"operations": 3},
    "no stretches": {"operations": {"op": 3}},
    "no pairs": {"operations": {"op": [[1, "ifma", 2]]}},
    "text for a number": {"operations": {"op": [["1", "ifma"]]}},
    "true for a number": {"operations": {"op": [[True, "ifma"]]}},
    "a number for a name": {"operations": {"op": [[1, 2]]}},
    "not from 1 on": {"operations": {"op": [[2, "ifma"]]}},
    "not ascending": {"operations": {"op": [[1, "ifma"], [1, "scalar"]]}},
    "empty": {"operations": {"op": []}},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_used_is_left_aside_and_told(tmp_path, caplog, name):
    stored = Choices(tmp_path)
    stored.save({"op": ONE_THEN_LANES})
    damage = DAMAGED[name]
    if isinstance(damage, dict):
        damage = json.dumps(json.loads(stored.path.read_text()) | damage)
    stored.path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with caplog.at_level(logging.WARNING):
        assert Choices(tmp_path).load() == {}
    assert str(stored.path) in caplog.text
    Choices(tmp_path).save({"op": ONE_THEN_LANES})
    assert Choices(tmp_path).load() == {"op": ONE_THEN_LANES}


def test_a_folder_that_cannot_be_written_is_told(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        Choices(tmp_path / "file").save({"op": ONE_THEN_LANES})
    assert "cannot be written" in caplog.text


def test_many_writers_leave_a_whole_file(tmp_path):
    def write(name: str) -> None:
        for _ in range(20):
            Choices(tmp_path).save({name: ONE_THEN_LANES})
            assert set(Choices(tmp_path).load().values()) == {ONE_THEN_LANES}

    threads = [threading.Thread(target=write, args=(f"op{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(os.listdir(tmp_path)) == 1


@pytest.fixture
def listed(monkeypatch):
    """Two backends of an operation, and a third that cannot run; the names of those that ran."""
    ran: list[str] = []
    monkeypatch.setattr(registry, "_table", {})
    monkeypatch.setattr(registry, "_found", {})
    monkeypatch.setattr(registry, "_dispatcher", None)
    for name, reason in (("ifma", ""), ("avx2", "not here"), ("scalar", "")):
        registry.register("op", name, lambda column, out, name=name: ran.append(name), lambda why=reason: why)
    return ran


def run(items: int, backend: str = "auto") -> None:
    registry.run(Batch("op", (np.arange(items),), (np.zeros(items),)), backend)


def measured(monkeypatch, *stretches):
    monkeypatch.setattr(choices, "_stored", lambda: {"op": stretches})


def test_auto_takes_what_was_measured_for_so_many_items(listed, monkeypatch):
    measured(monkeypatch, (1, "scalar"), (3, "ifma"), (100, "scalar"))
    for items in (0, 1, 2, 3, 99, 100, 10_000):
        run(items)
    assert listed == ["ifma", "scalar", "scalar", "ifma", "ifma", "scalar", "scalar"]
    assert registry.resolve("op").name == "ifma", "nobody said how many"
    assert registry.resolve("op", items=1).name == "scalar"
    run(1, "ifma")
    assert listed[-1] == "ifma", "it was named"


@pytest.mark.parametrize("name", ["avx2", "cuda", "neon", "abacus"])
def test_auto_takes_nothing_that_cannot_run(listed, monkeypatch, name):
    measured(monkeypatch, (1, name))
    run(1)
    assert listed == ["ifma"]


def test_nothing_measured_is_as_before(listed, monkeypatch):
    monkeypatch.setattr(choices, "_stored", dict)
    run(1)
    assert listed == ["ifma"]
    registry.register("op", "ifma", print, lambda: "no longer")
    run(1)
    assert listed == ["ifma", "scalar"], "what was resolved before a registration is resolved again"
    with pytest.raises(BackendUnavailable, match="no longer"):
        run(1, "ifma")


def test_the_default_file_lies_under_the_cache_root(monkeypatch, tmp_path):
    monkeypatch.setenv("SUPERVM_CACHE_DIR", str(tmp_path))
    Choices().save({"op": ONE_THEN_LANES})
    assert Path(Choices().path).parent == tmp_path / "calibration"
    assert Choices().load() == {"op": ONE_THEN_LANES}
