# SPDX-License-Identifier: GPL-3.0-or-later
"""Which NVIDIA GPUs this process may use, asked of `nvidia-smi`.

A separate process answers, so that a broken driver is a reason and never a crash. Nothing here imports CuPy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "nvidia-smi"
QUERY = ("--query-gpu=index,uuid,name,memory.total,compute_cap", "--format=csv,noheader,nounits")
PATIENCE_SECONDS = 10
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, memory in bytes and compute capability such as '9.0'."""

    name: str
    memory: int
    compute_capability: str


def find_gpus(
    environment: Mapping[str, str] = os.environ, ask: Callable[[], str] | None = None
) -> tuple[tuple[Gpu, ...], str]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves visible, and the reason if there are none.

    Args:
        environment: the variables to read.
        ask: returns the answer of `nvidia-smi`, or raises OSError or subprocess.SubprocessError.
    """
    try:
        answer = (ask or _ask_driver)()
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi did not answer within {PATIENCE_SECONDS} s"
    except subprocess.CalledProcessError as error:
        said = str(error.stdout or error.stderr or "").strip().splitlines()
        return (), f"nvidia-smi failed: {said[0] if said else f'exit code {error.returncode}'}"
    except (OSError, subprocess.SubprocessError) as error:
        return (), str(error)
    rows = [[field.strip() for field in line.split(",")] for line in answer.splitlines() if line.strip()]
    broken = [row for row in rows if len(row) != 5 or not row[3].isdigit()]
    if broken:
        return (), f"nvidia-smi gave an answer that is not understood: {', '.join(broken[0])}"
    visible = _visible(rows, environment.get("CUDA_VISIBLE_DEVICES"))
    gpus = tuple(Gpu(row[2], int(row[3]) * MEBIBYTE, row[4]) for row in visible)
    if gpus:
        return gpus, ""
    return (), "CUDA_VISIBLE_DEVICES hides every GPU" if rows else "nvidia-smi lists no GPU"


def driver_present(version: Path = Path("/proc/driver/nvidia/version")) -> bool:
    """Whether there is an NVIDIA driver: where there is none, nobody misses a GPU."""
    return version.exists() or shutil.which(PROGRAM) is not None


def _ask_driver() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise FileNotFoundError("no NVIDIA driver (nvidia-smi not found)")
    done = subprocess.run(
        [program, *QUERY], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    return done.stdout


def _visible(rows: list[list[str]], chosen: str | None) -> list[list[str]]:
    """The rows that the variable names, in its order; as CUDA does, the first unknown name ends the list."""
    if chosen is None:
        return rows
    kept: list[list[str]] = []
    for name in (part.strip() for part in chosen.split(",")):
        prefix = name if name.startswith("GPU-") else "\0"  # an abbreviated UUID
        matches = [row for row in rows if row[0] == name or row[1].startswith(prefix)]
        if len(matches) != 1:
            break
        kept.append(matches[0])
    return kept
