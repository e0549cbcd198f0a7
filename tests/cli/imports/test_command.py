from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.imports.command import litellm
from gateway.config import load

TEXT = "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: os.environ/K}}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "litellm.yaml"
    made.write_text(TEXT)
    return made


def test_it_writes_a_new_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "config.toml"
    assert litellm(file, output=output) == 0
    assert output.stat().st_mode & 0o777 == 0o600
    assert [model.name for model in load.load(output, {"K": "k"}).models] == ["a"]
    out, err = capsys.readouterr()
    assert out.startswith(f"wrote {output}; next: ")
    assert err == "note: there is no master_key, so the gateway is open: add [[tokens]]\n"
    # And never over one that is there.
    before = output.read_text()
    assert litellm(file, output=output) == 1
    assert output.read_text() == before
    assert "cannot be written: File exists" in capsys.readouterr().err


def test_or_to_stdout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert litellm(file, stdout=True) == 0
    assert capsys.readouterr().out.startswith("# Made of litellm.yaml by `gateway import litellm`")


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert litellm(tmp_path / "none.yaml", output=tmp_path / "o.toml") == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "o.toml").exists()
