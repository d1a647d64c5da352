# SPDX-License-Identifier: GPL-3.0-or-later
"""Known answers of pairings, for `known_answer_vectors`: words as hexadecimal bytes, little-endian, infinity all zero."""

from __future__ import annotations

from typing import Any

from supervm.crypto.oracle.pairings import ONE, PAIRINGS, Element, Pairing, Point

Rows = list[dict[str, Any]]


def pairing_answers() -> dict[str, Rows]:
    """Operation → rows. A Miller loop's value means nothing before the last power: both rows say what comes out of that."""
    rows: dict[str, Rows] = {}
    for name, pairing in PAIRINGS.items():
        rows[f"{name}.pairing.miller_loop"] = _loops(pairing)
        rows[f"{name}.pairing.final_exponentiation"] = _powers(pairing)
    return rows


def _loops(pairing: Pairing) -> Rows:
    first, second, order = pairing.first, pairing.second, pairing.first.order
    p = [first.multiply(k, first.generator) for k in (1, order - 1, 3 << 60, 0)]
    q = [second.multiply(k, second.generator) for k in (1, order - 1, 5 << 90, 0)]
    rows = []
    for description, pairs in (
        ("generators", [(p[0], q[0])]),
        ("multiples", [(p[2], q[2]), (p[1], q[0])]),
        ("infinity in either group", [(p[3], q[0]), (p[2], q[3]), (p[0], q[2])]),
        ("a product of one", [(p[0], q[2]), (p[1], q[2]), (p[3], q[3])]),
        ("nothing", []),
    ):
        value = library_form(pairing, pairing.product(pairs))
        padded = [*pairs, *[(None, None)] * (3 - len(pairs))]
        rows.append(
            {
                "description": description,
                "first": b"".join(_point(pairing.first, at) for at, _ in padded).hex(),
                "second": b"".join(_point(pairing.second, point) for _, point in padded).hex(),
                "value": words(pairing, value).hex(),
            }
        )
    return rows


def _powers(pairing: Pairing) -> Rows:
    p = pairing.field.p
    drawn: list[Element] = [
        tuple((pow(7, 12 * k + 2 * i, p), pow(11, 13 * k + 3 * i, p)) for i in range(6))  # type: ignore[misc]
        for k in range(3)
    ]
    in_fp2 = ((5, 7), *ONE[1:])
    rows = []
    for description, values in (
        ("one", [ONE, ONE]),
        ("an element", [drawn[0], ONE]),
        ("a product", [drawn[1], drawn[2]]),
        ("an element of Fp2, whose power is one", [in_fp2, ONE]),
        ("an element and its opposite", [drawn[0], tuple((-a % p, -b % p) for a, b in drawn[0])]),
    ):
        product = pairing.multiply(values[0], values[1])  # type: ignore[arg-type]
        power = pairing.power(product, (p**12 - 1) // pairing.first.order)
        rows.append(
            {
                "description": description,
                "values": b"".join(words(pairing, value) for value in values).hex(),  # type: ignore[arg-type]
                "value": words(pairing, library_form(pairing, power)).hex(),
            }
        )
    return rows


def library_form(pairing: Pairing, value: Element) -> Element:
    """What libraries give for a pairing: its cube where the twist multiplies."""
    return value if pairing.divided else pairing.power(value, 3)


def words(pairing: Pairing, value: Element) -> bytes:
    """The coefficients' words."""
    size = 8 * pairing.first.base.words
    return b"".join(part.to_bytes(size, "little") for pair in value for part in pair)


def _point(group: Any, point: Point | None) -> bytes:
    size = 8 * group.base.words
    zero = group.field.zero
    return b"".join(
        part.to_bytes(size, "little")
        for coordinate in point or (zero, zero)
        for part in group.field.parts(coordinate)
    )
