# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Groth16, and powers of τ for them, whose secrets are known: what shows it, and that nothing takes it off."""

from __future__ import annotations

import json
import pickle

import pytest
from circom_circuits import ORDERS, container, drawn, ptau, sections_of

from supervm.crypto import curves, groth16, groth16_setup
from supervm.crypto.circom_ptau import Ptau
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_zkey import Zkey
from supervm.crypto.errors import TestOnlyKey
from supervm.crypto.groth16_prove import load_zkey
from supervm.crypto.groth16_written import key_to_snarkjs


@pytest.mark.parametrize(
    ("secrets", "contributions", "why"),
    [
        ((1, 1, 1), 1, r"its α is 1 or −1"),
        ((1, 1, 1), 0, r"its α is 1 or −1"),
        ((5, ORDERS["bn254"] - 1, 7), 1, r"its α is 1 or −1"),
        ((5, 7, 1), 1, r"its β is 1 or −1"),
        ((1, 5, 7), 1, r"its τ is 1 or −1"),
        ((ORDERS["bn254"] - 1, 5, 7), 1, r"its τ is 1 or −1"),
        ((3, 5, 7), 0, "nobody contributed to it"),
        ((3, 5, 7), None, "it says of no contribution"),
    ],
)
def test_powers_of_tau_whose_secrets_are_known(secrets, contributions, why):
    """As `snarkjs powersoftau new` leaves them, where all secrets are 1, and whatever shows that one is."""
    circuit = drawn("bn254", 3)
    r1cs = load_r1cs(circuit.r1cs())
    with Ptau(ptau("bn254", 3, *secrets, contributions)) as powers:
        with pytest.raises(TestOnlyKey, match=why) as caught:
            groth16_setup.make_key(r1cs, powers)
        assert why in str(pickle.loads(pickle.dumps(caught.value)))
        key = groth16_setup.make_key(r1cs, powers, allow_test_only=True)
    with Zkey(key) as found:
        assert found.header.test_only
    with pytest.raises(TestOnlyKey):
        load_zkey(key)


@pytest.mark.parametrize("curve", ["bn254", "bls12_381"])
def test_no_other_tool_takes_the_mark_off_a_test_key(curve):
    """snarkjs copies ten sections of a `.zkey` and six points to a verification key, and changes δ where one contributes."""
    key = groth16_setup.make_test_key(load_r1cs(drawn(curve, 3).r1cs()))
    bare = container(b"zkey", 1, [part for part in sections_of(key) if part[0] <= 10])
    assert len(sections_of(bare)) == len(sections_of(key)) - 1
    with pytest.raises(TestOnlyKey):
        load_zkey(bare)
    verification = load_zkey(bare, allow_test_only=True).verification
    g1, g2 = curves.get(curve).g1, curves.get(curve).g2
    negated = groth16.Key(
        curve,
        g1.negate(verification.alpha[None])[0],
        verification.beta,
        verification.gamma,
        g2.double(verification.delta[None])[0],
        verification.ic,
    )
    for each in (verification, negated):
        text = json.loads(key_to_snarkjs(each))
        assert text.pop("supervm_test_only") is True
        with pytest.raises(TestOnlyKey):
            groth16.load_snarkjs_key(json.dumps(text))
        assert groth16.load_snarkjs_key(json.dumps(text), allow_test_only=True).test_only
    another = g1.double(verification.alpha[None])[0]
    parts = verification.beta, verification.gamma, verification.delta, verification.ic
    assert not groth16.Key(curve, another, *parts).test_only
