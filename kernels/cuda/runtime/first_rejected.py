# SPDX-License-Identifier: GPL-3.0-or-later
"""Which item kernels refuse first: a number on the device that they lower with `atomic_min`."""

from __future__ import annotations

import numpy as np

from supervm.kernels.cuda.runtime.device import Stream

NOTHING = 0xFFFFFFFF


class Refused:
    """Where the kernels of a stream leave the least number of an item that they refuse; `least` is its buffer."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._number = stream, np.full(1, NOTHING, np.uint32)
        self.least = stream.allocate(self._number.nbytes)
        stream.upload(self._number, self.least)

    def found(self) -> int:
        """That number, or −1 if they refuse nothing; waits for the stream."""
        self._stream.download(self.least, self._number)
        self._stream.wait()
        return -1 if self._number[0] == NOTHING else int(self._number[0])
