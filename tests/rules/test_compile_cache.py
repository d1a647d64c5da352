# SPDX-License-Identifier: GPL-3.0-or-later
"""A second process compiles nothing; a processor without some lanes never meets a kernel for them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lanes_here import FULL, HERE

from supervm.kernels import CACHE_FOLDER
from supervm.tiers.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent.parent / "support"
COUNTING = """
import json, sys
from supervm.kernels import CACHE_FOLDER
from numba.core import event

class Compilations(event.Listener):
    def __init__(self):
        self.names = []
    def on_start(self, event):
        self.names.append(str(event.data.get("dispatcher")))
    def on_end(self, event):
        pass

seen = Compilations()
event.register("numba:compile", seen)
from supervm.crypto import selftest
from supervm.kernels import registry
ran = []
for operation in OPERATIONS or selftest.operations():
    for backend in registry.backends(operation):
        if backend.available and backend.name in BACKENDS:
            selftest.warm(operation, backend.name)
            ran.append(f"{operation} {backend.name}")
files = sorted(path.name for path in CACHE_FOLDER.rglob("*") if path.is_file())
print(json.dumps({"compiled": seen.names, "ran": ran, "files": files, "folder": str(CACHE_FOLDER)}))
"""


def _run(script: str, environment: dict[str, str], **names: Any) -> Any:
    header = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    ran = subprocess.run(
        [sys.executable, "-c", header + script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"exit status {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture
def own_cache(tmp_path):
    """A cache root that holds what the shared one holds now, and that no test beside this one writes to."""
    for kind in ("*.nbi", "*.nbc"):
        for path in CACHE_FOLDER.rglob(kind):
            copy = tmp_path / "numba" / CACHE_FOLDER.name / path.relative_to(CACHE_FOLDER)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # replaced by another worker just now
                shutil.copyfile(path, copy)
    return {"SUPERVM_CACHE_DIR": str(tmp_path)}


@pytest.mark.slow
def test_second_process_compiles_nothing(own_cache):
    """Every operation on two CPU backends; the first process compiles what no other test has compiled yet."""
    wanted = {"OPERATIONS": [], "BACKENDS": FULL}
    first = _run(COUNTING, own_cache, **wanted)
    second = _run(COUNTING, own_cache, **wanted)
    assert second["folder"] == first["folder"], "a source was edited while this test ran"
    assert len(first["ran"]) >= 9
    assert second["ran"] == first["ran"]
    assert second["compiled"] == []
    assert second["files"] == first["files"]


def test_a_first_process_is_seen_to_compile(tmp_path):
    """The same listener in an empty folder: without this, the test above could count nothing at all."""
    environment = {"SUPERVM_CACHE_DIR": str(tmp_path)}
    wanted = {"OPERATIONS": ["sha256"], "BACKENDS": ["scalar"]}
    first = _run(COUNTING, environment, **wanted)
    assert first["ran"] == ["sha256 scalar"]
    assert first["compiled"]
    assert first["files"]
    second = _run(COUNTING, environment, **wanted)
    assert second["compiled"] == []
    assert second["files"] == first["files"]


EXECUTING = """
import json, sys
from numba.core import compiler
compiled, compile_extra = [], compiler.compile_extra

def noting(typingctx, targetctx, func, *arguments, **named):
    compiled.append(f"{func.__module__}.{func.__qualname__}")
    return compile_extra(typingctx, targetctx, func, *arguments, **named)

compiler.compile_extra = noting
sys.path.insert(0, SUPPORT)
from engine_runs import begin, blocks_of
from supervm.engine.config import Collection, EngineConfig, Router
from supervm.engine.engine import Engine
from supervm.kernels import CACHE_FOLDER
ways, fast = set(), 0
small = {"accounts": 2_000, "block_size": 300, "object_share": 0.3, "declared": True}
passes = Collection(versions=2, seconds=0, threshold=0, least_interval=0, most_interval=0)
cases = [
    (None, {"mode": "sequential"}, {}),
    (DIRECTORY, {"threads": 2, "schedule": "waves", "checkpoint_bytes": 100_000}, {}),
    (None, {"threads": 2, "schedule": "speculation", "collection": passes}, {}),
    (None, {"threads": 2, "router": Router(), "hash": "keccak256"}, {"hot_keys": 1, "hot_share": 0.3}),
]
for path, settings, traffic in cases:
    with Engine.open(path, EngineConfig(**settings)) as engine:
        workload = blocks_of("mixed", transactions=900, **small, **traffic)
        begin(engine, workload)
        engine.snapshot("first")
        for block in workload.blocks:
            stats = engine.execute(block).stats
            ways.add(stats.way)
            fast += stats.fast
        engine.prove(b"key")
        engine.rollback("first")
        engine.forget("first")
        for result in engine.run(workload.blocks):
            ways.add(result.stats.way)
    if path:
        Engine.open(path, EngineConfig(**settings)).close()
files = sorted(path.name for path in CACHE_FOLDER.rglob("*") if path.is_file())
result = {"compiled": compiled, "ways": sorted(ways), "fast": fast, "files": files, "folder": str(CACHE_FOLDER)}
print(json.dumps(result))
"""


@pytest.mark.slow
def test_second_process_compiles_nothing_to_execute_blocks(own_cache, tmp_path):
    """In order, by speculation, by waves, on the fast path; the host functions that contracts import count too."""
    found = [
        _run(EXECUTING, own_cache, SUPPORT=str(SUPPORT), DIRECTORY=str(tmp_path / f"state {number}"))
        for number in range(2)
    ]
    assert found[1]["folder"] == found[0]["folder"], "a source was edited while this test ran"
    assert found[1]["ways"] == ["sequential", "speculation", "waves"]
    assert found[1]["fast"] > 0
    assert found[1]["compiled"] == []
    assert found[1]["files"] == found[0]["files"]


NOTING = EXECUTING.partition("sys.path.insert")[0]


@pytest.mark.slow
def test_host_functions_are_seen_to_be_compiled(tmp_path):
    """The same count in an empty folder: the host functions' own code and what they share is in it, once it is asked for."""
    script = NOTING + (
        "from supervm.vm.host_storage import storage_get\n"
        "before = list(compiled)\n"
        "assert storage_get.address == storage_get.address > 0\n"
        "print(json.dumps([before, compiled]))"
    )
    environment = {"SUPERVM_CACHE_DIR": str(tmp_path)}
    before, compiled = _run(script, environment)
    assert before == []
    assert "supervm.vm.host_storage.storage_get" in compiled
    assert _run(script, environment) == [[], []]


IMPORTING = """
import importlib, pathlib, pkgutil
absent = []
for room in ROOMS:
    package = importlib.import_module("supervm." + room)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                absent.append(error.name)
names = sorted(name for name in sys.modules if name.startswith("supervm."))
print(json.dumps({"compiled": compiled, "absent": absent, "names": names}))
"""


def test_importing_compiles_nothing(tmp_path):
    """Not one function of any module: a command compiles what it uses, when it uses it."""
    rooms = [path.parent.name for path in sorted(ROOT.glob("*/__init__.py"))]
    found = _run(NOTING + IMPORTING, {"SUPERVM_CACHE_DIR": str(tmp_path)}, ROOMS=rooms)
    assert found["compiled"] == []
    assert set(found["absent"]) <= {"cupy"}
    assert len(found["names"]) > 300
    assert {"supervm.engine.execution.host_crypto", "supervm.tiers.commands.serve"} <= set(found["names"])


COMMANDING = """
from supervm.tiers.cli import app
found = []
for arguments in COMMANDS:
    try:
        app(arguments, prog_name="supervm")
    except SystemExit as ended:
        assert not ended.code, arguments
    found.append(compiled[sum(map(len, found)):])
print()
print(json.dumps(found))
"""

COMPILED = {
    "--version": [],
    "status": [],
    "contract list": [],
    "contract check token": [],
    "node genesis new.genesis": [
        "supervm.engine.arrays.ragged.ascending",
        "supervm.kernels.rounding.set_mode",
    ],
    **{f"{command} --help": [] for command in ("", *COMMANDS, "contract deploy", "node genesis")},
}
"""Commands that have next to no use for kernels → what they compile."""


def test_a_command_compiles_no_more_than_it_uses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [command.split() for command in COMPILED]
    found = _run(NOTING + COMMANDING, {"SUPERVM_CACHE_DIR": str(tmp_path / "cache")}, COMMANDS=commands)
    assert dict(zip(COMPILED, found, strict=True)) == COMPILED


@pytest.mark.slow
def test_after_a_common_warmup_common_commands_compile_nothing(own_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = "from supervm.tiers.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, "warmup", "--common"], env=os.environ | own_cache, check=True
    )
    Path("signatures.jsonl").write_text("".join(map(_signature_row, ("ed25519", "ecdsa", "schnorr"))))
    block = ROOT / "benchmarks/data/ethereum/46147"
    node = "node --tier L2 --genesis chain/genesis.work --blocks chain --state node --grpc off --http off"
    commands = [
        "verify signatures.jsonl --failures 0",
        f"replay {block}",
        "contract deploy vault --state state",
        f"contract credit {'5e' * 20} 7 --state state",
        "run --transactions 200 --accounts 20 --block-size 100 --signatures --save traffic.work",
        "node split traffic.work chain",
        f"{node} --until 2",
    ]
    script = NOTING + COMMANDING.replace("not ended.code", "ended.code in (0, 1)")
    found = _run(script, own_cache, COMMANDS=[command.split() for command in commands])
    assert dict(zip(commands, found, strict=True)) == {command: [] for command in commands}


def _signature_row(scheme: str) -> str:
    """A row that is malformed in value only, so that it is verified."""
    key = {"ed25519": "11" * 32, "ecdsa": "02" + "11" * 32, "schnorr": "11" * 32}[scheme]
    row = {"scheme": scheme, "public_key": key, "signature": "22" * 64}
    row["digest" if scheme == "ecdsa" else "message"] = "33" * 32
    return json.dumps(row) + "\n"


GENERIC = """
import json
from supervm.crypto import ed25519, hashes, secp256k1, selftest
from supervm.kernels import registry
from supervm.kernels.errors import BackendUnavailable

result = {}
for operation in selftest.operations():
    states = {backend.name: backend.reason for backend in registry.backends(operation)}
    lanes = [states[name] for name in registry.BACKENDS if name in states and name not in ("cuda", USED)]
    result[operation] = [registry.resolve(operation).name, lanes]
try:
    hashes.sha512_batch([b""], backend="ifma")
    result["refused"] = ""
except BackendUnavailable as error:
    result["refused"] = error.reason
result["answers"] = [
    [test.ok, test.detail]
    for test in map(selftest.known_answers, (SLOW, "sha256", "keccak256", "eth_address"))
]
print(json.dumps(result))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "used"),
    [
        ("generic", "scalar"),
        pytest.param("haswell", "avx2", marks=pytest.mark.skipif("avx2" not in HERE, reason="no AVX2")),
    ],
)
def test_another_processor_uses_its_best_backend_and_lives(target, used):
    """LLVM aborts the process where an instruction is compiled for a target without it, so the process is the test."""
    # Poseidon compiles quickly, and is made of products all the same.
    slow = "ed25519.verify" if used == "avx2" else "bn254.poseidon.t3"
    result = _run(GENERIC, {"NUMBA_CPU_NAME": target, "NUMBA_CPU_FEATURES": ""}, USED=used, SLOW=slow)
    answers, refused = result.pop("answers"), result.pop("refused")
    assert refused
    assert len(result) >= 9
    for operation, (chosen, reasons) in result.items():
        assert chosen == used, operation
        assert [bool(reason) for reason in reasons] == [True] * 3 + [used == "scalar"], operation
    for ok, detail in answers:
        assert ok, detail
