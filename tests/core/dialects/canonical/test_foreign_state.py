from __future__ import annotations

import json

from gateway.core.dialects.canonical.foreign_state import without_foreign_state

OURS = {"type": "thinking", "thinking": "t", "signature": "~GATEWAY~STATE~1~:openai_chat/p:"}
THEIRS = {"type": "thinking", "thinking": "t", "signature": "EqQBCg"}
TEXT = {"type": "text", "text": "Hi \u00e9 1.50"}


def test_tagged_thinking_is_taken_out_and_all_else_keeps_its_bytes() -> None:
    plain = '{"role" : "user", "content": [{"type":"text","text":"caf\\u00e9"}]}'
    mixed = json.dumps({"role": "assistant", "content": [OURS, THEIRS, TEXT]})
    alone = json.dumps({"role": "assistant", "content": [OURS]})
    body = f'{{"model":"m", "messages":[{plain}, {mixed}, {alone}], "n":1.50}}'.encode()
    found = without_foreign_state(body)
    assert plain.encode() in found
    assert found.startswith(b'{"model":"m", "messages":')
    assert found.endswith(b', "n":1.50}')
    messages = json.loads(found)["messages"]
    assert [message["content"] for message in messages[1:]] == [[THEIRS, TEXT]]


def test_details_of_reasoning_go_with_their_message_left() -> None:
    details = [
        {
            "type": "reasoning.text",
            "text": "t",
            "signature": "~GATEWAY~STATE~1~:anthropic_messages:x",
        }
    ]
    message = {"role": "assistant", "content": "Hi", "reasoning_details": details}
    body = json.dumps({"messages": [message]}).encode()
    assert json.loads(without_foreign_state(body)) == {
        "messages": [{"role": "assistant", "content": "Hi"}]
    }


def test_whatever_else_says_so_stays() -> None:
    for body in (
        b'{"messages":[{"role":"user","content":"\\"~GATEWAY~STATE~1~:"}]}',
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"~GATEWAY~STATE~1~:x"}]}]}',
        b'{"messages":"~GATEWAY~STATE~1~:"}',
        b'{"messages":[["~GATEWAY~STATE~1~:"]]}',
        b'{"note":"~GATEWAY~STATE~1~:"}',
    ):
        assert json.loads(without_foreign_state(body)) == json.loads(body)


def test_searches_of_other_providers_go_and_what_cites_them() -> None:
    def page(pointer: str) -> dict[str, str]:
        return {"type": "web_search_result", "url": "https://h", "title": "t", "encrypted_content": pointer}  # noqa: E501  # fmt: skip

    def search(id: str, pointer: str) -> list[dict[str, object]]:
        call: dict[str, object] = {
            "type": "server_tool_use",
            "id": id,
            "name": "web_search",
            "input": {"query": "q"},
        }
        return [call, {"type": "web_search_tool_result", "tool_use_id": id, "content": [page(pointer)]}]  # noqa: E501  # fmt: skip

    def cited(*pointers: str) -> dict[str, object]:
        places = [{"type": "web_search_result_location", "url": "https://h", "encrypted_index": each} for each in pointers]  # noqa: E501  # fmt: skip
        return {"type": "text", "text": "x", "citations": places} if places else {"type": "text", "text": "x"}  # noqa: E501  # fmt: skip

    tag = "~GATEWAY~STATE~1~:openai_responses/p:"
    given = [*search("srvtoolu_1", tag), *search("srvtoolu_2", "Eq"), cited(tag, "Eo"), cited(tag), TEXT]  # noqa: E501  # fmt: skip
    body = json.dumps({"messages": [{"role": "assistant", "content": given}]}).encode()
    [message] = json.loads(without_foreign_state(body))["messages"]
    assert message["content"] == [*search("srvtoolu_2", "Eq"), cited("Eo"), cited(), TEXT]
