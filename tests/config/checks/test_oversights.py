from __future__ import annotations

import tomllib

import pytest

from gateway.config import load
from gateway.config.checks.advice import advice
from gateway.config.checks.oversights import of_tree, oversights

DEMO = '[providers.d]\nkind = "demo"\n'
MODEL = '[[models]]\nname = "m"\n' + (
    'routes = [{ provider = "d", model = "d", input_price = 0, output_price = 0 }]\n'
)


def notes(text: str) -> list[str]:
    config = load.parse(text + ("" if "[providers.d]" in text else DEMO) + MODEL, "c.toml", {})
    found = [*oversights(config)]
    assert set(found) <= set(advice(config, 0.0))
    return found


def provider(lines: str, url: str = "https://h/v1") -> str:
    return f'[providers.p]\nkind = "openai"\nbase_url = "{url}"\n{lines}\n'


KEYED = 'api_key = "k"'


@pytest.mark.parametrize(
    "text",
    ["", provider(KEYED), provider("", "http://vllm:8000/v1"), provider('headers = { x = "k" }')],
)
def test_what_is_as_it_should_be(text: str) -> None:
    assert notes(text) == []


@pytest.mark.parametrize(
    "spelling",
    ["$A_KEY", "os.environ/A_KEY", "%A_KEY%", "{{A_KEY}}", "{{ secrets.A_KEY }}", "env:A_KEY",
     "$(A_KEY)", "{A_KEY}", " $A_KEY "],
)  # fmt: skip
def test_a_reference_in_another_tools_spelling(spelling: str) -> None:
    says = 'is taken as it stands, and is no reference; write "${A_KEY}"'
    if spelling == spelling.strip():
        assert notes(provider(f'api_key = "{spelling}"')) == [f"[providers.p] api_key: {says}"]
        assert notes(provider(f'api_keys = ["k", "{spelling}"]')) == [
            f"[providers.p] api_keys[1]: {says}"
        ]
        assert notes(provider(f'headers = {{ x-key = "Bearer {spelling}" }}')) == [
            f"[providers.p] headers.x-key: {says}"
        ]
    if " " not in spelling and len(spelling) >= 8:
        assert notes(f'[[tokens]]\nname = "t"\nkey = "{spelling}"\n') == [
            f"[[tokens]] 't' key: {says}"
        ]
        assert notes(f'[[admins]]\nname = "a"\nkey = "{spelling}"\n') == [
            f"[[admins]] 'a' key: {says}"
        ]


@pytest.mark.parametrize("key", ["sk-$A_KEY", "$1a$x", "a$b", "$", "{a}", "%41%41x"])
def test_keys_that_only_look_odd(key: str) -> None:
    assert notes(provider(f'api_key = "{key}"')) == []


def test_a_provider_without_a_key() -> None:
    assert notes(provider("")) == [
        "[providers.p]: has no key; give it an api_key, api_keys or oauth"
    ]


def test_an_empty_list_of_keys_is_seen_in_the_file() -> None:
    text = provider("api_keys = []", "http://h/v1")
    assert notes(text) == []
    assert [*of_tree(tomllib.loads(text))] == [
        "[providers.p] api_keys: is empty, so calls go without a key; name some"
    ]
    assert (
        [*of_tree({"providers": 1})] == [*of_tree({"providers": {"p": 1}})] == [*of_tree({})] == []
    )


def test_a_name_that_no_token_has() -> None:
    (note,) = notes('[debug_log]\ntokens = ["mistyped"]\n')
    assert note.startswith("[debug_log] tokens: there is no token 'mistyped'")
    token = '[[tokens]]\nname = "t"\nkey = "12345678"\n'
    assert notes(f'[debug_log]\ntokens = ["t"]\n{token}') == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[timeouts]\nfirst_event = 600\n", "[timeouts] first_event: "),
        ("[timeouts]\nfirst_event = 599\n", None),
        ("[timeouts]\nfirst_event = 0\n", None),
        (
            provider("timeouts = { first_event = 900 }\n" + KEYED),
            "[providers.p] timeouts.first_event: ",
        ),
    ],
)
def test_longer_than_clients_wait(text: str, where: str | None) -> None:
    found = notes(text)
    assert len(found) == (0 if where is None else 1)
    assert all(each.startswith(where or "") for each in found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[store]\nurl = "postgresql://u@h/d"\n', "[store] url: PostgreSQL needs a driver; "),
        (
            '[tracing]\nendpoint = "http://h:4318/v1/traces"\n',
            "[tracing] endpoint: needs OpenTelemetry; ",
        ),
    ],
)
def test_an_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    assert notes(text) == []
    monkeypatch.setattr("gateway.config.checks.oversights.find_spec", lambda _: None)
    (note,) = notes(text)
    assert note.startswith(says)
    assert note != says


@pytest.mark.parametrize(
    ("url", "noted"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.deepseek.com", None),
        ("https://generativelanguage.googleapis.com/v1beta/openai", None),
        ("https://api.groq.com/openai/v1", None),
    ],
)
def test_a_base_url_that_stops_too_early(url: str, noted: str | None) -> None:
    text = provider(KEYED, url) + DEMO + MODEL
    found = [each for each in advice(load.parse(text, "c.toml", {}), 0.0) if "base_url" in each]
    assert found == (
        []
        if noted is None
        else [
            "[providers.p] base_url: has no path, and most servers have their API below one: "
            + noted
        ]
    )
