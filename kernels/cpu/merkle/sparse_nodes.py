# SPDX-License-Identifier: GPL-3.0-or-later
"""How the nodes of a sparse Merkle tree are hashed, a group at a time: chosen by the type of the kernel when it is compiled.

A plan is int64 (PAIR_PLAN_ROWS, `node_group`), flat, which holds addresses: where each node's left row lies, where its right
one lies, where its hash goes. Every hash is written after all rows of the group have been read.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import overload

from supervm.kernels.cpu.hashes.emitter import HashKernelType
from supervm.kernels.cpu.hashes.pair import PAIR_PLAN_ROWS, hash_pairs, pair_width

NODE_PREFIX = 1
"""The byte before the two rows in the hash of a node, where the hash is over bytes."""


def node_group(kernel: Any) -> int:
    """Nodes of a group."""
    raise NotImplementedError("called by compiled code")


def hash_nodes(kernel: Any, plan: Any) -> None:
    """Hash a group; `plan` is the address of the plan, since Numba would count a reference to an array each time."""
    raise NotImplementedError("called by compiled code")


def hash_first_nodes(kernel: Any, plan: Any, filled: Any) -> None:
    """Hash the first `filled` nodes of a group, at least one; `plan` is the array, of which the rest may be overwritten."""
    raise NotImplementedError("called by compiled code")


@njit(nogil=True, cache=True)
def hash_first(kernel: Any, prefix: Any, plan: Any, filled: Any) -> None:
    """Hash the first `filled` lanes of a plan, at least one; the others repeat the last of them."""
    lanes = pair_width(kernel)
    for row in range(PAIR_PLAN_ROWS):
        for lane in range(filled, lanes):
            plan[row * lanes + lane] = plan[row * lanes + filled - 1]
    hash_pairs(kernel, prefix, plan.ctypes.data)


@overload(node_group, strict=False)
def _node_group(kernel: Any) -> Any:
    if isinstance(kernel, HashKernelType):
        return lambda kernel: pair_width(kernel)
    return None


@overload(hash_nodes, strict=False)
def _hash_nodes(kernel: Any, plan: Any) -> Any:
    if isinstance(kernel, HashKernelType):
        return lambda kernel, plan: hash_pairs(kernel, NODE_PREFIX, plan)
    return None


@overload(hash_first_nodes, strict=False)
def _hash_first_nodes(kernel: Any, plan: Any, filled: Any) -> Any:
    if isinstance(kernel, HashKernelType):
        return lambda kernel, plan, filled: hash_first(kernel, NODE_PREFIX, plan, filled)
    return None
