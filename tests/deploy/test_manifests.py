"""The container, the service and the manifests: what in them has to agree with the gateway."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
import zlib
from importlib import metadata
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


@pytest.mark.slow
def test_what_the_image_has_beside_its_base_is_small() -> None:
    """Compressed, as registries count: 120 MB less some 45 of the base, less what is compiled."""
    size = 0
    for name in pins("container"):
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue  # of other versions of Python
        for file in files:
            path = Path(str(file.locate()))
            if path.suffix in (".py", ".so", ".3") or ".so." in path.name:
                # Of each module there is what it is compiled to, beside its text.
                twice = 2 if path.suffix == ".py" else 1
                size += twice * len(zlib.compress(path.read_bytes(), 1)) if path.exists() else 0
    assert 10e6 < size < 75e6, f"{size / 1e6:.1f} MB"


def _tool(name: str) -> str | None:
    own = ROOT / ".venv-tools" / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(_tool(name) is None, reason=f"{name} is not installed")


@needs("hadolint")
def test_the_containerfile_is_sound() -> None:
    program = _tool("hadolint")
    assert program is not None
    found = subprocess.run(  # noqa: S603
        [program, str(DEPLOY / "Containerfile")], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


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


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = _tool("helm")
    assert program is not None
    command = [program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def rendered(*settings: str) -> str:
    chart = str(DEPLOY / "helm" / "gateway")
    sets = [part for each in settings for part in ("--set", each)]
    found = helm("template", "g", chart, *sets)
    assert found.returncode == 0, found.stderr
    return found.stdout


# Every branch of the templates, one way and the other.
CHARTS: Final = (
    ("secrets.GATEWAY_TOKEN=sk-x", "autoscaling.enabled=true", "ingress.enabled=true",
     "ingress.host=x.example"),
    ("existingSecret=keys", "state.existingClaim=claim", "podDisruptionBudget.enabled=false",
     "image.digest=sha256:00", "imagePullSecrets[0].name=pull", "podAnnotations.a=b"),
    ("existingSecret=keys", "nodeSelector.disk=ssd", "tolerations[0].key=a",
     "service.annotations.a=b", "ingress.enabled=true", "ingress.host=x.example",
     "ingress.className=nginx",
     "ingress.tls[0].secretName=t", "ingress.annotations.a=b",
     "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
     "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference"
     ".matchExpressions[0].key=a",
     "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference"
     ".matchExpressions[0].operator=Exists"),
)  # fmt: skip


@needs("helm")
def test_the_chart_makes_the_same_as_the_manifests() -> None:
    found = helm("lint", "--strict", str(DEPLOY / "helm" / "gateway"))
    assert found.returncode == 0, found.stderr or found.stdout
    made = {each["kind"]: each for each in yaml.safe_load_all(rendered(*CHARTS[0])) if each}
    assert made.keys() == {*MANIFESTS, "HorizontalPodAutoscaler", "Ingress"}
    assert made["Secret"]["stringData"] == {"GATEWAY_TOKEN": "sk-x"}
    text = made["ConfigMap"]["data"]["config.toml"]
    assert load.parse(text, "c.toml", StandIns({})).server.bind == "0.0.0.0:8080"
    pod = made["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= PATIENCE
    (container,) = pod["containers"]
    (plain,) = MANIFESTS["Deployment"]["spec"]["template"]["spec"]["containers"]
    for same in ("args", "readinessProbe", "livenessProbe", "securityContext"):
        assert container[same] == plain[same]


@needs("helm")
def test_a_chart_without_the_keys_that_its_config_has_is_refused() -> None:
    chart = str(DEPLOY / "helm" / "gateway")
    found = helm("template", "g", chart)
    assert found.returncode != 0
    assert "${GATEWAY_TOKEN}" in found.stderr
    assert "existingSecret" in found.stderr
    assert "kind: Secret" not in rendered("existingSecret=keys")


@needs("kubernetes-validate")
def test_kubernetes_knows_every_member(tmp_path: Path) -> None:
    files = [str(each) for each in sorted((DEPLOY / "kubernetes").glob("*.yaml"))]
    for number, settings in enumerate(CHARTS if _tool("helm") else ()):
        made = tmp_path / f"chart{number}.yaml"
        made.write_text(rendered(*settings))
        files.append(str(made))
    program = _tool("kubernetes-validate")
    assert program is not None
    command = [program, "--strict", "--quiet", *files]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (found.returncode, found.stderr) == (0, ""), found.stderr or found.stdout


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
