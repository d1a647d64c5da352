# SPDX-License-Identifier: GPL-3.0-or-later
"""Every limit of the execution rules, in the units that its docstring names (`docs/execution-rules.md`)."""

from __future__ import annotations

# Contract modules.

CODE_BYTES = 1 << 20
"""Bytes of a deployed module."""

MEMORY_BYTES = 16 << 20
"""Bytes of memory, initially and at most."""

RESTORED_BYTES = 128 << 10
"""Memory up to this size is copied back after a call; a larger one costs more than a fresh instance does."""

TABLE_ELEMENTS = 10_000
"""Elements of the table, initially and at most."""

FUNCTIONS = 10_000
"""Functions of a module, imported ones included."""

GLOBALS = 1_000
"""Globals of a module."""

TYPES = 1_000
"""Function types of a module."""

SEGMENTS = 1_000
"""Data segments of a module, and element segments."""

SEGMENT_FUNCTIONS = 10_000
"""Functions in all element segments together."""

EXPORTS = 10_000
"""Exports of a module."""

BRANCH_TARGETS = 10_000
"""Targets of a `br_table`, the default not counted."""

FUNCTION_UNITS = 50_000
"""Compile units (`supervm.vm.compile_units`) of a function."""

MODULE_UNITS = 800_000
"""Compile units of a module."""

FRAME_VALUES = 256
"""Parameters, locals and operand stack of a function, in values."""

CALL_DEPTH = 1_024
"""What nested calls may add up to; a call adds 1, and more if the function is large (`SIZE_PER_DEPTH`)."""

SIZE_PER_DEPTH = 128
"""A call of a function whose instructions, parameters and results are n together adds 1 + n // 128 to the depth.

A compiler may keep one value of a function alive for each of its instructions, whatever the operand stack holds: for
1,000 products that were needed again after a call, Cranelift's frame had 8 KiB. And parameters and results beyond the
registers lie on the stack twice. The weight bounds what one unit of depth takes of the native stack to 6 KiB, so that
6 MiB are never exhausted before the depth is.
"""

# Transactions.

TRANSACTION_BYTES = 1 << 20
"""Bytes of a transaction's encoding."""

GAS_LIMIT = 10**9
"""Gas of a transaction."""

KEY_BYTES = 256
"""Bytes of a contract's storage key."""

VALUE_BYTES = 65_536
"""Bytes of a stored value."""

OUTPUT_BYTES = 65_536
"""Bytes of a transaction's output."""

EVENTS = 1_024
"""Events of a transaction."""

EVENT_BYTES = 65_536
"""Bytes of all events of a transaction together."""

STATE_KEYS = 16_384
"""Different state keys that a transaction reads or writes."""
