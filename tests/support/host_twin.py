# SPDX-License-Identifier: GPL-3.0-or-later
"""The host twin: CUDA sources built as plain C++ by the system compiler, called through ctypes.

Kernels of a program are C functions there; one call does the work of all threads. Arguments are NumPy arrays (their
memory) and numbers (unsigned 32-bit).
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from typing import Any

import numpy as np

from supervm.kernels.cache import cache_root
from supervm.kernels.cuda.runtime.sources import flatten

COMPILER = os.environ.get("CXX", "g++")
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-x", "c++", "-fwrapv", "-fno-ipa-icf", "-Wall", "-Wextra",
         "-Wno-unknown-pragmas", "-Wno-unused-parameter")  # fmt: skip


def missing() -> str:
    """Why no twin can be built here, or ''."""
    return "" if shutil.which(COMPILER) else f"no C++ compiler ({COMPILER}) to build the host twin with"


@functools.cache
def build(name: str, constants: str = "") -> ctypes.CDLL:
    """The library of `src/name.cu`; built once per text and compiler flags, kept beside the compiled kernels."""
    text = flatten(name, constants)
    digest = hashlib.sha256("\0".join([text, COMPILER, *FLAGS]).encode()).hexdigest()[:16]
    folder = cache_root() / "twin"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"{name}-{digest}.so"
    if not library.exists():
        source, made = folder / f"{name}-{digest}.{os.getpid()}.cpp", folder / f"{library.name}.{os.getpid()}"
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [COMPILER, *FLAGS, str(source), "-o", str(made)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}.cu does not build as C++:\n{done.stderr[:4000]}")
        source.unlink()
        made.replace(library)
    return ctypes.CDLL(str(library))


def call(library: ctypes.CDLL, kernel: str, *arguments: Any) -> None:
    """Run a kernel over all its items: arrays go by address, numbers as 32 bits, anything of ctypes as it is."""
    getattr(library, kernel)(*(_passed(argument) for argument in arguments))


def _passed(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError("a kernel takes contiguous arrays only")
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, (int, np.integer)):
        return ctypes.c_uint32(int(argument))
    return argument
