"""A real model server: llama.cpp's, which speaks all three APIs, with a model of chance.

It is told what it is asked by the gateway alone, in each of its APIs, for callers of each.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from gateway.core.records.record import EndReason

from ..end_to_end.caller import Reply, calling
from ..end_to_end.harness import InProcess, in_process
from .matrix.spoken import data_of
from .world import HERE, PATIENCE, PYTHON, config, need_python, targets_of

pytestmark = pytest.mark.slow

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
SCHEMA = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}


@contextlib.asynccontextmanager
async def model_server(folder: Path) -> AsyncIterator[int]:
    """Run the server; its port."""
    async with trio.open_nursery() as nursery:
        command = [str(PYTHON), str(HERE / "llama_script.py"), str(folder / "model.gguf")]
        run = partial(
            trio.run_process,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        said = b""
        with trio.fail_after(PATIENCE):
            while not said.endswith(b"\n"):
                data = await process.stdout.receive_some()
                assert data, "llama.cpp's server has not started"
                said += data
        port = urlsplit(said.decode().split()[-1]).port
        assert port is not None
        try:
            yield port
        finally:
            nursery.cancel_scope.cancel()


def request(api: str, said: str, **more: Any) -> dict[str, Any]:
    if api == "responses":
        return {"input": said, "max_output_tokens": 12, "store": False, **more}
    return {"messages": [{"role": "user", "content": said}], "max_tokens": 12, **more}


async def ask(gateway: InProcess, caller: str, target: str, body: dict[str, Any]) -> Reply:
    async with calling(gateway.port) as connection:
        data = json.dumps({"model": f"to-{target}", **body}).encode()
        await connection.post(data, target=PATHS[caller])
        return await connection.reply()


async def test_it_answers_callers_of_every_api(tmp_path: Path) -> None:
    need_python()
    # The APIs that it serves itself.
    pairs = [(a, b) for a in PATHS for b in targets_of(a) if b in PATHS]
    async with model_server(tmp_path) as port, in_process(config(port)) as gateway:
        for number, (caller, target) in enumerate(pairs):
            kept = 4 * number
            reply = await ask(gateway, caller, target, request(caller, "Say something."))
            assert (reply.status, reply.complete) == (200, True), reply
            streamed = request(caller, "Say something.", stream=True)
            reply = await ask(gateway, caller, target, streamed)
            assert (reply.status, reply.complete) == (200, True), reply
            assert len(data_of(reply.body)) > 3
            for record in (await gateway.record(kept + 1), await gateway.record(kept + 2)):
                assert record.end_reason is EndReason.COMPLETE
                assert 1 <= (record.output_tokens or 0) <= 12
                if record.input_tokens is None:
                    # Its streams of Messages lack their first event, which has these tokens, where
                    # the first token is only a part of a character.
                    assert (target, record.stream) == ("messages", True)
                    continue
                assert record.input_tokens > 20
                assert record.cost_nano_usd
            await holds_to_a_schema(gateway, caller, target)
            await says_what_is_too_long(gateway, caller, target)


async def holds_to_a_schema(gateway: InProcess, caller: str, target: str) -> None:
    """The server's grammar: what comes is JSON, though its model knows none."""
    wanted: dict[str, dict[str, Any]] = {
        "chat": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA},
            }
        },
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        "responses": {
            "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
        },
    }
    body = request(caller, "Is it so?", **wanted[caller])
    body["max_output_tokens" if caller == "responses" else "max_tokens"] = 400
    reply = await ask(gateway, caller, target, body)
    assert reply.status == 200, reply
    if target != "chat":
        return  # its Messages and Responses know no schema
    found = reply.json
    if caller == "chat":
        text = found["choices"][0]["message"]["content"]
    elif caller == "messages":
        text = found["content"][0]["text"]
    else:
        text = found["output"][-1]["content"][0]["text"]
    assert isinstance(json.loads(text)["yes"], bool)


async def says_what_is_too_long(gateway: InProcess, caller: str, target: str) -> None:
    reply = await ask(gateway, caller, target, request(caller, "too long " * 2000))
    assert reply.status == 400, reply
    if caller == "messages" != target:
        assert reply.error["message"].startswith("prompt is too long")
    elif caller != target:
        assert reply.error["code"] == "context_length_exceeded"
