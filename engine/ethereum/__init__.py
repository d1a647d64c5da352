# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ethereum adapter: blocks, states and witnesses from JSON, encodings, senders, receipts, roots."""

from supervm.engine.ethereum.account_leaves import AccountLeaves
from supervm.engine.ethereum.blocks import EthereumBlock, decode_block, read_block
from supervm.engine.ethereum.encoding import authorization_payloads, encoded_transactions, signing_payloads
from supervm.engine.ethereum.pre_state import PreState, decode_pre_state, read_pre_state
from supervm.engine.ethereum.proven_state import ProvenState, StateChanges, proven_root
from supervm.engine.ethereum.receipts import Logs, logs_bloom, receipts_root, requests_hash
from supervm.engine.ethereum.senders import Recovered, Recovery, SignatureFault, recover_senders
from supervm.engine.ethereum.transactions import EthereumTransactions, TransactionType
from supervm.engine.ethereum.trie import ordered_trie_root
from supervm.engine.ethereum.witness import Witness, read_witness

__all__ = [
    "AccountLeaves",
    "EthereumBlock",
    "EthereumTransactions",
    "Logs",
    "PreState",
    "ProvenState",
    "Recovered",
    "Recovery",
    "SignatureFault",
    "StateChanges",
    "TransactionType",
    "Witness",
    "authorization_payloads",
    "decode_block",
    "decode_pre_state",
    "encoded_transactions",
    "logs_bloom",
    "ordered_trie_root",
    "proven_root",
    "read_block",
    "read_pre_state",
    "read_witness",
    "receipts_root",
    "recover_senders",
    "requests_hash",
    "signing_payloads",
]
