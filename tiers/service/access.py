# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call, and as which client: a bearer token, the subject of a certificate, or an address."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from supervm.engine.files.input_files import read_input
from supervm.tiers.errors import BrokenFile, ServiceError, told_as_broken_file
from supervm.tiers.service.codes import Code

SHORTEST_TOKEN = 16
MOST_BYTES = 16 << 20
"""Bytes of a file of tokens."""

BEARER = "bearer "
PREFIX = 64


class Access:
    """Names clients, and refuses those without a token where tokens are asked for.

    Args:
        tokens: (name, token) of every client; empty where none is asked for.
    """

    def __init__(self, tokens: tuple[tuple[str, bytes], ...] = ()) -> None:
        self._tokens = tokens

    @property
    def needs_token(self) -> bool:
        """Whether calls carry a token."""
        return bool(self._tokens)

    @classmethod
    def of_file(cls, path: Path) -> Access:
        """Tokens from a file: a line is NAME TOKEN, or is empty or begins with '#'.

        Raises:
            BrokenFile: it cannot be read, a line is something else, a token is short or a name comes twice, or there is
                none.
        """
        with told_as_broken_file():
            content = read_input(path, MOST_BYTES)
        try:
            lines = content.decode("utf-8").splitlines()
        except UnicodeDecodeError:
            raise BrokenFile(str(path), "", "not UTF-8") from None
        tokens: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or len(words[1]) < SHORTEST_TOKEN or not line.isascii() or words[0] in tokens:
                # A header carries ASCII alone: another token would be refused from everybody.
                expected = f"a new name, a space and a token of at least {SHORTEST_TOKEN} characters of ASCII"
                raise BrokenFile(
                    str(path), f"line {number}", f"not {expected}"
                )  # which never shows the token
            tokens[words[0]] = words[1].encode()
        if not tokens:
            raise BrokenFile(str(path), "", "no token in it")
        return cls(tuple(tokens.items()))

    def client(self, authorization: str | None, subject: str | None, address: str) -> str:
        """The name of a client.

        Args:
            authorization: the header or metadata `authorization`.
            subject: of the client's certificate, where it was asked for.
            address: of the peer, without a port.

        Raises:
            ServiceError: UNAUTHENTICATED, where tokens are asked for and this is none.
        """
        if self._tokens:
            given = authorization or ""
            name = self._named(given[len(BEARER) :]) if given.lower().startswith(BEARER) else None
            if name is None:
                raise ServiceError(
                    Code.UNAUTHENTICATED, "authorization", "no known token in it, expected 'Bearer TOKEN'"
                )
            return f"token {name}"
        return f"subject {subject}" if subject else f"address {network_of(address)}"

    def _named(self, token: str) -> str | None:
        """Whose token it is; takes as long whoever's it is, and whatever of it is right."""
        given, found = token.strip().encode(), None
        for name, known in self._tokens:
            if hmac.compare_digest(given, known):
                found = name
        return found


def authorization_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """What a call's metadata has under `authorization`; the last one, if it comes twice."""
    found = None
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str):
            found = value
    return found


def network_of(address: str) -> str:
    """What one subscriber has: an IPv4 address, or of IPv6 a network of 64 bits, in which addresses cost nothing."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # of a socket that has none
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, PREFIX), strict=False))
