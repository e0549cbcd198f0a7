"""Responses that the gateway keeps: what refers to them, and what a request becomes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import DialectRequest
from gateway.core.dialects.keeping import (
    KeptResponse,
    ResponsesPolicy,
    is_kept,
    items_page,
    kept_of,
    last_event,
    prepared,
    referred,
    resolved,
    response_in,
)
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES

DIGEST = "0123456789abcdef" * 2 + "01234567"
ID = f"resp_gw{DIGEST}"
OUTPUT = [
    {"type": "reasoning", "id": f"rs_gw{DIGEST}_0", "summary": [], "encrypted_content": "x"},
    {"type": "message", "id": f"msg_gw{DIGEST}_1", "role": "assistant", "content": []},
]
KEPT = KeptResponse(
    ID,
    json.dumps({"id": ID, "output": OUTPUT}).encode(),
    b'[{"type":"message","id":"item_1","role":"user","content":[{"type":"input_text","text":"a"}]}]',
)
ON = ResponsesPolicy(store=True)


def request(**body: Any) -> DialectRequest:
    return OPENAI_RESPONSES.read_request(json.dumps({"model": "m", "input": "x"} | body).encode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, True),
        ({"store": True}, True),
        ({"store": None}, True),
        ({"store": False}, False),
        ({"input": "y" * 9000}, False),
    ],
)
def test_which_answers_are_kept(body: dict[str, Any], expected: bool) -> None:
    policy = ResponsesPolicy(store=True, max_bytes=8000)
    assert is_kept(prepared(request(**body), policy)) is expected
    assert not is_kept(prepared(request(**body), ResponsesPolicy()))
    chat = OPENAI_CHAT.read_request(b'{"model":"m","messages":[]}')
    assert prepared(chat, policy) is chat
    assert referred(chat) == set()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"previous_response_id": ID}, {ID}),
        ({"previous_response_id": "resp_1"}, set()),
        ({"input": [{"type": "item_reference", "id": f"msg_gw{DIGEST}_1"}]}, {ID}),
        ({"input": [{"id": f"msg_gw{DIGEST}_1", "type": "item_reference"}, {"role": "user", "content": "item_reference"}]}, {ID}),  # noqa: E501
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, set()),
        ({"input": '"item_reference"'}, set()),
    ],
)  # fmt: skip
def test_what_refers_to_them(body: dict[str, Any], expected: set[str]) -> None:
    assert referred(request(**body)) == expected


def test_a_request_says_itself_what_it_goes_on_from() -> None:
    asked = prepared(request(previous_response_id=ID, temperature=0.5), ON)
    found = resolved(asked, {ID: KEPT})
    body = json.loads(found.body)
    assert "previous_response_id" not in body
    assert body["temperature"] == 0.5
    assert body["input"][1:3] == OUTPUT
    assert [each.get("role") for each in body["input"]] == ["user", None, "assistant", "user"]
    assert body["input"][3]["content"] == [{"type": "input_text", "text": "x"}]
    assert found.continues is None
    assert is_kept(found)


def test_items_by_reference() -> None:
    items = [
        {"role": "user", "content": "y"},
        {"type": "item_reference", "id": f"msg_gw{DIGEST}_1"},
        {"type": "item_reference", "id": "msg_of_another"},
    ]
    found = json.loads(resolved(request(input=items), {ID: KEPT}).body)["input"]
    assert found == [items[0], OUTPUT[1], items[2]]


def test_what_is_kept_of_an_answer() -> None:
    asked = request(input=[{"role": "user", "content": "y"}, {"role": "assistant", "content": "z"}, {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "o"}])  # noqa: E501  # fmt: skip
    found = kept_of(asked, KEPT.response)
    assert found is not None
    items = json.loads(found.input)
    assert [item["content"] for item in items[:2]] == [
        [{"type": "input_text", "text": "y"}],
        [{"type": "output_text", "text": "z"}],
    ]
    assert items[2] == {
        "type": "function_call_output",
        "id": "fco_1",
        "call_id": "c",
        "output": "o",
    }
    assert len({item["id"] for item in items}) == 3
    assert kept_of(asked, b'{"id":"resp_1","output":[]}') is None
    assert kept_of(asked, b'{"id":"resp_1","output":["\\"resp_gw"]}') is None
    assert kept_of(asked, b"no JSON") is None


def test_pages_of_items() -> None:
    items = [{"id": f"i{number}"} for number in range(5)]
    kept = KeptResponse(ID, b"{}", json.dumps(items).encode())
    first = json.loads(items_page(kept, limit=2, after="", newest_first=False))
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (["i0", "i1"], True)
    last = json.loads(items_page(kept, limit=9, after="i3", newest_first=True))
    assert [each["id"] for each in last["data"]] == ["i2", "i1", "i0"]
    assert (last["first_id"], last["last_id"], last["has_more"]) == ("i2", "i0", False)
    none = json.loads(items_page(KeptResponse(ID, b"{}", b"[]"), limit=1, after="", newest_first=True))  # noqa: E501  # fmt: skip
    assert (none["data"], none["first_id"], none["has_more"]) == ([], None, False)


def test_the_response_of_a_stream() -> None:
    data = b'{"type":"response.completed","sequence_number":9,"response":%b}' % KEPT.response
    stream = b"event: x\ndata: {}\n\nevent: response.completed\ndata: %b\n\n" % data
    end = last_event(stream)
    assert end.startswith(b"event: response.completed")
    assert response_in(end) == KEPT.response
    assert last_event(b"event: response.created\ndata: {}\n\n") == b""
    assert response_in(b"event: response.completed\ndata: half") == b""
