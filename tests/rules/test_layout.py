# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk against what is written: licence lines, package list, README tree, sizes, names, vectors."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("kernels", "crypto", "vm", "engine", "tiers", "benchmarks")
SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
MOST_LINES = 500
VECTORS = ROOT / "tests" / "vectors"


def _ignored(name: str) -> bool:
    patterns = [
        line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.strip()
    ]
    return name == ".git" or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _files(*suffixes: str) -> list[Path]:
    """The project's files with one of these suffixes (all, without any), ignored folders left out."""
    found, folders = [], [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if _ignored(path.name):
                continue
            if path.is_dir():
                folders.append(path)
            elif not suffixes or path.suffix in suffixes:
                found.append(path)
    return found


def test_every_source_starts_with_its_licence():
    sources = [*_files(".py", ".cu", ".cuh", ".toml"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    without = []
    for path in sources:
        lines = path.read_text(encoding="utf-8").splitlines()[:2] if path.exists() else []
        first = lines[1:] if lines and lines[0].startswith("#!") else lines
        if path.exists() and path.name != "pyproject.toml" and not (first and first[0].endswith(SPDX)):
            without.append(str(path.relative_to(ROOT)))
    assert len(sources) > 40
    assert not without


def test_packages_are_the_folders_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    on_disk = {
        "supervm." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert sorted(listed["packages"]) == sorted(on_disk)
    assert listed["package-dir"] == {f"supervm.{room}": room for room in ROOMS}


def test_every_folder_with_sources_is_a_package():
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert not [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()]


def test_package_data_is_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for package, patterns in listed["package-data"].items():
        folder = ROOT.joinpath(*package.split(".")[1:])
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package}: {pattern}"


def tree_paths(readme: str) -> dict[str, int]:
    """Path → depth (from 0) of every entry of the fenced tree: the fenced block that names `kernels/`."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL):
        entries = []
        for line in block.splitlines():
            match = re.match(r"^([\s│├└─|`+-]*)([\w.][\w./-]*)", line)
            if match:
                entries.append((len(match[1]), match[2]))
        if any(name.rstrip("/") == "kernels" for _, name in entries):
            return _joined(entries)
    return {}


def _joined(entries: list[tuple[int, str]]) -> dict[str, int]:
    if not (ROOT / entries[0][1]).exists() and all(indent > entries[0][0] for indent, _ in entries[1:]):
        entries = entries[1:]  # the checkout's own name
    found: dict[str, int] = {}
    above: list[tuple[int, str]] = []
    for indent, name in entries:
        while above and above[-1][0] >= indent:
            above.pop()
        path = "/".join([*(parent for _, parent in above), name.rstrip("/")])
        found[path] = len(above)
        above.append((indent, name.rstrip("/")))
    return found


def test_readme_tree_is_the_disk():
    listed = tree_paths((ROOT / "README.md").read_text(encoding="utf-8"))
    assert listed, "the README has no fenced tree that names kernels/"
    assert not [path for path in listed if not (ROOT / path).exists()]
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not _ignored(path.name)}
    named = {path.split("/")[0] for path in listed}
    assert folders <= named, f"not in the README's tree: {sorted(folders - named)}"


def test_readme_tree_is_read_as_drawn():
    drawn = "x\n```text\nmine/\n├── kernels/   arithmetic\n│   └── cpu/\n├── crypto/\n└── Makefile\n```\n"
    assert tree_paths(drawn) == {"kernels": 0, "kernels/cpu": 1, "crypto": 0, "Makefile": 0}
    assert tree_paths("```\nkernels/\n  cpu/\nvm/\n```\n") == {"kernels": 0, "kernels/cpu": 1, "vm": 0}
    assert tree_paths("no tree") == {}


def test_modules_are_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _files(".py", ".cu", ".cuh")
        if "_pb2" not in path.name  # generated
        and (lines := path.read_text(encoding="utf-8").count("\n")) > MOST_LINES
    }
    assert not long


MACHINE_PATH = re.compile(r"(?<![\w.:/*])/(?:work|root|home|tmp|Users|mnt)/[\w.]")


def test_no_path_of_a_machine():
    suffixes = (".py", ".md", ".toml", ".json", ".cu", ".cuh", ".txt", ".cfg", ".yml", "")
    found = []
    for path in _files(*suffixes):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found


def test_a_machine_path_is_seen():
    for room in ("work", "root", "home", "tmp"):
        assert MACHINE_PATH.search(f'open("/{room}/x")')
    assert not MACHINE_PATH.search("benchmarks/work/x")


CURVE = re.compile(r"25519|ed448|secp\d|bn_?25[46]|bls(?!t)|grumpkin|pasta|pallas|vesta|p256|baby_?jub", re.I)


def test_kernels_name_no_curve():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in _files(".py", ".cu", ".cuh")
        if path.relative_to(ROOT).parts[0] == "kernels"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if CURVE.search(line)
    ]
    assert not found


def test_vectors_are_those_of_the_manifest():
    listed = tomllib.loads((VECTORS / "MANIFEST.toml").read_text(encoding="utf-8"))["file"]
    on_disk = {
        str(p.relative_to(VECTORS)) for p in VECTORS.rglob("*") if p.is_file() and p.name != "MANIFEST.toml"
    }
    assert sorted(entry["name"] for entry in listed) == sorted(on_disk)
    for entry in listed:
        assert entry["source"]
        assert entry["licence"]
        digest = hashlib.sha256((VECTORS / entry["name"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"], entry["name"]


@pytest.mark.parametrize("room", ROOMS)
def test_error_trees_are_drawn(room):
    """Each class of a room's `errors.py` stands in the tree of its docstring, and the other way round."""
    path = ROOT / room / "errors.py"
    if not path.exists():
        pytest.skip(f"{room} has no errors of its own")
    text = path.read_text(encoding="utf-8")
    classes = set(re.findall(r"^class (\w+)\(", text, re.MULTILINE))
    drawn = set(re.findall(r"[├└]── (\w+)", text.split('"""')[1]))
    assert drawn
    assert drawn | {"SupervmError"} == classes | {"SupervmError"}
