# SPDX-License-Identifier: GPL-3.0-or-later
"""The state: keys, versions, the sparse Merkle tree, snapshots."""
