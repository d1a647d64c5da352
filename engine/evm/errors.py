# SPDX-License-Identifier: GPL-3.0-or-later
"""What execution needs and nobody has given."""

from __future__ import annotations

from supervm.engine.errors import EngineError


class MissingState(EngineError, LookupError):
    """Execution reached something that the input does not have.

    Args:
        kind: 'code', 'slot' or 'block_hash'.
        what: it, in words: which account's, which slot, which block.
        digest: of a code, its Keccak-256.
    """

    def __init__(self, kind: str, what: str, digest: bytes = b"") -> None:
        super().__init__(f"{what} is not given")
        self.kind = kind
        self.what = what
        self.digest = digest

    def __reduce__(self) -> tuple[type[MissingState], tuple[str, str, bytes]]:
        return type(self), (self.kind, self.what, self.digest)
