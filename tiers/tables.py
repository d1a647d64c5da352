# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that fit the terminal: nothing is cut, no line is longer than the width, text wraps at words.

A table has a frame where it fits. Where it does not, the frame goes first; then columns of text wrap more tightly; at
last the columns that find no place follow in a table of their own, below, which begins with the first column again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import HEAVY_HEAD, SIMPLE_HEAD, Box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from supervm.tiers.console import answers

NUMBER = "#"
"""Begins the name of a column of numbers: they stand to the right and are never broken."""

READABLE = 20
"""Columns of a terminal below which text is hard to read; a frame is not worth that."""


@dataclass(frozen=True)
class _Form:
    """How a table is drawn.

    Attributes:
        box: what Rich draws around and between.
        gap: spaces on the left and on the right of each column, beside the box's own characters.
        edges, between: what box and gaps take up, once and for each column; without edges there is one gap less.
        readable: whether columns of text have at least `READABLE`.
    """

    box: Box
    gap: tuple[int, int]
    edges: int
    between: int
    readable: bool

    def room(self, width: int, columns: int) -> int:
        """What is left for cells."""
        return width - self.edges - self.between * columns


_FRAMED = _Form(HEAVY_HEAD, (1, 1), 1, 3, True)
_OPEN = _Form(SIMPLE_HEAD, (0, 1), -2, 2, True)
_TIGHT = _Form(SIMPLE_HEAD, (0, 0), -1, 1, False)


@dataclass(frozen=True)
class FittedTable:
    """A table that is laid out when Rich draws it, for the width that there is then.

    Attributes:
        columns: names; those of columns of numbers begin with `NUMBER`.
        rows: cells in Rich's markup.
        title: above the table.
        total: a last row, set apart.
        framed: False where there is no need for a frame, however wide the terminal is.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    total: Sequence[str] | None = None
    framed: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.drawn(options.max_width)

    def drawn(self, width: int) -> list[Table]:
        """The rows as one table of at most `width` columns of the terminal, or as several where one is too wide."""
        rows = self.rows if self.total is None else [*self.rows, self.total]
        for form in (_FRAMED, _OPEN, _TIGHT)[not self.framed :]:
            widths = _fitted(form.room(width, len(self.columns)), self.columns, rows, form.readable)
            if widths:
                return [self._drawn(form, self.columns, rows, widths, self.title)]
        found: list[Table] = []
        for group in _groups(_TIGHT, width, self.columns, rows):
            names = [self.columns[place] for place in group]
            cells = [[row[place] for place in group] for row in rows]
            room = _TIGHT.room(width, len(group))
            widths = _fitted(room, names, cells, False) or [max(room // len(group), 1)] * len(group)
            found.append(self._drawn(_TIGHT, names, cells, widths, "" if found else self.title))
        return found

    def _drawn(
        self,
        form: _Form,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        widths: Sequence[int],
        title: str,
    ) -> Table:
        edged = form.edges > 0
        table = Table(
            box=form.box,
            show_edge=edged,
            pad_edge=edged,
            padding=(0, form.gap[1], 0, form.gap[0]),
            title=title,
            title_justify="left",
            title_style="bold",
        )
        for name, width in zip(columns, widths, strict=True):
            justify: JustifyMethod = "right" if name.startswith(NUMBER) else "left"
            table.add_column(Text(name.removeprefix(NUMBER)), width=width, justify=justify, overflow="fold")
        for place, row in enumerate(rows, 1):
            if self.total is not None and place == len(rows):
                table.add_section()
            table.add_row(*(Text.from_markup(cell, emoji=False) for cell in row))
        return table


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    total: Sequence[str] | None = None,
    framed: bool = True,
) -> None:
    """Print rows on standard output, an empty line below what has no frame; the arguments are those of `FittedTable`."""
    out = answers()
    for table in FittedTable(columns, rows, title, total, framed).drawn(out.width):
        out.print(table)
        if not table.show_edge:
            out.print()


def _groups(
    form: _Form, width: int, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[list[int]]:
    """Numbers of the columns that one table holds, the first column in each."""
    least = [_least(place, columns, rows) for place in range(len(columns))]
    group = [0]
    for place in range(1, len(columns)):
        if len(group) > 1 and sum(least[each] for each in [*group, place]) > form.room(width, len(group) + 1):
            yield group
            group = [0]
        group.append(place)
    yield group


def _fitted(
    room: int, columns: Sequence[str], rows: Sequence[Sequence[str]], readable: bool
) -> list[int] | None:
    """A width for each column, or None where they do not fit; what is to spare goes to those that want the most."""
    places = range(len(columns))
    most = [_most(place, columns, rows) for place in places]
    least = [_least(place, columns, rows) for place in places]
    if readable:
        least = [
            low if columns[place].startswith(NUMBER) else max(low, min(most[place], READABLE))
            for place, low in enumerate(least)
        ]
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    while spare and any(widths[place] < most[place] for place in places):
        wanting = [place for place in places if widths[place] < most[place]]
        narrowest = min(wanting, key=lambda place: widths[place])
        widths[narrowest] += 1
        spare -= 1
    return widths


def _most(place: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """What a column takes up when nothing in it wraps."""
    texts = [columns[place].removeprefix(NUMBER), *(row[place] for row in rows)]
    return max(Text.from_markup(line, emoji=False).cell_len for text in texts for line in text.split("\n"))


def _least(place: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """What a column needs so that it breaks at words, and numbers nowhere."""
    name = columns[place]
    cells = [Text.from_markup(row[place], emoji=False) for row in rows]
    if not name.startswith(NUMBER):
        cells = [Text(word) for cell in cells for word in cell.plain.split()]
    words = [Text(word) for word in name.removeprefix(NUMBER).split()]
    return max((text.cell_len for text in [*cells, *words]), default=1)
