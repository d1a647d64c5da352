# SPDX-License-Identifier: GPL-3.0-or-later
"""Mainnet's first transaction (block 46147) as an input that is always at hand: replaying it compiles every
kernel of a replay. It stands twice in its block, since a trie of one leaf has no branch."""

from __future__ import annotations

_TRANSACTION = b"""{
    "hash": "0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060",
    "nonce": "0x0",
    "from": "0xa1e4380a3b1f749673e270229993ee55f35663b4",
    "to": "0x5df9b87991262f6ba471f09758cde1c0fc1de734",
    "value": "0x7a69",
    "gasPrice": "0x2d79883d2000",
    "gas": "0x5208",
    "input": "0x",
    "r": "0x88ff6cf0fefd94db46111149ae4bfc179e9b94721fffd821d38d16464b3f71d0",
    "s": "0x45e0aff800961cfce805daef7016b9b675c137a6a41a548f7b60a3484c06a33a",
    "v": "0x1c",
    "type": "0x0"
}"""

FIRST_BLOCK = b"""{
    "number": "0xb443",
    "hash": "0x4e3a3754410177e6937ef1f84bba68ea139e8d1a2258c5f85db9f1cd715a1bdd",
    "miner": "0xe6a7a1d47ff21b6321162aea7c6cb457d5476bca",
    "transactionsRoot": "0x4513310fcb9f6f616972a3b948dc5d547f280849a87ebb5af0191f98b87be598",
    "transactions": [%b, %b]
}""" % (_TRANSACTION, _TRANSACTION)

FIRST_PRE_STATE = b"""{
    "0xa1e4380a3b1f749673e270229993ee55f35663b4": {"balance": "0x6c6b935b8bbd400000", "nonce": 0},
    "0xe6a7a1d47ff21b6321162aea7c6cb457d5476bca": {"balance": "0xf3426785a8ab466000", "nonce": 0}
}"""
