# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of signatures: read in batches, verified by scheme, verdicts written back in the file's order.

A file holds one item a row, in JSON Lines, Parquet or Arrow IPC (file or stream), with the columns

    scheme      'ed25519', 'ecdsa' (secp256k1) or 'schnorr' (BIP-340)
    public_key  32 bytes (ed25519, schnorr); 33, 65 or 64 bytes (ecdsa), mixed at will
    message     what was signed (ed25519, schnorr)
    digest      the 32 bytes that were signed (ecdsa); schnorr takes it in place of a message
    signature   64 bytes; ecdsa also DER, mixed at will (exactly 64 bytes are always r‖s)

as hex text, with or without 0x, or as binary columns. Other columns are passed over. A field of a wrong
length is a malformed item, verdict −1; a row that cannot be read at all is an error that names it.
"""
