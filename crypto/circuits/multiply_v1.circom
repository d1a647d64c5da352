// SPDX-License-Identifier: GPL-3.0-or-later
pragma circom 2.2.0;

include "hashes.circom";

// Two factors of a product are known.
template Multiply() {
    signal input binding;
    signal input product;
    signal input left;
    signal input right;

    Bound()(binding);
    product === left * right;
}

component main { public [binding, product] } = Multiply();
