# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: precedence, origins, and errors that name source, key, what was found and what is expected."""

from __future__ import annotations

import itertools
import pickle
import tomllib
from pathlib import Path

import pytest

from supervm.tiers import TIERS, Gpu, Hardware
from supervm.tiers.errors import BrokenFile, SettingError
from supervm.tiers.settings import BASE, PROFILES, Settings, _flatten, load
from supervm.tiers.settings_keys import KEYS, RESERVED_VARIABLES

EDGE = Hardware(cores=4, memory=8 * 10**9)
LARGE = Hardware(cores=64, memory=512 * 10**9, gpus=(Gpu("H100", 80 * 10**9, "9.0"),))


def _load(text: str, folder: Path, **more: object) -> Settings:
    path = folder / "node.toml"
    path.write_text(text)
    return load(EDGE, config=path, environment={}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_every_profile_sets_every_key(tier: object) -> None:
    settings = load(EDGE, tier=tier.name, environment={})  # type: ignore[attr-defined]
    assert settings.tier is tier
    assert settings.origins["tier"] == "flag --tier"
    assert set(settings.origins) == {"tier"} | {key.name for key in KEYS}
    profile = f"profile {settings.tier.profile}"
    assert all(settings.origins[key.name] == profile for key in KEYS)


def test_higher_tiers_have_no_smaller_budgets_and_may_do_no_less() -> None:
    rows = [load(EDGE, tier=tier.name, environment={}) for tier in TIERS]
    for higher, lower in itertools.pairwise(rows):
        assert higher.batch_items >= lower.batch_items
        assert higher.memory_budget > lower.memory_budget
        assert set(higher.work_allowed) > set(lower.work_allowed)


def test_a_tier_says_only_what_is_its_own() -> None:
    base, own = (
        {name: _flatten(tomllib.loads((PROFILES / name).read_text("utf-8"))) for name in names}
        for names in ([BASE], [tier.profile for tier in TIERS])
    )
    assert len({frozenset(table) for table in own.values()}) == 1
    assert not set(base[BASE]) & set(own[TIERS[0].profile])
    for key in own[TIERS[0].profile]:
        assert len({repr(table[key]) for table in own.values()}) > 1, f"{key} belongs to {BASE}"


def test_flag_before_variable_before_file_before_profile(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('tier = "L2"\nworkers = 3\nbackend = "scalar"\n[batch]\nitems = 300\n')
    environment = {
        "SUPERVM_CONFIG": str(path),
        "SUPERVM_WORKERS": "2",
        "SUPERVM_BATCH_ITEMS": "200",
        "SUPERVM_BACKEND": "",
    }
    settings = load(EDGE, flags={"batch.items": 100, "workers": None}, environment=environment)
    shown = settings.to_json()
    process = {
        name: shown.pop(name) for name in list(shown) if name.startswith(("service.", "node.", "upstream."))
    }
    assert process["service.batch.items"] == {"value": 4096, "origin": "profile l2_miner.toml"}
    assert shown == {
        "tier": {"value": "L2", "origin": f"file {path}"},
        "workers": {"value": 2, "origin": "variable SUPERVM_WORKERS"},
        "backend": {"value": "scalar", "origin": f"file {path}"},
        "strategy": {"value": "auto", "origin": "profile l2_miner.toml"},
        "recheck": {"value": 0.01, "origin": "profile l2_miner.toml"},
        "batch.items": {"value": 100, "origin": "flag --batch"},
        "memory.budget": {"value": 16 << 30, "origin": "profile l2_miner.toml"},
        "storage.engine": {"value": "rocksdb", "origin": "profile l2_miner.toml"},
        "storage.blocks": {"value": 10_000, "origin": "profile l2_miner.toml"},
        "cluster.address": {"value": "off", "origin": "profile l2_miner.toml"},
        "log.level": {"value": "info", "origin": "profile l2_miner.toml"},
        "log.format": {"value": "json", "origin": "profile l2_miner.toml"},
        "traces.endpoint": {"value": "", "origin": "profile l2_miner.toml"},
        "work.allowed": {
            "value": ("transaction_execution", "query", "local_operation"),
            "origin": "profile l2_miner.toml",
        },
    }


def test_the_tier_comes_from_flag_variable_file_hardware(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('tier = "l1"\n')
    variable = {"SUPERVM_TIER": "L4"}
    assert load(EDGE, tier="L2", config=path, environment=variable).tier.name == "L2"
    assert load(EDGE, config=path, environment=variable).tier.name == "L4"
    assert load(EDGE, config=path, environment={}).tier.name == "L1"
    from_hardware = load(LARGE, environment={})
    assert (from_hardware.tier.name, from_hardware.origins["tier"]) == ("L1", "hardware")
    assert load(EDGE, environment={}).tier.name == "L3"


def test_the_flag_names_the_file_before_the_variable(tmp_path: Path) -> None:
    chosen, other = tmp_path / "chosen.toml", tmp_path / "other.toml"
    chosen.write_text("workers = 5")
    other.write_text("workers = 6")
    assert load(EDGE, config=chosen, environment={"SUPERVM_CONFIG": str(other)}).workers == 5


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("SUPERVM_MEMORY_BUDGET", "3 GiB", 3 << 30),
        ("SUPERVM_MEMORY_BUDGET", "2097152", 2 << 20),
        ("SUPERVM_WORKERS", " 7 ", 7),
        ("SUPERVM_STRATEGY", "balance", "balance"),
        ("SUPERVM_RECHECK", "1", 1.0),
        ("SUPERVM_RECHECK", " 0.05", 0.05),
        ("SUPERVM_STORAGE_ENGINE", "sqlite", "sqlite"),
        ("SUPERVM_WORK_ALLOWED", "query, local_operation", ("query", "local_operation")),
    ],
)
def test_variables_are_text_of_the_right_kind(variable: str, text: str, expected: object) -> None:
    settings = load(EDGE, environment={variable: text})
    key = next(key for key in KEYS if key.variable == variable)
    assert getattr(settings, key.attribute) == expected


@pytest.mark.parametrize(
    ("variable", "text", "key"),
    [
        ("SUPERVM_WORKERS", "two", "workers"),
        ("SUPERVM_WORKERS", "-1", "workers"),
        ("SUPERVM_WORKERS", "1.5", "workers"),
        ("SUPERVM_BATCH_ITEMS", "0", "batch.items"),
        ("SUPERVM_BACKEND", "gpu", "backend"),
        ("SUPERVM_STRATEGY", "gpu", "strategy"),
        ("SUPERVM_RECHECK", "1.01", "recheck"),
        ("SUPERVM_RECHECK", "nan", "recheck"),
        ("SUPERVM_RECHECK", "1%", "recheck"),
        ("SUPERVM_MEMORY_BUDGET", "3 GB", "memory.budget"),
        ("SUPERVM_MEMORY_BUDGET", "1", "memory.budget"),
        ("SUPERVM_WORK_ALLOWED", "query,query", "work.allowed"),
        ("SUPERVM_WORK_ALLOWED", "mining", "work.allowed"),
        ("SUPERVM_TIER", "L9", "tier"),
    ],
)
def test_a_bad_variable_is_named(variable: str, text: str, key: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(EDGE, environment={variable: text})
    assert (caught.value.source, caught.value.key) == (variable, key)
    assert text.split(",")[0] in caught.value.found
    assert caught.value.expected
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ('workers = "2"', "workers", "'2'"),
        ("workers = true", "workers", "True"),
        ("workers = 1.0", "workers", "1.0"),
        ("threads = 2", "threads", "an unknown key"),
        ("[batch]\nsize = 2", "batch.size", "an unknown key"),
        ("batch = 2", "batch", "an unknown key"),
        ("[batch]", "batch", "an unknown key"),
        ("[batch.items]\nsmall = 2", "batch.items.small", "an unknown key"),
        ('[work]\nallowed = "query"', "work.allowed", "'query'"),
        ("[work]\nallowed = [1]", "work.allowed", "[1]"),
        ("[memory]\nbudget = 1048575", "memory.budget", "1048575"),
        ("recheck = -0.1", "recheck", "-0.1"),
        ("recheck = true", "recheck", "True"),
        ('recheck = "0.1"', "recheck", "'0.1'"),
        ("strategy = 1", "strategy", "1"),
        ("tier = 1", "tier", "1"),
    ],
)
def test_a_bad_key_of_a_file_is_named(tmp_path: Path, text: str, key: str, found: str) -> None:
    with pytest.raises(SettingError) as caught:
        _load(text, tmp_path)
    assert (caught.value.source, caught.value.key) == (str(tmp_path / "node.toml"), key)
    assert caught.value.found == found


def test_a_bad_flag_is_named() -> None:
    with pytest.raises(SettingError, match="--threads: setting 'workers': found -2, expected a whole number"):
        load(EDGE, flags={"workers": -2}, environment={})
    with pytest.raises(SettingError, match="--tier: setting 'tier': found 'L0'"):
        load(EDGE, tier="L0", environment={})


def test_a_missing_file_and_one_that_is_not_toml_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match=r"absent\.toml: No such file"):
        load(EDGE, config=tmp_path / "absent.toml", environment={})
    with pytest.raises(BrokenFile, match=r"node\.toml: not TOML: .*line 2"):
        _load("workers = 1\nbackend = \nx = 1", tmp_path)


def test_unknown_variables_are_remembered() -> None:
    environment = {"SUPERVM_WORKER": "2", "PATH": "x", **dict.fromkeys(RESERVED_VARIABLES, "")}
    assert load(EDGE, environment=environment).ignored_variables == ("SUPERVM_WORKER",)
