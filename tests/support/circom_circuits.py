# SPDX-License-Identifier: GPL-3.0-or-later
"""Circuits in Python integers: circom's files of them, and what a Groth16 key and proof are by the formulas.

Nothing here is the library's but the groups of the oracle.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from supervm.crypto.oracle.pairing_groups import GROUPS, Group
from supervm.crypto.params import bls12_381, bn254

ORDERS = {"bn254": bn254.FR.modulus, "bls12_381": bls12_381.FR.modulus}
PRIMES = {"bn254": bn254.FP.modulus, "bls12_381": bls12_381.FP.modulus}

Sum = dict[int, int]
"""Wire → coefficient."""


def container(magic: bytes, version: int, sections: Sequence[tuple[int, bytes]]) -> bytes:
    """A file of sections."""
    head = magic + struct.pack("<II", version, len(sections))
    return head + b"".join(struct.pack("<IQ", number, len(data)) + data for number, data in sections)


def sections_of(data: bytes) -> list[tuple[int, bytes]]:
    """The inverse of `container`, without its head."""
    (count,) = struct.unpack_from("<I", data, 8)
    found, at = [], 12
    for _ in range(count):
        number, size = struct.unpack_from("<IQ", data, at)
        found.append((number, data[at + 12 : at + 12 + size]))
        at += 12 + size
    return found


@dataclass
class Circuit:
    """Constraints ⟨a, w⟩·⟨b, w⟩ = ⟨c, w⟩ and a witness.

    Args:
        curve: whose scalar field.
        outputs, public_inputs, private_inputs: how many wires follow the 1.
        constraints: (a, b, c) each.
        witness: a value for each wire.
    """

    curve: str
    outputs: int
    public_inputs: int
    private_inputs: int
    constraints: list[tuple[Sum, Sum, Sum]] = field(default_factory=list)
    witness: list[int] = field(default_factory=list)

    @property
    def order(self) -> int:
        return ORDERS[self.curve]

    @property
    def public(self) -> int:
        return self.outputs + self.public_inputs

    def header(self, prime: int | None = None) -> bytes:
        """The section of a `.r1cs`."""
        of = prime or self.order
        counts = (len(self.witness), self.outputs, self.public_inputs, self.private_inputs)
        tail = struct.pack("<4IQI", *counts, len(self.witness) + 5, len(self.constraints))
        return struct.pack("<I", 32) + of.to_bytes(32, "little") + tail

    def constraint_bytes(self) -> bytes:
        """The section of a `.r1cs`."""
        parts = []
        for constraint in self.constraints:
            for each in constraint:
                parts.append(struct.pack("<I", len(each)))
                parts += [
                    struct.pack("<I", wire) + value.to_bytes(32, "little") for wire, value in each.items()
                ]
        return b"".join(parts)

    def r1cs(self) -> bytes:
        """The circuit's `.r1cs`."""
        labels = struct.pack(f"<{len(self.witness)}Q", *range(len(self.witness)))
        return container(b"r1cs", 1, [(1, self.header()), (2, self.constraint_bytes()), (3, labels)])

    def wtns(self, witness: Sequence[int] | None = None) -> bytes:
        """The `.wtns` of its witness, or another one."""
        values = self.witness if witness is None else witness
        head = struct.pack("<I", 32) + self.order.to_bytes(32, "little") + struct.pack("<I", len(values))
        return container(
            b"wtns", 2, [(1, head), (2, b"".join(each.to_bytes(32, "little") for each in values))]
        )


def drawn(curve: str, constraints: int, seed: int = 1, outputs: int = 1, public_inputs: int = 1) -> Circuit:
    """A circuit of random sums, each of which makes a new wire: two thirds of them products, the others bits."""
    random_ = random.Random(seed)
    circuit = Circuit(curve, outputs, public_inputs, 2)
    order = circuit.order
    values = [1] + [random_.randrange(order) for _ in range(outputs + public_inputs + 2)]
    for index in range(constraints):
        if index % 3 == 2:
            wire = len(values)
            values.append(random_.randrange(2))
            circuit.constraints.append(({wire: 1}, {wire: 1, 0: order - 1}, {}))
            continue
        known = range(1 + outputs, len(values))
        a, b = (
            {
                wire: random_.choice([1, order - 1, random_.randrange(order)])
                for wire in random_.sample(known, 2)
            }
            for _ in range(2)
        )
        a[0] = random_.randrange(order)
        product = _value(a, values) * _value(b, values) % order
        out = 1 + index if index < outputs else len(values)
        if out < len(values):
            values[out] = product
        else:
            values.append(product)
        circuit.constraints.append((a, b, {out: 1}))
    circuit.witness = [value % order for value in values]
    return circuit


def _value(sum_: Sum, values: Sequence[int]) -> int:
    return sum(coefficient * values[wire] for wire, coefficient in sum_.items())


# Groth16 by its formulas -------------------------------------------------------------------------------------


def root(curve: str, log: int) -> int:
    """snarkjs' root of unity: of the smallest non-residue."""
    order = ORDERS[curve]
    least = next(n for n in range(2, 100) if pow(n, (order - 1) // 2, order) != 1)
    return pow(least, (order - 1) >> log, order)


def lagrange(curve: str, log: int, tau: int) -> list[int]:
    """Lᵢ(τ) = ωⁱ(τⁿ − 1)/(n(τ − ωⁱ)) in snarkjs' order."""
    order, size, omega = ORDERS[curve], 1 << log, root(curve, log)
    if pow(tau, size, order) == 1:
        return [int(tau == pow(omega, i, order)) for i in range(size)]
    top = (pow(tau, size, order) - 1) * pow(size, -1, order)
    return [
        top * pow(omega, i, order) * pow(tau - pow(omega, i, order), -1, order) % order for i in range(size)
    ]


@dataclass
class Formulas:
    """A key and its proofs as multiples of the generators, from secrets. γ is 1.

    Args:
        circuit: whose.
        tau, alpha, beta, delta: the secrets.
    """

    circuit: Circuit
    tau: int
    alpha: int
    beta: int
    delta: int

    def __post_init__(self) -> None:
        circuit, order = self.circuit, self.circuit.order
        self.log = (len(circuit.constraints) + circuit.public).bit_length()
        at = lagrange(circuit.curve, self.log, self.tau)
        wires = len(circuit.witness)
        self.a, self.b, self.c = [0] * wires, [0] * wires, [0] * wires
        for row, constraint in enumerate(circuit.constraints):
            for target, sum_ in zip((self.a, self.b, self.c), constraint, strict=True):
                for wire, value in sum_.items():
                    target[wire] = (target[wire] + value * at[row]) % order
        for wire in range(circuit.public + 1):
            self.a[wire] = (self.a[wire] + at[len(circuit.constraints) + wire]) % order
        rest = [
            (self.beta * a + self.alpha * b + c) % order
            for a, b, c in zip(self.a, self.b, self.c, strict=True)
        ]
        inverse = pow(self.delta, -1, order)
        self.ic = rest[: circuit.public + 1]
        self.l = [value * inverse % order for value in rest[circuit.public + 1 :]]
        self.h = [value * inverse % order for value in lagrange(circuit.curve, self.log + 1, self.tau)[1::2]]

    def proof(self, r: int, s: int) -> tuple[int, int, int]:
        """A, B and C. C is what the equation that is verified leaves: no quotient is taken."""
        order, witness = self.circuit.order, self.circuit.witness
        a = self.alpha + sum(w * x for w, x in zip(witness, self.a, strict=True)) + r * self.delta
        b = self.beta + sum(w * x for w, x in zip(witness, self.b, strict=True)) + s * self.delta
        stated = sum(w * x for w, x in zip(witness, self.ic, strict=False))
        c = (a * b - self.alpha * self.beta - stated) * pow(self.delta, -1, order)
        return a % order, b % order, c % order


def group(curve: str, number: int) -> Group:
    """G1 or G2 of the oracle."""
    return GROUPS[f"{curve}.g{number}"]


def multiple(curve: str, number: int, scalar: int) -> Any:
    """A multiple of a generator."""
    of = group(curve, number)
    return of.multiply(scalar, of.generator)


def montgomery(curve: str, number: int, scalar: int) -> bytes:
    """A multiple of a generator as snarkjs' binary files have it."""
    prime = PRIMES[curve]
    size = 8 * -(-prime.bit_length() // 64)
    point = multiple(curve, number, scalar)
    if point is None:
        return bytes(2 * number * size)
    parts = [part for each in point for part in (each if number == 2 else (each,))]
    return b"".join((part * (1 << 8 * size) % prime).to_bytes(size, "little") for part in parts)


def ptau(curve: str, power: int, tau: int, alpha: int, beta: int, contributions: int | None = 1) -> bytes:
    """A `.ptau` that is prepared for phase 2, of those sections that a set-up reads. Of contributions their number is in it,
    which is all that is read; the section is left out for None."""
    prime, order = PRIMES[curve], ORDERS[curve]
    size = 8 * -(-prime.bit_length() // 64)
    header = struct.pack("<I", size) + prime.to_bytes(size, "little") + struct.pack("<II", power, power)
    levels = [lagrange(curve, log, tau) for log in range(power + 2)]
    sections = [(1, header)]
    for number, of, factor, up_to in (
        (12, 1, 1, power + 2),
        (13, 2, 1, power + 1),
        (14, 1, alpha, power + 1),
        (15, 1, beta, power + 1),
    ):
        points = (montgomery(curve, of, factor * each % order) for level in levels[:up_to] for each in level)
        sections.append((number, b"".join(points)))
    for number, of, scalar in ((4, 1, alpha), (5, 1, beta), (6, 2, beta)):
        sections.append((number, montgomery(curve, of, scalar)))
    if contributions is not None:
        sections.append((7, struct.pack("<I", contributions)))
    return container(b"ptau", 1, sections)
