# SPDX-License-Identifier: GPL-3.0-or-later
"""The last power of a pairing, as a schedule of the programs of `pairing_programs`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from supervm.kernels.pairing_programs import INVERT, SEGMENTS
from supervm.kernels.pairing_spec import PairingSpec


@dataclass
class Schedule:
    """Programs in order: (program, target, first, second). Element `first` goes to a and `second` to b before, and a to
    element `target` after it; −1 for none."""

    spec: PairingSpec
    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    elements: int = 1

    def new(self) -> int:
        """Room for another element; 0 is what the power is of, and what the result goes to."""
        self.elements += 1
        return self.elements - 1

    def run(self, name: str, first: int, second: int = -1) -> int:
        """A program's result as a new element."""
        target = self.new()
        self.rows.append((SEGMENTS.index(name), target, first, second))
        return target

    def product(self, *factors: int) -> int:
        """The product of elements."""
        total = factors[0]
        for factor in factors[1:]:
            total = self.run("multiply", total, factor)
        return total

    def powered(self, base: int) -> int:
        """base^t, for a base whose inverse is its conjugate."""
        inverse = self.run("conjugate", base)
        first = base
        for digit in self.spec.power:
            self.rows.append((SEGMENTS.index("cyclotomic_square"), -1, first, -1))
            first = -1
            if digit:
                self.rows.append((SEGMENTS.index("multiply"), -1, -1, base if digit > 0 else inverse))
        program, _, before, by = self.rows.pop()
        target = self.new()
        self.rows.append((program, target, before, by))
        return self.run("conjugate", target) if self.spec.parameter < 0 else target


@cache
def last_power(spec: PairingSpec) -> Schedule:
    """Element 0 to the power (p¹² − 1)/r, or three times that where the twist multiplies.

    The part p⁶ − 1 is an inversion, p² + 1 a power of Frobenius; what is left follows, in t, Scott and others (Pairing 2009)
    and Hayashida, Hayasaka, Teruya (eprint 2020/875), whose power is three times as high, as in other libraries.
    """
    s = Schedule(spec)
    s.rows += [(SEGMENTS.index("norm"), -1, 0, -1), (INVERT, -1, -1, -1)]
    f = s.run("divide", -1)
    f = s.product(s.run("frobenius_2", f), f)
    hard = _barreto_naehrig(s, f) if spec.divided else _barreto_lynn_scott(s, f)
    program, _, first, second = s.rows.pop()
    assert hard == s.elements - 1
    s.rows.append((program, 0, first, second))
    return s


def _barreto_lynn_scott(s: Schedule, f: int) -> int:
    """f^((t − 1)²·(t + p)·(t² + p² − 1) + 3)."""
    a = s.product(s.powered(f), s.run("conjugate", f))
    a = s.product(s.powered(a), s.run("conjugate", a))
    b = s.product(s.powered(a), s.run("frobenius_1", a))
    c = s.product(s.powered(s.powered(b)), s.run("frobenius_2", b), s.run("conjugate", b))
    return s.product(s.run("cyclotomic_square", f), f, c)


def _barreto_naehrig(s: Schedule, f: int) -> int:
    """f^((p⁴ − p² + 1)/r), by the vectorial addition chain of the paper's section 5."""
    u1 = s.powered(f)
    u2 = s.powered(u1)
    u3 = s.powered(u2)
    y0 = s.product(*(s.run(f"frobenius_{power}", f) for power in (1, 2, 3)))
    y1 = s.run("conjugate", f)
    y2 = s.run("frobenius_2", u2)
    y3 = s.run("conjugate", s.run("frobenius_1", u1))
    y4 = s.run("conjugate", s.product(u1, s.run("frobenius_1", u2)))
    y5 = s.run("conjugate", u2)
    y6 = s.run("conjugate", s.product(u3, s.run("frobenius_1", u3)))
    t0 = s.product(s.run("cyclotomic_square", y6), y4, y5)
    t1 = s.product(y3, y5, t0)
    t0 = s.product(t0, y2)
    t1 = s.run("cyclotomic_square", s.product(s.run("cyclotomic_square", t1), t0))
    t0 = s.run("cyclotomic_square", s.product(t1, y1))
    return s.product(t0, s.product(t1, y0))
