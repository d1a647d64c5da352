# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may come through a port, from its settings: TLS, certificates of callers, tokens. The service's ports and a node's."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from supervm.engine.files.input_files import read_input
from supervm.tiers.errors import BrokenFile, SettingError, told_as_broken_file
from supervm.tiers.service.access import Access
from supervm.tiers.settings import Settings

OFF, ON, MUTUAL = "off", "on", "mutual"


@dataclass(frozen=True)
class ServerTls:
    """Files in PEM of a port that speaks TLS.

    Args:
        certificate, key: the port's own.
        clients: authorities; callers then need a certificate of one of them.
    """

    certificate: Path
    key: Path
    clients: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC takes; the files are read now.

        Raises:
            BrokenFile: one cannot be read, or the key is another certificate's.
        """
        certificate, key = read_pem(self.certificate), read_pem(self.key)
        check_pair(self.certificate, self.key)
        authorities = None if self.clients is None else read_authorities(self.clients)
        return grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authorities, require_client_auth=authorities is not None
        )


def mode(tls: ServerTls | None) -> str:
    """'off', 'on', or 'mutual' where callers need a certificate."""
    if tls is None:
        return OFF
    return ON if tls.clients is None else MUTUAL


def server_tls(settings: Settings, table: str) -> ServerTls | None:
    """What `<table>.tls.certificate`, `.key` and `.clients` say; None for a port in the clear.

    Args:
        table: 'service' or 'node'.

    Raises:
        SettingError: a key or authorities without a certificate, a certificate without its key, or a file that cannot
            be used.
    """
    pair, clients = key_pair(settings, f"{table}.tls"), path_of(settings, f"{table}.tls.clients")
    if clients is not None:
        if pair is None:
            raise lacks(settings, f"{table}.tls.clients", f"{table}.tls.certificate")
        with file_of(settings, f"{table}.tls.clients", "a PEM file of certificates"):
            read_authorities(clients)
    return None if pair is None else ServerTls(*pair, clients)


def key_pair(settings: Settings, table: str) -> tuple[Path, Path] | None:
    """The files `<table>.certificate` and `<table>.key`, which belong together; None for neither.

    Raises:
        SettingError: one without the other, or files that cannot be used.
    """
    names = f"{table}.certificate", f"{table}.key"
    certificate, key = (path_of(settings, name) for name in names)
    if certificate is None:
        if key is not None:
            raise lacks(settings, names[1], names[0])
        return None
    if key is None:
        raise lacks(settings, names[0], names[1])
    for name, path in zip(names, (certificate, key), strict=True):
        with file_of(settings, name, "a PEM file"):
            read_pem(path)
    with file_of(settings, names[0], f"the certificate of the key in {names[1]}"):
        check_pair(certificate, key)
    return certificate, key


def access_of(settings: Settings, table: str) -> Access:
    """What the file `<table>.tokens` says; without one, no token is asked for.

    Raises:
        SettingError: a file that cannot be used.
    """
    tokens = path_of(settings, f"{table}.tokens")
    if tokens is None:
        return Access()
    with file_of(settings, f"{table}.tokens", "a file with a name and a token on each line"):
        return Access.of_file(tokens)


def path_of(settings: Settings, name: str) -> Path | None:
    """The file that a setting names; None for none."""
    value = getattr(settings, name.replace(".", "_"))
    return Path(value) if value else None


@contextmanager
def file_of(settings: Settings, name: str, expected: str) -> Iterator[None]:
    """Have what is wrong with a file be told as an error of the setting that names it."""
    try:
        yield
    except BrokenFile as error:
        raise SettingError(
            settings.origins[name], name, f"'{error.path}': {_problem(error)}", expected
        ) from None


def lacks(settings: Settings, name: str, other: str) -> SettingError:
    """The error of a setting that is of no use without another one."""
    return SettingError(settings.origins[name], name, f"a file, and no {other}", "both of them, or neither")


MOST_BYTES = 16 << 20
"""Bytes of a PEM file."""


def read_pem(path: Path) -> bytes:
    """A file's content, at most `MOST_BYTES`.

    Raises:
        BrokenFile: it cannot be read.
    """
    with told_as_broken_file():
        return bytes(read_input(path, MOST_BYTES))


def read_authorities(path: Path) -> bytes:
    """A file's content, which is certificates.

    Raises:
        BrokenFile: it cannot be read, or there is none in it.
    """
    content = read_pem(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError) as error:
        raise BrokenFile(str(path), "", f"no certificates in it: {error}") from None
    return content


def check_pair(certificate: Path, key: Path) -> None:
    """See that a key is that of a certificate.

    Raises:
        BrokenFile: it is not, or one of them is none.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise BrokenFile(str(certificate), "", f"no certificate of that key: {error}") from None


def _problem(error: BrokenFile) -> str:
    return f"{error.place}: {error.problem}" if error.place else error.problem
