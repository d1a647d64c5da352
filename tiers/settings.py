# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and where each one came from: flag, then environment, then file, then the tier's profile.

A key that does not exist and a value of the wrong type are errors that name the source, the key, what was
found and what is expected. An unknown `SUPERVM_*` variable is no error, since another program may own it; it
is kept in `Settings.ignored_variables` so that a misspelt one shows.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from supervm.engine.files.input_files import read_input
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import BrokenFile, SettingError, told_as_broken_file
from supervm.tiers.hardware import Hardware
from supervm.tiers.settings_keys import KEYS, PREFIX, RESERVED_VARIABLES, Key
from supervm.tiers.settings_kinds import Mismatch, SettingValue
from supervm.tiers.tier import TIERS, Tier, choose, tier_named

MOST_BYTES = 1 << 20
"""Bytes of a file of settings."""

PROFILES = Path(__file__).parent / "profiles"
BASE = "base.toml"
"""What all tiers share; it counts as part of each one's profile."""


@dataclass(frozen=True)
class Settings:
    """Values in force. `settings_keys.KEYS` says what each one means.

    Args:
        tier: the tier whose profile filled the gaps.
        origins: dotted name (and 'tier') → where its value came from, such as 'variable SUPERVM_WORKERS'.
        ignored_variables: `SUPERVM_*` variables that name no setting.
    """

    tier: Tier
    workers: int
    backend: str
    strategy: str
    recheck: float
    batch_items: int
    memory_budget: int
    storage_engine: str
    storage_blocks: int
    service_grpc: str
    service_http: str
    service_processes: int | str
    service_addresses: str
    service_batch_items: int
    service_batch_milliseconds: float
    service_proofs_items: int
    service_proofs_milliseconds: float
    service_groth16_keys: str
    service_groth16_test_keys: str
    service_kzg_setup: str
    service_queue_items: int
    service_queue_bytes: int
    service_message_bytes: int
    service_body_bytes: int
    service_calls: int
    service_stream_requests: int
    service_client_rate: int
    service_tokens: str
    service_tls_certificate: str
    service_tls_key: str
    service_tls_clients: str
    service_drain_seconds: float
    service_notice_seconds: float
    service_message_seconds: float
    service_client_connections: int
    service_client_calls: int
    service_connection_calls: int
    service_connection_seconds: float
    service_connection_resets: int
    service_stream_seconds: float
    service_operations: str
    service_idle_seconds: float
    node_grpc: str
    node_http: str
    node_tokens: str
    node_tls_certificate: str
    node_tls_key: str
    node_tls_clients: str
    node_groth16_keys: str
    node_groth16_test_keys: str
    node_upstream: str
    node_tasks: str
    upstream_token: str
    upstream_tls_authorities: str
    upstream_tls_certificate: str
    upstream_tls_key: str
    node_drain_seconds: float
    node_message_bytes: int
    node_cache_bytes: int
    node_cache_seconds: float
    node_pack_transactions: int
    node_pack_seconds: float
    node_pack_bytes: int
    node_pack_gas: int
    node_pack_price: int
    node_inbox_transactions: int
    node_inbox_bytes: int
    node_inbox_seconds: float
    node_inbox_sender_transactions: int
    node_inbox_sender_bytes: int
    node_inbox_sender_gap: int
    cluster_address: str
    log_level: str
    log_format: str
    traces_endpoint: str
    work_allowed: tuple[str, ...]
    origins: Mapping[str, str] = field(default_factory=dict)
    ignored_variables: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """{dotted name: {"value", "origin"}}, the tier first."""
        values: dict[str, Any] = {"tier": self.tier.name}
        values |= {key.name: getattr(self, key.attribute) for key in KEYS}
        return {name: {"value": value, "origin": self.origins[name]} for name, value in values.items()}


def load(
    hardware: Hardware,
    *,
    flags: Mapping[str, Any] | None = None,
    tier: str | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Collect the settings.

    Args:
        hardware: chooses the tier where nobody names one.
        flags: dotted name → value given on the command line; None counts as not given.
        tier: the flag `--tier`.
        config: the flag `--config`; else `SUPERVM_CONFIG` names the file, if any.
        environment: the variables to read; an empty one counts as not given.

    Raises:
        SettingError: an unknown key or a bad value.
        BrokenFile: a file that is missing or is not TOML.
    """
    given = {name: value for name, value in environment.items() if value.strip()}
    path = config or (Path(given[PREFIX + "CONFIG"]) if PREFIX + "CONFIG" in given else None)
    from_file = _read_toml(path) if path else {}
    chosen, tier_origin = _tier(tier, given, from_file, path, hardware)
    layers = [
        _read_flags(flags or {}),
        _read_variables(given),
        _read_table(from_file, str(path), f"file {path}", frozenset({"tier"})),
        *(
            _read_table(_read_toml(PROFILES / name), chosen.profile, f"profile {chosen.profile}")
            for name in (chosen.profile, BASE)
        ),
    ]
    values: dict[str, SettingValue] = {}
    origins = {"tier": tier_origin}
    for key in KEYS:
        found = next((layer[key.name] for layer in layers if key.name in layer), None)
        if found is None:
            raise SettingError(chosen.profile, key.name, "nothing", key.kind.expected)
        values[key.attribute], origins[key.name] = found
    fixed: dict[str, Any] = dict(values)
    return Settings(
        tier=chosen,
        origins=MappingProxyType(origins),
        ignored_variables=_ignored(environment),
        **fixed,
    )


def profile_of(tier: Tier) -> dict[str, Any]:
    """The table of a tier's own profile; `BASE` has what all tiers share."""
    return _read_toml(PROFILES / tier.profile)


Layer = dict[str, tuple[SettingValue, str]]


def _tier(
    flag: str | None,
    given: Mapping[str, str],
    table: Mapping[str, Any],
    path: Path | None,
    hardware: Hardware,
) -> tuple[Tier, str]:
    named: list[tuple[Any, str, str]] = [
        (flag, "--tier", "flag --tier"),
        (given.get(PREFIX + "TIER"), PREFIX + "TIER", f"variable {PREFIX}TIER"),
        (table.get("tier"), str(path), f"file {path}"),
    ]
    for name, source, origin in named:
        if name is None:
            continue
        try:
            return tier_named(name if isinstance(name, str) else repr(name)), origin
        except ArgumentError:
            names = ", ".join(tier.name for tier in TIERS)
            raise SettingError(source, "tier", repr(name), f"one of {names}") from None
    return choose(hardware), "hardware"


def _read_flags(flags: Mapping[str, Any]) -> Layer:
    known = {key.name: key for key in KEYS}
    return {
        name: (_convert(known[name], value, known[name].flag), f"flag {known[name].flag}")
        for name, value in flags.items()
        if value is not None
    }


def _read_variables(given: Mapping[str, str]) -> Layer:
    layer: Layer = {}
    for key in KEYS:
        if key.variable in given:
            try:
                layer[key.name] = key.kind.of_text(given[key.variable]), f"variable {key.variable}"
            except Mismatch as found:
                raise SettingError(key.variable, key.name, str(found), key.kind.expected) from None
    return layer


def _read_table(
    table: Mapping[str, Any], source: str, origin: str, allowed: frozenset[str] = frozenset()
) -> Layer:
    known = {key.name: key for key in KEYS}
    layer: Layer = {}
    for name, value in _flatten(table).items():
        if name in allowed:
            continue
        if name not in known:
            names = ", ".join([*sorted(allowed), *known])
            raise SettingError(source, name, "an unknown key", f"one of {names}")
        layer[name] = _convert(known[name], value, source), origin
    return layer


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _convert(key: Key, value: object, source: str) -> SettingValue:
    try:
        return key.kind.of_value(value)
    except Mismatch as found:
        raise SettingError(source, key.name, str(found), key.kind.expected) from None


def _read_toml(path: Path) -> dict[str, Any]:
    with told_as_broken_file():
        content = read_input(path, MOST_BYTES)
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(str(path), "", f"not TOML: {error}") from None
    except RecursionError:
        raise BrokenFile(str(path), "", "not TOML: tables and arrays that are nested too deeply") from None


def _ignored(environment: Mapping[str, str]) -> tuple[str, ...]:
    known = {key.variable for key in KEYS} | set(RESERVED_VARIABLES)
    return tuple(sorted(name for name in environment if name.startswith(PREFIX) and name not in known))
