# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated code is what the compiler makes of the `.proto`, and both are shipped."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
GENERATED = ROOT / "tiers" / "service" / "v1"

COMPILER_VERSION = re.compile(
    r"# Protobuf Python Version: .*\n|    \d+,\n    \d+,\n    \d+,\n    '',\n|GRPC_GENERATED_VERSION = .*\n"
)
"""What differs where another version of the compiler is installed, and means nothing here."""


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    path = ROOT / "tests" / "generators" / "protocol_code.py"
    spec = importlib.util.spec_from_file_location("protocol_code", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_code_has_not_drifted(generator: ModuleType) -> None:
    fresh = generator.generated_code()
    kept = {path.name: path.read_text(encoding="utf-8") for path in GENERATED.glob("*_pb2*")}
    assert sorted(fresh) == sorted(kept)
    for name, text in fresh.items():
        assert COMPILER_VERSION.sub("", text) == COMPILER_VERSION.sub("", kept[name]), f"{name}: make proto"


def test_the_published_names_are_kept() -> None:
    from supervm.tiers.service.v1 import verification_pb2

    descriptor = verification_pb2.DESCRIPTOR
    assert descriptor.name == "supervm/v1/verification.proto"
    assert descriptor.package == "supervm.v1"
    assert descriptor.services_by_name["Verification"].full_name == "supervm.v1.Verification"


def test_the_protocol_is_package_data() -> None:
    from importlib.resources import files

    proto = files("supervm.tiers.service") / "proto" / "supervm" / "v1" / "verification.proto"
    assert "service Verification" in proto.read_text(encoding="utf-8")
