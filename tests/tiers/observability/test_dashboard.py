# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard and the alert rules ask for metrics and labels that exist; the README says what to do on each alert."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from observed import exported

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "observability"
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

METRICS = exported() | {
    "up": set(),
    # Of the process that starts those of a service.
    "supervm_process_ready": {"process"},
    "supervm_process_restarts_total": {"process"},
}
ADDED = {"instance", "job"}
"""Labels that Prometheus gives to whatever it scrapes."""

FUNCTIONS = {"sum", "rate", "increase", "histogram_quantile", "max_over_time", "min_over_time", "vector"}
KEYWORDS = {"by", "on", "group_left", "or", "unless"}
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)(\{[^}]*\})?")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"(?:[^"\\]|\\.)*"')


def breaches(expression: str, shown: str = "") -> list[str]:
    """What an expression, and the text that shows its labels, asks for and does not exist; or that it cannot be read.

    >>> breaches('sum by (stage) (rate(supervm_stage_seconds_sum[5m]))', "{{stage}}")
    []
    """
    found = []
    plain = re.sub(r"\[[^\]]*\]|\boffset \d+[smh]", "", expression)
    if plain.count("(") != plain.count(")") or plain.count("{") != plain.count("}"):
        found.append("brackets do not match")
    grouped = {label.strip() for labels in GROUPING.findall(plain) for label in labels.split(",")}
    labels = set(ADDED)
    names = []
    for name, selector in SELECTOR.findall(GROUPING.sub("", plain)):
        if name in FUNCTIONS | KEYWORDS:
            continue
        names.append(name)
        if name not in METRICS:
            found.append(f"no metric {name}")
            continue
        own = METRICS[name] | ADDED | ({"le"} if name.endswith("_bucket") else set())
        labels |= own
        matchers = selector.strip("{}")
        if MATCHER.sub("", matchers).strip(", "):
            found.append(f"cannot read {selector}")
        found += [f"{name} has no label {label}" for label in MATCHER.findall(matchers) if label not in own]
    if not names:
        found.append("asks for no metric")
    asked = grouped | set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown))
    return found + [f"no label {label}" for label in sorted(asked - labels)]


TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[f"{title} {t['refId']}" for title, t in TARGETS])
def test_panels_ask_for_what_exists(title: str, target: dict[str, Any]) -> None:
    expression = target["expr"].replace("$__rate_interval", "5m")
    assert breaches(expression, target["legendFormat"]) == []


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_alerts_ask_for_what_exists(rule: dict[str, Any]) -> None:
    assert breaches(rule["expr"], json.dumps(rule["annotations"])) == []
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    summary = rule["annotations"]["summary"]
    kept = re.search(r"sum by \(([^)]*)\)", rule["expr"])
    if kept:  # what is summed over is not there to be named
        assert set(re.findall(r"\$labels\.(\w+)", summary)) <= {each.strip() for each in kept[1].split(",")}


def test_alerts_are_explained() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in RULES] == re.findall(r"^\| `(Supervm\w+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("sum(rate(supervm_nonsense_total[5m]))", ""),
        ("sum(rate(supervm_stage_seconds[5m]))", ""),
        ('rate(supervm_requests_total{coed="OK"}[5m])', ""),
        ("rate(supervm_requests_total{code=OK}[5m])", ""),
        ("sum by (stage) (supervm_requests_total)", ""),
        ("supervm_requests_total", "{{stage}}"),
        ("supervm_requests_total", "{{ $labels.stage }}"),
        ("sum(supervm_requests_total", ""),
        ("avg_of(supervm_requests_total)", ""),
        ("vector(0)", ""),
    ],
)
def test_a_planted_mistake_is_seen(expression: str, shown: str) -> None:
    assert breaches(expression, shown)


def test_the_dashboard_is_whole() -> None:
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identities)) == len(identities)
    assert all(panel["description"] for panel in PANELS)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD["panels"])))
    assert used - {"__rate_interval"} == variables


def test_most_metrics_are_on_the_dashboard() -> None:
    """All but those of the verifier that does not exist, and what a version is."""
    text = " ".join(target["expr"] for _, target in TARGETS)
    parts = re.compile(r"_(bucket|count|sum)$")
    missing = {parts.sub("", name) for name in exported() if parts.sub("", name) not in text}
    assert {name for name in missing if not name.startswith("vm_privacy")} == {"supervm_build_info"}
