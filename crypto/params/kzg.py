# SPDX-License-Identifier: GPL-3.0-or-later
"""KZG commitments to blobs: EIP-4844 and EIP-7594, and the polynomial commitments of Ethereum's consensus specifications."""

ELEMENTS = 4096
"""Field elements of a blob (FIELD_ELEMENTS_PER_BLOB)."""

EXTENDED_ELEMENTS = 2 * ELEMENTS
"""Values of a blob's polynomial that cells hold (FIELD_ELEMENTS_PER_EXT_BLOB)."""

CELL_ELEMENTS = 64
"""Field elements of a cell (FIELD_ELEMENTS_PER_CELL)."""

CELLS = EXTENDED_ELEMENTS // CELL_ELEMENTS
"""Cells of a blob (CELLS_PER_EXT_BLOB)."""

G2_POINTS = CELL_ELEMENTS + 1
"""Points of G2 in a setup: the powers of the secret up to that of a cell's vanishing polynomial."""

BLOB_DOMAIN = b"FSBLOBVERIFY_V1_"
"""FIAT_SHAMIR_PROTOCOL_DOMAIN: what is hashed before a blob and its commitment."""

VERSION = 1
"""VERSIONED_HASH_VERSION_KZG: the first byte of a commitment's hash in a transaction."""

MAINNET_TAU_G2 = bytes.fromhex(
    "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d"
    "2914e5870cb452d2afaaab24f3499f72185cbfee53492714734429b7b38608e2"
    "3926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
)
"""The secret's multiple of G2's generator from the ceremony of 2023, all that checking a proof needs of a setup: the second
point of G2 in trusted_setup_4096.json of the consensus specifications."""

PUBLIC_SECRET = 0x1EA5_7E57
"""The secret of the setup that is made for tests: anyone can prove anything under it."""
