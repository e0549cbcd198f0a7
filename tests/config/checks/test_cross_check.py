from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config.checks.cross_check import Unread, all_names, check_bind, cross_check
from gateway.config.cors import Cors
from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.config.schema import Admin, Config, Model, Route
from gateway.core.limits.shedding import OverloadPolicy
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.sign_in import AdminSettings, OidcSettings
from gateway.installation import how_to_add
from gateway.providers.registry import KINDS
from gateway.providers.settings import Probe, Provider

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


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"api_keys": ("one", "two")}, []),
        ({"api_keys": ("one",)}, []),
        # What the environment gave nothing for.
        ({"api_key": ""}, []),
        (
            {"api_key": "one", "api_keys": ("two",)},
            ["api_keys: not together with api_key; put that into the list"],
        ),
        (
            {"api_keys": ("one", "two", "one", "one")},
            [
                "api_keys[2]: is api_keys[0] again; give each key once",
                "api_keys[3]: is api_keys[0] again; give each key once",
            ],
        ),
        (
            {"api_keys": ("", "a\n", " b", "")},
            [
                "api_keys[0]: is empty; remove it",
                "api_keys[1]: has a line break or a control character",
                "api_keys[2]: begins or ends with a blank; remove it",
                "api_keys[3]: is empty; remove it",
            ],
        ),
        ({"max_concurrent": 10, "max_connections": 10}, []),
        (
            {"max_concurrent": 11, "max_connections": 10},
            [
                "max_concurrent: 11 is more than max_connections, which is 10; each call takes a "
                "connection of its own"
            ],
        ),
    ],
)
def test_keys_and_connections(fields: dict[str, Any], expected: list[str]) -> None:
    assert of_provider(**fields) == [f"[providers.p] {each}" for each in expected]


def test_the_demo_provider_may_be_probed() -> None:
    assert problems(providers={"demo": Provider(kind="demo", probe=Probe())}) == []


def test_models_and_keys_are_checked_too() -> None:
    found = problems(
        models=(MODEL, Model(name="a", alias="x")),
        tokens=(Token(name="t", key="12345678"),),
        admins=(Admin(name="a", key="12345678"),),
    )
    assert found == [
        "[[models]] 'a' alias: there is no model 'x'; known models: m, a",
        "[[admins]] 'a' key: belongs to a token too; each needs its own",
    ]
    assert problems(models=()) == ["[[models]]: there is no model; add one with a name and routes"]


def token(name: str, key: str, *models: str) -> Token:
    return Token(name=name, key=key, models=models)


def test_what_could_not_be_read_is_not_missing() -> None:
    config = Config(
        models=(
            Model(name="a", routes=(ROUTE,), fallbacks=("c", "f/x")),
            Model(name="b", alias="c"),
            Model(name="g/*", alias="f/*"),
        ),
        tokens=(token("t", "12345678", "c", "f/*"),),
    )
    assert len(list(cross_check(config))) == 7
    assert list(cross_check(config, Unread({"demo"}, {"c", "f/*"}))) == []
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


@pytest.mark.parametrize(
    ("overload", "fine"),
    [
        (OverloadPolicy(lag=0.1, lag_max=0.2), True),
        (OverloadPolicy(lag=0, lag_max=0), True),
        (OverloadPolicy(lag=1, lag_max=1), False),
        (OverloadPolicy(lag=2, lag_max=1), False),
    ],
)
def test_shedding_begins_before_all_is_shed(overload: OverloadPolicy, fine: bool) -> None:
    expected = f"[overload] lag: {overload.lag} is not less than lag_max, which is 1; raise that "
    found = problems(overload=overload)
    assert not found if fine else found[0].startswith(expected)


@pytest.mark.parametrize(("size", "fine"), [(None, True), (0, True), (2048, True), (2047, False)])
def test_the_largest_body_has_room(size: int | None, fine: bool) -> None:
    found = problems(
        overload=OverloadPolicy(max_body_memory=size), server=Server(max_body_bytes=2048)
    )
    assert found == (
        []
        if fine
        else [
            "[overload] max_body_memory: 2047 is less than [server] max_body_bytes, which is 2048; "
            "raise this or lower that"
        ]
    )


def test_a_breaker_opens_no_longer_than_it_may() -> None:
    assert problems(breaker=BreakerPolicy(open_time=3, max_open_time=3)) == []
    assert problems(breaker=BreakerPolicy(open_time=3.5, max_open_time=3)) == [
        "[breaker] open_time: 3.5 is more than max_open_time, which is 3; raise that or lower this"
    ]


OIDC = OidcSettings(issuer="https://login.example.com", client_id="x", roles={"ops": "admin"})


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"issuer": "http://localhost:9400"}, ""),
        ({"issuer": "http://127.0.0.1:9400/realms/main"}, ""),
        ({"issuer": "http://login.example.com"}, "[admin.oidc] issuer: must be https"),
        ({"issuer": "login.example.com"}, "[admin.oidc] issuer: not a URL"),
        ({"issuer": "https://["}, "[admin.oidc] issuer: not a URL"),
        ({"client_id": ""}, "[admin.oidc] client_id: is empty"),
        ({"roles": {}}, "[admin.oidc] roles: is empty"),
        ({"scopes": ("profile",)}, '[admin.oidc] scopes: must have "openid"'),
        ({"redirect_uri": "https://x/y"}, "[admin.oidc] redirect_uri: must end with /admin/api/"),
        ({"redirect_uri": "https://gw.x/admin/api/oidc/callback"}, ""),
    ],
)
def test_a_provider_to_sign_in_at(changed: dict[str, Any], problem: str) -> None:
    oidc = msgspec.structs.replace(OIDC, **changed)
    found = problems(admin=AdminSettings(oidc=oidc))
    assert [each[: len(problem)] for each in found] == ([problem] if problem else [])


def test_signing_in_elsewhere_needs_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.config.checks.administration.find_spec", lambda _: None)
    assert problems(admin=AdminSettings()) == []
    (problem,) = problems(admin=AdminSettings(oidc=OIDC))
    assert problem == f"[admin.oidc]: needs joserfc; {how_to_add('oidc')}"


def test_check_bind() -> None:
    assert list(check_bind("127.0.0.1:8080")) == []
    assert len(list(check_bind("nowhere"))) == 1


def test_all_names_have_stand_ins_for_what_could_not_be_read() -> None:
    config = Config(models=(MODEL,))
    names = all_names(config, Unread(set(), {"", "x", "f/*", "m"}))
    assert names.exact.keys() == {"m", "x"}
    assert names.families.keys() == {"f/*"}
    # What could be read is what stands for a name that appears twice.
    assert names.exact["m"] is MODEL


def test_only_who_has_two_apis_has_a_choice() -> None:
    route = Route(provider="p", model="x", api="responses")
    models = (Model(name="m", routes=(Route(provider="p", model="y"), route)),)
    demo = KINDS["demo"].settings(kind="demo")
    assert problems(providers={"p": demo}, models=models) == [
        "[[models]] 'm' routes[1].api: a provider of the kind 'demo' has no choice of APIs; "
        "remove it"
    ]
    openai = KINDS["openai"].settings(kind="openai", base_url="https://h/v1")
    assert problems(providers={"p": openai}, models=models) == []
