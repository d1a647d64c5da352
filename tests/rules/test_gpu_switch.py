# SPDX-License-Identifier: GPL-3.0-or-later
"""A test that needs a GPU is skipped with the reason where there is none, and fails under `--require-gpu`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
WITHOUT_CUPY = "import sys\nsys.modules['cupy'] = None\n"


@pytest.mark.parametrize(("options", "outcome"), [([], "1 skipped"), (["--require-gpu"], "1 error")])
def test_gpu_marker_without_a_gpu(tmp_path, options, outcome):
    conftest = CONFTEST.read_text(encoding="utf-8")
    head, future, rest = conftest.partition("from __future__ import annotations\n")
    (tmp_path / "conftest.py").write_text(head + future + WITHOUT_CUPY + rest, encoding="utf-8")
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.gpu\ndef test_it(): pass\n")
    settings = f"[pytest]\nmarkers = gpu\npythonpath = {CONFTEST.parent / 'support'}\n"
    (tmp_path / "pytest.ini").write_text(settings, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in ran.stdout, ran.stdout
    assert "no usable NVIDIA GPU" in ran.stdout
    assert (ran.returncode != 0) == bool(options)
