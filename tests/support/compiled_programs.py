# SPDX-License-Identifier: GPL-3.0-or-later
"""Every CUDA program compiled by NVRTC, what it takes, and how that compares with the record in `tests/compile`."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fold_sums
import sass
from field_programs import FIELDS, FieldProgram, only

from supervm.crypto import cuda
from supervm.kernels.cache import cache_root
from supervm.kernels.cuda.conflicts import detect
from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.cuda.runtime.nvrtc import Resources

RECORDS = Path(__file__).resolve().parents[1] / "compile"
RESOURCES, INSTRUCTIONS = RECORDS / "resources.json", RECORDS / "field_instructions.json"
RENEW = "python tests/compile/record.py"

ARCHITECTURES = ("sm_80", "sm_90")
PRODUCTS = ("field_product", "field_squaring")  # the kernels whose instructions are counted
KEPT_SECONDS = 7 * 86400.0  # results of texts that nobody has asked for so long are removed

MOST_SPILLED = 64  # bytes a thread
MORE_REGISTERS = 4  # another scheduling of the same code
MORE_INSTRUCTIONS = 0.02
MORE_PRODUCTS = 4  # small multiplications that fold carries, and one product in two halves

Instructions = dict[str, dict[str, dict[str, "Counts"]]]
"""field → architecture → kernel → counts."""
Taken = dict[str, dict[str, dict[str, Resources]]]
"""program → architecture → kernel → resources."""


@dataclass(frozen=True)
class Counts:
    """Instructions of one product or square, without addresses, loads and stores.

    Args:
        minimum: word products that the arithmetic needs (`least_products`).
        total: all instructions.
        classes: how many by class of opcode (`sass.arithmetic`).
    """

    minimum: int
    total: int
    classes: dict[str, int]

    @property
    def products(self) -> int:
        """Instructions that multiply."""
        return sum(self.classes.get(name, 0) for name in ("IMAD.WIDE", "IMAD.HI", "IMAD"))


def programs() -> dict[str, Program]:
    """Every program by name."""
    checks = {f"field_check.{field.name}": field.program for field in FIELDS}
    checks["fold_sums_check"] = fold_sums.PROGRAM
    return checks | cuda.programs() | {"conflicts": detect.PROGRAM}


def version() -> str:
    """NVRTC's, as records name it."""
    return ".".join(map(str, nvrtc.version()))


@dataclass(frozen=True)
class Compiled:
    """A cubin and what each of its kernels takes."""

    image: bytes
    resources: dict[str, Resources]


def compiled(text: str, architecture: str) -> Compiled:
    """A text compiled for `sm_90` and the like; kept below `cache_root()`."""
    path = _kept(text, architecture, ".cubin")
    report = path.with_suffix(".json")
    if report.exists():
        os.utime(path)
        os.utime(report)
        rows = json.loads(report.read_text())
        return Compiled(path.read_bytes(), {name: Resources(**row) for name, row in rows.items()})
    cubin = nvrtc.compile_cubin(text, architecture)
    made = Compiled(cubin.image, nvrtc.resources(cubin.log))
    _put(path, made.image)
    rows = {name: dataclasses.asdict(row) for name, row in made.resources.items()}
    _put(report, json.dumps(rows).encode())
    return made


def ptx(text: str, architecture: str = "compute_90") -> str:
    """The same as PTX."""
    path = _kept(text, architecture, ".ptx")
    if path.exists():
        os.utime(path)
        return path.read_text()
    found = nvrtc.compile_ptx(text, architecture)
    _put(path, found.encode())
    return found


def digest(text: str) -> str:
    """What a compiled text depends on besides the architecture: the text, the compiler and its options."""
    return hashlib.sha256("\0".join([text, version(), *nvrtc.OPTIONS]).encode()).hexdigest()[:24]


def taken(name: str, architecture: str) -> Taken:
    """What the kernels of one program take on one architecture."""
    return {name: {architecture: compiled(programs()[name].text, architecture).resources}}


def counted(field: FieldProgram, architecture: str) -> Instructions:
    """Instructions of the product and the square of one field on one architecture."""
    functions = sass.disassemble(compiled(only(field.program.text, *PRODUCTS), architecture).image)
    found = {}
    for kernel in PRODUCTS:
        classes = sass.arithmetic(sass.loop(functions[kernel]), field.words)
        least = least_products(field, kernel == "field_squaring")
        found[kernel] = Counts(least, classes.total(), dict(sorted(classes.items())))
    return {field.name: {architecture: found}}


def compile_all() -> None:
    """Have every program compiled, several at a time: in processes, since NVRTC locks out its own threads."""
    jobs = [(program.text, each) for program in programs().values() for each in ARCHITECTURES]
    jobs.sort(key=lambda job: -len(job[0]))
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        list(pool.map(compiled, *zip(*jobs, strict=True)))


def joined(parts: Iterable[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """One tree of many: `taken` or `counted` of several."""
    whole: dict[str, dict[str, Any]] = {}
    for part in parts:
        for name, row in part.items():
            whole.setdefault(name, {}).update(row)
    return whole


def part(tree: dict[str, dict[str, Any]], name: str, architecture: str) -> dict[str, dict[str, Any]]:
    """What a record says of one program, or field, on one architecture; nothing if it is not there."""
    return {name: {architecture: tree.get(name, {}).get(architecture, {})}}


def least_products(field: FieldProgram, square: bool) -> int:
    """Products of two words: N² or N(N + 1)/2, and for the reduction N + 1 where it folds, N² + N otherwise.

    Folding takes the upper half times one word, and what that leaves above 2^256 once more. Montgomery's reduction takes
    N rows of N, each with one product for its factor.
    """
    n = field.words
    return (n * (n + 1) // 2 if square else n * n) + (n + 1 if field.folds else n * n + n)


def resource_problems(recorded: Taken, measured: Taken, same_compiler: bool) -> list[str]:
    """What is wrong with `measured`, one line each: limits that always hold, and growth where the compiler is the same."""
    problems = []
    for place, new, old in _matched(recorded, measured):
        if new is not None and max(new.spill_stores, new.spill_loads) > MOST_SPILLED:
            problems.append(
                f"{place} spills {new.spill_stores} + {new.spill_loads} bytes; {MOST_SPILLED} are allowed"
            )
        if new is None:
            problems.append(f"{place} is recorded but is no more")
        elif old is None:
            problems.append(f"{place} is not in the record")
        elif same_compiler:
            for name in ("registers", "stack", "spill_stores", "spill_loads", "shared"):
                before, after = getattr(old, name), getattr(new, name)
                if after > before + (MORE_REGISTERS if name == "registers" else 0):
                    problems.append(f"{place}: {name} grew from {before} to {after}")
    return problems


def instruction_problems(recorded: Instructions, measured: Instructions, same_compiler: bool) -> list[str]:
    """The same for instruction counts."""
    problems = []
    for place, new, old in _matched(recorded, measured):
        if new is not None and new.products > new.minimum + MORE_PRODUCTS:
            problems.append(f"{place} multiplies {new.products} times; {new.minimum} are needed")
        if new is None:
            problems.append(f"{place} is recorded but is no more")
        elif old is None:
            problems.append(f"{place} is not in the record")
        elif same_compiler:
            wide = [each.classes.get("IMAD.WIDE", 0) for each in (old, new)]
            for name, before, after in (("IMAD.WIDE", *wide), ("instructions", old.total, new.total)):
                if after > before * (1 + MORE_INSTRUCTIONS):
                    problems.append(f"{place}: {name} grew from {before} to {after}")
    return problems


def read_resources() -> tuple[str, Taken]:
    """(NVRTC's version, the record)."""
    record = json.loads(RESOURCES.read_text(encoding="utf-8"))
    return record["nvrtc"], _third_level(record["programs"], lambda row: Resources(**row, constant=0))


def read_digests() -> dict[str, str]:
    """Program → `digest` of the text that the record of resources was made of."""
    found: dict[str, str] = json.loads(RESOURCES.read_text(encoding="utf-8"))["digests"]
    return found


def read_instructions() -> tuple[str, Instructions]:
    """(NVRTC's version, the record)."""
    record = json.loads(INSTRUCTIONS.read_text(encoding="utf-8"))
    return record["nvrtc"], _third_level(record["fields"], lambda row: Counts(**row))


def write_resources(measured: Taken) -> None:
    """Renew the record."""

    def row(resources: Resources) -> dict[str, int]:
        return {name: value for name, value in dataclasses.asdict(resources).items() if name != "constant"}

    digests = {name: digest(program.text) for name, program in programs().items()}
    _write(RESOURCES, {"nvrtc": version(), "digests": digests, "programs": _third_level(measured, row)})


def write_instructions(measured: Instructions) -> None:
    """Renew the record."""
    _write(INSTRUCTIONS, {"nvrtc": version(), "fields": _third_level(measured, dataclasses.asdict)})


def _write(path: Path, record: dict[str, Any]) -> None:
    """JSON with one kernel a line, so that a change reads as one."""
    text = json.dumps(record, indent=2, sort_keys=True)
    lines: list[str] = []
    depth = 0
    for line in text.splitlines():
        if depth >= 5:
            lines[-1] += (
                "" if lines[-1].endswith("{") or line.strip().startswith("}") else " "
            ) + line.strip()
        else:
            lines.append(line)
        depth += line.count("{") - line.count("}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _third_level(tree: dict[str, dict[str, dict[str, Any]]], change: Callable[[Any], Any]) -> Any:
    return {
        first: {
            second: {third: change(value) for third, value in sorted(leaves.items())}
            for second, leaves in below.items()
        }
        for first, below in tree.items()
    }


def _matched(recorded: dict[str, Any], measured: dict[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """(where, measured or None, recorded or None) of every kernel of either."""
    flat = [
        {(a, b, c): leaf for a, below in tree.items() for b, row in below.items() for c, leaf in row.items()}
        for tree in (recorded, measured)
    ]
    for key in sorted({*flat[0], *flat[1]}):
        name, architecture, kernel = key
        yield f"{name} {kernel} on {architecture}", flat[1].get(key), flat[0].get(key)


@functools.cache
def _folder() -> Path:
    """Where results are kept; old ones are removed once a session."""
    folder = cache_root() / "nvrtc-test"
    folder.mkdir(parents=True, exist_ok=True)
    limit = time.time() - KEPT_SECONDS
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # another process was faster
    return folder


def _kept(text: str, architecture: str, suffix: str) -> Path:
    key = "\0".join([text, architecture, version(), *nvrtc.OPTIONS])
    return _folder() / (hashlib.sha256(key.encode()).hexdigest()[:24] + suffix)


def _put(path: Path, content: bytes) -> None:
    """Another process sees the whole file or none."""
    made = path.with_name(f"{path.name}.{os.getpid()}")
    made.write_bytes(content)
    made.replace(path)
