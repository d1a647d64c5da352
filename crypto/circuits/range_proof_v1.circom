// SPDX-License-Identifier: GPL-3.0-or-later
pragma circom 2.2.0;

include "bitify.circom";
include "hashes.circom";

// The amount in a commitment is below 2^bits.
template RangeProof(bits) {
    signal input binding;
    signal input commitment;
    signal input amount;
    signal input blinding;

    Bound()(binding);
    _ <== Num2Bits(bits)(amount);
    signal opened <== Hash(AMOUNT())([amount, blinding, 0]);
    commitment === opened;
}

component main { public [binding, commitment] } = RangeProof(64);
