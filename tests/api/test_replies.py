from __future__ import annotations

from gateway.api.replies import json_reply

JSON = (b"content-type", b"application/json")


def test_json_reply() -> None:
    assert json_reply({"é": [1]}) == ([JSON], '{"é":[1]}'.encode())
