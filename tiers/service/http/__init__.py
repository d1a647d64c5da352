# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and JSON beside gRPC, for humans and scripts."""
