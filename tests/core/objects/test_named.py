"""Which objects a request to a model names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.objects.ids import MOST
from gateway.core.objects.named import may_name_objects, named_objects
from gateway.errors import InvalidRequest


def found(body: bytes, members: tuple[str, ...]) -> list[str]:
    return named_objects(body) if may_name_objects(body, members) else []


def test_where_ids_stand() -> None:
    for body, ids in (
        ({"messages": [{"content": [{"type": "file", "file": {"file_id": "file-abcdef1"}}]}]},
         ["file-abcdef1"]),
        ({"input": [{"type": "input_file", "file_id": "file-abcdef1"}]}, ["file-abcdef1"]),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_abcdef1", "vs_abcdef2"]}]},
         ["vs_abcdef1", "vs_abcdef2"]),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_abcdef1"}]}, ["cntr_abcdef1"]),
        ({"tools": [{"container": {"type": "auto", "file_ids": ["file-abcdef1"]}}]},
         ["file-abcdef1"]),
        ({"messages": [{"content": [{"source": {"type": "file", "file_id": "file_011CNha8iC"}}]}]},
         ["file_011CNha8iC"]),
        ({"container": {"id": "container_011CPabc", "skills": [{"skill_id": "skill_01Abcde"}]}},
         ["container_011CPabc", "skill_01Abcde"]),
        ({"container": "container_011CPabc"}, ["container_011CPabc"]),
        ({"images": [{"file_id": "file-abcdef1"}]}, ["file-abcdef1"]),
        # What is said is no name of anything, nor are the ids of calls and of tools.
        ({"messages": [{"content": "file-abcdef1"}], "tools": []}, []),
        ({"messages": [{"content": "the file_id is file-abcdef1"}]}, []),
        ({"messages": [{"tool_calls": [{"id": "call_1", "tool_call_id": "file"}]}]}, []),
        ({"tools": [{"container": {"type": "auto"}}], "id": "file-abcdef1"}, []),
        # Anthropic's own skills are everybody's.
        ({"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}}, []),
    ):  # fmt: skip
        kept: dict[str, Any] = body
        for text in (json.dumps(kept), json.dumps(kept, indent=1)):
            names = sorted(found(text.encode(), tuple(kept)))
            assert names == sorted(ids), body


def test_escapes_hide_nothing() -> None:
    for text in (
        rb'{"x":{"file\u005fid":"file-abcdef1"}}',
        rb'{"x":{"file_id":"file\u002dabcdef1"}}',
        rb'{"x":{"\u0066ile_id":"file-abcdef1"}}',
        rb'{"tools":[{"c\u006fntainer":"cntr_abcdef1"}]}',
    ):
        assert len(found(text, ("x", "tools"))) == 1, text


def test_no_reader_finds_more() -> None:
    for text in (
        # Of two members each reader takes another one, and some readers take half a surrogate pair.
        rb'{"x":{"file_id":"file-abcdef1","file_id":"file-abcdef2"}}',
        rb'{"x":{"file_id":"file-abcdef1"},"x":{"file_id":"file-abcdef2"}}',
        rb'{"y":"\ud800","x":[{"file_id":"file-abcdef1"},{"file_ids":["file-abcdef2"]}]}',
        rb'{"y":%b,"x":{"file_ids":["file-abcdef1","file-abcdef2"]}}' % (b"9" * 5000),
    ):
        assert found(text, ("x",)) == ["file-abcdef2", "file-abcdef1"], text
    with pytest.raises(InvalidRequest):
        named_objects(b'{"file_id":"file-abcdef1",}')


def test_most_bodies_are_not_looked_at() -> None:
    for text in (
        b'{"messages":[{"content":"a container, file and id"}]}',
        rb'{"messages":[{"content":"gr\u00fc\u00dfe, file\u002did"}]}',
        b"{}",
    ):
        assert not may_name_objects(text, ("messages",))


def test_too_many_are_told() -> None:
    many = {"file_ids": [f"file-abcdef{number}" for number in range(MOST + 5)]}
    assert len(found(json.dumps(many).encode(), ())) == MOST + 1
