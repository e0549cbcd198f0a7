from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gateway.config.check import Unread, cross_check
from gateway.config.schema import Config, Cors, Model, Provider, Route, Server, Token

DEMO = {"demo": Provider(kind="demo")}
ROUTE = Route(provider="demo", model="d")
MODEL = Model(name="m", routes=(ROUTE,))


def problems(**fields: Any) -> list[str]:
    config = {"providers": DEMO, "models": (MODEL,)} | fields
    return list(cross_check(Config(**config)))


def of_provider(**fields: Any) -> list[str]:
    found = {"kind": "openai", "base_url": "https://h/v1"} | fields
    return problems(providers=DEMO | {"p": Provider(**found)})


def test_nothing_is_wrong() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    "bind",
    ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:8080", "localhost:65535", "unix:/run/gateway.sock"],
)
def test_good_binds(bind: str) -> None:
    assert problems(server=Server(bind=bind)) == []


@pytest.mark.parametrize(
    "bind",
    ["", "8080", ":8080", "host", "host:", "host:x", "host:-1", "host:65536", "host:٣", "unix:"],
)
def test_bad_binds(bind: str) -> None:
    (problem,) = problems(server=Server(bind=bind))
    assert problem.startswith("[server] bind: ")
    assert "such as " in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8000/v1/",
        "http://[::1]:11434",
        "https://h/openai/deployments/x",
    ],
)
def test_good_urls(url: str) -> None:
    assert of_provider(base_url=url) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not a URL"),
        ("api.openai.com/v1", "not a URL"),
        ("ftp://h/v1", "not a URL"),
        ("https://", "not a URL"),
        ("https:///v1", "not a URL"),
        ("https://h:0/v1", "not a URL"),
        ("https://h:99999/v1", "not a URL"),
        ("https://h:x/v1", "not a URL"),
        ("https://[::1/v1", "not a URL"),
        ("https://u:p@h/v1", "credentials"),
        ("https://u@h/v1", "credentials"),
        ("https://h/v1?a=1", "query"),
        ("https://h/v1#a", "query or fragment"),
        ("https://h/v 1", "a space"),
        ("https://hé/v1", "non-ASCII"),
        ("https://h/v1/chat/completions", "stop before it"),
        ("https://h/v1/chat/completions/", "stop before it"),
    ],
)
def test_bad_urls(url: str, says: str) -> None:
    (problem,) = of_provider(base_url=url)
    assert problem.startswith("[providers.p] base_url: ")
    assert says in problem


def test_kinds_and_urls_go_together() -> None:
    (problem,) = of_provider(base_url=None)
    assert problem.startswith("[providers.p] base_url: missing; for OpenAI itself it is https://")
    (problem,) = of_provider(kind="demo")
    assert problem == "[providers.p] base_url: the demo provider is built in; remove base_url"


@pytest.mark.parametrize("name", ["a b", "é", "a\nb", "", "a/b"])
def test_bad_provider_names(name: str) -> None:
    # It is sent in a header of every answer.
    (problem,) = problems(providers=DEMO | {name: Provider(kind="demo")})
    assert problem.startswith(f"[providers.{name!r}]: use letters")


@pytest.mark.parametrize("key", ["a\nb", "a\n", "\r\na", "a\x00", "sk-\u2028"])
def test_bad_api_keys(key: str) -> None:
    assert of_provider(api_key=key) == [
        "[providers.p] api_key: has a line break or a control character"
    ]


@pytest.mark.parametrize("key", [" sk", "sk ", " "])
def test_blanks_around_an_api_key(key: str) -> None:
    # Checked here, or each request would fail on a header that can't be written.
    assert of_provider(api_key=key) == [
        "[providers.p] api_key: begins or ends with a blank; remove it"
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("a b", "x", "not a header name"),
        ("", "x", "not a header name"),
        ("x:", "x", "not a header name"),
        ("x\n", "x", "not a header name"),
        ("é", "x", "not a header name"),
        ("Host", "x", "is set by the gateway; remove it"),
        ("content-length", "1", "is set by the gateway; remove it"),
        ("Transfer-Encoding", "chunked", "is set by the gateway; remove it"),
        ("Expect", "100-continue", "is set by the gateway; remove it"),
        ("x", " ", "begins or ends with a blank"),
        ("x", "a\t", "begins or ends with a blank"),
        ("x", "a\nb", "has a line break"),
        ("x", "a\n", "has a line break"),
        ("x", "☃", "has a line break or a control character"),
    ],
)
def test_bad_headers(name: str, value: str, says: str) -> None:
    (problem,) = of_provider(headers={name: value, "x-fine": "yes"})
    assert problem.startswith(f"[providers.p] headers.{name}: {says}")


def test_ca_file(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.touch()
    assert of_provider(ca_file=str(there)) == []
    missing = str(tmp_path / "no.pem")
    assert of_provider(ca_file=missing) == [f"[providers.p] ca_file: there is no file {missing!r}"]


def alias(name: str, target: str) -> Model:
    return Model(name=name, alias=target)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ((), ["[[models]]: there is no model; add one with a name and routes"]),
        ((MODEL, alias("a", "m"), alias("b", "a")), []),
        ((MODEL, MODEL), ["[[models]] 'm' name: appears twice; give each model its own name"]),
        (
            (Model(name="m"),),
            ["[[models]] 'm': needs either routes = [...] or alias = \"...\", and not both"],
        ),
        (
            (MODEL, Model(name="a", routes=(ROUTE,), alias="m")),
            ["[[models]] 'a': needs either routes = [...] or alias = \"...\", and not both"],
        ),
        (
            (Model(name="m", routes=(ROUTE, Route(provider="dmeo", model="x"))),),
            [
                "[[models]] 'm' routes[1].provider: there is no [providers.dmeo]"
                "; known providers: demo"
            ],
        ),
        (
            (Model(name="m", routes=(Route(provider="demo", model="x", weight=0),)),),
            ["[[models]] 'm' routes: every weight is 0; give at least one route a weight above 0"],
        ),
        (
            (MODEL, alias("a", "x"), alias("b", "a")),
            ["[[models]] 'a' alias: there is no model 'x'; known models: m, a, b"],
        ),
        ((alias("a", "a"),), ["[[models]] 'a' alias: loop a -> a; point one of them at routes"]),
        (
            (alias("a", "b"), alias("b", "c"), alias("c", "b"), MODEL),
            [
                "[[models]] 'b' alias: loop b -> c -> b; point one of them at routes",
                "[[models]] 'c' alias: loop c -> b -> c; point one of them at routes",
            ],
        ),
    ],
)
def test_models(models: tuple[Model, ...], expected: list[str]) -> None:
    assert problems(models=models) == expected


def token(name: str, key: str, *models: str) -> Token:
    return Token(name=name, key=key, models=models or ("*",))


HASHED = "sha256:" + hashlib.sha256(b"12345678").hexdigest()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ((token("a", "12345678"), token("b", "87654321", "m")), []),
        ((token("a", HASHED),), []),
        (
            (token("a", "12345678"), token("a", "87654321")),
            ["[[tokens]] 'a' name: appears twice; give each token its own name"],
        ),
        *(
            (
                (token("a", key),),
                ["[[tokens]] 'a' key: must have at least 8 characters and no spaces"],
            )
            for key in ("", "1234567", "1234 5678", "12345678\n", "1234567\u2028")
        ),
        *(
            (
                (token("a", key),),
                ["[[tokens]] 'a' key: sha256: must be followed by 64 hexadecimal digits"],
            )
            for key in ("sha256:", HASHED[:-1], HASHED + "0", HASHED[:-1] + "g", HASHED + "\n")
        ),
        *(
            (
                (token("a", "12345678"), token("b", other)),
                ["[[tokens]] 'b' key: belongs to another token too; each needs its own"],
            )
            # However the same key is written.
            for other in ("12345678", HASHED, "sha256:" + HASHED.removeprefix("sha256:").upper())
        ),
        (
            (token("a", "12345678", "m", "x"),),
            ["[[tokens]] 'a' models: there is no model 'x'; use \"*\" for all"],
        ),
    ],
)
def test_tokens(tokens: tuple[Token, ...], expected: list[str]) -> None:
    assert problems(tokens=tokens) == expected


def test_what_could_not_be_read_is_not_missing() -> None:
    config = Config(
        models=(Model(name="a", routes=(ROUTE,)), alias("b", "c")),
        tokens=(token("t", "12345678", "c"),),
    )
    assert len(list(cross_check(config))) == 3
    assert list(cross_check(config, Unread({"demo"}, {"c"}))) == []
    assert list(cross_check(Config(), Unread(set(), {""}))) == []


@pytest.mark.parametrize(
    "origins",
    [(), ("*",), ("https://a.example", "http://localhost:3000", "http://[::1]:80", "app://x")],
)
def test_good_origins(origins: tuple[str, ...]) -> None:
    assert problems(cors=Cors(allow_origins=origins)) == []


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "a.example",
        "https://a.example/",
        "https://A.example",
        "https://a.example\n",
        "https://*",
    ],
)
def test_bad_origins(origin: str) -> None:
    (problem,) = problems(cors=Cors(allow_origins=(origin,)))
    assert problem.startswith("[cors] allow_origins: ")
    assert "https://chat.example.com" in problem


def test_credentials_do_not_go_with_every_origin() -> None:
    (problem,) = problems(cors=Cors(allow_origins=("*",), allow_credentials=True))
    assert problem.startswith("[cors] allow_credentials: ")
    named = Cors(allow_origins=("https://a.example",), allow_credentials=True)
    assert problems(cors=named) == []


@pytest.mark.parametrize("key", ["allow_methods", "allow_headers", "expose_headers"])
def test_bad_names_in_cors(key: str) -> None:
    changed: dict[str, Any] = {key: ("fine", "x\r\ny: z")}
    (problem,) = problems(cors=Cors(**changed))
    assert problem.startswith(f"[cors] {key}: ")
