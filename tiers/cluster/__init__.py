# SPDX-License-Identifier: GPL-3.0-or-later
"""Beyond one machine: a compute pool whose nodes are those of a Ray cluster (docs/cluster.md).

`pool.py` is the way in; `tasks.py` lists what a node can be asked for. Ray starts nodes, moves arrays and notices what
dies; what an answer is worth, and who is given work again, is decided here.
"""
