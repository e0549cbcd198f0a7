"""A provider that is scripted by the name of the model that it is asked for.

sick      500, with HTML in its message
tools     a stream of reasoning and a call of a tool
slow      a stream that goes on for minutes, unless it is cut
other     a whole answer with HTML in it, of images, vectors or ranks if asked for these
"""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MARKUP = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'"
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 40,
    "total_tokens": 160,
    "prompt_tokens_details": {"cached_tokens": 64},
}
# By the end of a path: what is no chat.
MADE: dict[str, Any] = {
    "/images/generations": {"created": 1, "data": [{"b64_json": "QUJD", "revised_prompt": MARKUP}]},
    "/embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.5, 2.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    },
    "/rerank": {"results": [{"index": 0, "relevance_score": 0.75, "document": MARKUP}]},
    "/audio/speech": {"sound": MARKUP},
}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_POST(self) -> None:  # the library's name for it
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["model"] == "sick":
            self._whole(500, {"error": {"message": f"overloaded {MARKUP}"}})
        elif asked["model"] == "tools":
            self._stream()
        elif asked["model"] == "slow":
            self._go_on()
        elif made := next((each for path, each in MADE.items() if self.path.endswith(path)), None):
            self._whole(200, made)
        else:
            message = {"role": "assistant", "content": f"It is sunny. {MARKUP}"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._whole(200, _answer("chat.completion", choices=[choice], usage=USAGE))

    def _whole(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _go_on(self) -> None:
        """Stream until the gateway lets go, and count that it has."""
        self._begin()
        assert isinstance(self.server, ScriptedServer)
        self.server.streams += 1
        try:
            for number in range(3000):
                delta = {"content": f"word{number} "}
                self._event(
                    _answer("chat.completion.chunk", choices=[{"index": 0, "delta": delta}])
                )
                time.sleep(0.05)
        except OSError:
            self.close_connection = True
        finally:
            self.server.streams -= 1

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _stream(self) -> None:
        self._begin()
        call: dict[str, Any] = {"index": 0, "id": "call_1", "type": "function"}
        for delta in (
            {"role": "assistant", "reasoning_content": "Let me look"},
            {"tool_calls": [{**call, "function": {"name": "weather", "arguments": '{"city": '}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": f'"{MARKUP}"}}'}}]},
        ):
            self._event(_answer("chat.completion.chunk", choices=[{"index": 0, "delta": delta}]))
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        self._event(_answer("chat.completion.chunk", choices=[end], usage=USAGE))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: object) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        event = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.flush()


class ScriptedServer(ThreadingHTTPServer):
    """`streams` is how many endless streams are being sent."""

    daemon_threads = True
    streams = 0


def make_provider(port: int) -> ScriptedServer:
    return ScriptedServer(("127.0.0.1", port), Provider)


def _answer(kind: str, **members: object) -> dict[str, object]:
    return {"id": "x", "object": kind, "created": 1, "model": "m", **members}
