"""Codex over a WebSocket: its requests and what came of a command, over one session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from wsproto.events import TextMessage

from gateway.core.records.record import EndReason

from ..end_to_end.harness import config, in_process
from ..end_to_end.socket_peers import SocketPeer, socket_provider
from .coding_agents import codex, told_by_codex
from .model import ScriptedModel, response_events
from .test_clients import QUESTION, WORD, choose
from .world import need_node

pytestmark = pytest.mark.slow


async def test_codex_over_a_websocket(tmp_path: Path) -> None:
    need_node()
    (tmp_path / "note.txt").write_text(WORD + "\n")
    model = ScriptedModel(choose(tmp_path), thinks=False)
    asked: list[dict[str, Any]] = []

    async def answers(peer: SocketPeer) -> None:
        while isinstance(event := await peer.event(), TextMessage):
            text = event.data
            while not event.message_finished:
                event = await peer.event()
                assert isinstance(event, TextMessage)
                text += event.data
            asked.append(json.loads(text))
            for said in response_events(response(asked[-1])):
                data = said.partition(b"data: ")[2]
                await peer.say(**json.loads(data))

    def response(said: dict[str, Any]) -> dict[str, Any]:
        # The first one may be there to warm up, and wants nothing.
        if said.get("generate") is False:
            said = {**said, "tools": []}
        [(_, answer)] = model._responses({**said, "stream": False})
        assert isinstance(answer, bytes)
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found | {"id": f"resp_{len(asked)}"}

    speaks = 'api = "responses"\nresponses_websocket = true'
    async with (
        socket_provider(answers) as provider,
        in_process(config(provider.port, provider=speaks)) as gateway,
    ):
        base = f"http://127.0.0.1:{gateway.port}"
        sockets = "supports_websockets = true\n"
        said = await told_by_codex(codex(base, "m", tmp_path, QUESTION, provider=sockets))
        record = await gateway.record()
        sessions = [each.target for each in provider.sessions]
    assert WORD in said
    assert sessions == ["/v1/responses"]
    assert len(gateway.records) == 1
    assert (record.operation, record.status, record.model) == ("responses_socket", 101, "m")
    # It leaves without a close once it has all.
    assert record.end_reason in (EndReason.COMPLETE, EndReason.CLIENT_GONE)
    assert {each["model"] for each in asked} == {"real-model"}
    # What follows goes on from the answer before, with the result of the command.
    assert asked[-1]["previous_response_id"] == f"resp_{len(asked) - 1}"
    assert asked[-1]["input"][-1]["type"] == "function_call_output"
    assert record.input_tokens == 19 * len(asked)
    assert record.cost_nano_usd == len(asked) * (19_000 + 20_000)
