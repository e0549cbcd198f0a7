from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from gateway.demo import server as demo
from gateway.demo.server import serve_demo
from gateway.upstream.httpx_adapter import HttpxTransport
from gateway.upstream.transport import Transport

from ..upstream.servers import open_sockets

QUESTION: dict[str, object] = {
    "model": "any",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
}


@contextlib.asynccontextmanager
async def demo_client(token_interval: float = 0.0) -> AsyncIterator[httpx.AsyncClient]:
    transport = Transport()
    async with trio.open_nursery() as nursery:

        async def start(task_status: trio.TaskStatus[int]) -> None:
            await serve_demo(
                token_interval=token_interval, clock=lambda: 1234.5, listening=task_status.started
            )

        port = await nursery.start(start)
        async with httpx.AsyncClient(
            transport=HttpxTransport(transport), base_url=f"http://127.0.0.1:{port}/v1"
        ) as client:
            yield client
        await transport.aclose()
        assert open_sockets(port) == 0
        nursery.cancel_scope.cancel()


def events(text: str) -> list[dict[str, object]]:
    lines = text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def test_answers_whole() -> None:
    async with demo_client() as client:
        first = (await client.post("/chat/completions", json=QUESTION)).json()
        second = (await client.post("/chat/completions", json=QUESTION)).json()
    assert first == second
    assert (first["object"], first["created"], first["model"]) == ("chat.completion", 1234, "any")
    (choice,) = first["choices"]
    content = choice["message"]["content"]
    assert '"Why is the sky blue?"' in content
    assert content.count(". ") >= 2
    assert choice["finish_reason"] == "stop"
    count = len(content.split())
    assert first["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": count,
        "total_tokens": 5 + count,
    }


@pytest.mark.parametrize("include_usage", [False, True])
async def test_streams(include_usage: bool) -> None:
    body: dict[str, object] = QUESTION | {"stream": True}
    if include_usage:
        body |= {"stream_options": {"include_usage": True}}
    async with demo_client() as client:
        whole = (await client.post("/chat/completions", json=QUESTION)).json()
        response = await client.post("/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = events(response.text)
    assert {(c["id"], c["created"], c["model"], c["object"]) for c in chunks} == {
        (chunks[0]["id"], 1234, "any", "chat.completion.chunk")
    }
    if include_usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert all(("usage" in chunk) == include_usage for chunk in chunks)
    assert all(chunk.get("usage") is None for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]  # type: ignore[index]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert (choices[-1]["delta"], choices[-1]["finish_reason"]) == ({}, "stop")
    assert all(choice["finish_reason"] is None for choice in choices[:-1])
    said = "".join(choice["delta"].get("content", "") for choice in choices)
    assert said == whole["choices"][0]["message"]["content"]
    assert len(choices) == whole["usage"]["completion_tokens"] + 2


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_honours_a_limit(name: str) -> None:
    async with demo_client() as client:
        whole = (await client.post("/chat/completions", json=QUESTION | {name: 3})).json()
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == 3


async def test_understands_content_parts_and_silence() -> None:
    parts = [{"type": "text", "text": "Tell me"}, {"type": "image_url"}]
    async with demo_client() as client:
        for content, expected in ((parts, '"Tell me"'), (None, "did not ask")):
            body = {"model": "m", "messages": [{"role": "user", "content": content}]}
            answer = (await client.post("/chat/completions", json=body)).json()
            assert expected in answer["choices"][0]["message"]["content"]


async def test_lists_its_models() -> None:
    async with demo_client() as client:
        answer = (await client.get("/models?limit=10")).json()
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == list(demo.MODELS)
    assert {key for model in answer["data"] for key in model} == {
        "id",
        "object",
        "created",
        "owned_by",
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/chat/completions", b"{", 400),
        ("POST", "/chat/completions", b"[]", 400),
        ("POST", "/chat/completions", b"[" * 100_000, 400),
        ("POST", "/chat/completions", b'{"model": "m"}', 400),
        ("POST", "/chat/completions", b'{"model": "m", "messages": [], "max_tokens": 0}', 400),
        ("GET", "/chat/completions", b"", 404),
        ("POST", "/rerank", b"{}", 404),
        ("POST", "/embeddings", b"{}", 400),
        ("POST", "/embeddings", b'{"model": "m", "input": "x", "dimensions": 0}', 400),
        ("POST", "/moderations", b'{"input": "x"}', 400),
        ("POST", "/completions", b'{"prompt": "x"}', 400),
        ("POST", "/responses", b'{"input": "x"}', 400),
        ("POST", "/responses", b'{"model": "m", "input": "x", "previous_response_id": "r"}', 400),
        ("POST", "/chat/completions", b" " * (demo.MAX_BODY + 1), 413),
    ],
)
async def test_refuses(method: str, path: str, body: bytes, status: int) -> None:
    async with demo_client() as client:
        response = await client.request(method, path, content=body)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        # And goes on.
        assert (await client.get("/models")).status_code == 200


async def test_a_client_that_leaves_ends_its_task() -> None:
    async with demo_client(token_interval=60.0) as client:
        before = trio.lowlevel.current_statistics().tasks_living
        async with client.stream("POST", "/chat/completions", json=QUESTION | {"stream": True}):
            assert trio.lowlevel.current_statistics().tasks_living == before + 2
        with trio.fail_after(30):
            while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110
                await trio.sleep(0.005)


async def test_a_peer_that_is_not_http_disturbs_nobody() -> None:
    async with demo_client() as client:
        port = client.base_url.port
        assert port is not None
        for junk in (b"\x16\x03\x01\x02\x00junk\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(junk)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
                with contextlib.suppress(trio.BrokenResourceError):
                    assert await stream.receive_some() == b""
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert (await client.get("/models")).status_code == 200


async def test_a_slow_head_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUEST_TIME", 0.1)
    async with demo_client() as client:
        port = client.base_url.port
        assert port is not None
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                for letter in b"GET /v1/models HTTP/1.1":
                    await stream.send_all(bytes([letter]))
                    await trio.sleep(0.02)
            with contextlib.suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        assert (await client.get("/models")).status_code == 200
