# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ethereum adapter: blocks and pre-states from JSON, encodings, senders, the transactions root."""

from supervm.engine.ethereum.blocks import EthereumBlock, decode_block, read_block
from supervm.engine.ethereum.encoding import authorization_payloads, encoded_transactions, signing_payloads
from supervm.engine.ethereum.pre_state import PreState, decode_pre_state, read_pre_state
from supervm.engine.ethereum.senders import Recovered, Recovery, SignatureFault, recover_senders
from supervm.engine.ethereum.transactions import EthereumTransactions, TransactionType
from supervm.engine.ethereum.trie import ordered_trie_root

__all__ = [
    "EthereumBlock",
    "EthereumTransactions",
    "PreState",
    "Recovered",
    "Recovery",
    "SignatureFault",
    "TransactionType",
    "authorization_payloads",
    "decode_block",
    "decode_pre_state",
    "encoded_transactions",
    "ordered_trie_root",
    "read_block",
    "read_pre_state",
    "recover_senders",
    "signing_payloads",
]
