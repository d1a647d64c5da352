// SPDX-License-Identifier: GPL-3.0-or-later
pragma circom 2.2.0;

include "hashes.circom";
include "merkle_path.circom";

// The key of a member of the ring signed `binding`; its nullifier is the same for all signatures of a scope.
template RingSignature(depth) {
    signal input binding;
    signal input root;
    signal input scope;
    signal input nullifier;
    signal input secret;
    signal input index;
    signal input path[depth];

    Bound()(binding);
    signal member <== Hash(MEMBER())([secret, 0, 0]);
    signal found <== MerkleRoot(depth)(member, index, path);
    root === found;
    signal derived <== Hash(SIGNATURE())([secret, scope, 0]);
    nullifier === derived;
}

component main { public [binding, root, scope, nullifier] } = RingSignature(16);
