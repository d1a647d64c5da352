# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on points of G1 and G2 as programs for a GPU."""

from __future__ import annotations

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cuda.constants import fixed_base, groups
from supervm.kernels.cuda.runtime.batch import ItemProgram, Launch
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.point_checks import SUBGROUP
from supervm.kernels.spec import GroupSpec

GROUPS: dict[str, GroupSpec] = {spec.name: spec for spec in (bn254.G1, bn254.G2, bls12_381.G1, bls12_381.G2)}
_SUMS = {name: Program("group_sums", groups.sums(spec)) for name, spec in GROUPS.items()}
_DECODE = {name: Program("group_decode", groups.decoding(spec)) for name, spec in GROUPS.items()}


def _affine(name: str, kernel: str, inputs: tuple[str, ...], *arguments: str) -> ItemProgram:
    """Points that a kernel leaves in XYZZ coordinates, made affine."""
    program = _SUMS[name]
    return ItemProgram(
        inputs=inputs,
        outputs=("points", "verdicts"),
        scratch={"sums": 32 * GROUPS[name].field.words},
        launches=(
            Launch(program, kernel, (*arguments, "sums", "verdicts")),
            Launch(program, "group_affine", ("sums", "points"), fixed_base.GROUP),
        ),
    )


def _decoding(name: str) -> tuple[Launch, Launch]:
    decoded = ("rows", "lifted", "flags", "compressed", "check", "points", "verdicts")
    return (
        Launch(_DECODE[name], "group_lift", ("rows", "flags", "compressed", "lifted")),
        Launch(_DECODE[name], "group_decode", decoded),
    )


def _decode(name: str) -> ItemProgram:
    return ItemProgram(
        inputs=("rows", "flags"),
        options=("compressed", "check"),
        outputs=("points", "verdicts"),
        scratch={"lifted": 16 * GROUPS[name].field.words},
        launches=_decoding(name),
    )


def _from_bytes(name: str) -> ItemProgram:
    """`_decode` of rows that are bytes yet; the options before `compressed` are an encoding's (`group_decode.cu`)."""
    options = ("little", "imaginary_first", "padding", "kind", "compressed")
    read = ("data", "data.width", *options, "rows", "flags")
    row = 16 * GROUPS[name].field.words
    return ItemProgram(
        inputs=("data",),
        options=(*options, "check"),
        outputs=("points", "verdicts"),
        scratch={"rows": row, "flags": 1, "lifted": row},
        launches=(Launch(_DECODE[name], "group_read", read), *_decoding(name)),
    )


def _from_words(name: str) -> ItemProgram:
    """`_decode` of rows that say by themselves whether they are infinity."""
    decoded = ("rows", "rows", "flags", 0, "check", "points", "verdicts")
    return ItemProgram(
        inputs=("rows",),
        options=("check",),
        outputs=("points", "verdicts"),
        scratch={"flags": 1},
        launches=(
            Launch(_DECODE[name], "group_flags", ("rows", "flags")),
            Launch(_DECODE[name], "group_decode", decoded),
        ),
    )


def _subgroup(name: str) -> ItemProgram:
    program = _DECODE[name]
    decoded = ("rows", "rows", "flags", 0, SUBGROUP, "points", "verdicts")
    return ItemProgram(
        inputs=("rows",),
        outputs=("verdicts",),
        scratch={"flags": 1, "points": 16 * GROUPS[name].field.words},
        launches=(
            Launch(program, "group_flags", ("rows", "flags")),
            Launch(program, "group_decode", decoded),
        ),
    )


def _operations(name: str) -> dict[str, ItemProgram]:
    """The operations of `group_operations` on points of one group."""
    columns = ("rows", "rows.width")
    return {
        f"{name}.decode": _decode(name),
        f"{name}.subgroup": _subgroup(name),
        f"{name}.add": _affine(name, "group_add", ("first", "second"), "first", "second"),
        f"{name}.multiply": _affine(name, "group_multiply", ("given", "scalars"), "given", "scalars"),
        f"{name}.normalise": _affine(name, "group_coordinates", ("rows",), *columns),
    }


OPERATIONS: dict[str, ItemProgram] = {
    operation: program for name in GROUPS for operation, program in _operations(name).items()
}
"""Every operation in the registry."""

FROM_BYTES = {name: _from_bytes(name) for name in GROUPS}
"""What decodes bytes that lie on a GPU, by group."""

FROM_WORDS = {name: _from_words(name) for name in GROUPS}
"""What checks points that lie on a GPU, by group."""

PROGRAMS: dict[str, Program] = {
    **{f"{name}.sums": program for name, program in _SUMS.items()},
    **{f"{name}.decode": program for name, program in _DECODE.items()},
}
"""What is compiled, by a name of its own."""
