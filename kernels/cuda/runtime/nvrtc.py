# SPDX-License-Identifier: GPL-3.0-or-later
"""NVRTC, NVIDIA's run-time compiler, called directly: text in, a cubin for one architecture out. No GPU is needed.

The same call serves the runtime and the tests, so what a GPU loads is what the tests have compiled. The library comes
from the wheel `nvidia-cuda-nvrtc`, which the extras `cuda12` and `cuda13` ask for, or from an installed toolkit.
Source: NVRTC documentation 13.0, "Basic Usage".
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import math
import re
from dataclasses import dataclass
from pathlib import Path

from supervm.kernels.errors import BackendUnavailable, DeviceError

OPTIONS = ("-std=c++17", "--ptxas-options=-v", "-lineinfo")


@dataclass(frozen=True)
class Resources:
    """What one kernel takes on one architecture, as ptxas says.

    Args:
        registers: per thread.
        stack: bytes of local memory per thread: arrays that are indexed, and spills.
        spill_stores, spill_loads: bytes per thread that registers had no room for.
        shared: bytes per block.
        constant: bytes of constant memory for parameters and literals.
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int
    constant: int


@dataclass(frozen=True)
class Cubin:
    """A compiled program: the image that a driver loads, and what the compiler said of it."""

    image: bytes
    log: str


def unavailable() -> str:
    """Why NVRTC cannot be called here, or ''."""
    try:
        _library()
    except BackendUnavailable as error:
        return error.reason
    return ""


def version() -> tuple[int, int]:
    """The compiler's version, which a cache of compiled programs depends on.

    Raises:
        BackendUnavailable: there is no NVRTC here.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def compile_cubin(source: str, architecture: str) -> Cubin:
    """Compile CUDA C++ to a cubin.

    Args:
        source: the whole text; nothing is included from disk.
        architecture: such as `sm_90`.

    Raises:
        BackendUnavailable: there is no NVRTC here.
        DeviceError: the text does not compile for it; the message holds the compiler's log.
    """
    return _compile(source, architecture, "CUBIN")


def compile_ptx(source: str, architecture: str) -> str:
    """The same as PTX text, for an architecture such as `compute_90`."""
    return _compile(source, architecture, "PTX").image.rstrip(b"\0").decode()


def _compile(source: str, architecture: str, kind: str) -> Cubin:
    library = _library()
    program = ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"supervm.cu", 0, None, None))
    try:
        options = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in OPTIONS)]
        code = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = _text(library, program, "ProgramLog").decode(errors="replace")
        if code:
            raise DeviceError(f"NVRTC for {architecture}", log.strip()[:4000] or _message(library, code))
        return Cubin(_text(library, program, kind), log)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _text(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw if what == "CUBIN" else buffer.raw.rstrip(b"\0")


def resources(log: str) -> dict[str, Resources]:
    """What each kernel takes, from ptxas' report. Functions that are called, not launched, are left out.

    Raises:
        DeviceError: the report has another form than that of NVRTC 12 and 13.
    """
    found: dict[str, Resources] = {}
    for part in re.split(r"Compiling entry function '", log)[1:]:
        name = part[: part.index("'")]
        frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        used = re.search(r"Used (\d+) registers(.*)", part)
        if frame is None or used is None:
            raise DeviceError("NVRTC", f"its report on {name} is not understood: {part[:500]}")
        shared, constant = (
            re.search(r"(\d+) bytes smem", used[2]),
            re.search(r"(\d+) bytes cmem\[0\]", used[2]),
        )
        found[name] = Resources(
            registers=int(used[1]),
            stack=int(frame[1]),
            spill_stores=int(frame[2]),
            spill_loads=int(frame[3]),
            shared=int(shared[1]) if shared else 0,
            constant=int(constant[1]) if constant else 0,
        )
    return found


@functools.cache
def _library() -> ctypes.CDLL:
    tried = []
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            tried.append(str(error))
    raise BackendUnavailable(
        "cuda",
        f"NVRTC is missing ({tried[-1] if tried else 'no library found'}): pip install nvidia-cuda-nvrtc",
    )


def _candidates() -> list[str]:
    """Libraries of the wheels, newest first, then what the system's loader knows. None newer than the driver's CUDA: its
    cubins would not load (CUDA Compatibility, "Minor Version Compatibility").
    """
    found: list[str] = []
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found += [
            str(path) for path in Path(folder).glob("*/lib/libnvrtc.so.*") if "builtins" not in path.name
        ]
    system = ctypes.util.find_library("nvrtc")
    limit = _driver_major()
    usable = sorted((path for path in found if _major(path) <= limit), key=_major, reverse=True)
    return [*usable, *([system] if system else [])]


def _major(path: str) -> int:
    """13 of `libnvrtc.so.13`."""
    return int(path.rpartition(".so.")[2].partition(".")[0])


def _driver_major() -> float:
    """The newest CUDA that the driver here knows; without a driver, any will do to compile."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return math.inf
    return math.inf if failed else version.value // 1000


def _check(code: int) -> None:
    if code:
        raise DeviceError("NVRTC", _message(_library(), code))


def _message(library: ctypes.CDLL, code: int) -> str:
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    text = library.nvrtcGetErrorString(code)
    return text.decode() if text else f"error {code}"
