# SPDX-License-Identifier: GPL-3.0-or-later
"""How the state of a transaction lies in memory: words of the machine, records of accounts and slots.

Accounts, slots and transient slots that a transaction touches are records in three tables; each is loaded from the access
set once, changes in place, and goes back at the end. A record's address stays until the next transaction begins.
"""

from __future__ import annotations

from collections.abc import Mapping

from supervm.vm.evm.machine import STATE_SCRATCH, STATE_WORDS, Buffer

(
    # Tables, `TABLE_WORDS` each.
    ACCOUNTS,
    _,
    _,
    _,
    _,
    _,
    SLOTS,
    _,
    _,
    _,
    _,
    _,
    TRANSIENTS,
    _,
    _,
    _,
    _,
    _,
    # The journal.
    JOURNAL,  # address of its entries
    JOURNAL_CAPACITY,  # how many fit
    JOURNAL_COUNT,  # how many there are
    # Logs, and outputs behind them: those of many transactions lie one behind the other.
    LOGS,  # address
    LOGS_CAPACITY,  # bytes that fit
    LOGS_USED,  # bytes that are taken
    LOGS_FIRST,  # where those of the transaction at work begin
    LOG_COUNT,  # how many logs it has
    REFUND,  # the refund counter, signed
) = range(STATE_WORDS, STATE_WORDS + 27)
"""Words of the state."""

(
    T_RECORDS,  # address of the records
    T_CAPACITY,  # how many fit
    T_COUNT,  # how many there are
    T_INDEX,  # address of the index (uint32): place of a record + 1
    T_INDEX_CAPACITY,  # how many it may have
    T_MASK,  # how many it has, a power of two, less one
) = range(6)
"""Words of a table, behind its first."""

# ---------------------------------------------------------------------------------------------------------
# Every record begins so.

R_KEY, R_OWNER, R_HASH = 0, 32, 40
"""The address or the slot's key, a value; 0 or the account's record; the hash of both. Bytes from the beginning."""

# An account.
ADDRESS = R_KEY
NONCE, CODE = 48, 56  # int64; number in the code store, 0: none, `CODE_UNKNOWN`: not asked for yet
BALANCE, CODE_HASH = 64, 96  # values
FLAGS = 128  # int64, below
ENTRY, CODE_ENTRY, INCARNATION_ENTRY = 136, 144, 152  # addresses in the access set; 0: not read yet
INCARNATION, HOLDS_STORAGE = 160, 168  # int64, known when `INCARNATION_ENTRY` is
OLD_NONCE, OLD_FLAGS, OLD_BALANCE = 176, 184, 192  # as loaded
ACCOUNT_RECORD = 224

CODE_UNKNOWN = -1

EXISTS, TOUCHED, CREATED_NOW, DESTROYED, WARM, NEW_CODE, NEW_STORAGE = 1, 2, 4, 8, 16, 32, 64
"""Flags of an account: it is there, perhaps empty; it may have changed; it was created, and destroyed, in this
transaction; it is warm; it has other code than before; storage of an account without nonce and code was written."""

# A slot, of storage or transient.
CURRENT, ORIGINAL = 48, 80  # values; before the transaction
SLOT_FLAGS = 112  # int64: `WARM`
SLOT_ENTRY = 120  # address in the access set
SLOT_RECORD = 128

JOURNAL_ENTRY = 48
J_PLACE, J_KIND, J_OLD = 0, 8, 16
"""Places in an entry of the journal: address of what changed, how much of it (`WORD` …), what was there."""
WORD, VALUE, ACCOUNT_FLAGS = 0, 1, 2
"""Kinds of entries: 8 bytes; 32 bytes; flags of the account that begins `FLAGS` bytes before."""

LOG_DATA_BYTES, LOG_TOPICS, LOG_ADDRESS, LOG_HEADER = 0, 4, 8, 28
"""Places in a log: bytes of the data, number of topics (uint32, little-endian), address (20 bytes); behind them the
topics, 32 bytes each, big-endian, and the data. Logs lie one behind the other."""

KEY_BYTES_AT, KEY_RECORD_AT, VALUE_AT = STATE_SCRATCH, STATE_SCRATCH + 64, STATE_SCRATCH + 128
"""Places in the machine's scratch: a key, the record that looks for it (a line), a value of the access set."""

(
    NEEDS_ACCOUNTS,
    NEEDS_ACCOUNT_INDEX,
    NEEDS_SLOTS,
    NEEDS_SLOT_INDEX,
    NEEDS_TRANSIENTS,
    NEEDS_TRANSIENT_INDEX,
    NEEDS_JOURNAL,
    NEEDS_LOGS,
) = range(64, 72)
"""What can be full (`access_set.NEEDS`); those of a table begin with its records."""

_RECORDS, _INDEX = 1 << 12, 1 << 14

STATE_BUFFERS: Mapping[int, Buffer] = {
    NEEDS_ACCOUNTS: Buffer(ACCOUNTS + T_RECORDS, ACCOUNTS + T_CAPACITY, ACCOUNT_RECORD, _RECORDS),
    NEEDS_ACCOUNT_INDEX: Buffer(ACCOUNTS + T_INDEX, ACCOUNTS + T_INDEX_CAPACITY, 4, _INDEX),
    NEEDS_SLOTS: Buffer(SLOTS + T_RECORDS, SLOTS + T_CAPACITY, SLOT_RECORD, _RECORDS),
    NEEDS_SLOT_INDEX: Buffer(SLOTS + T_INDEX, SLOTS + T_INDEX_CAPACITY, 4, _INDEX),
    NEEDS_TRANSIENTS: Buffer(TRANSIENTS + T_RECORDS, TRANSIENTS + T_CAPACITY, SLOT_RECORD, _RECORDS),
    NEEDS_TRANSIENT_INDEX: Buffer(TRANSIENTS + T_INDEX, TRANSIENTS + T_INDEX_CAPACITY, 4, _INDEX),
    NEEDS_JOURNAL: Buffer(JOURNAL, JOURNAL_CAPACITY, JOURNAL_ENTRY, 1 << 14),
    NEEDS_LOGS: Buffer(LOGS, LOGS_CAPACITY, 1, 1 << 20, keeps=True),
}
"""What can be full → the state's buffers."""
