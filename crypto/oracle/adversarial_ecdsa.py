# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA inputs at the edges of secp256k1; the oracle says the verdicts.

Signatures here are constructed backwards. For any u1, u2 and key Q, the point R = u1·G + u2·Q with r = R.x, s = r/u2
and z = u1·s verifies; and for any point R and any s, z the key Q = (s·R − z·G)/r does. So every scalar, every
meeting of points and every abscissa can be reached, those in [n, p) included.
"""

from __future__ import annotations

from typing import NamedTuple

from supervm.crypto.oracle import weierstrass
from supervm.crypto.oracle.weierstrass import BASE, N, P, Point
from supervm.crypto.params.secp256k1 import SECP256K1

_SECRET = 0x428A2F98D728AE227137449123EF65CDB5C0FBCFEC4D3B2FE9B5DBA58189DBBC % N
_NONCE = 0x3956C25BF348B53859F111F1B605D019923F82A4AF194F9BAB1C5ED5DA6D8118 % N
_DIGEST = bytes(range(7, 39))
_HALF = (N - 1) // 2


class EcdsaCase(NamedTuple):
    """One input of `verify` (the key in any of its three lengths), and what is special about it."""

    public_key: bytes
    digest: bytes
    signature: bytes
    description: str


class RecoveryCase(NamedTuple):
    """One input of `recover`, and what is special about it."""

    digest: bytes
    signature: bytes
    description: str


def special_scalars() -> dict[str, int]:
    """Scalars at which recodings, decompositions and tables have their edges."""
    values = {
        "1": 1,
        "2": 2,
        "2^128": 1 << 128,
        "2^128 − 1": (1 << 128) - 1,
        "(n + 1)/2": _HALF + 1,
        "15": 15,
    }
    if SECP256K1.endomorphism is not None:
        values["λ"] = SECP256K1.endomorphism.lambda_
        values["λ + 1"] = SECP256K1.endomorphism.lambda_ + 1
    return values | {f"−{name}": N - value for name, value in values.items()}


def abscissas(start: int, count: int) -> list[int]:
    """The first `count` abscissas of the curve from `start` on."""
    found: list[int] = []
    x = start
    while len(found) < count:
        if weierstrass.lift_x(x, 0) is not None:
            found.append(x)
        x += 1
    return found


def no_abscissa(start: int) -> int:
    """The first integer from `start` on that is no abscissa of the curve."""
    while weierstrass.lift_x(start, 0) is not None:
        start += 1
    return start


def cases() -> list[EcdsaCase]:
    """All of them for `verify`, in a fixed order."""
    return [
        *_ordinary(),
        *_range_edges(),
        *_scalar_table(),
        *_infinity_and_doubling(),
        *_abscissa_edges(),
        *_digit_patterns(),
        *_decomposition_corners(),
        *_limb_edges(),
        *_key_forms(),
        *_bad_keys(),
    ]


def _bytes(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _from_scalars(u1: int, u2: int, key: Point, description: str) -> EcdsaCase | None:
    """The valid case whose double product is u1·G + u2·key; None where that is infinity or r is 0."""
    point = weierstrass.multiply_sum(u1, BASE, u2, key)
    if point is None or point[0] % N == 0:
        return None
    r = point[0] % N
    s = r * pow(u2, -1, N) % N
    return EcdsaCase(weierstrass.encode(key), _bytes(u1 * s % N), _bytes(r) + _bytes(s), description)


def _from_point(commitment: Point, r: int, s: int, z: int, description: str) -> EcdsaCase:
    """The key for which the double product is `commitment`, whatever r claims."""
    inverse = pow(r, -1, N)
    key = weierstrass.multiply_sum(s * inverse, commitment, -z * inverse, BASE)
    if key is None:
        raise ArithmeticError("the key would be infinity")
    return EcdsaCase(weierstrass.encode(key), _bytes(z), _bytes(r) + _bytes(s), description)


def generator_multiple(scalar: int) -> Point:
    """scalar·G, for a scalar that is no multiple of n."""
    point = weierstrass.multiply(scalar, BASE)
    if point is None:
        raise ArithmeticError("a multiple of n")
    return point


def _ordinary() -> list[EcdsaCase]:
    commitment = generator_multiple(_NONCE)
    found = []
    for name, z in {
        "0": 0,
        "1": 1,
        "n − 1": N - 1,
        "n": N,
        "n + 1": N + 1,
        "2^256 − 1": (1 << 256) - 1,
    }.items():
        case = _from_point(commitment, commitment[0] % N, 12345, z, f"digest {name}")
        found += [
            case,
            case._replace(digest=_bytes(z ^ 1 << 200), description=f"digest {name}, one bit flipped"),
        ]
    for name, s in {"1": 1, "n − 1": N - 1, "(n − 1)/2": _HALF, "(n + 1)/2": _HALF + 1}.items():
        found.append(_from_point(commitment, commitment[0] % N, s, 99, f"s = {name}"))
    for case in found[:2]:
        s = int.from_bytes(case.signature[32:], "big")
        found.append(case._replace(signature=case.signature[:32] + _bytes(N - s), description="high s twin"))
    return found


def _range_edges() -> list[EcdsaCase]:
    good = _from_point(
        generator_multiple(_NONCE), generator_multiple(_NONCE)[0] % N, 777, 31337, "ordinary signature"
    )
    r, s = good.signature[:32], good.signature[32:]
    edges = {"0": 0, "1": 1, "n − 1": N - 1, "n": N, "n + 1": N + 1, "p": P, "2^256 − 1": (1 << 256) - 1}
    found = [good]
    for name, value in edges.items():
        found.append(good._replace(signature=_bytes(value) + s, description=f"r = {name}"))
        found.append(good._replace(signature=r + _bytes(value), description=f"s = {name}"))
        found.append(good._replace(signature=_bytes(value) * 2, description=f"r = s = {name}"))
    bad_key = bytes(63) + b"\x01"
    found.append(good._replace(public_key=bad_key, signature=bytes(64), description="bad key, r = s = 0"))
    found.append(
        good._replace(public_key=bad_key, signature=r + _bytes(N - 1), description="bad key, high s")
    )
    return found


def _scalar_table() -> list[EcdsaCase]:
    """u1 and u2 over the special scalars; keys G, −G, λ·G, 2·G and one without relation."""
    scalars = special_scalars()
    keys = {"G": 1, "−G": N - 1, "2·G": 2, "unrelated": _SECRET}
    if SECP256K1.endomorphism is not None:
        keys["λ·G"] = SECP256K1.endomorphism.lambda_
    found = []
    for key_name, secret in keys.items():
        key = generator_multiple(secret)
        for index, (name1, u1) in enumerate(scalars.items()):
            for step in (0, 1, 8, 9):  # the same scalar, its neighbour, its opposite, a far one
                name2, u2 = list(scalars.items())[(index + step) % len(scalars)]
                case = _from_scalars(u1, u2, key, f"Q = {key_name}, u1 = {name1}, u2 = {name2}")
                if case is not None:
                    found.append(case)
    for name, u2 in scalars.items():
        case = _from_scalars(0, u2, generator_multiple(_SECRET), f"u1 = 0, u2 = {name}")
        if case is not None:
            found.append(case)
    return found


def _infinity_and_doubling() -> list[EcdsaCase]:
    found = []
    for name, secret in {"unrelated": _SECRET, "G": 1, "−G": N - 1, "2·G": 2}.items():
        key = weierstrass.encode(generator_multiple(secret))
        r = generator_multiple(_NONCE)[0] % N
        found.append(
            EcdsaCase(
                key, _bytes(-r * secret % N), _bytes(r) + _bytes(5), f"Q = {name}: u1·G + u2·Q = infinity"
            )
        )
    for nonce in (_NONCE, 2, N - 2):
        r, s = generator_multiple(nonce)[0] % N, 4321
        z = nonce * s * pow(2, -1, N) % N
        key = weierstrass.encode(generator_multiple(z * pow(r, -1, N)))
        found.append(EcdsaCase(key, _bytes(z), _bytes(r) + _bytes(s), "u1·G = u2·Q"))
    return found


def _abscissa_edges() -> list[EcdsaCase]:
    found = []
    for x in abscissas(N, 3) + abscissas(P - 200, 2):
        if x >= P:
            continue
        for odd in (0, 1):
            commitment = weierstrass.lift_x(x, odd)
            if commitment is not None and x != N:
                found.append(_from_point(commitment, x - N, 9, 10, f"R.x = n + {x - N}, y parity {odd}"))
    for x in abscissas(1, 3):
        commitment = weierstrass.lift_x(x, 0)
        if commitment is not None:
            found.append(_from_point(commitment, x, 9, 10, f"R.x = r = {x}"))
            wrapped = x + P - N
            found.append(
                _from_point(commitment, wrapped, 9, 10, f"R.x = {x}, r = {x} + p − n: r + n ≡ R.x mod p")
            )
    return found


def _digit_patterns() -> list[EcdsaCase]:
    """u1, u2 and both halves of u2 made of digits that carry, or just do not, in signed windows."""
    found = []
    key = generator_multiple(_SECRET)
    lambda_ = SECP256K1.endomorphism.lambda_ if SECP256K1.endomorphism is not None else 1
    for digits in ("7f", "80", "81", "77", "88", "89", "08", "f7", "ff", "01"):
        whole, half = int(digits * 32, 16) % N, int("0" + digits * 16, 16) >> 1
        for name, u1, u2 in (
            ("u1", whole, 7),
            ("u2", 7, whole),
            ("halves of u2", 7, (half + half * lambda_) % N),
            ("opposite halves of u2", 7, (half - half * lambda_) % N),
        ):
            case = _from_scalars(u1, u2, key, f"digits {digits} in {name}")
            if case is not None:
                found.append(case)
    return found


def _decomposition_corners() -> list[EcdsaCase]:
    """u2 at the corners of the lattice cell, where k1 + k2·λ has its largest halves and rounding decides."""
    if SECP256K1.endomorphism is None:
        return []
    found = []
    (a1, b1), (a2, b2) = SECP256K1.endomorphism.short_basis(N)
    key = generator_multiple(_SECRET)
    for sign1 in (1, -1):
        for sign2 in (0, 1, -1):
            k1, k2 = (sign1 * a1 + sign2 * a2) // 2, (sign1 * b1 + sign2 * b2) // 2
            for step in (-1, 0, 1):
                u2 = (k1 + step + k2 * SECP256K1.endomorphism.lambda_) % N
                case = _from_scalars(11, u2, key, f"corner {sign1}, {sign2} of the lattice cell, step {step}")
                if case is not None:
                    found.append(case)
    return found


def _limb_edges() -> list[EcdsaCase]:
    """Keys and commitments whose x is at a limb boundary, for limbs of 52 and 64 bits, or at the ends of [0, p)."""
    found = []
    for bits in (32, 52, 64, 104, 128, 156, 192, 208, 255):
        found += _at_abscissa(abscissas((1 << bits) - 2, 2), f"near 2^{bits}")
    found += _at_abscissa(abscissas(P - 30, 2), "near p")
    return found


def _at_abscissa(xs: list[int], name: str) -> list[EcdsaCase]:
    found = []
    for x in xs:
        for odd in (0, 1):
            point = weierstrass.lift_x(x, odd)
            if point is None:
                continue
            case = _from_scalars(3, 5, point, f"key with x {name}, y parity {odd}")
            if case is not None:
                compressed = weierstrass.encode_sec1(point, True)
                found += [
                    case,
                    case._replace(public_key=compressed, description=f"{case.description}, 33 bytes"),
                ]
            if x < N:
                found.append(_from_point(point, x, 13, 17, f"R with x {name}, y parity {odd}"))
    return found


def _key_forms() -> list[EcdsaCase]:
    found = []
    for secret in (_SECRET, _SECRET + 1, _SECRET + 2, 1, N - 1):
        key = generator_multiple(secret)
        case = _from_scalars(3, 5, key, "")
        if case is None:
            continue
        for compressed in (True, False):
            encoded = weierstrass.encode_sec1(key, compressed)
            form = f"{len(encoded)}-byte key"
            found.append(case._replace(public_key=encoded, description=form))
            other = bytes([encoded[0] ^ 1]) + encoded[1:]
            found.append(case._replace(public_key=other, description=f"{form}, prefix {other[0]:02x}"))
            for prefix in (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x82, 0xFF):
                if prefix not in (encoded[0], other[0]):
                    wrong = bytes([prefix]) + encoded[1:]
                    found.append(case._replace(public_key=wrong, description=f"{form}, prefix {prefix:02x}"))
    return found


def _bad_keys() -> list[EcdsaCase]:
    """Coordinates of p or more that would be a good key once reduced, points off the curve, infinity."""
    found = []
    small_x = weierstrass.lift_x(abscissas(1, 1)[0], 0)
    for key, dx, dy, name in ((small_x, P, 0, "x"), (_small_ordinate(), 0, P, "y")):
        case = None if key is None else _from_scalars(3, 5, key, f"key with small {name}")
        if key is None or case is None:
            continue
        raw = _bytes(key[0] + dx) + _bytes(key[1] + dy)
        over = f"key with {name} + p"
        found += [case, case._replace(public_key=raw, description=over)]
        found.append(case._replace(public_key=b"\x04" + raw, description=f"{over}, 65 bytes"))
        if dx:
            prefix = bytes([2 + (key[1] & 1)])
            found.append(case._replace(public_key=prefix + raw[:32], description=f"{over}, 33 bytes"))
    good = _from_point(generator_multiple(_NONCE), generator_multiple(_NONCE)[0] % N, 55, 66, "")
    x, y = good.public_key[:32], int.from_bytes(good.public_key[32:], "big")
    off = x + _bytes(y ^ 1)
    hole = _bytes(no_abscissa(5))
    for name, key_bytes in {
        "key off the curve": off,
        "key off the curve, 65 bytes": b"\x04" + off,
        "x is no abscissa, 02": b"\x02" + hole,
        "x is no abscissa, 03": b"\x03" + hole,
        "x = p": b"\x02" + _bytes(P),
        "x = 2^256 − 1": b"\x03" + b"\xff" * 32,
        "x = 0": b"\x02" + bytes(32),
        "64 zero bytes": bytes(64),
        "65 zero bytes": bytes(65),
        "04 and zeros": b"\x04" + bytes(64),
        "33 zero bytes": bytes(33),
        "64 bytes of ff": b"\xff" * 64,
    }.items():
        found.append(good._replace(public_key=key_bytes, description=name))
    return found


def _small_ordinate() -> Point | None:
    """A point with the smallest y > 0; cube roots by a^((p + 2)/9), as p ≡ 7 mod 9."""
    for y in range(1, 200):
        a = (y * y - SECP256K1.b) % P
        x = pow(a, (P + 2) // 9, P)
        if weierstrass.on_curve(x, y):
            return x, y
    return None


def recovery_cases() -> list[RecoveryCase]:
    """All of them for `recover`, in a fixed order."""
    found = []
    for case in cases():
        if len(case.public_key) == 64:
            for recovery_id in (0, 1, 2, 3):
                name = f"{case.description}; recovery id {recovery_id}"
                found.append(RecoveryCase(case.digest, case.signature + bytes([recovery_id]), name))
    good = found[0]
    for recovery_id in (4, 5, 27, 28, 31, 37, 128, 255):
        signature = good.signature[:64] + bytes([recovery_id])
        found.append(good._replace(signature=signature, description=f"recovery id {recovery_id}"))
    commitment = generator_multiple(_NONCE)
    for s in (1, 17, N - 1, _HALF + 1):
        signature = _bytes(commitment[0]) + _bytes(s) + bytes([commitment[1] & 1])
        found.append(RecoveryCase(_bytes(s * _NONCE % N), signature, f"s = {s}: the key would be infinity"))
        found.append(RecoveryCase(_bytes(-s * _NONCE % N), signature, f"s = {s}: s·R = −z·G"))
    hole = _bytes(no_abscissa(5))
    for recovery_id in (0, 1, 2, 3):
        found.append(RecoveryCase(_DIGEST, hole + _bytes(7) + bytes([recovery_id]), "r is no abscissa"))
        for r in (P - N - 1, P - N, P - N + 1, N - 1):
            signature = _bytes(r) + _bytes(7) + bytes([recovery_id])
            found.append(RecoveryCase(_DIGEST, signature, f"r − (p − n) = {r - (P - N)}, id {recovery_id}"))
    return found
