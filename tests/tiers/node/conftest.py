# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that run until the end of a test."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from served_nodes import Served, start_node

from supervm.kernels.threads import set_threads


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """serve(folder, chain, …) runs a node as `start_node` does."""
    with ExitStack() as stack:
        yield functools.partial(start_node, stack)
    set_threads(1)
