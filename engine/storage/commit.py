# SPDX-License-Identifier: GPL-3.0-or-later
"""One commit: a step of the state from one sequence number to the next, as the columns that changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages
from supervm.kernels.errors import ArgumentError

KEY_BYTES = 277
"""Longest key of the state (bytes): prefix 1, contract 20, the contract's own key 256."""
VALUE_BYTES = 65_536
"""Longest value of the state (bytes)."""
ROOT_BYTES = 32
CHECKPOINT_BYTES = 64 << 20
"""Least log that is worth a checkpoint."""
COMMIT_BYTES = 1 << 30
"""Most bytes that one commit may pack into (RocksDB's own limit is 4 GiB a value)."""


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """What a block, a deployment, a credit or a rollback changed.

    Args:
        sequence: number of the commit, consecutive from 1.
        height: block number after it; a rollback lowers it.
        root: state root after it, 32 bytes.
        timestamp: uint64, the block's own.
        keys: the m keys that changed, 1 to 277 bytes each, every one at most once (not checked: the later one
            would win).
        values: their m new values, up to 65,536 bytes each, empty where deleted.
        present: bool (m,), false where the key was deleted.
    """

    sequence: int
    height: int
    root: bytes
    timestamp: int
    keys: Messages
    values: Messages
    present: npt.NDArray[np.bool_]

    def check(self) -> None:
        """Check all but the sequence number, in time linear in m without a loop per key.

        Raises:
            ArgumentError: a column of another length or dtype, on a GPU, a key, value, root or number out of range.
        """
        for name in ("height", "timestamp"):
            number = getattr(self, name)
            if not 0 <= number < 1 << 64:
                raise ArgumentError(name, str(number), "0 to 2^64 − 1")
        if not isinstance(self.root, bytes) or len(self.root) != ROOT_BYTES:
            raise ArgumentError("root", repr(self.root)[:80], f"{ROOT_BYTES} bytes")
        check_pairs(self.keys, self.values)
        if self.present.dtype != np.bool_ or self.present.shape != (len(self.keys),):
            raise ArgumentError(
                "present", f"{self.present.dtype} {self.present.shape}", f"bool ({len(self.keys)},)"
            )
        deleted = ~self.present & (np.diff(self.values.offsets) > 0)
        if deleted.any():
            raise ArgumentError(
                "values", f"a value at {int(deleted.argmax())}, which is deleted", "empty where not present"
            )


def check_pairs(keys: Messages, values: Messages) -> None:
    """Check that keys and values pair up, lie in host memory, have lengths of the state's and fit one record.

    Raises:
        ArgumentError: they do not.
    """
    for name, messages in (("keys", keys), ("values", values)):
        if not isinstance(messages, Messages) or not isinstance(messages.data, np.ndarray):
            raise ArgumentError(name, type(messages).__name__, "Messages in host memory")
    if len(keys) != len(values):
        raise ArgumentError("values", f"{len(values)} messages", f"{len(keys)}, one for each key")
    if not len(keys):
        return
    lengths = np.diff(keys.offsets)
    if lengths.min() < 1 or lengths.max() > KEY_BYTES:
        raise ArgumentError("keys", f"{lengths.min()} to {lengths.max()} bytes", f"1 to {KEY_BYTES} bytes")
    longest = int(np.diff(values.offsets).max())
    if longest > VALUE_BYTES:
        raise ArgumentError("values", f"a value of {longest} bytes", f"up to {VALUE_BYTES} bytes")
    total = int(keys.offsets[-1] - keys.offsets[0] + values.offsets[-1] - values.offsets[0])
    if total > COMMIT_BYTES:
        raise ArgumentError("keys", f"{total} bytes with their values", f"up to {COMMIT_BYTES} at a time")
