# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of certificates, as a port and its callers have them."""

from __future__ import annotations

from pathlib import Path

import grpc
import trustme


def write_pair(issued: trustme.LeafCert, certificate: Path, key: Path) -> None:
    """Write a certificate, with its chain, and its key."""
    issued.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


class Files:
    """An authority, and the certificates and keys of a server and of a caller that it issued."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        names = ("key", "cert", "ca", "caller-cert", "caller-key")
        self.key, self.certificate, self.authorities, self.caller, self.caller_key = (
            folder / name for name in names
        )
        write_pair(self.authority.issue_cert("localhost", "127.0.0.1"), self.certificate, self.key)
        write_pair(self.authority.issue_cert("caller.example"), self.caller, self.caller_key)
        self.authority.cert_pem.write_to_path(self.authorities)

    def credentials(self, caller: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
        """Those of a channel, with a caller's certificate or without."""
        trusted = self.authority.cert_pem.bytes()
        if caller is None:
            return grpc.ssl_channel_credentials(trusted)
        chain = b"".join(blob.bytes() for blob in caller.cert_chain_pems)
        return grpc.ssl_channel_credentials(trusted, caller.private_key_pem.bytes(), chain)
