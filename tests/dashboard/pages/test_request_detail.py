"""Requests in each API in a browser: readable, and markup in any of their members is text."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from ..conftest import Watched, axe_violations
from ..live_gateway import KEY, LiveGateway
from ..provider import MARKUP

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")

_SAID: Final = f"What is it? {MARKUP}"
_TOOL: Final = {"name": "look", "description": MARKUP}
_SCHEMA: Final = {"type": "object", "description": MARKUP, "properties": {}}
# The path, the body, and what stands on the page of its messages; all are answered by one model.
_ASKED: Final[list[tuple[str, dict[str, Any], tuple[str, ...]]]] = [
    ("/v1beta/models/plain:generateContent",
     {"contents": [{"role": "user", "parts": [{"text": _SAID}]}],
      "systemInstruction": {"parts": [{"text": MARKUP}]},
      "tools": [{"functionDeclarations": [{**_TOOL, "parameters": _SCHEMA}]}]},
     (_SAID, "offers 1 tools: look", "It is sunny.")),
    ("/model/plain/converse",
     {"messages": [{"role": "user", "content": [{"text": _SAID}]}], "system": [{"text": MARKUP}],
      "toolConfig": {"tools": [{"toolSpec": {**_TOOL, "inputSchema": {"json": _SCHEMA}}}]}},
     (_SAID, "look", "It is sunny.")),
    ("/v2/chat",
     {"model": "plain", "messages": [{"role": "user", "content": _SAID}]}, (_SAID, "It is sunny.")),
    ("/api/chat",
     {"model": "plain", "stream": False, "messages": [{"role": "user", "content": _SAID}]},
     (_SAID, "It is sunny.")),
    ("/api/chat",
     {"model": "weather", "messages": [{"role": "user", "content": _SAID}]},
     (_SAID, "Let me look", "weather")),
    ("/v1/responses",
     {"model": "plain", "input": [{"role": "user", "content": _SAID}], "instructions": MARKUP,
      "metadata": {"a": MARKUP}},
     (_SAID, "It is sunny.")),
    ("/v1/messages",
     {"model": "plain", "max_tokens": 9, "metadata": {"user_id": MARKUP},
      "messages": [{"role": "user", "content": _SAID}]},
     (_SAID, "It is sunny.")),
    ("/v1/images/generations", {"model": "plain", "prompt": _SAID},
     (_SAID, "Image", "3 B", MARKUP)),
    ("/v1/embeddings", {"model": "plain", "input": [_SAID]}, (_SAID, "1 vector of 3 numbers")),
    ("/v1/rerank", {"model": "plain", "query": _SAID, "documents": [MARKUP]},
     (_SAID, "document 0: 0.75")),
]  # fmt: skip

_EACH_FORM: Final = ("/v1beta/models/plain:generateContent", "/v1/images/generations", "/v1/rerank")


def _ask(gateway: LiveGateway, path: str, body: object) -> tuple[int, str, bytes]:
    """Return the status, the request's id and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    headers = {
        "authorization": f"Bearer {KEY}-2",
        "content-type": "application/json",
        "x-api-key": f"{KEY}-2",
        "anthropic-version": "2023-06-01",
        "user-agent": MARKUP,
    }
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["x-request-id"], answer.read()
    finally:
        connection.close()


def test_each_api_is_readable_and_harmless(watched: Watched, gateway: LiveGateway) -> None:
    page = watched.page
    # All first: what is kept of them is written together.
    asked = [(_ask(gateway, path, body), path, body, texts) for path, body, texts in _ASKED]
    for (status, request_id, answer), path, body, texts in asked:
        assert status == 200, (path, answer)
        for tab in ("raw", "messages"):
            _goto_when_kept(watched, f"requests/{request_id}?tab={tab}")
            assert page.locator("main img, main script, main b:text('of that')").count() == 0, path
        for text in texts:
            expect(page.locator("main")).to_contain_text(text)
        # They are made of the same parts: those of a chat, of images and of ranks.
        if path in _EACH_FORM:
            assert axe_violations(page) == [], path
        if body.get("model") == "weather":
            watched.goto(f"requests/{request_id}?tab=events")
            assert page.locator("tbody tr").count() == 3


def _goto_when_kept(watched: Watched, path: str) -> None:
    """Go to a request's page once its record and its capture are written, which takes seconds."""
    page = watched.page
    for _ in range(120):
        # To show each look would take longer than all that is looked at.
        answer = page.request.get(f"{watched.url}/admin/{path}")
        if answer.status == 200 and "was not captured" not in answer.text():
            break
        page.wait_for_timeout(250)
    else:
        raise AssertionError(f"{path} is not there")
    watched.goto(path)
    assert "was not captured" not in page.inner_text("main"), path
