# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed only where it is used: a command that lacks it says the line that brings it."""

from __future__ import annotations

from supervm.kernels.errors import SupervmError

PROJECT = "supervm-engine"

EXTRAS = {
    "engine": ("rocksdict", "wasmtime"),
    "service": (
        "fastapi",
        "google.protobuf",
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "h11",
        "prometheus_client",
        "starlette",
        "uvicorn",
        "uvloop",
    ),
    "wallet": ("cryptography",),
    "cluster": ("ray",),
    "bench": ("coincurve", "h2", "matplotlib"),
}
"""Extras of the project, and what each brings, by the names that are imported."""

FOR_COMMANDS = {
    "node": "node",
    "shard": "node",
    "serve": "service",
    "contract": "engine",
    "run": "engine",
    "cluster": "cluster",
}
"""Commands that need an extra as a whole: `node` is `engine` and `service`."""


class MissingExtra(SupervmError, ImportError):
    """A package is not installed that an extra of the project brings.

    Args:
        package: its name.
        extra: of the project.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{package} is not installed; type: pip install '{PROJECT}[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.package, self.extra)


def missing(absent: ModuleNotFoundError, command: str | None = None) -> MissingExtra | None:
    """What to say of a module that was not found; None where no extra brings it.

    Args:
        absent: what Python raised.
        command: that was asked for, if it is known: its extra is named, which brings all that it needs.
    """
    name = absent.name or ""
    for extra, packages in EXTRAS.items():
        for package in packages:
            if name == package or name.startswith(f"{package}.") or package.startswith(f"{name}."):
                return MissingExtra(name, FOR_COMMANDS.get(command or "", extra))
    return None
