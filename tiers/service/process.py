# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up a process that answers calls: its memory stays near what they take, little keeps the event loop waiting, and
as many files as it has connections may be open."""

from __future__ import annotations

import ctypes
import gc
import logging
import resource
import sys

from supervm.tiers.errors import SettingError
from supervm.tiers.settings import Settings

M_MMAP_THRESHOLD = -3
OWN_MAPPING_BYTES = 128 << 10

SPARE = 512
"""Files that a process has open besides connections, each of which takes one."""

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the GIL from another that wants it, a tenth of Python's own: an answer waits for that several
times, on the event loop and on the thread that computed it."""

OFF = "off"
"""The address of what does not listen."""

log = logging.getLogger(__name__)


def check_addresses(settings: Settings) -> None:
    """Raises:
    SettingError: the service listens nowhere.
    """
    if OFF == settings.service_grpc == settings.service_http:
        raise SettingError(
            settings.origins["service.grpc"], "service.grpc", "'off', and service.http too", "an address"
        )


def prepare() -> None:
    """Before the first call: see `return_large_blocks`, and `SWITCH_SECONDS`."""
    return_large_blocks()
    sys.setswitchinterval(SWITCH_SECONDS)


def settle() -> None:
    """When all is there that stays: it is not looked through again, which takes tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is not frozen: Python looks through old objects when new ones are a quarter of them


def return_large_blocks() -> None:
    """Have glibc give blocks of 128 KiB and more back when they are freed, other C libraries as they do.

    Left alone, glibc raises that bound to the largest block it has seen freed (mallopt(3), M_MMAP_THRESHOLD), and messages
    then leave their size behind in holes of the heap: 64 refused requests of half a megabyte each, 120 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def allow_open_files(setting: str, least: int, wanted: int) -> int:
    """Raise the limit of open files as far as it may be; how many connections there is room for.

    A warning says where that is too low for what a setting promises.

    Args:
        setting: its name.
        least: connections that it promises.
        wanted: connections, at most.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + SPARE if hard == resource.RLIM_INFINITY else min(wanted + SPARE, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    room = wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE))
    if room < least:
        log.warning(
            "too few files may be open: raise the limit (ulimit -Hn, LimitNOFILE=), or lower the setting",
            extra={"setting": setting, "connections": least, "room": room},
        )
    return room
