# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest for Kubernetes: valid by Kubernetes' own schemas, and of one piece with the service that it starts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from observed import exported
from typer.testing import CliRunner

from supervm.tiers import Hardware
from supervm.tiers.cli import app
from supervm.tiers.observability.routes import PATHS
from supervm.tiers.service.server import SERVICE
from supervm.tiers.settings import Settings, load

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate is not installed"
)

MANIFEST = Path(__file__).resolve().parents[3] / "docs" / "examples" / "kubernetes" / "supervm.yaml"
OBJECTS = {
    (one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(MANIFEST.read_text("utf-8"))
}
POD = OBJECTS["Deployment", "supervm"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
VERSIONS = ("1.35.0", kubernetes_validate.latest_version())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those that the container reads."""
    path = tmp_path_factory.mktemp("kubernetes") / "supervm.toml"
    path.write_text(OBJECTS["ConfigMap", "supervm"]["data"]["supervm.toml"])
    return load(Hardware(cores=4, memory=4 << 30), config=path, environment={})


def problem(thing: Any, version: str) -> str:
    """What Kubernetes' schema says against an object, unknown fields among it."""
    try:
        kubernetes_validate.validate(thing, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OBJECTS, ids="/".join)
def test_every_object_is_valid(name: tuple[str, str], version: str) -> None:
    assert problem(OBJECTS[name], version) == ""


def test_what_is_wrong_is_found() -> None:
    wrong = copy.deepcopy(OBJECTS["Deployment", "supervm"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert "readinesProbe" in problem(wrong, VERSIONS[0])
    wrong = copy.deepcopy(OBJECTS["HorizontalPodAutoscaler", "supervm"])
    wrong["spec"]["maxReplicas"] = "many"
    assert "many" in problem(wrong, VERSIONS[0])


def test_kinds() -> None:
    kinds = [kind for kind, _ in OBJECTS]
    assert sorted(kinds) == [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Service",
        "Service",
    ]


def test_ports_are_those_of_the_settings(settings: Settings) -> None:
    listening = {
        name: int(getattr(settings, f"service_{name}").rpartition(":")[2])
        for name in ("grpc", "http", "operations")
    }
    assert listening == PORTS
    services = [one for (kind, _), one in OBJECTS.items() if kind == "Service"]
    for port in (port for one in services for port in one["spec"]["ports"]):
        assert port["port"] == PORTS[port["targetPort"]]
    headless = [one["metadata"]["name"] for one in services if one["spec"].get("clusterIP") == "None"]
    assert headless == ["supervm-pods"]
    annotations = OBJECTS["Deployment", "supervm"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORTS["operations"])


def test_the_command_line_is_one(settings: Settings) -> None:
    """Of options that there are, and a file that is mounted where it is looked for."""
    command, option, path = CONTAINER["args"]
    helped = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert option in helped
    mounted = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert path == f"{mounted['settings']}/supervm.toml"
    assert {"name": "SUPERVM_CACHE_DIR", "value": mounted["cache"]} in CONTAINER["env"]
    assert set(mounted) == {volume["name"] for volume in POD["volumes"]}


def test_probes_ask_what_there_is() -> None:
    for name in ("startupProbe", "livenessProbe"):
        probe = CONTAINER[name]["httpGet"]
        assert probe["path"] in PATHS
        assert probe["port"] == "operations"
    assert CONTAINER["readinessProbe"]["grpc"] == {"port": PORTS["grpc"], "service": SERVICE}


def test_a_pod_has_time_to_end(settings: Settings) -> None:
    ending = settings.service_notice_seconds + settings.service_drain_seconds
    assert POD["terminationGracePeriodSeconds"] > ending
    # A pod is out of the services' lists before it takes no more.
    probe = CONTAINER["readinessProbe"]
    assert settings.service_notice_seconds > probe["periodSeconds"] * probe["failureThreshold"]


def test_everything_selects_the_pods() -> None:
    labels = OBJECTS["Deployment", "supervm"]["spec"]["template"]["metadata"]["labels"]
    for (kind, _), one in OBJECTS.items():
        selector = one["spec"].get("selector") if "spec" in one else None
        if selector is not None:
            assert selector.get("matchLabels", selector) == labels, kind


def test_the_metric_that_scales_is_exported() -> None:
    scaler = OBJECTS["HorizontalPodAutoscaler", "supervm"]["spec"]
    (metric,) = scaler["metrics"]
    named = metric["pods"]["metric"]
    assert exported()[named["name"]] == set(named["selector"]["matchLabels"])
    target = OBJECTS["Deployment", scaler["scaleTargetRef"]["name"]]
    assert scaler["scaleTargetRef"]["apiVersion"] == target["apiVersion"]
    assert scaler["minReplicas"] >= 2
