// SPDX-License-Identifier: GPL-3.0-or-later
pragma circom 2.2.0;

include "bitify.circom";
include "hashes.circom";
include "merkle_path.circom";

// The nullifier of a note that the secret's holder owns, and that stands in the tree unless its amount is 0.
template SpentNote(depth, bits) {
    signal input pool;
    signal input root;
    signal input amount;
    signal input secret;
    signal input blinding;
    signal input index;
    signal input path[depth];
    signal output nullifier;

    signal authority <== Hash(SPEND())([secret, 0, 0]);
    signal key <== Hash(NULLIFIER_KEY())([secret, 0, 0]);
    signal owner <== Hash(OWNER())([authority, key, 0]);
    signal commitment <== Hash(NOTE())([amount, owner, blinding]);
    _ <== Num2Bits(bits)(amount);

    // The index is in range for dummies, too. The amount is a field element, so a product of 0 has a factor of 0.
    signal found <== MerkleRoot(depth)(commitment, index, path);
    amount * (found - root) === 0;

    signal serial <== Hash(SERIAL())([pool, index, commitment]);
    nullifier <== Hash(NULLIFIER())([key, serial, 0]);
}

// Two notes of a pool become two others, with value that comes in, goes out, or is a fee.
template RingCT(depth, bits) {
    signal input binding;
    signal input pool;
    signal input root;
    signal input nullifier[2];
    signal input commitment[2];
    signal input public_in;
    signal input public_out;
    signal input fee;
    signal input recipient;

    signal input in_amount[2];
    signal input in_secret[2];
    signal input in_blinding[2];
    signal input in_index[2];
    signal input in_path[2][depth];
    signal input out_amount[2];
    signal input out_owner[2];
    signal input out_blinding[2];

    Bound()(binding);
    Bound()(recipient);

    signal spent[2];
    signal made[2];
    for (var k = 0; k < 2; k++) {
        spent[k] <== SpentNote(depth, bits)(
            pool, root, in_amount[k], in_secret[k], in_blinding[k], in_index[k], in_path[k]
        );
        nullifier[k] === spent[k];
        made[k] <== Hash(NOTE())([out_amount[k], out_owner[k], out_blinding[k]]);
        commitment[k] === made[k];
        _ <== Num2Bits(bits)(out_amount[k]);
    }

    // Only what is not 0 has an inverse. For 0 the calculator takes 0, and the constraint fails.
    signal inverse <-- nullifier[0] == nullifier[1] ? 0 : 1 / (nullifier[0] - nullifier[1]);
    (nullifier[0] - nullifier[1]) * inverse === 1;

    // Sums of amounts below 2^64 are far below r: equal in the field is equal in integers.
    _ <== Num2Bits(bits)(public_in);
    _ <== Num2Bits(bits)(public_out);
    _ <== Num2Bits(bits)(fee);
    in_amount[0] + in_amount[1] + public_in === out_amount[0] + out_amount[1] + public_out + fee;
}

component main {
    public [binding, pool, root, nullifier, commitment, public_in, public_out, fee, recipient]
} = RingCT(32, 64);
