"""What people are told to run to add an extra, for each way to install."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from gateway.installation import Installation, how_to_add

PACKAGES = ("psycopg[binary]>=3.2",)
METADATA = """\
Metadata-Version: 2.4
Name: trio-gateway
Version: 1.2.3
Requires-Dist: trio>=0.31
Provides-Extra: postgres
Requires-Dist: psycopg[binary]>=3.2; extra == 'postgres'
Provides-Extra: otel
Requires-Dist: opentelemetry-sdk<2,>=1.45; extra == 'otel'
Requires-Dist: opentelemetry-exporter<2,>=1.45; extra == 'otel'
"""


def installed(folder: Path, origin: object = None) -> Distribution:
    info = folder / "trio_gateway-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    if origin is not None:
        (info / "direct_url.json").write_text(
            origin if isinstance(origin, str) else json.dumps(origin)
        )
    return Distribution.at(info)


def told(
    folder: Path,
    origin: object = None,
    extra: str = "postgres",
    *,
    container: bool = False,
    pip: bool = True,
) -> str:
    return Installation(
        installed(folder, origin),
        python="/v/bin/python",
        prefix=folder,
        has_pip=lambda: pip,
        container=container,
    ).how_to_add(extra)


def command(text: str) -> list[str]:
    before, _, rest = text.partition("`")
    assert before.strip() in ("run", "put")
    return shlex.split(rest.partition("`")[0])


def test_a_clone_installs_itself_again_with_the_extra(tmp_path: Path) -> None:
    clone = tmp_path / "a clone"
    clone.mkdir()
    origin = {"url": clone.as_uri(), "dir_info": {"editable": True}}
    wanted = ["--no-build-isolation", "--editable", f"{clone}[postgres]"]
    assert command(told(tmp_path, origin)) == ["/v/bin/python", "-m", "pip", "install", *wanted]


@pytest.mark.parametrize("wheel", [True, False])
def test_a_wheel_or_a_folder_that_is_still_there(tmp_path: Path, wheel: bool) -> None:
    source = tmp_path / "trio_gateway-1.2.3-py3-none-any.whl"
    source.touch() if wheel else source.mkdir()
    origin = {"url": source.as_uri(), **({"archive_info": {}} if wheel else {"dir_info": {}})}
    assert command(told(tmp_path, origin))[-1] == f"{source}[postgres]"


def test_only_what_came_from_an_index_is_asked_of_it_by_name(tmp_path: Path) -> None:
    assert command(told(tmp_path))[-1] == "trio-gateway[postgres]==1.2.3"


@pytest.mark.parametrize(
    "origin",
    [
        {"url": "file:///gone/trio_gateway-1.2.3-py3-none-any.whl", "archive_info": {}},
        {"url": "https://files.example.com/x.whl", "archive_info": {}},
        {"url": "https://git.example.com/x.git", "vcs_info": {"vcs": "git"}},
        {"dir_info": {}},
        "[]",
        "{",
    ],
)
def test_what_came_from_elsewhere_gets_the_packages_themselves(
    tmp_path: Path, origin: object
) -> None:
    assert command(told(tmp_path, origin))[4:] == [*PACKAGES]


def test_an_extra_of_several_packages(tmp_path: Path) -> None:
    origin = {"url": "file:///gone", "dir_info": {}}
    assert command(told(tmp_path, origin, "otel"))[4:] == [
        "opentelemetry-sdk<2,>=1.45",
        "opentelemetry-exporter<2,>=1.45",
    ]


def test_a_container_gets_an_image_of_its_own(tmp_path: Path) -> None:
    text = told(tmp_path, {"url": "file:///gone", "dir_info": {}}, container=True)
    assert command(text) == ["RUN", "/v/bin/python", "-m", "pip", "install", *PACKAGES]
    assert text.endswith("into an image that begins FROM this one")


def test_a_clone_in_a_container_is_a_clone(tmp_path: Path) -> None:
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    assert command(told(tmp_path, origin, container=True))[-1] == f"{tmp_path}[postgres]"


def test_pipx(tmp_path: Path) -> None:
    (tmp_path / "pipx_metadata.json").touch()
    assert command(told(tmp_path)) == ["pipx", "inject", "trio-gateway", *PACKAGES]


def test_an_environment_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.installation.shutil.which", lambda _: "/bin/uv")
    assert command(told(tmp_path, pip=False))[:5] == [
        *("uv", "pip", "install", "--python", "/v/bin/python")
    ]


def test_what_has_no_metadata_names_the_extra(tmp_path: Path) -> None:
    assert (
        told(tmp_path, extra="unknown") == "install what pyproject.toml lists as the extra unknown"
    )


def test_this_installation_has_an_answer() -> None:
    assert "postgres" in how_to_add("postgres") or "psycopg" in how_to_add("postgres")
