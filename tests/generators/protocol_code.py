# SPDX-License-Identifier: GPL-3.0-or-later
"""Python code from the service's `.proto` files: `make proto` writes it, a test compares it.

    python tests/generators/protocol_code.py [FOLDER]

Files keep their published names, `supervm/v1/…` and `supervm/shard/v1/…`, in their descriptors; only the modules lie
elsewhere, because `supervm` is a namespace of rooms here.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "tiers" / "service" / "proto"
GENERATED = ROOT / "tiers" / "service" / "v1"
LICENCE = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
PACKAGE = "supervm.tiers.service.v1"


def generated_code() -> dict[str, str]:
    """File name → text, for every `.proto`.

    Raises:
        ValueError: the compiler refused a file; it has said why on standard error.
    """
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        known = str(files("grpc_tools") / "_proto")
        if protoc.main(["protoc", f"-I{PROTO}", f"-I{known}", *outputs, *sources]):
            raise ValueError(f"{', '.join(sources)}: protoc failed")
        written = sorted(path for path in Path(folder).rglob("*.py*") if path.is_file())
        return {path.name: _placed(path.read_text(encoding="utf-8")) for path in written}


def _placed(text: str) -> str:
    """The code as a module of `PACKAGE`."""
    moved = re.sub(r"from supervm\.(shard\.)?v1 import", f"from {PACKAGE} import", text)
    return LICENCE + re.sub(r"'supervm\.(?:shard\.)?v1\.(\w+_pb2)'", rf"'{PACKAGE}.\1'", moved)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED
    for name, text in generated_code().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
