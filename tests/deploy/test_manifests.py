"""The container, the service and the manifests: what in them has to agree with the gateway."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from gateway import __version__
from gateway.config import load
from gateway.config.environment import StandIns
from gateway.config.listener.server import Server
from gateway.installation import IN_CONTAINER

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
SERVER: Final = Server()
# drain_delay + drain_timeout + 10 s: docs/operations.md
PATIENCE: Final = SERVER.drain_delay + SERVER.drain_timeout + 10


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text))


def documents(path: str) -> dict[str, Any]:
    found = yaml.safe_load_all((DEPLOY / path).read_text())
    return {each["kind"]: each for each in found}


CONTAINERFILE: Final = (DEPLOY / "Containerfile").read_text()
MANIFESTS: Final = documents("kubernetes/gateway.yaml")
VALUES: Final = yaml.safe_load((DEPLOY / "helm" / "gateway" / "values.yaml").read_text())
COMPOSE: Final = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())


def test_the_image_has_the_versions_that_are_tested() -> None:
    image, run, tested = pins("container"), pins("run"), pins("dev")
    assert run.items() <= image.items()
    assert image.items() <= (tested | run).items()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"psycopg", "joserfc", "opentelemetry-sdk"} <= image.keys()
    assert {"postgres", "oidc", "otel"} <= extras["optional-dependencies"].keys()


def test_the_image_is_installed_by_hash_and_runs_as_a_user_of_its_own() -> None:
    assert "--require-hashes --only-binary :all: -r requirements/container.txt" in CONTAINERFILE
    assert re.search(r"(?m)^USER (?!0\b)\d+:\d+$", CONTAINERFILE)
    assert f"{IN_CONTAINER}=1" in CONTAINERFILE
    assert "/health/live" in CONTAINERFILE
    # Nothing of the machine that builds it, but what is named.
    copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", CONTAINERFILE)
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for name in " ".join(copied).split():
        assert f"!{name}" in ignored
        assert (ROOT / name).exists()
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


@pytest.mark.parametrize("where", ["kubernetes", "container", "helm"])
def test_configurations_are_valid(where: str) -> None:
    text: str = {
        "kubernetes": MANIFESTS["ConfigMap"]["data"]["config.toml"],
        "container": (DEPLOY / "container" / "config.toml").read_text(),
        "helm": VALUES["config"],
    }[where]
    config = load.parse(text, "c.toml", StandIns({}))
    assert config.server.bind == "0.0.0.0:8080"
    assert config.tokens
    # Keys come from the environment.
    keys = [*(each.key for each in config.tokens), *(each.key for each in config.admins)]
    assert all(key.startswith("unset:") for key in keys)


def test_pods_have_time_to_drain_and_are_asked_for_what_is_served() -> None:
    pod = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= PATIENCE
    (container,) = pod["containers"]
    assert container["image"] == f"gateway:{__version__}"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert mounts["/etc/gateway"]["readOnly"]
    text = MANIFESTS["ConfigMap"]["data"]["config.toml"]
    assert load.parse(text, "c.toml", StandIns({})).server.state_dir in mounts
    # What the configuration wants is in the secret.
    wanted = set(re.findall(r"(?m)^[^#\n]*\$\{(\w+)\}", text))
    assert wanted <= MANIFESTS["Secret"]["stringData"].keys()
    selector = MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"]
    assert MANIFESTS["Service"]["spec"]["selector"] == selector
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == selector


def test_pods_are_counted_by_what_they_have_in_flight() -> None:
    scaler = documents("kubernetes/autoscaler.yaml")["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == MANIFESTS["Deployment"]["metadata"]["name"]
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == "gateway_in_flight_requests"


def test_compose_mounts_files_that_there_are() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith(".") and source != "./metrics-key":
                assert (DEPLOY / "container" / source).exists(), source
            elif not source.startswith("."):
                assert source in COMPOSE["volumes"]
    gateway = COMPOSE["services"]["gateway"]
    assert int(gateway["stop_grace_period"].removesuffix("s")) >= PATIENCE
    assert gateway["read_only"]
    assert gateway["cap_drop"] == ["ALL"]
    text = (DEPLOY / "container" / "config.toml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= gateway["environment"].keys()
    # The image of Prometheus is given the rules that are tested here.
    ours = (DEPLOY / "container" / "prometheus.yml").read_text()
    assert "alerts.yml" in ours
    assert "gateway:8080" in ours


def test_the_chart_waits_as_long() -> None:
    assert VALUES["drainDelay"] == SERVER.drain_delay
    assert VALUES["drainTimeout"] == SERVER.drain_timeout
    template = (DEPLOY / "helm/gateway/templates/deployment.yaml").read_text()
    (more,) = re.findall(r"drainTimeout\) (\d+) \}\}", template)
    assert int(more) >= 10
    chart = yaml.safe_load((DEPLOY / "helm/gateway/Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_the_service_waits_as_long() -> None:
    text = (DEPLOY / "systemd" / "gateway.service").read_text()
    (seconds,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)s$", text)
    assert int(seconds) >= PATIENCE


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_service_is_hardened(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "gateway.service").read_text()
    unit = tmp_path / "gateway.service"
    # The program need not be installed where this is tested.
    unit.write_text(text.replace("/opt/gateway/bin/gateway", "/bin/true"))
    command = ["systemd-analyze", "verify", str(unit)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (verified.returncode, verified.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert judged.returncode == 0, judged.stdout[-200:]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "command", [("rules", "alerts.yml"), ("config", "container/prometheus.yml")]
)
def test_prometheus_takes_what_is_there(command: tuple[str, str]) -> None:
    what, name = command
    more = ["--syntax-only"] if what == "config" else []
    found = subprocess.run(  # noqa: S603
        ["promtool", "check", what, *more, str(DEPLOY / name)],  # noqa: S607
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
