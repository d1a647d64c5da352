# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files of a serving process: a connection takes one."""

from __future__ import annotations

import logging
import resource

SPARE = 512
"""Files that a process has open besides connections."""

log = logging.getLogger(__name__)


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
