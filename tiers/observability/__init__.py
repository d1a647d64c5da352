# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees: metrics, logs, traces, the status page."""
