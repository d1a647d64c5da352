// SPDX-License-Identifier: GPL-3.0-or-later
pragma circom 2.2.0;

include "bitify.circom";
include "poseidon.circom";

// The root over a leaf at a place, by the siblings from the leaf up. An index is below 2^depth, and its bits are the only ones
// that it has, since 2^depth is below r.
template MerkleRoot(depth) {
    signal input leaf;
    signal input index;
    signal input path[depth];
    signal output root;

    signal right[depth] <== Num2Bits(depth)(index);
    signal node[depth + 1];
    signal swap[depth];
    node[0] <== leaf;
    for (var k = 0; k < depth; k++) {
        swap[k] <== right[k] * (path[k] - node[k]);
        node[k + 1] <== Poseidon(2)([node[k] + swap[k], path[k] - swap[k]]);
    }
    root <== node[depth];
}
