# SPDX-License-Identifier: GPL-3.0-or-later
"""The field code generators, run on intervals: no limb overflows, nothing is dropped, every result keeps the contract.

The generators write through an LLVM builder. Here a stand-in builder takes its place, whose values are intervals of
Python integers. Run on the widest inputs that a contract allows, it proves the bounds that the comments of `fold_field`,
`fold_word` and `montgomery_field` claim; run on single integers, it computes what the compiled code would.
"""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interval_builder import BoundError, Interval, Standin
from llvmlite import ir

import supervm.kernels.cpu
from supervm.crypto.params import curve25519, secp256k1
from supervm.kernels.cpu.fields.crandall import CrandallField
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8, LANES_64
from supervm.kernels.spec import FieldSpec

# ---------------------------------------------------------------------------------------------------------
# Fields

_U = 4965661367192848881  # Barreto, Naehrig: p and r of BN254 (EIP-196) from this parameter
_X = -0xD201_0000_0001_0000  # of BLS12-381: draft-irtf-cfrg-pairing-friendly-curves, section 4.2.1
_BLS_R = _X**4 - _X**2 + 1

FOLDING = {"curve25519.fp": curve25519.FP, "secp256k1.fp": secp256k1.FP}
MONTGOMERY = {
    "curve25519.fl": curve25519.FL,
    "secp256k1.fn": secp256k1.FN,
    "bn254.fp": FieldSpec("bn254.fp", 36 * _U**4 + 36 * _U**3 + 24 * _U**2 + 6 * _U + 1),
    "bn254.fr": FieldSpec("bn254.fr", 36 * _U**4 + 36 * _U**3 + 18 * _U**2 + 6 * _U + 1),
    "bls12_381.fp": FieldSpec("bls12_381.fp", (_X - 1) ** 2 * _BLS_R // 3 + _X),
    "bls12_381.fr": FieldSpec("bls12_381.fr", _BLS_R),
}
FIELDS = FOLDING | MONTGOMERY
WIDTHS = {"lanes": IFMA_64X8.type, "word": LANES_64.type}


def code(name: str, kind: str) -> Any:
    """The generator of a field and lane type."""
    made = generator(FIELDS[name], WIDTHS[kind])
    assert isinstance(made, CrandallField if name in FOLDING else MontgomeryField)
    return made


def standin(generated: Any) -> Standin:
    """A builder for a generator: which words are signed, and which products are modulo the word."""
    if isinstance(generated, CrandallField):
        return Standin()
    return Standin(generated.lanes.width > 1, [generated.minus_inverse])


def highest(generated: Any) -> list[int]:
    """The largest limbs that the contract allows, as the modules' docstrings state it."""
    if isinstance(generated, CrandallField):
        limbs = [(1 << 52) - 1] * 4 + [(1 << generated.top) + (1 << 10) - 1]
        if generated.lanes.width == 1:
            limbs[1] = (1 << 52) + (1 << 44) - 1
        return limbs
    if generated.lanes.width == 1:
        return [(1 << 64) - 1] * (generated.limbs - 1) + [
            generated.spec.modulus - 1 >> 64 * (generated.limbs - 1)
        ]
    limbs = [(1 << 52) - 1] * generated.limbs
    limbs[-1] = (2 * generated.spec.modulus - 1) >> (52 * (generated.limbs - 1))
    return limbs


def widest(generated: Any) -> list[Interval]:
    """An element that may be anything within the contract."""
    return [Interval(0, limb) for limb in highest(generated)]


def used_calls() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every (function, literal arguments) that the kernels call in `field`, read from their sources."""
    found = set()
    for path in Path(supervm.kernels.cpu.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="fe"), attr=name)) if name in SHAPES:
                    found.add((name, tuple(_literals(node.args))))
    yield from sorted(found)


def _literals(args: list[ast.expr]) -> Iterator[int]:
    for arg in args:
        match arg:
            case ast.Constant(value=int(value)):
                yield value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
                yield -value


SHAPES: dict[str, Any] = {
    "mul": lambda: (["ab"], [(1, [])]),
    "sqr": lambda: (["aa"], [(1, [])]),
    "mul_scaled": lambda k: (["ab"], [(k, [])]),
    "sqr_scaled": lambda k: (["aa"], [(k, [])]),
    "mul_add": lambda k, kc: (["ab"], [(k, [(kc, "c")])]),
    "sqr_add": lambda k, kc: (["aa"], [(k, [(kc, "c")])]),
    "sqr_add_two": lambda kc, kd: (["aa"], [(1, [(kc, "c"), (kd, "d")])]),
    "mul_two": lambda: (["ab", "cd"], [(1, [])]),
    "add": lambda: ([], [(0, [(1, "a"), (1, "b")])]),
    "sub": lambda: ([], [(0, [(1, "a"), (-1, "b")])]),
    "equal": lambda: ([], [(0, [(1, "a"), (-1, "b")])]),
    "linear": lambda ka, kb: ([], [(0, [(ka, "a"), (kb, "b")])]),
    "scale": lambda k: ([], [(0, [(k, "a")])]),
}
"""Of each function: the pairs of factors, and the sums as (coefficient of the product, [(coefficient, element)])."""

Shape = tuple[list[str], list[tuple[int, list[tuple[int, str]]]]]


def run(generated: Any, builder: Standin, shape: Shape, elements: dict[str, list[Any]]) -> list[list[Any]]:
    """The generator's results for a shape."""
    pairs, sums = shape
    e = Emitter(builder, generated.lanes)  # type: ignore[arg-type]
    terms = [(k, [(kc, elements[letter]) for kc, letter in named]) for k, named in sums]
    if not pairs:
        return [generated.linear(e, named) for _, named in terms]
    return generated.products(e, [(elements[a], elements[b]) for a, b in pairs], terms)


def check_contract(generated: Any, limbs: list[Any]) -> None:
    for index, (limb, bound) in enumerate(zip(limbs, highest(generated), strict=True)):
        assert limb.lo >= 0, f"limb {index} may be negative"
        assert limb.hi <= bound, f"limb {index} may be {limb.hi:#x}, above {bound:#x}"


USED = list(used_calls())
DOCUMENTED: list[Shape] = [
    (pairs, [(k, [(kc, "c")] if kc else [])])
    for pairs in (["ab"], ["aa"], ["ab", "cd"], ["aa", "cd"])
    for k, kc in itertools.product((*range(1, 9), -1), (-8, 0, 8))
] + [
    ([], [(0, terms)])
    for terms in ([(255, "a")], [(-255, "a")], [(127, "a"), (-128, "b")], [(3, "a"), (-7, "b")])
]


def test_the_kernels_calls_are_found():
    assert {name for name, _ in USED} >= set(SHAPES) - {"linear"}
    assert ("mul_add", (1, -1)) in USED


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", FOLDING)
class TestFolding:
    """Moduli 2^k − c: a fixed point, by intervals alone."""

    @pytest.mark.parametrize("call", USED, ids=lambda call: f"{call[0]}{call[1]}")
    def test_used_operations_keep_the_contract(self, name, kind, call):
        self._keeps(name, kind, SHAPES[call[0]](*call[1]))

    def test_documented_operations_keep_the_contract(self, name, kind):
        for shape in DOCUMENTED:
            self._keeps(name, kind, shape)

    def _keeps(self, name: str, kind: str, shape: Shape) -> None:
        generated = code(name, kind)
        builder = standin(generated)
        elements = {letter: widest(generated) for letter in "abcd"}
        for limbs in run(generated, builder, shape, elements):
            check_contract(generated, limbs)
        assert builder.lost() == 0

    def test_the_contract_is_below_twice_the_modulus(self, name, kind):
        generated = code(name, kind)
        assert sum(limb << (52 * i) for i, limb in enumerate(highest(generated))) < 2 * generated.spec.modulus

    def test_words(self, name, kind):
        """Any four words are accepted; canonical limbs are carried, and only a multiple of 2^k is dropped."""
        generated = code(name, kind)
        builder = standin(generated)
        e = Emitter(builder, generated.lanes)
        check_contract(generated, generated.from_words(e, [Interval(0, (1 << 64) - 1) for _ in range(4)]))
        builder = standin(generated)
        limbs = generated.canonical(Emitter(builder, generated.lanes), widest(generated))
        assert [limb.hi for limb in limbs[:4]] == [(1 << 52) - 1] * 4
        assert limbs[4].hi == (1 << generated.top) - 1
        assert sum(bits not in value.shifts for value, bits in builder.masked) == 1  # what `reached` found
        assert len(generated.to_words(e, widest(generated))) == 4


@pytest.mark.parametrize("name", MONTGOMERY)
class TestMontgomery:
    """Other moduli: no word overflows; that values stay below 2p (lanes) or p (one lane) is integer arithmetic."""

    @pytest.mark.parametrize("call", USED, ids=lambda call: f"{call[0]}{call[1]}")
    def test_lanes_never_overflow(self, name, call):
        generated = code(name, "lanes")
        builder = standin(generated)
        elements = {letter: widest(generated) for letter in "abcd"}
        for limbs in run(generated, builder, SHAPES[call[0]](*call[1]), elements):
            assert all((limb.lo, limb.hi) == (0, (1 << 52) - 1) for limb in limbs[:-1])
        assert builder.lost() == 0

    @pytest.mark.parametrize(
        "pairs", [["ab", "cd"], ["ab", "cc"], ["aa", "cc"], ["ab"] * 17, ["aa"] * 16 + ["bc"]]
    )
    def test_sums_of_products_never_overflow(self, name, pairs):
        generated = code(name, "lanes")
        builder = standin(generated)
        elements = {letter: widest(generated) for letter in "abcd"}
        (limbs,) = run(generated, builder, (pairs, [(1, [])]), elements)
        assert all((limb.lo, limb.hi) == (0, (1 << 52) - 1) for limb in limbs[:-1])
        assert builder.lost() == 0

    def test_one_lane_never_overflows(self, name, monkeypatch):
        """The columns of a product and the wide sums, up to the comparison that reduces."""
        generated = code(name, "word")
        seen = []

        def reduced(e: Emitter, whole: Any) -> list[Interval]:
            seen.append(whole)
            assert whole.lo >= 0
            assert whole.hi < 1 << (64 * (generated.limbs + 1) - 1)
            return widest(generated)

        monkeypatch.setattr(generated, "_reduce_once", reduced)
        a, b = widest(generated), widest(generated)
        words = [
            Interval(0, (1 << 64) - 1) for _ in range(generated.limbs)
        ]  # as `from_words` multiplies them
        e = Emitter(standin(generated), generated.lanes)
        for count in range(1, min(generated.at_once, 8) + 1):
            generated._product_one(e, [(a, b)] * count)
        generated._product_one(e, [(a, words)])
        generated._add(e, a, b)
        assert len(seen) == min(generated.at_once, 8) + 2

    def test_values_stay_in_range(self, name):
        p = FIELDS[name].modulus
        lanes, word = code(name, "lanes"), code(name, "word")
        assert lanes.r > 4 * p
        for made, bound in (
            (lanes, 2 * p),
            (word, p),
        ):  # as many products of two elements as share a reduction
            assert made.at_once * bound * bound + p * (made.r - 1) < 2 * p * made.r
            assert made.at_once >= 1
        any_words = min(lanes.r, 1 << (64 * lanes.words))
        assert any_words * p + p * (lanes.r - 1) < 2 * p * lanes.r  # from_words: anything times R² mod p
        assert 2 * p + p * (lanes.r - 1) < (p + 1) * lanes.r  # to_words: p at most, so one subtraction
        assert word.r > p
        assert (word.r - 1) * p + p * (word.r - 1) < 2 * p * word.r  # one lane: anything times an element


# ---------------------------------------------------------------------------------------------------------
# The same code on single integers, against Python


def value_of(generated: Any, limbs: list[Any]) -> int:
    """The integer that limbs stand for, out of Montgomery form."""
    radix = 52 if isinstance(generated, CrandallField) else generated.radix
    raw = sum(limb.lo << (radix * index) for index, limb in enumerate(limbs))
    scale = 1 if isinstance(generated, CrandallField) else generated.spec.inverse(generated.r)
    return raw * scale % generated.spec.modulus


def raw_value(generated: Any, limbs: list[Any]) -> int:
    radix = 52 if isinstance(generated, CrandallField) else generated.radix
    return sum(limb.lo << (radix * index) for index, limb in enumerate(limbs))


def exact(limbs: Iterable[int]) -> list[Interval]:
    return [Interval(limb, limb) for limb in limbs]


def edge_elements(generated: Any) -> list[list[Interval]]:
    """Elements at the contract's edges: reduced or not, all limbs full, one limb full, carries that run through."""
    p = generated.spec.modulus
    radix = 52 if isinstance(generated, CrandallField) else generated.radix
    top = highest(generated)
    numbers = [0, 1, 2, p - 1, p - 2, p >> 1, (1 << radix) - 1, 1 << radix]
    if isinstance(generated, CrandallField):
        numbers += [p, p + 1, 1 << generated.spec.bits, (1 << generated.spec.bits) - 1]
    elif generated.lanes.width > 1:
        numbers += [p, p + 1, 2 * p - 2, 2 * p - 1]
    found = [_limbs(generated, number) for number in numbers]
    if isinstance(generated, CrandallField):
        found.append(exact(top))
        found += [exact(limb if i == j else 0 for i, limb in enumerate(top)) for j in range(5)]
    return found


def _limbs(generated: Any, number: int) -> list[Interval]:
    radix = 52 if isinstance(generated, CrandallField) else generated.radix
    return exact((number >> (radix * index)) % (1 << radix) for index in range(generated.limbs))


def random_element(generated: Any, source: random.Random) -> list[Interval]:
    if isinstance(generated, CrandallField):
        return exact(source.choice((limb, source.randint(0, limb))) for limb in highest(generated))
    bound = generated.spec.modulus * (2 if generated.lanes.width > 1 else 1)
    return _limbs(generated, source.randrange(bound))


def check_element(generated: Any, limbs: list[Any]) -> None:
    """A result keeps the contract, and is below its bound as a number."""
    p = generated.spec.modulus
    assert raw_value(generated, limbs) < (
        2 * p if isinstance(generated, CrandallField) or generated.lanes.width > 1 else p
    )
    check_contract(generated, limbs)


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", FIELDS)
class TestExact:
    def test_operations(self, name, kind):
        generated = code(name, kind)
        p = generated.spec.modulus
        source = random.Random(f"{name} {kind}")
        edges = edge_elements(generated)
        for call, literals in USED:
            shape = SHAPES[call](*literals)
            for turn in range(8):
                elements = {
                    letter: list(source.choice(edges)) if turn % 4 else random_element(generated, source)
                    for letter in "abcd"
                }
                values = {letter: value_of(generated, limbs) for letter, limbs in elements.items()}
                results = run(generated, standin(generated), shape, elements)
                product = sum(values[a] * values[b] for a, b in shape[0])
                for limbs, (k, terms) in zip(results, shape[1], strict=True):
                    check_element(generated, limbs)
                    expected = k * product + sum(kc * values[letter] for kc, letter in terms)
                    assert value_of(generated, limbs) == expected % p, (call, literals, values)

    def test_sums_of_products(self, name, kind):
        generated = code(name, kind)
        source = random.Random(f"{name} {kind} sums")
        edges = edge_elements(generated)
        for count in (1, 2, 3, 17) if name in MONTGOMERY else (1, 2):
            for turn in range(6):
                letters = [chr(ord("a") + index) for index in range(2 * count)]
                elements = {
                    letter: list(source.choice(edges)) if turn % 2 else random_element(generated, source)
                    for letter in letters
                }
                pairs = [
                    letters[index] * 2 if index % 5 == 4 else letters[index] + letters[-1 - index]
                    for index in range(count)
                ]
                (result,) = run(generated, standin(generated), (pairs, [(1, [])]), elements)
                check_element(generated, result)
                values = {letter: value_of(generated, limbs) for letter, limbs in elements.items()}
                expected = sum(values[a] * values[b] for a, b in pairs)
                assert value_of(generated, result) == expected % generated.spec.modulus

    def test_lazy_sums(self, name, kind):
        """The value is the sum's, in carried limbs; with lanes in Montgomery form it is not reduced."""
        generated = code(name, kind)
        p = generated.spec.modulus
        source = random.Random(f"{name} {kind} lazy")
        edges = edge_elements(generated)
        for turn in range(40):
            a, b = (
                list(source.choice(edges)) if turn % 2 else random_element(generated, source) for _ in "ab"
            )
            for (ka, kb), multiple in (((1, -1), 2), ((1, 1), 0), ((1, -2), 4)):
                if name == "secp256k1.fn" and multiple > 2:
                    continue  # R has no room for it
                e = Emitter(standin(generated), generated.lanes)
                result = generated.lazy(e, [(ka, a), (kb, b)], multiple)
                expected = ka * value_of(generated, a) + kb * value_of(generated, b)
                assert value_of(generated, result) == expected % p
                if name in MONTGOMERY and kind == "lanes":
                    raw = ka * raw_value(generated, a) + kb * raw_value(generated, b) + multiple * p
                    assert raw_value(generated, result) == raw
                    assert all(0 <= limb.lo <= (1 << 52) - 1 for limb in result)

    def test_two_squares(self, name, kind):
        """Two pairs where the second one, or both, are the same object twice."""
        generated = code(name, kind)
        source = random.Random(name)
        elements = {letter: random_element(generated, source) for letter in "abc"}
        a, b, c = (value_of(generated, elements[letter]) for letter in "abc")
        for pairs, expected in ((["ab", "cc"], a * b + c * c), (["aa", "cc"], a * a + c * c)):
            (result,) = run(generated, standin(generated), (pairs, [(1, [])]), elements)
            check_element(generated, result)
            assert value_of(generated, result) == expected % generated.spec.modulus

    def test_squares_of_every_edge(self, name, kind):
        generated = code(name, kind)
        for limbs in edge_elements(generated):
            (result,) = run(generated, standin(generated), SHAPES["sqr"](), {"a": limbs})
            check_element(generated, result)
            assert value_of(generated, result) == value_of(generated, limbs) ** 2 % generated.spec.modulus

    def test_words(self, name, kind):
        """from_words takes any words; to_words and canonical give the one value below p."""
        generated = code(name, kind)
        p, count = generated.spec.modulus, -(-generated.spec.bits // 64)
        source = random.Random(name)
        limit = 1 << (64 * count)
        for number in (
            0,
            1,
            p - 1,
            p,
            p + 1,
            min(2 * p - 1, limit - 1),
            limit - 1,
            limit - p,
            source.randrange(limit),
        ):
            e = Emitter(standin(generated), generated.lanes)
            words = exact((number >> (64 * index)) % (1 << 64) for index in range(count))
            element = generated.from_words(e, words)
            check_element(generated, element)
            assert value_of(generated, element) == number % p
            back = generated.to_words(e, element)
            assert sum(word.lo << (64 * index) for index, word in enumerate(back)) == number % p
        for limbs in edge_elements(generated):
            e = Emitter(standin(generated), generated.lanes)
            canonical = generated.canonical(e, limbs)
            assert raw_value(generated, canonical) == raw_value(generated, limbs) % p
            back = generated.to_words(e, limbs)
            assert sum(word.lo << (64 * i) for i, word in enumerate(back)) == value_of(generated, limbs)

    def test_constants(self, name, kind):
        generated = code(name, kind)
        p = generated.spec.modulus
        for number in (0, 1, -1, p - 1, p, p + 7, 1 << 256):
            limbs = exact(generated.represent(number))
            check_element(generated, limbs)
            assert value_of(generated, limbs) == number % p


@pytest.mark.parametrize("kind", WIDTHS)
def test_multiply_high(kind):
    """Four words times a constant of 256 bits, rounded down after a shift: what the scalar split builds on."""
    lanes = code("secp256k1.fn", kind).lanes
    source = random.Random(5)
    for factor in (1, (1 << 256) - 1, source.getrandbits(256), source.getrandbits(255)):
        for number in (0, 1, (1 << 255) - 1, (1 << 255), source.getrandbits(256), source.getrandbits(256)):
            number = min(number, ((1 << 512) - (1 << 383)) // factor - 1)
            words = exact((number >> (64 * index)) % (1 << 64) for index in range(4))
            high = Emitter(Standin(), lanes).multiply_high(words, factor, shift=384)
            wanted = ((number * factor + (1 << 383)) >> 384) % (1 << 128)
            assert high[0].lo + (high[1].lo << 64) == wanted


class TestTheStandin:
    """The proof is worth what its builder refuses."""

    def test_overflow(self):
        with pytest.raises(BoundError, match="sum"):
            Standin().add(Interval(0, (1 << 64) - 1), Interval(0, 1))
        with pytest.raises(BoundError, match="sum"):
            Standin(signed=True).add(Interval(0, (1 << 63) - 1), Interval(0, 1))
        with pytest.raises(BoundError, match="product"):
            Standin().mul(Interval(0, 1 << 32), Interval(0, 1 << 32))

    def test_negative(self):
        with pytest.raises(BoundError, match="difference"):
            Standin().sub(Interval(0, 5), Interval(0, 1))

    def test_multiplier(self):
        madd = "llvm.x86.avx512.vpmadd52l.uq.512"
        wide, zero = Interval(0, 1 << 52), Interval(0, 0)
        with pytest.raises(BoundError, match="multiplier"):
            Standin().call(madd, [zero, wide, Interval(0, 3)])
        builder = Standin()
        builder.lshr(wide, Interval(52, 52))
        builder.call(madd, [zero, wide, Interval(0, 3)])
        assert builder.lost() == 1  # the high half of the product is missing

    def test_lost_bits(self):
        builder = Standin()
        value = Interval(0, 1 << 60)
        builder.and_(value, Interval((1 << 52) - 1, (1 << 52) - 1))
        assert builder.lost() == 1
        builder.lshr(value, Interval(52, 52))
        assert builder.lost() == 0
        wide = Interval(0, 1 << 70, 128)
        builder.add(builder.trunc(wide, ir.IntType(64)), Interval(0, 0))
        assert builder.lost() == 1
        builder.lshr(wide, Interval(64, 64))
        assert builder.lost() == 0
