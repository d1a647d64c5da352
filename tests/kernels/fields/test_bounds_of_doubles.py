# SPDX-License-Identifier: GPL-3.0-or-later
"""The field code generators on doubles, run on intervals: only what should round does, every result keeps the contract.

As in `test_bounds`, a stand-in takes the place of the LLVM builder (`double_intervals`). In Montgomery form the highest limb
of a result follows from what the number may be, which is integer arithmetic (`double_proofs`).
"""

from __future__ import annotations

import importlib.util
import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from double_intervals import Word, double
from double_proofs import (
    Proof,
    chosen,
    edges,
    extreme,
    joined,
    raw,
    reals,
    size,
    unsigned,
    value,
    words_of,
)
from interval_builder import BoundError

from supervm.kernels.cpu.fields.crandall_doubles import CrandallLong
from supervm.kernels.cpu.fields.doubles import (
    SPAN,
    Column,
    Doubles,
    DoublesField,
)
from supervm.kernels.cpu.fields.montgomery_doubles import IN_DOUBLES, MontgomeryDoubles
from supervm.kernels.cpu.fields.wide_codegen import LARGEST_SUM, Alternating, WideDoubles
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.ntt import passes, shoup

_spec = importlib.util.spec_from_file_location("bounds", Path(__file__).with_name("test_bounds.py"))
assert _spec
assert _spec.loader
integers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(integers)
FOLDING, MONTGOMERY, FIELDS = integers.FOLDING, integers.MONTGOMERY, integers.FIELDS
SHAPES, USED, DOCUMENTED, run = integers.SHAPES, integers.USED, integers.DOCUMENTED, integers.run

LAZY = [((1, "a"), (-1, "b")), ((1, "a"), (1, "b"))]

EVERY_SHAPE = [SHAPES[call](*literals) for call, literals in USED] + DOCUMENTED


@pytest.fixture(autouse=True)
def _constants_are_made_once(monkeypatch):
    """They are half of the time that the generators take."""
    for owner in (Doubles, Emitter):
        monkeypatch.setattr(owner, "constant", _once(owner.constant))


def _once(make: Any) -> Any:
    made: dict[Any, Any] = {}

    def constant(self: Any, x: Any) -> Any:
        return made[x] if x in made else made.setdefault(x, make(self, x))

    return constant


# ---------------------------------------------------------------------------------------------------------
# On intervals


@pytest.mark.parametrize("name", FIELDS)
class TestBounds:
    def test_operations_keep_the_contract(self, name):
        proof = Proof(FIELDS[name])
        for shape in EVERY_SHAPE:
            elements = {letter: proof.element() for letter in "abcd"}
            for limbs in run(proof.code, proof.builder, shape, elements):
                proof.check(limbs)
        assert proof.builder.largest_column < 1 << SPAN
        assert all(size <= 1 << k for k, size in proof.builder.largest_products.items())

    def test_sums_of_any_weight(self, name):
        proof = Proof(FIELDS[name])
        for ka, kb in itertools.product(range(-8, 9), range(-8, 9)):
            proof.check(proof.code.linear(proof.e, [(ka or 9, proof.element()), (kb or 9, proof.element())]))
            proof.check(proof.code.linear(proof.e, [(ka or 9, proof.element())]))

    @pytest.mark.parametrize("pairs", [["ab", "cc"], ["aa", "bb"], ["ab"] * 17, ["aa"] * 16 + ["bc"]])
    def test_sums_of_products(self, name, pairs):
        if name in FOLDING and len(pairs) > 2:
            pytest.skip("at most two pairs where a modulus folds")
        proof = Proof(FIELDS[name])
        elements = {letter: proof.element() for letter in "abc"}
        proof.check(run(proof.code, proof.builder, (pairs, [(1, [])]), elements)[0])

    def test_lazy_sums_are_factors(self, name):
        """One beside an element; where R has room two of up to 16p, of sums of sums."""
        proof = Proof(FIELDS[name])
        code, e = proof.code, proof.e
        elements = {letter: proof.element() for letter in "abc"}
        for terms in LAZY:
            lazy = code.lazy(e, [(k, elements[letter]) for k, letter in terms], 2)
            for k, kc in ((1, -1), (8, 8), (-1, -8)):
                proof.check(code.products(e, [(lazy, elements["c"])], [(k, [(kc, elements["c"])])])[0])
        if not isinstance(code, MontgomeryDoubles) or not code.roomy:
            return
        for k in (1, -1, 2, 3, 4, 8, 16):
            large = code.lazy(e, [(k, elements["a"])], 0)
            larger = code.lazy(e, [(1, large), (-1, large)], 0)
            larger = code.lazy(e, [(2, large), (1, larger)], 0)
            assert all(
                size(limb) <= bound for limb, bound in zip(reals(larger)[:-1], code.bounds, strict=False)
            )
            for factors in ([(large, larger)], [(larger, larger)], [(large, large), (larger, elements["b"])]):
                proof.check(code.products(e, factors * 3, [(1, [])])[0])

    def test_words(self, name):
        proof = Proof(FIELDS[name])
        code, e = proof.code, proof.e
        proof.check(code.from_words(e, [unsigned() for _ in range(code.words)]))
        words = [unsigned() for _ in range(code.words)]
        if name in MONTGOMERY:
            words[-1] = Word(0, min(2 * proof.p - 1 >> 64 * (code.words - 1), (1 << 64) - 1))
        limbs = code.unpacked(e, words)
        proof.check(proof.settled(limbs, proof.p) if name in MONTGOMERY else limbs)
        limbs = code.canonical(e, proof.element())
        assert all(
            (limb.lo, limb.hi) == (0, (1 << width) - 1)
            for limb, width in zip(limbs[:-1], code.widths, strict=False)
        )
        if name in MONTGOMERY:
            code._not_negative(e, proof.element())  # `packed` without joining
            code.canonical(e, code._product(e, [(proof.element(), code._constants(e, 1))]))  # `to_words`
            assert proof.builder.lost() == 0
        else:
            assert limbs[-1].hi == (1 << code.widths[-1]) - 1
            assert proof.builder.lost() == 1  # what `reached` found
        limbs = [unsigned(width) for width in code.widths]
        limbs[-1] = unsigned(code.spec.bits - code.places[-1])
        code.joined(e, limbs)


@pytest.mark.parametrize("name", MONTGOMERY)
def test_numbers_in_montgomery_form(name):
    """In magnitude: an element is p at most, what `nearest` gives little more than p/2."""
    proof = Proof(FIELDS[name])
    code, p, r = proof.code, proof.p, proof.code.r
    assert r > 2 * p
    assert code.settled_at_once <= code.at_once <= 64
    for count in range(1, code.at_once + 1):
        most = p if count <= code.settled_at_once else 2 * p
        assert count * p * p + (p * r >> 1) + (p * r >> 41) <= most * r
        assert proof.reduced_sum(count * p * p) <= most
        assert most >> code.places[-1] < 1 << 51  # what the last limb has room for
    d = Doubles(proof.e)
    total = code.total(d, [(IN_DOUBLES, proof.element())])
    nearest = code.nearest(proof.e, [d.bits(limb) for limb in total])
    assert proof.number(nearest) << 21 <= p * ((1 << 20) + 1)


class Transform:
    """Stands for `fe` and `shoup` in the levels of a transform: elements on intervals."""

    def __init__(self, name: str) -> None:
        self.proof = Proof(FIELDS[name])
        self.code, self.e = self.proof.code, self.proof.e
        self.factor = self.proof.element(self.proof.p // 2 + (self.proof.p >> 21))
        self.most = {"number": 0, "product": 0}

    def seen(self, kind: str, limbs: list[Any]) -> list[Any]:
        self.most[kind] = max(self.most[kind], self.proof.number(limbs))
        return limbs

    def storage(self, field: Any) -> int:
        return 1

    def load(self, field: Any, scratch: list[Any], at: int) -> list[Any]:
        return scratch[at]

    def store(self, scratch: list[Any], at: int, value: list[Any]) -> None:
        scratch[at] = value

    def mul(self, a: list[Any], table: Any, row: int) -> list[Any]:
        return self.seen("product", shoup.multiply(self.e, self.code, a, self.factor))

    def add(self, a: list[Any], b: list[Any], multiple: int) -> list[Any]:
        return self.seen("number", shoup.combine(self.e, self.code, a, b, 1, multiple))

    def sub(self, a: list[Any], b: list[Any], multiple: int) -> list[Any]:
        return self.seen("number", shoup.combine(self.e, self.code, a, b, -1, multiple))

    def settle(self, a: list[Any]) -> list[Any]:
        return shoup.settled(self.e, self.code, a)


@pytest.mark.parametrize("name", ["bn254.fr", "bls12_381.fr"])
def test_transforms(name, monkeypatch):
    """The first levels leave numbers within 4p whose limbs are sums of four; two more levels leave them there.

    No number on the way passes 5.3p and no product 1.5p.
    """
    levels = Transform(name)
    proof = levels.proof
    monkeypatch.setattr(passes, "fe", levels)
    monkeypatch.setattr(passes, "shoup", levels)
    limits = [4 * bound for bound in proof.code.bounds[:-1]]
    starts = [[proof.element() for _ in range(1 << log)] for log in (1, 2)]
    passes._first_level.py_func(None, starts[0], 2)
    passes._first_levels.py_func(None, starts[1], 4, None)
    loose = [double(-limit, limit) for limit in [*limits, 1 << 52]]
    proof.numbers[loose[-1].real] = 4 * proof.p
    later = [proof.settled(loose, 4 * proof.p) for _ in range(4)]
    passes._two_levels.py_func(None, later, 4, 1, 0, None)
    for limbs in (*starts[0], *starts[1], *later):
        assert proof.number(limbs) <= 4 * proof.p
        assert all(size(limb) <= limit for limb, limit in zip(reals(limbs), limits, strict=False))
        proof.check(shoup.reduced(levels.e, levels.code, limbs))
    assert 10 * levels.most["number"] <= 53 * proof.p
    assert 2 * levels.most["product"] <= 3 * proof.p


@pytest.mark.parametrize("name", ["bn254.fr", "bls12_381.fr"])
def test_wide_sums(name):
    """As many products as a sum may have, of elements within p/2 and constants, and the constant that it begins with."""
    proof = Proof(FIELDS[name])
    code, p = proof.code, proof.p
    wide, e = WideDoubles(code), Alternating(proof.builder, code.lanes)  # type: ignore[arg-type]
    element = proof.element(p // 2 + (p >> 21))
    bound = proof.reduced_sum(LARGEST_SUM * proof.number(element) ** 2 + (p * code.r >> 1))
    grouped = [(limb,) * e.count for limb in element]
    columns = wide.begin(e, grouped)
    for _ in range(LARGEST_SUM):
        columns = wide.gather(e, columns, grouped, grouped)
    assert max(abs(end) for column in columns for end in _turned(column[0])) < 1 << 58
    settled = code._settled

    def within(d: Doubles, last: list[Column]) -> list[Any]:
        """The highest column is what the number allows, and 2^7 that stand in the others; 2^51 is R, and fits."""
        assert bound < code.r
        top = (bound >> code.places[-1]) + (1 << 8)
        last[-1] = Column(d.e)
        last[-1].add(Word(-top, top), 0)
        return proof.settled(settled(d, last), bound)

    code._settled = within
    result = [limb[0] for limb in wide.reduce(e, columns)]
    assert proof.number(result) <= (p + (p >> 40) if code.roomy else p)
    assert all(size(limb) <= allowed for limb, allowed in zip(reals(result), code.bounds, strict=True))


def _turned(word: Word) -> tuple[int, int]:
    turns = ((word.lo + word.hi) // 2 + (1 << 63)) >> 64 << 64
    return word.lo - turns, word.hi - turns


# ---------------------------------------------------------------------------------------------------------
# On single numbers, against Python


@pytest.mark.parametrize("name", FIELDS)
class TestExact:
    def test_operations(self, name):
        proof, source = Proof(FIELDS[name]), random.Random(name)
        code, known = proof.code, edges(proof.code)
        for shape in EVERY_SHAPE:
            elements = {letter: chosen(code, source, known) for letter in "abcd"}
            values = {letter: value(code, limbs) for letter, limbs in elements.items()}
            product = sum(values[a] * values[b] for a, b in shape[0])
            for limbs, (k, terms) in zip(run(code, proof.builder, shape, elements), shape[1], strict=True):
                proof.check(limbs)
                expected = k * product + sum(kc * values[letter] for kc, letter in terms)
                assert value(code, limbs) == expected % proof.p, (shape, values)

    def test_extreme_products(self, name):
        proof, source = Proof(FIELDS[name]), random.Random(name)
        code = proof.code
        known = extreme(code)
        for index, a in enumerate(known):
            b = source.choice(known) if index % 2 else a
            (limbs,) = code.products(proof.e, [(a, b)], [(1, [])])
            proof.check(limbs)
            assert value(code, limbs) == value(code, a) * value(code, b) % proof.p

    def test_lazy_sums(self, name):
        proof, source = Proof(FIELDS[name]), random.Random(name)
        code, e, known = proof.code, proof.e, edges(proof.code)
        for terms, _ in itertools.product(LAZY, range(20)):
            elements = {letter: chosen(code, source, known) for letter in "abc"}
            lazy = code.lazy(e, [(k, elements[letter]) for k, letter in terms], 2)
            expected = sum(k * value(code, elements[letter]) for k, letter in terms)
            assert value(code, lazy) == expected % proof.p
            (limbs,) = code.products(e, [(lazy, elements["c"])], [(1, [])])
            proof.check(limbs)
            assert value(code, limbs) == expected * value(code, elements["c"]) % proof.p

    def test_words(self, name):
        """from_words takes any words; to_words, canonical and packed give the numbers that they say."""
        proof, source = Proof(FIELDS[name]), random.Random(name)
        code, e, p = proof.code, proof.e, proof.p
        count, limit = code.words, 1 << (64 * code.words)
        form = (lambda number: number * code.r % p) if name in MONTGOMERY else (lambda number: number % p)
        for number in (
            0,
            1,
            p - 1,
            p,
            p + 1,
            min(2 * p, limit) - 1,
            limit - 1,
            limit - p,
            source.randrange(limit),
        ):
            proof.builder.masked.clear()  # where a modulus folds, `canonical` drops a multiple of 2^k
            element = code.from_words(e, words_of(number, count))
            proof.check(element)
            assert value(code, element) == number % p
            assert joined(code.to_words(e, element)) == number % p
            assert joined(code.canonical_words(e, element)) == form(number)
            if number < 2 * p:
                proof.builder.masked.clear()
                element = code.unpacked(e, words_of(number, count))
                proof.check(element)
                assert raw(code, element) % p == number % p
        known = edges(code)
        for limbs in known if len(known) < 60 else source.sample(known, 40):
            whole = code.canonical(e, limbs)
            assert (
                sum(limb.lo << place for limb, place in zip(whole, code.places, strict=True))
                == raw(code, limbs) % p
            )
            assert joined(code.to_words(e, limbs)) == value(code, limbs)
            packed = joined(code.packed(e, limbs))
            proof.builder.masked.clear()
            assert packed % p == raw(code, limbs) % p
            assert packed <= p
            again = code.unpacked(e, words_of(packed, count))
            proof.check(again)
            assert value(code, again) == value(code, limbs)

    def test_constants(self, name):
        proof = Proof(FIELDS[name])
        for number in (0, 1, -1, proof.p - 1, proof.p >> 1, proof.p, proof.p + 7, 1 << 256):
            limbs = [proof.e.constant(bits) for bits in proof.code.represent(number)]
            proof.check(limbs)
            assert value(proof.code, limbs) == number % proof.p
            assert 2 * abs(raw(proof.code, limbs)) <= proof.p

    def test_nearest_and_carried(self, name):
        if name in FOLDING:
            pytest.skip("of Montgomery form")
        proof, source = Proof(FIELDS[name]), random.Random(name)
        code, e, known = proof.code, proof.e, edges(proof.code)
        for _ in range(20):
            d = Doubles(e)
            terms = [
                (source.choice((1, -1)), chosen(code, source, known)) for _ in range(source.randint(1, 7))
            ]
            total = [d.bits(limb) for limb in code.total(d, terms)]
            for made in (code.nearest(e, total), code.carried(e, total)):
                assert (raw(code, made) - raw(code, total)) % proof.p == 0
            assert abs(raw(code, code.nearest(e, total))) << 21 <= proof.p * ((1 << 20) + 1)
            assert raw(code, code.carried(e, total)) == raw(code, total)


# ---------------------------------------------------------------------------------------------------------
# The proof is worth what its builder refuses


class TestWrongBoundsAreNoticed:
    def test_terms_of_a_wide_limb(self, monkeypatch):
        monkeypatch.setattr(CrandallLong, "add_terms", DoublesField.add_terms)
        proof = Proof(FIELDS["secp256k1.fp"])
        a, c = proof.element(), proof.element()
        with pytest.raises(BoundError, match="binade"):
            proof.code.products(proof.e, [(a, a)], [(1, [(1, c)])])

    def test_a_wide_product_that_is_split_as_others(self, monkeypatch):
        monkeypatch.setattr(CrandallLong, "split_wide", DoublesField.split_product)
        proof = Proof(FIELDS["secp256k1.fp"])
        with pytest.raises(BoundError, match="binade"):
            proof.code.products(proof.e, [(proof.element(), proof.element())], [(1, [])])

    def test_a_sum_of_three_as_a_factor(self, monkeypatch):
        proof = Proof(FIELDS["curve25519.fp"])
        d, a = Doubles(proof.e), proof.element()
        five = [d.bits(limb) for limb in proof.code.total(d, [(5, a)])]
        with pytest.raises(BoundError, match="binade"):
            proof.code.products(proof.e, [(five, a)], [(1, [])])

    def test_columns_that_leave_their_span(self):
        proof = Proof(FIELDS["curve25519.fp"])
        a = proof.element()
        with pytest.raises(BoundError, match="word"):
            proof.code.products(proof.e, [(a, a)] * 9, [(8, [])])

    @pytest.mark.parametrize("name", ["curve25519.fp", "bn254.fp"])
    def test_a_smaller_contract(self, name, monkeypatch):
        monkeypatch.setattr(
            type(Proof(FIELDS[name]).code), "bounds", property(lambda code: [1 << 50] * code.limbs)
        )
        proof = Proof(FIELDS[name])
        a = proof.element()
        with pytest.raises(AssertionError, match="above"):
            proof.check(proof.code.products(proof.e, [(a, a)], [(1, [])])[0])
