// SPDX-License-Identifier: GPL-3.0-or-later
// H(tag, a, b, c) of docs/circuits.md, and its tags: ASCII texts as big-endian integers.
pragma circom 2.2.0;

include "poseidon.circom";

function SPEND() { return 0x7375706572766d2f7370656e642f31; } // supervm/spend/1
function NULLIFIER_KEY() { return 0x7375706572766d2f6e756c6c69666965722d6b65792f31; } // supervm/nullifier-key/1
function OWNER() { return 0x7375706572766d2f6f776e65722f31; } // supervm/owner/1
function NOTE() { return 0x7375706572766d2f6e6f74652f31; } // supervm/note/1
function SERIAL() { return 0x7375706572766d2f73657269616c2f31; } // supervm/serial/1
function NULLIFIER() { return 0x7375706572766d2f6e756c6c69666965722f31; } // supervm/nullifier/1
function AMOUNT() { return 0x7375706572766d2f616d6f756e742f31; } // supervm/amount/1
function MEMBER() { return 0x7375706572766d2f6d656d6265722f31; } // supervm/member/1
function SIGNATURE() { return 0x7375706572766d2f7369676e61747572652f31; } // supervm/signature/1

template Hash(tag) {
    signal input in[3];
    signal output out;

    out <== Poseidon(4)([tag, in[0], in[1], in[2]]);
}

// A public input that nothing else looks at still stands in constraints, and in such that no other value of it fits: a square
// alone would leave its sign.
template Bound() {
    signal input in;
    signal square <== in * in;
    signal cube <== square * in;
}
