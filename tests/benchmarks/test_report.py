# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of results: every recorded run with its figures as they are, plots of the same figures, nothing from outside."""

import re
from dataclasses import replace
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from recorded_runs import Tables, row, run

from supervm.benchmarks.reports import content, plots
from supervm.benchmarks.reports.__main__ import REPORT, recorded_page
from supervm.benchmarks.reports.content import Bar, Bars, Lines, Stacks
from supervm.benchmarks.reports.page import STYLE, page
from supervm.benchmarks.results import Recorded, latest

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def runs() -> list[Recorded]:
    return [*latest(), *latest(sweep=True)]


@pytest.fixture(scope="module")
def recorded() -> str:
    return recorded_page()


@pytest.fixture(scope="module")
def tables(recorded: str) -> dict[str, list[list[str | float]]]:
    parser = Tables()
    parser.feed(recorded)
    return parser.rows


def test_the_page_in_the_tree_is_that_of_the_recorded_results(recorded: str) -> None:
    """Another Matplotlib may draw other paths; all words and figures are the same then."""
    kept = REPORT.read_text("utf-8")
    drawn_by = f"matplotlib {matplotlib.__version__}"
    if drawn_by in kept:
        assert kept == recorded, "run `make report`"
    else:
        strip = re.compile(r"<svg.*?</svg>|matplotlib [\d.]+", re.DOTALL)
        assert strip.sub("", kept) == strip.sub("", recorded), "run `make report`"
    assert len(kept) < 1_500_000


def test_every_row_of_every_recorded_run_is_there_as_recorded(runs: list[Recorded], tables) -> None:
    for suite in {each.suite for each in runs}:
        # A suite comes before its sweep, machines by name; both tables have one caption.
        ordered = sorted(
            (each for each in runs if each.suite == suite), key=lambda each: (each.sweep, each.machine)
        )
        expected = [
            [r.operation, r.backend, r.items_per_second, r.ns_per_item] for each in ordered for r in each.rows
        ]
        found = [[cells[0], cells[1], cells[5], cells[6]] for cells in tables[f"All rows of {suite}"]]
        assert found == expected


def test_ratios_are_those_of_the_records(runs: list[Recorded], tables) -> None:
    """A suite's table has the rows of every machine that it ran on."""
    for suite in {each.suite for each in runs if not each.sweep}:
        rows = [r for each in runs if each.suite == suite and not each.sweep for r in each.rows]
        known = {
            (r.operation, r.backend, str(r.threads), f"{r.batch:,}", r.items_per_second, p.name): (
                p.items_per_second, p.ratio,
            )
            for r in rows
            for p in r.peers
        }  # fmt: skip
        found = {tuple(cells[:6]): tuple(cells[6:]) for cells in tables[f"{suite} beside its peers"]}
        assert found
        assert found.items() <= known.items(), suite


def test_all_losses_and_nothing_else_are_listed_as_losses(runs: list[Recorded], tables) -> None:
    lost = sorted(peer.ratio for each in runs for r in each.rows for peer in r.peers if peer.ratio < 1)
    assert sorted(cells[-1] for cells in tables["Rows in which a peer was faster"]) == lost


def test_a_loss_is_any_ratio_below_one() -> None:
    table = content.slower([run([row(1e6, {"even": 1.0, "close": 0.999, "far": 0.1})])])
    assert table is not None
    assert [cells[-2] for cells in table.rows] == ["close", "far"]
    assert content.slower([run([row(1e6, {"even": 1.0})])]) is None


def test_nothing_is_loaded_and_nothing_runs(recorded: str) -> None:
    assert "http:" not in recorded
    assert "https:" not in recorded
    assert not re.search(r"<script|<iframe|<img|<object|@import|\bsrc=|\son\w+=", recorded)
    assert set(re.findall(r'<link rel="icon" href="(.*?)"', recorded)) == {"data:,"}
    assert recorded.count("<link") == 1
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", recorded))
    assert all(target.startswith("#") for target in re.findall(r'xlink:href="(.*?)"', recorded))


def test_every_plot_has_a_title_and_its_table(recorded: str) -> None:
    drawings = SVG.findall(recorded)
    assert len(drawings) > 10
    for drawing in drawings:
        assert re.match(r'<svg role="img"[^>]*>\s*<title>[^<]{20,}</title>', drawing)
    assert recorded.count("</figure>\n<details>") == len(drawings)


def test_every_color_is_the_style_sheets_in_light_and_dark(recorded: str) -> None:
    light, dark = STYLE.read_text("utf-8").split("@media")
    used = set(re.findall(r"var\((--[\w-]+)\)", recorded))
    assert used > {"--ink", "--grid", "--series-0"}
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark
    assert not re.search(r"#[0-9a-f]{6}\b", "".join(SVG.findall(recorded)))


def test_references_inside_plots_lead_somewhere(recorded: str) -> None:
    for drawing in SVG.findall(recorded):
        targets = re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', drawing)
        ids = set(re.findall(r' id="([^"]+)"', drawing))
        assert {one or other for one, other in targets} <= ids


def test_bars_end_at_their_ratios() -> None:
    (part,) = filter(None, [content.against_peers(run([row(1e6, {"a": 5.0, "b": 0.25})]))])
    assert isinstance(part.chart, Bars)
    assert [(bar.name, bar.value, bar.words) for bar in part.chart.bars] == [
        ("a", 5, "5.00x"),
        ("b", 0.25, "0.25x"),
    ]
    axes = plots.draw(part.chart).axes[0]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == [5.0, 0.25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_xscale() == "log"


def test_like_stands_beside_like() -> None:
    rows = [
        row(1e6, {"a": 5.0}),
        row(2e6, {"a": 9.0}, threads=2),
        row(1e4, {"a": 0.1}, batch=1),
        row(1e5, {"a": 0.5}, backend="scalar"),
        row(3e6, {"self": 1.5}, operation="blocks", threads=2),
    ]
    part = content.against_peers(run(rows))
    assert part is not None
    assert [cells[0] for cells in part.table.rows] == ["sha256", "blocks"]
    assert [bar.value for bar in part.chart.bars] == [5.0, 1.5]
    assert content.against_peers(run([row(1e6)])) is None


def test_curves_go_through_the_sweep(runs: list[Recorded]) -> None:
    sweep = next(each for each in runs if each.sweep and each.suite == "msm")
    part = content.growth(sweep)
    assert isinstance(part.chart, Lines)
    lines = plots.draw(part.chart).axes[0].lines
    for line in lines:
        rows = [r for r in sweep.rows if r.operation == line.get_label()]
        assert list(line.get_xdata()) == [r.batch for r in rows]
        np.testing.assert_allclose(line.get_ydata(), [r.ns_per_item / 1000 for r in rows])
    assert len(lines) == len({r.operation for r in sweep.rows})


def test_stages_are_times_of_one_transaction() -> None:
    rows = [row(1e5, batch=1000, stages={"execute": 0.004, "commit": 0.006}), row(2e5, threads=2, batch=1000)]
    part = content.stages(run(rows))
    assert part is not None
    assert isinstance(part.chart, Stacks)
    assert part.chart.stacks == {
        "sha256, 1 thread": {"execute": pytest.approx(4), "commit": pytest.approx(6)}
    }
    patches = plots.draw(part.chart).axes[0].patches
    np.testing.assert_allclose([patch.get_width() for patch in patches], [4, 6])
    np.testing.assert_allclose([patch.get_x() for patch in patches], [0, 4])
    assert content.stages(run(rows[1:])) is None


def test_scaling_is_the_same_work_on_more_threads() -> None:
    rows = [row(1e6), row(1.8e6, threads=2), row(9e6, threads=2, batch=64), row(1e3, threads=1, batch=1)]
    part = content.scaling(run(rows))
    assert part is not None
    assert part.chart.bars == (Bar("sha256", "2 threads", 1.8, "1.80x"),)
    assert part.chart.ideal == 2.0
    assert content.scaling(run(rows[:1])) is None


def on_gpu(rates: dict[int, float], transfers: str) -> list:
    return [row(rate, backend="cuda", batch=size, transfers=transfers) for size, rate in rates.items()]


def test_the_gpu_pays_from_the_size_on_from_which_it_stays_faster() -> None:
    device = run(
        [
            *on_gpu({64: 1e6, 256: 4e6, 1024: 2e6, 4096: 3e6, 16384: 8e6}, "included"),
            *on_gpu({64: 5e6, 256: 9e6}, "none"),
        ],
        gpu="Some GPU",
    )
    cpu = run([row(1e6), row(2.5e6, threads=2), row(1e5, backend="scalar")])
    (part,) = content.crossovers(device, [cpu])
    assert part.notes == ("With its copies the GPU is faster from 4,096 items on.",)
    assert isinstance(part.chart, Lines)
    assert part.chart.curves["CPU, ifma, 2 threads"][0] == (64, 2.5e6)
    assert part.chart.curves["GPU, kernels alone"] == ((64, 5e6), (256, 9e6))
    assert len(part.table.rows) == 5
    shown = page([cpu, device])
    assert "faster from 4,096 items on" in shown
    slow = replace(cpu, rows=(row(9e9),))
    assert "at no measured size" in content.crossovers(device, [slow])[0].notes[0]
    assert content.crossovers(device, [run([row(1e6)], cpu="Other")]) == []


def test_what_was_not_measured_is_said() -> None:
    shown = page([run([row(1e6)])], {"msm": "PeerDisagrees: item 7 is <b>b''</b>"})
    assert "was not measured: PeerDisagrees: item 7 is &lt;b&gt;" in shown
    assert "No run on a graphics card" in shown
    assert "has stage times" in shown


def test_names_are_text() -> None:
    rows = [
        row(1e6, {"<i>peer": 2.0}, operation="<script>x</script>"),
        row(2e6, operation="<script>x</script>", threads=2),
    ]
    shown = page([run(rows)])
    assert "<script" not in shown
    assert "<i>" not in shown


def test_sections_follow_one_another_and_are_linked(recorded: str) -> None:
    places = [
        recorded.index(f'<section id="{name}">') for name in re.findall(r'<li><a href="#(\w+)"', recorded)
    ]
    assert len(places) == 7
    assert all(one < other for one, other in pairwise(places))
