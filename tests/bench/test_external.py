"""Subjects that are given by a command: what is understood of it, and one that runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.__main__ import Options, compare
from bench.bare import MODEL
from bench.chunks import PROVIDER_MODEL
from bench.compare import Session, SubjectFailed
from bench.external import PLACEHOLDERS, BadSubject, External, externals
from bench.measure import Settings
from bench.results import ratios, row
from bench.scenarios import SCENARIOS
from bench.subjects import KEY

BARE = f"{sys.executable} -m hypercorn -k trio -b {{address}} bench.bare:app"


def test_a_command_gets_what_it_needs(tmp_path: Path) -> None:
    command = "./serve --port {port} --at '{address}' --to={provider}/v1 -k {key} '{\"a\": 1}'"
    found = externals(["direct", f"go={command}"], ["go=openai/fake"])
    launch = found["go"].launch(1234, 5678, tmp_path)
    assert launch.argv == [
        *("./serve", "--port", "1234", "--at", "127.0.0.1:1234"),
        *("--to=http://127.0.0.1:5678/v1", "-k", KEY, '{"a": 1}'),
    ]
    assert (launch.port, launch.model, found["go"].asked) == (1234, "openai/fake", "openai/fake")
    assert set(launch.env) == set(PLACEHOLDERS.values())
    assert launch.env["BENCH_PROVIDER"] == "http://127.0.0.1:5678"
    assert launch.env["BENCH_DIRECTORY"] == str(tmp_path)
    assert externals(["a=b"], [])["a"].asked == PROVIDER_MODEL
    assert externals(["direct", "gateway"], []) == {}


@pytest.mark.parametrize(
    ("subjects", "models", "why"),
    [
        (["x=serve {portt}"], [], "no placeholder is called"),
        (["x= "], [], "the command is empty"),
        (["x=serve 'a"], [], "No closing quotation"),
        (["gateway=serve"], [], "that no other subject has"),
        (["x=a", "x=b"], [], "that no other subject has"),
        (["X y=a"], [], "a name of small letters"),
        (["=serve"], [], "expected --subject NAME=COMMAND"),
        (["x=a"], ["y=m"], "there is no such --subject"),
        (["x=a"], ["m"], "expected --model NAME=MODEL"),
    ],
)
def test_what_cannot_be_a_subject(subjects: list[str], models: list[str], why: str) -> None:
    with pytest.raises(BadSubject, match=why):
        externals(subjects, models)
    assert compare(Options(subject=subjects, model=models)) == 2


def test_a_subject_that_is_not_known() -> None:
    assert compare(Options(subject=["bifrost"])) == 2


def _run(tmp_path: Path, external: External) -> Session:
    session = Session(
        ["direct", external.name],
        [SCENARIOS["nonstream"]],
        Settings(seconds=0.25, warm_up=0.1),
        out=tmp_path,
        pin=False,
        say=lambda line: None,
        externals={external.name: external},
    )
    session.run(rounds=1)
    return session


@pytest.mark.slow
def test_one_is_started_measured_and_ended(tmp_path: Path) -> None:
    results = _run(tmp_path, External("bare", BARE, MODEL)).results
    assert row(results, "nonstream", "bare").errors == {}
    assert row(results, "nonstream", "bare").requests > 0
    assert ratios(results, "bare") == []
    assert any("bare: " in note for note in results.notes)


@pytest.mark.slow
def test_one_that_does_not_start_is_said(tmp_path: Path) -> None:
    broken = External("broken", f"{sys.executable} -c 'raise SystemExit(\"no port\")'")
    with pytest.raises(SubjectFailed, match="no port"):
        _run(tmp_path, broken)
