# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving keys of arkworks' crate `ark-groth16`, `CanonicalSerialize`, compressed or not.

The verification key (α of G1, β, γ, δ of G2, the points of IC), β and δ of G1, and five lists of points, A, B in G1, B in
G2, H and C, each with its length in eight bytes, little-endian. The circuit is not in it: that is in its `.r1cs`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from supervm.crypto import curves, memory
from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.curves import Group
from supervm.crypto.groth16_columns import Key, members
from supervm.crypto.groth16_formats import FORMATS
from supervm.crypto.groth16_proving_key import ProvingKey, key_sum, most_multiples
from supervm.crypto.groth16_quotient import domain_log, domain_rows, places
from supervm.crypto.one import bytes_of
from supervm.crypto.point_encodings import encoding_of
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError

_SINGLE = (("alpha", 1), ("beta_2", 2), ("gamma_2", 2), ("delta_2", 2), ("ic", 0), ("beta", 1), ("delta", 1))
_LISTS = (("a", 1), ("b1", 1), ("b2", 2), ("h", 1), ("c", 1))

_COUNT = 8
"""Bytes of a list's length."""


def load_arkworks_proving_key(
    data: bytes,
    r1cs: ConstraintSystem,
    *,
    check: str = "curve",
    multiples: int | None = None,
    backend: str = "auto",
) -> ProvingKey:
    """A key with arkworks' reduction.

    Args:
        data: the key's bytes.
        r1cs: its circuit.
        check, multiples, backend: as `groth16_proving_key.load_zkey` has them; compressed points are on the curve anyway.

    Raises:
        ArgumentError: no circuit, or bytes that are no key of it: which list, what came, what is expected.
        MemoryNeeded: what is needed, before the work.
        BackendUnavailable: the named backend cannot run here.
    """
    if not isinstance(r1cs, ConstraintSystem):
        raise ArgumentError("r1cs", type(r1cs).__name__, "a ConstraintSystem")
    if check not in ("curve", "subgroup"):
        raise ArgumentError("check", repr(check), "'curve' or 'subgroup'")
    given, groups, log = bytes_of(data, "data"), curves.get(r1cs.curve), domain_log(r1cs)
    most = 2 + (multiples or most_multiples(max(r1cs.wires, 1 << log)))
    memory.require(most * len(given), "the key")
    counts = {
        "ic": r1cs.public + 1,
        "a": r1cs.wires,
        "b1": r1cs.wires,
        "b2": r1cs.wires,
        "h": (1 << log) - 1,
        "c": r1cs.wires - r1cs.public - 1,
    }
    for name in ("arkworks_compressed", "arkworks_uncompressed"):
        encoding = FORMATS[name][r1cs.curve]
        sizes = [encoding_of(each.spec, encoding).length(each.spec) for each in (groups.g1, groups.g2)]
        length = _COUNT * len(counts) + sum(
            counts.get(part, 1) * sizes[number == 2] for part, number in (*_SINGLE, *_LISTS)
        )
        if len(given) == length:
            break
    else:
        raise ArgumentError(
            "data", f"{len(given)} bytes", f"a key of this circuit, {length} bytes or half of it"
        )
    points = _points(given, counts, (groups.g1, groups.g2), encoding, check)
    rows, _ = places(r1cs.curve, log, "arkworks")
    a, b, _ = domain_rows(r1cs)
    made = partial(key_sum, r1cs.curve, multiples, backend)
    alpha, beta, delta, beta_2, delta_2 = (
        points[name][0] for name in ("alpha", "beta", "delta", "beta_2", "delta_2")
    )
    verification = Key(r1cs.curve, alpha, beta_2, points["gamma_2"][0], delta_2, points["ic"])
    return ProvingKey(
        "an arkworks key",
        r1cs.curve,
        r1cs.wires,
        log,
        "arkworks",
        SparseMatrix.of_entries(rows[a.row_numbers], a.columns, a.values, 1 << log),
        SparseMatrix.of_entries(rows[b.row_numbers], b.columns, b.values, 1 << log),
        made("g1", (alpha, delta), points["a"]),
        made("g1", (beta, delta), points["b1"]),
        made("g2", (beta_2, delta_2), points["b2"]),
        made("g1", (delta,), points["c"], points["h"], r1cs.public + 1),
        verification,
        verification.test_only,
    )


def _points(
    data: bytes, counts: dict[str, int], groups: tuple[Group, Group], encoding: str, check: str
) -> dict[str, Words]:
    found: dict[str, Words] = {}
    at = 0
    for name, number in (*_SINGLE, *_LISTS):
        group, count = groups[number == 2], counts.get(name, 1)
        if name in counts:
            stated = int.from_bytes(data[at : at + _COUNT], "little")
            if stated != count:
                raise ArgumentError("data", f"{stated} points of {name}", f"{count}, as the circuit has")
            at += _COUNT
        size = count * encoding_of(group.spec, encoding).length(group.spec)
        rows = np.frombuffer(data, np.uint8, size, at).reshape(count, -1)
        known = name in counts and name != "ic"
        found[name] = members(group, *group.from_bytes(rows, encoding, check if known else "subgroup"), name)
        at += size
    return found
