# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx with the configuration that docs/examples has, but for addresses and places of files."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE

CONFIGURATION = Path(__file__).resolve().parents[2] / "docs" / "examples" / "nginx" / "nginx.conf"
PORTS = ("8443", "8444")
"""Of gRPC and HTTP there."""

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def installed() -> str | None:
    """The program, if it is there."""
    return shutil.which("nginx")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def configured(folder: Path, addresses: Mapping[str, str]) -> tuple[Path, list[str]]:
    """The configuration with other addresses, and where it listens: gRPC, HTTP.

    Args:
        folder: for what it writes.
        addresses: of the servers, as the published one has them → as they are.
    """
    text = CONFIGURATION.read_text("utf-8")
    for published, address in addresses.items():
        assert text.count(f"server {published} ") == 1
        text = text.replace(f"server {published} ", f"server {address} ")
    listening = [f"127.0.0.1:{free_port()}" for _ in PORTS]
    for port, address in zip(PORTS, listening, strict=True):
        assert text.count(f"listen {port};") == 1
        text = text.replace(f"listen {port};", f"listen {address};")
    places = "".join(f"    {name}_temp_path {folder / name};\n" for name in TEMPORARY)
    for published, own in (
        ("\nhttp {\n", f"\nhttp {{\n{places}"),
        ("/run/supervm-nginx.pid", str(folder / "pid")),
        ("worker_processes auto", "worker_processes 1"),
    ):
        assert text.count(published) == 1
        text = text.replace(published, own)
    path = folder / "nginx.conf"
    path.write_text(text)
    return path, listening


@contextmanager
def running(folder: Path, addresses: Mapping[str, str]) -> Iterator[list[str]]:
    """One that runs; where it listens, as `configured` has it."""
    program = installed()
    assert program is not None
    path, listening = configured(folder, addresses)
    command = [program, "-p", str(folder), "-c", str(path)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr.replace('the "user" directive', ""), checked.stderr
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=log)
        try:
            until = time.monotonic() + PATIENCE
            while not all(map(_listens, listening)):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            yield listening
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
