# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard is what Grafana's own types allow: its published schema, and the TypeScript compiler, judge it.

Grafana itself is in no package registry that the tests reach. Skipped, with the reason, where npm cannot install the schema.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

DASHBOARD = json.loads(
    (Path(__file__).resolve().parents[3] / "docs" / "observability" / "grafana-dashboard.json").read_text(
        "utf-8"
    )
)
PACKAGES = {"@grafana/schema": "13.2.3", "typescript": "7.0.2"}

TYPES = """
import type { Dashboard, FieldConfig, Panel, RowPanel } from "SCHEMA/dashboard/x/Dashboard_types.gen";
import type { Options as StatOptions } from "SCHEMA/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as TimeSeries from "SCHEMA/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// JSON has an enumeration's values, not its names, and leaves out what a panel's defaults fill in.
type Plain<T> = unknown extends T ? T : T extends string ? `${T}`
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Part<T> = T extends object ? { [K in keyof T]?: Part<T[K]> } : T;
type Drawn<Kind, Options, Custom> = Omit<Plain<Panel>, "type" | "options" | "fieldConfig"> & {
  type: Kind;
  options: Part<Plain<Options>>;
  fieldConfig: { defaults: Omit<Plain<FieldConfig>, "custom"> & { custom?: Part<Plain<Custom>> }; overrides: [] };
};
type Panels = {
  row: Plain<RowPanel>;
  stat: Drawn<"stat", StatOptions, never>;
  timeseries: Drawn<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>;
};
""".replace("SCHEMA", "@grafana/schema/dist/esm/raw")

Check = Callable[[dict[str, Any]], list[str]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """What the compiler finds wrong in a dashboard, one line a mistake."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    done = run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
    if done.returncode:
        pytest.skip(f"npm cannot install Grafana's schema: {done.stderr.strip()[-200:]}")

    def mistakes(dashboard: dict[str, Any]) -> list[str]:
        frame = {name: value for name, value in dashboard.items() if name != "panels"}
        lines = [TYPES, f'export const frame: Plain<Omit<Dashboard, "panels">> = {json.dumps(frame)};']
        for place, panel in enumerate(dashboard["panels"]):
            kind = json.dumps(panel["type"])
            lines.append(f"export const panel{place}: Panels[{kind}] = {json.dumps(panel)};")
        (folder / "dashboard.ts").write_text("\n".join(lines))
        options = "--noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext"
        done = run("node_modules/.bin/tsc", *options.split(), "dashboard.ts")
        found = [line for line in done.stdout.splitlines() if line.startswith("dashboard.ts")]
        assert bool(done.returncode) == bool(found), done.stdout + done.stderr
        return found

    return mistakes


@pytest.mark.slow
def test_the_dashboard_follows_the_schema(check: Check) -> None:
    assert check(DASHBOARD) == []


def _planted(panel: str | None, place: str, value: object) -> dict[str, Any]:
    """The dashboard with another value at a dotted place, of its first panel of a type if one is named."""
    planted = copy.deepcopy(DASHBOARD)
    at: Any = planted
    if panel is not None:
        at = next(one for one in planted["panels"] if one["type"] == panel)
    *path, last = place.split(".")
    for part in path:
        at = at[int(part) if part.isdigit() else part]
    at[last] = value
    return planted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("panel", "place", "value"),
    [
        (None, "tag", []),
        (None, "schemaVersion", "39"),
        (None, "templating.list.1.refresh", 7),
        ("row", "collapsed", "no"),
        ("stat", "options.graphMode", "areas"),
        ("stat", "fieldConfig.defaults.thresholds", {"mode": "absolut", "steps": []}),
        ("timeseries", "fieldConfig.defaults.custom.showPoints", "nevr"),
        ("timeseries", "options.legend.displayMod", "list"),
        ("timeseries", "gridPos.z", 1),
    ],
)
def test_a_planted_mistake_is_seen(check: Check, panel: str | None, place: str, value: object) -> None:
    assert len(check(_planted(panel, place, value))) == 1
