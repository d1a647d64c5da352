# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as SVG for the inside of a page: the same bytes for the same figures, colours from the page's style sheet.

Matplotlib knows no style sheets, so that it draws in colours that stand for roles (`_ROLES`), and the text that it wrote
gets the page's variables in their place. Words stay text, in the page's own font.
"""

from __future__ import annotations

import functools
import html
import io
import math
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from supervm.benchmarks.reports.content import Bars, Chart, Lines, Stacks

INK, MUTED, GRID, GOOD, BAD = "#010a01", "#020a02", "#030a03", "#040a04", "#050a05"
SERIES = tuple(f"#06{number:02x}0a" for number in range(9))
_ROLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    GOOD: "--good",
    BAD: "--bad",
    **{color: f"--series-{number}" for number, color in enumerate(SERIES)},
}
MARKERS = "osD^vPX*h"

STEPS = (1.0, 2.0, 5.0)
"""Marks of a decade of a logarithmic axis."""

WIDTH, ROW_HEIGHT, CURVES_HEIGHT = 8.6, 0.27, 3.6
"""Inches; a page is 72 points an inch."""

_SETTINGS: Any = {
    "svg.hashsalt": "supervm",
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def draw(chart: Chart) -> Figure:
    """The chart as a figure."""
    with matplotlib.rc_context(_SETTINGS):
        return _drawn(chart)


def svg(chart: Chart) -> str:
    """The chart as an element of a page, with its title for those who cannot see it."""
    with matplotlib.rc_context(_SETTINGS):
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        _drawn(chart).savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = re.sub(
        r' (?:xmlns(?::xlink)?="[^"]*"|id="[a-z]+[\w.]*_\d+"|version="1.1")', "", text[text.index("<svg") :]
    )
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"font: (?:(bold|\d+) )?([\d.]+)px [^;\"]*", _font, text)
    for color, name in _ROLES.items():
        text = text.replace(color, f"var({name})")
    name = html.escape(f"{chart.title}; {chart.axis}. The figures are in the table below.")
    text = re.sub(r'<svg width="[^"]*" height="[^"]*"', '<svg role="img"', text, count=1)
    return re.sub(r">\s*\n\s*", ">\n", text.replace(">", f">\n<title>{name}</title>", 1)).strip()


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px"


@functools.singledispatch
def _drawn(chart: Chart) -> Figure:
    raise NotImplementedError(type(chart))


@_drawn.register
def _bars(chart: Bars) -> Figure:
    """Horizontal bars; the name of a group stands above its bars where one bar is not all of it."""
    groups = [(name, list(bars)) for name, bars in groupby(chart.bars, key=lambda bar: bar.group)]
    height = sum(len(bars) + 1.25 for _, bars in groups) * ROW_HEIGHT + 0.75
    figure, axes = _axes(height)
    figure.subplots_adjust(left=0.36, right=0.92, bottom=0.6 / height, top=1 - 0.1 / height)
    places: list[float] = []
    place = 0.0
    for name, bars in groups:
        at = ("figure fraction", "data")
        axes.annotate(name, (0, place), (0.005, place), at, annotation_clip=False, weight="bold", va="center")
        places += [place + 1 + index for index in range(len(bars))]
        place += len(bars) + 1.25
    values = [bar.value for bar in chart.bars]
    colors = [GOOD if value >= 1 else BAD for value in values]
    axes.barh(places, [v - chart.base for v in values], 0.72, left=chart.base, color=colors)
    if chart.base:
        axes.set_xscale("log")
        axes.set_xlim(min([0.5, *(v / 1.3 for v in values)]), max([2.0, *(v * 1.3 for v in values)]))
        _plain_ticks(axes)
        axes.axvline(chart.base, color=INK, linewidth=1.2)
    else:
        axes.set_xlim(0, max([*values, chart.ideal or 0]) * 1.12)
    if chart.ideal:
        axes.axvline(chart.ideal, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    for bar, place in zip(chart.bars, places, strict=True):
        left = bar.value < chart.base
        axes.annotate(
            bar.words, (bar.value, place), (-4 if left else 4, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", size=9,
        )  # fmt: skip
    axes.set_yticks(places, [bar.name for bar in chart.bars])
    axes.set_ylim(place + 0.8, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(chart.axis)
    return figure


@_drawn.register
def _curves(chart: Lines) -> Figure:
    """One curve a series, told apart by colour and mark."""
    figure, axes = _axes(CURVES_HEIGHT)
    figure.subplots_adjust(left=0.09, right=0.68, bottom=0.15, top=0.97)
    for index, (name, points) in enumerate(chart.curves.items()):
        axes.plot(
            [x for x, _ in points], [y for _, y in points], label=name, color=SERIES[index % len(SERIES)],
            marker=MARKERS[index % len(MARKERS)], markersize=5, linewidth=1.8,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = _bounds([y for points in chart.curves.values() for _, y in points])
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(10, STEPS if high / low < 1000 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _si(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    axes.grid()
    axes.tick_params(length=0, labelcolor=MUTED)
    axes.set_xlabel("items in one call")
    axes.set_ylabel(chart.axis)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02))
    return figure


@_drawn.register
def _stacks(chart: Stacks) -> Figure:
    """Horizontal bars in parts; the legend stands above in the order of the parts."""
    names = list(dict.fromkeys(name for parts in chart.stacks.values() for name in parts))
    height = len(chart.stacks) * ROW_HEIGHT * 1.4 + 1.35
    figure, axes = _axes(height)
    figure.subplots_adjust(left=0.45, right=0.98, bottom=0.6 / height, top=1 - 0.7 / height)
    labels = list(chart.stacks)
    ends = [0.0] * len(labels)
    for index, name in enumerate(names):
        widths = [chart.stacks[label].get(name, 0.0) for label in labels]
        axes.barh(labels, widths, 0.7, left=ends, label=name, color=SERIES[index % len(SERIES)])
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(chart.axis)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, handlelength=1.0, columnspacing=1.2)
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_subplot()


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """The nearest marks below and above all values, so that any axis has two marks at least."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    marks = [step * 10.0**power for power in range(first, last + 1) for step in STEPS]
    return max(mark for mark in marks if mark <= min(values)), min(
        mark for mark in marks if mark > max(values)
    )


def _plain_ticks(axes: Axes) -> None:
    """Ticks at 0.1, 0.2, 0.5, 1, 2, 5, 10, … as numbers."""
    axes.xaxis.set_major_locator(LogLocator(10, STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)


def _si(value: float) -> str:
    """1000 as 1 k."""
    for scale, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:g}{suffix}"
    return f"{value:g}"


def _power(value: float) -> str:
    """256 as 2⁸."""
    digits = str(round(value).bit_length() - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"2{digits}"
