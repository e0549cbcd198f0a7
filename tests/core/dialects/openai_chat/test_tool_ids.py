from __future__ import annotations

import json
import re

from gateway.core.dialects.openai_chat.tool_ids import short_id, with_short_ids

LONG = "call_PTLP8xhu3uwZk4l3nlnrrJha"


def test_ids_that_fit_stay() -> None:
    assert short_id("abcDEF123") == "abcDEF123"
    body = b'{"messages":[{"role":"tool","tool_call_id":"abcDEF123","content":1.10}]}'
    assert with_short_ids(body) is body


def test_others_are_nine_letters_and_digits_and_always_the_same() -> None:
    for given in (
        LONG,
        "functions.get_weather:0",
        "",
        "abc_EF123",
        "abcDEF1234",
        "\udc00",
        "ü" * 9,
    ):
        assert re.fullmatch(r"[A-Za-z0-9]{9}", short_id(given))
        assert short_id(given) == short_id(given)
    assert len({short_id(f"call_{number}") for number in range(1000)}) == 1000


def test_a_call_and_its_result_keep_together() -> None:
    call = {"id": LONG, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "tool_calls": [call, {**call, "id": "abcDEF123"}]},
        {"role": "tool", "tool_call_id": LONG, "content": f"{LONG} is told"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "x"},
    ]
    body = json.dumps({"model": "m", "top_p": 0.10, "messages": messages, "seed": 1}).encode()
    found = json.loads(with_short_ids(body))
    first, second, third = found["messages"]
    assert [each["id"] for each in first["tool_calls"]] == [short_id(LONG), "abcDEF123"]
    assert (second["tool_call_id"], third["tool_call_id"]) == (short_id(LONG), "abcDEF123")
    # What the user reads is nobody's id.
    assert second["content"] == f"{LONG} is told"
    assert (found["seed"], found["top_p"]) == (1, 0.1)


def test_what_is_no_conversation_goes_as_it_is() -> None:
    for body in (
        b'{"messages":"tool_call_id"}',
        b'{"messages":{"tool_call_id":5}}',
        b'{"messages":[5,{"tool_calls":"x"},{"tool_calls":[1]},{"tool_call_id":null}]}',
        b'{"tool_calls":[]}',
    ):
        assert with_short_ids(body) is body
