# SPDX-License-Identifier: GPL-3.0-or-later
"""How the settings have a node reach its upstream: where it is, over TLS or in the clear, with which token."""

from __future__ import annotations

from pathlib import Path

from supervm.engine.files.input_files import read_input
from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.connection import Tls
from supervm.tiers.errors import BrokenFile, told_as_broken_file
from supervm.tiers.node.upstream import PATIENCE_SECONDS, Upstream
from supervm.tiers.node.upstreams import Upstreams
from supervm.tiers.service.security import file_of, key_pair, lacks, path_of, read_authorities
from supervm.tiers.settings import Settings

OFF = "off"
MOST_BYTES = 64 << 10
"""Bytes of a file with a token."""


def upstream_of(settings: Settings, seconds: float = PATIENCE_SECONDS) -> Upstream:
    """The node that the settings name, or several as one; connected to with the first call.

    Args:
        seconds: patience with each call.

    Raises:
        ArgumentError: they name none.
        SettingError: files of certificates or of a token that cannot be used.
    """
    if settings.node_upstream == OFF:
        raise ArgumentError("upstream", "none", "--upstream HOST:PORT of a node of a higher tier")
    tls, token = _tls(settings), _token(settings)
    found = [
        Upstream(address, seconds, tls=tls, token=token) for address in settings.node_upstream.split(",")
    ]
    return found[0] if len(found) == 1 else Upstreams(found)


def runner_of(upstream: Upstream) -> Upstreams:
    """Whoever does shares of tasks upstream."""
    return upstream if isinstance(upstream, Upstreams) else Upstreams([upstream])


def _tls(settings: Settings) -> Tls | None:
    authorities = path_of(settings, "upstream.tls.authorities")
    pair = key_pair(settings, "upstream.tls")
    if authorities is None:
        if pair is not None:
            raise lacks(settings, "upstream.tls.certificate", "upstream.tls.authorities")
        return None
    with file_of(settings, "upstream.tls.authorities", "a PEM file of certificates"):
        read_authorities(authorities)
    return Tls(authorities, *(pair or ()))


def _token(settings: Settings) -> str | None:
    path = path_of(settings, "upstream.token")
    if path is None:
        return None
    with file_of(settings, "upstream.token", "a file with one token of ASCII and nothing else"):
        return _only_word(path)


def _only_word(path: Path) -> str:
    """What stands in a file.

    Raises:
        BrokenFile: it cannot be read, or something else than one word; which never shows it.
    """
    with told_as_broken_file():
        content = read_input(path, MOST_BYTES)
    try:
        words = content.decode("ascii").split()
    except UnicodeDecodeError:
        raise BrokenFile(str(path), "", "not ASCII") from None
    if len(words) != 1:
        raise BrokenFile(str(path), "", f"{len(words)} words in it")
    return words[0]
