from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.capture.json_path import REDACTED, parse_path
from gateway.core.capture.redaction import MIN_SECRET, Redactor, is_credential

KEY = b"sk-canary-0123456789"


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Authorization", "proxy-authorization", "x-api-key", "api-key"),
        *("cookie", "set-cookie", "x-goog-api-key", "ocp-apim-subscription-key", "apikey"),
        *("x-auth-token", "access_token", "x-amz-security-token", "client-secret", "key"),
        *("sig", "x-signature", "x-auth", "password", "X-Vault-Token", "openai-api-key", "jwt"),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        *("content-type", "user-agent", "x-request-id", "accept", "keyboard", "monkey"),
        *("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        *(
            "max_tokens",
            "max_completion_tokens",
            "author",
            "design",
            "model",
            "x-stainless-os",
            "keep-alive",
        ),
    ],
)
def test_other_names(name: str) -> None:
    assert not is_credential(name)


def test_headers() -> None:
    redactor = Redactor(secrets=[KEY])
    shown = redactor.headers(
        [
            (b"authorization", b"Bearer " + KEY),
            (b"referer", b"https://example.com/?x=" + KEY),
            (b"x-name", "Zoë".encode()),
            (b"x-odd", b"\xff"),
        ]
    )
    assert shown == [
        ("authorization", REDACTED),
        ("referer", f"https://example.com/?x={REDACTED}"),
        ("x-name", "Zoë"),
        ("x-odd", "\\xff"),
    ]


def test_query_strings() -> None:
    redactor = Redactor(secrets=[KEY])
    for target, shown in [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/x?a=1&b=2", "/v1/x?a=1&b=2"),
        ("/v1/x?key=hidden&a=1", f"/v1/x?key={REDACTED}&a=1"),
        ("/v1/x?a=1&api%5Fkey=hidden", f"/v1/x?a=1&api%5Fkey={REDACTED}"),
        ("/v1/x?access_token=a=b", f"/v1/x?access_token={REDACTED}"),
        ("/v1/x?key", "/v1/x?key"),
        (f"/v1/{KEY.decode()}", f"/v1/{REDACTED}"),
    ]:
        assert redactor.target(target) == shown


def test_a_secret_goes_wherever_it_stands() -> None:
    redactor = Redactor(secrets=[KEY, KEY])
    assert redactor.text(b"no " + KEY + b", and " + KEY) == b"no [redacted], and [redacted]"
    found = redactor.document(b'{"a":"' + KEY + b'"}')
    assert (found.data, found.changed) == (b'{"a":"[redacted]"}', True)
    assert redactor.string(f"incorrect key {KEY.decode()}") == "incorrect key [redacted]"
    tree = {"a": [KEY.decode(), 1, None], "b": {"c": f"x{KEY.decode()}"}}
    assert redactor.strings(tree) == {"a": [REDACTED, 1, None], "b": {"c": f"x{REDACTED}"}}


@given(st.data())
def test_a_secret_goes_however_json_spells_it(data: st.DataObject) -> None:
    key = data.draw(
        st.sampled_from(['sk-canary-01/23"4\\5', "plainkey-1", "ключ-от-всего", "😀" * 3])
    )
    spelled = "".join(
        data.draw(
            st.sampled_from(
                [
                    json.dumps(char)[1:-1],
                    json.dumps(char, ensure_ascii=False)[1:-1],
                    "".join(
                        f"\\u{unit.hex().upper()}"
                        for unit in (
                            char.encode("utf-16-be")[at : at + 2]
                            for at in range(0, len(char.encode("utf-16-be")), 2)
                        )
                    ),
                    "\\/" if char == "/" else json.dumps(char)[1:-1],
                ]
            )
        )
        for char in key
    )
    body = f'{{"a":"before {spelled} after"}}'.encode()
    assert json.loads(body)["a"] == f"before {key} after"
    found = Redactor(secrets=[key.encode()]).document(body)
    assert found.data is not None
    assert json.loads(found.data) == {"a": "before [redacted] after"}


def test_of_two_secrets_the_longer_goes_whole() -> None:
    longer = KEY + b"-and-more"
    for secrets in ([KEY, longer], [longer, KEY]):
        text = Redactor(secrets=secrets).text(longer + b" " + KEY)
        assert text == b"[redacted] [redacted]"


@pytest.mark.measured
def test_a_long_secret_is_looked_for_as_it_is_and_costs_little() -> None:
    # Where no tokens are configured, callers choose their keys.
    for key in (b"k" * 60_000, random.Random(1).randbytes(30_000).hex().encode()):
        started = time.process_time()
        redactor = Redactor(secrets=[key])
        found = redactor.document(b'{"a":"\\u0041\\/' + key + b'"}')
        assert found.data == b'{"a":"\\u0041\\/[redacted]"}'
        for size in (4, 100, 511, 512, 513, 30_000, len(key) - 1):
            cut = b'{"a":"\\u0041 ' + key[:size]
            assert redactor.text(cut, whole=False) == b'{"a":"\\u0041 [redacted]'
        assert redactor.text(b"kk" + key[:600] + b"!", whole=False).endswith(b"!")
        # A regular expression of the first kind takes 3 s.
        assert time.process_time() - started < 0.5


def test_what_is_too_short_is_no_secret() -> None:
    assert Redactor(secrets=[b"EMPTY"]).text(b"EMPTY") == b"EMPTY"
    assert len(b"EMPTY") < MIN_SECRET


def test_the_beginning_of_a_secret_at_a_cut_goes_too() -> None:
    redactor = Redactor(secrets=[KEY])
    for size in range(4, len(KEY)):
        cut = b'{"a":"' + KEY[:size]
        assert redactor.text(cut, whole=False) == b'{"a":"[redacted]'
        assert redactor.text(cut) == cut
    assert redactor.text(b"the sk-", whole=False) == b"the sk-"


def test_without_paths_a_document_stays_as_it_is() -> None:
    for data in (b'{ "a" :1.0, "a":2}', b"no json", b"\xff", b""):
        found = Redactor(secrets=[KEY]).document(data)
        assert (found.data, found.changed) == (data, False)
    assert Redactor().document(b'{"a', whole=False).data == b'{"a'


def test_paths_are_taken_out_and_the_rest_stays_the_same() -> None:
    redactor = Redactor([parse_path("messages[*].content"), parse_path("user")])
    body = {"model": "m", "n": 123456789012345678901234567890, "messages": [{"content": "c"}]}
    found = redactor.document(json.dumps(body).encode())
    assert found.changed
    assert found.data is not None
    assert json.loads(found.data) == {**body, "messages": [{"content": REDACTED}]}
    untouched = redactor.document(b'{"model": "m"}')
    assert (untouched.data, untouched.changed) == (b'{"model":"m"}', False)


def test_of_two_members_of_one_name_none_survives() -> None:
    redactor = Redactor([parse_path("a.b")])
    found = redactor.document(b'{"a":{"b":"hidden"},"a":1}')
    assert found.data == b'{"a":1}'
    found = redactor.document(b'{"a":{"b":"hidden","b":"too"}}')
    assert found.data == b'{"a":{"b":"[redacted]"}}'
    assert redactor.document(b'{"\\u0061":{"b":"x"}}').data == b'{"a":{"b":"[redacted]"}}'


@pytest.mark.parametrize(
    "data", [b"", b"no json", b'{"a":"hidden"', b'{"a":"hidden"}}', b'{"a":"\xff"}', b"[" * 5000]
)
def test_what_cannot_be_read_is_withheld(data: bytes) -> None:
    found = Redactor([parse_path("a")]).document(data)
    assert (found.data, found.changed) == (None, True)


def test_what_is_deep_is_withheld_or_redacted() -> None:
    for depth in (100, 400, 900, 5000):
        data = b'{"b":' * depth + b'{"a":"hidden"}' + b"}" * depth
        found = Redactor([parse_path("**.a")]).document(data)
        assert found.data is None or b"hidden" not in found.data
        assert found.data is not None or depth > 100


def test_what_is_cut_off_is_withheld() -> None:
    assert Redactor([parse_path("a")]).document(b'{"a":1}', whole=False).data is None


def test_lone_surrogates_can_be_read() -> None:
    found = Redactor([parse_path("a")]).document(b'{"a":"hidden","b":"\\ud800"}')
    assert found.data == b'{"a":"[redacted]","b":"\\ud800"}'


def test_a_member_found_elsewhere_obeys_the_same_paths() -> None:
    assert Redactor([parse_path("user")]).member("user", "u") == REDACTED
    assert Redactor([parse_path("$")]).member("user", "u") == REDACTED
    assert Redactor([parse_path("**.user")]).member("user", "u") == REDACTED
    assert Redactor([parse_path("a.user")]).member("user", "u") == "u"
    assert Redactor(secrets=[KEY]).member("user", KEY.decode()) == REDACTED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abcx") | st.text(), inner),
    max_leaves=20,
)


@given(JSON)
@example({"x": {"x": 1}})
def test_nothing_is_left_at_any_depth(tree: object) -> None:
    found = Redactor([parse_path("**.x")]).document(json.dumps(tree).encode())
    assert found.data is not None

    def look(node: object) -> None:
        if isinstance(node, dict):
            assert node.get("x", REDACTED) == REDACTED
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(json.loads(found.data))
