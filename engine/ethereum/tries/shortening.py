# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that a witness gives in another form: with a longer path.

Where a key goes and its branch is left with one child, a leaf or extension, that child's path grows by the nibbles that led
to it. Proofs that were made after a block have the child so; what stood there before the block has the end of that path.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST
from supervm.engine.ethereum.rlp_memory import put_header_at
from supervm.engine.ethereum.rlp_reading import INVALID, read_item
from supervm.engine.ethereum.tries.nodes import KEY_NIBBLES, put_path
from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.lanes.addresses import copy


def shortened(data: Bytes, places: NDArray[np.int64]) -> Messages:
    """Every leaf and extension among nodes, with every shorter path that ends as its own does.

    Args:
        data: the nodes' bytes.
        places: int64 (n, 2), the first byte of each and how many it has.
    """
    paths = np.empty((len(places), 4), np.int64)
    count = int(_find_paths(data, places, paths))
    # Without its first nibbles a node is no longer than it was.
    room = int((paths[:count, 2] * places[paths[:count, 0], 1]).sum())
    out, offsets = np.empty(room, np.uint8), np.zeros(int(paths[:count, 2].sum()) + 1, np.int64)
    end = _shorten(data, places, paths[:count], out, offsets)
    return Messages(out[:end], offsets)


@njit(nogil=True, cache=True)
def _find_paths(data, places, paths):  # type: ignore[no-untyped-def]
    """Of each node of two items: its number, where its path begins, how many nibbles that has, where the other item begins.
    How many there are."""
    count = 0
    for item in range(len(places)):
        end = places[item, 0] + places[item, 1]
        is_list, first, last = read_item(data, places[item, 0], end)
        if not is_list or last != end:
            continue
        path_is_list, path, value = read_item(data, first, last)
        if path in (INVALID, value) or path_is_list or data[path] >> 4 > 3:
            continue
        _, inside, last = read_item(data, value, end)
        if inside == INVALID or last != end:
            continue
        nibbles = 2 * (value - path - 1) + ((data[path] >> 4) & 1)
        if nibbles <= KEY_NIBBLES:
            paths[count, 0] = item
            paths[count, 1] = path
            paths[count, 2] = nibbles
            paths[count, 3] = value
            count += 1
    return count


@njit(nogil=True, cache=True)
def _shorten(data, places, paths, out, offsets):  # type: ignore[no-untyped-def]
    source = data.ctypes.data
    target = out.ctypes.data
    node = np.empty(0, np.uint8)
    made, end = 0, 0
    for row in range(len(paths)):
        item, path, nibbles, value = paths[row, 0], paths[row, 1], paths[row, 2], paths[row, 3]
        size = places[item, 1]
        if len(node) < size:
            node = np.empty(2 * size, np.uint8)
        last = np.int64(node.ctypes.data) + len(node)
        rest = places[item, 0] + size - value
        copy(last - rest, source + value, rest)
        leaf = data[path] >= 32
        start = 2 - (nibbles & 1)
        for cut in range(1, nibbles + 1):
            p = put_path(last - rest, np.int64(source + path), start + cut, start + nibbles, leaf)
            p = put_header_at(p, last - p, LIST)
            copy(target + end, p, last - p)
            end += last - p
            made += 1
            offsets[made] = end
    return end
