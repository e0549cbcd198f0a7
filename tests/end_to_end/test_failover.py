"""What a client of the OpenAI SDK sees while the first of two models is broken in every way.

The configuration is an ordinary one: a model on one provider, and another model on another
provider as its fallback. The table says, for each fault of the first, who answers a stream and a
whole answer, and after how many attempts. Up to the first content a fault is not to be seen;
after it the client must be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
import trio

from tests.late import openai

from ..http_client import sdk_client
from .harness import InProcess, in_process
from .provider import Asked, Provider, serving, speaking
from .sdk import chat
from .wire import (
    DONE,
    EOF,
    RESET,
    STALL,
    Script,
    broken,
    completion,
    event,
    failure,
    streamed,
    whole,
)

pytestmark = pytest.mark.slow

CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
[timeouts]
first_event = 1
idle = 1
[store]
url = ""
[overload]
lag = 0
[providers.first]
kind = "openai"
base_url = "http://127.0.0.1:{first}/v1"
api_key = "sk-first"
timeouts = {{ total = 2 }}
[providers.second]
kind = "openai"
base_url = "http://127.0.0.1:{second}/v1"
api_key = "sk-second"
[[models]]
name = "main"
routes = [{{ provider = "first", model = "main-2026-01-01" }}]
fallbacks = ["backup"]
{main}
[[models]]
name = "backup"
routes = [{{ provider = "second", model = "backup-2026-01-01" }}]
"""


class Seen(msgspec.Struct, frozen=True):
    """What a client sees, and the causes of the attempts that came before it."""

    model: str | None = None
    causes: tuple[str, ...] = ()
    # Of an error: its class in the SDK, and its status, None if it came within a stream.
    error: str | None = None
    status: int | None = None


def backup(*causes: str) -> Seen:
    return Seen("backup", causes)


# Whichever timeout came first.
SILENCE: Final = "silence"
MAIN: Final = Seen("main")
# A stream that has begun can only be broken off, and the SDK raises what its last event says.
CUT: Final = Seen("main", error="APIError")


def one(data: bytes) -> Script:
    return [(0.0, data)]


def first(*events: bytes) -> Script:
    return streamed([*events, DONE])


ROLE: Final = event({"role": "assistant", "content": ""})
HELLO: Final = event({"content": "Hel"})
HTML: Final = b"<html><body>Bad gateway</body></html>"
LONG: Final = failure(400, "maximum context length is 8192 tokens", code="context_length_exceeded")
# The head of an answer, and half of its body.
HALF: Final = whole(200, completion())[:-100]
SAID_ERROR: Final = {"error": {"message": "overloaded", "type": "server_error", "code": 503}}
FAULT_EVENT: Final = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'

Scripts = tuple[Script, Script]  # for a stream, for a whole answer


def both(script: Script) -> Scripts:
    return script, script


FAULTS: Final[list[Any]] = [
    # The trouble is over at once, or may be: once more, then the other model.
    pytest.param(both(one(failure(500))), backup("server_error", "server_error"), None, id="500"),
    pytest.param(
        both(one(whole(502, HTML, kind="text/html"))),
        *(backup("server_error", "server_error"), None),
        id="502 in html",
    ),
    pytest.param(both(one(failure(503))), backup("server_error", "server_error"), None, id="503"),
    pytest.param(both(one(failure(529))), backup("server_error", "server_error"), None, id="529"),
    pytest.param(
        both(one(failure(503, "busy", "retry-after: 20"))),
        *(backup("server_error"), None),
        id="503 with a wait",
    ),
    pytest.param(
        both([(0.0, EOF)]), backup("connection_lost", "connection_lost"), None, id="closed"
    ),
    pytest.param(
        both([(0.0, RESET)]), backup("connection_lost", "connection_lost"), None, id="reset"
    ),
    # Limits and keys: the other model at once.
    pytest.param(both(one(failure(429))), backup("rate_limited"), None, id="429"),
    pytest.param(
        both(one(failure(429, "slow down", "retry-after: 30"))),
        *(backup("rate_limited"), None),
        id="429 with a wait",
    ),
    pytest.param(
        both(one(failure(429, "pay", code="insufficient_quota"))),
        *(backup("auth_failed"), None),
        id="quota",
    ),
    pytest.param(both(one(failure(401))), backup("auth_failed"), None, id="401"),
    pytest.param(both(one(failure(403))), backup("auth_failed"), None, id="403"),
    # Silence.
    pytest.param(
        both([(0.0, STALL)]),
        *(backup(SILENCE), backup(SILENCE)),
        id="silent before the head",
    ),
    pytest.param(
        (broken([], STALL), [*one(HALF), (0.0, STALL)]),
        *(backup(SILENCE), None),
        id="silent behind the head",
    ),
    pytest.param(
        (broken([ROLE], STALL), one(failure(500))),
        *(backup(SILENCE), backup("server_error", "server_error")),
        id="silent before content",
    ),
    # A 200 that is none.
    pytest.param(
        (first(FAULT_EVENT), one(whole(200, SAID_ERROR))),
        *(backup("stream_error", "stream_error"), None),
        id="an error in a 200",
    ),
    pytest.param(
        (streamed([ROLE, DONE]), one(whole(200, b""))),
        *(backup("empty_stream"), backup("protocol_violation")),
        id="empty",
    ),
    pytest.param(
        (one(whole(200, HTML, kind="text/html")), one(whole(200, HTML, kind="text/html"))),
        *(backup("not_a_stream"), backup("protocol_violation")),
        id="html in a 200",
    ),
    pytest.param(
        (streamed([b'data: {"choices": [\n\n', DONE]), one(whole(200, b'{"choices": ['))),
        *(backup("protocol_violation"), backup("protocol_violation")),
        id="torn JSON",
    ),
    pytest.param(
        (broken([ROLE], RESET), [*one(HALF), (0.05, RESET)]),
        *(backup("connection_lost", "connection_lost"), None),
        id="broken off before content",
    ),
    pytest.param(
        both(one(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")), backup("protocol_violation"), None, id="no HTTP"
    ),
    # No fault at all.
    pytest.param(
        ([(0.4, b""), *first(HELLO, event({}, "stop"))], [(0.4, whole(200, completion()))]),
        *(MAIN, MAIN),
        id="slow",
    ),
    # The request is at fault, and would be everywhere.
    pytest.param(
        both(one(failure(422))),
        *(Seen(error="UnprocessableEntityError", status=422), None),
        id="422",
    ),
    pytest.param(both(one(LONG)), Seen(error="BadRequestError", status=400), None, id="too long"),
    # Too late for anybody else.
    pytest.param(
        (broken([HELLO], STALL), one(failure(429))),
        *(CUT, backup("rate_limited")),
        id="silent within the answer",
    ),
    pytest.param(
        (broken([HELLO], RESET), one(failure(429))),
        *(CUT, backup("rate_limited")),
        id="broken off within the answer",
    ),
    pytest.param(
        (broken([HELLO], EOF), one(failure(429))),
        *(CUT, backup("rate_limited")),
        id="ended within the answer",
    ),
    pytest.param(
        (streamed([HELLO, FAULT_EVENT]), one(failure(429))),
        *(CUT, backup("rate_limited")),
        id="an error within the answer",
    ),
]


def in_thread(url: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # It imports openai, which takes all workers half a second if it is there to look for tests.
    from .sdk_script import sync_call

    with openai.OpenAI(
        base_url=url, http_client=sdk_client(openai), api_key="sk-any", timeout=20
    ) as client:
        return [sync_call(client, call) for call in calls]


async def ask(gateway: InProcess, *, stream: bool) -> tuple[dict[str, Any], Seen]:
    """Ask for `main`; return what came, and in short."""
    number = len(gateway.records) + 1
    call = chat(model="main", raw=True, max_retries=0, stream=stream)
    [seen] = await trio.to_thread.run_sync(in_thread, gateway.url, [call])
    record = await gateway.record(number)
    causes = tuple(
        SILENCE if row.cause.endswith("_timeout") else row.cause
        for row in record.attempts
        if row.cause is not None
    )
    error = seen.get("error") or {}
    models = {each["model"] for each in (seen.get("chunks") or [seen.get("answer")]) if each}
    assert len(models) <= 1, models
    short = Seen(
        models.pop() if models else None,
        () if error else causes,
        error.get("class"),
        error.get("status"),
    )
    return seen, short


async def ask_both(gateway: InProcess) -> list[tuple[dict[str, Any], Seen]]:
    return [await ask(gateway, stream=stream) for stream in (True, False)]


def check(seen: dict[str, Any], stream: bool, got: Seen) -> None:
    """Hold what must be so of any answer of the backup."""
    if got.model != "backup":
        return
    assert seen["headers"]["x-gateway-fallback"] == "backup"
    assert seen["headers"]["x-gateway-attempts"] == str(len(got.causes) + 1)
    if stream:
        text = "".join(
            choice["delta"].get("content") or ""
            for each in seen["chunks"]
            for choice in each["choices"]
        )
        assert text == "Hello there."
    else:
        assert seen["answer"]["choices"][0]["message"]["content"] == "Hello there."


@pytest.mark.parametrize(("scripts", "streams", "wholes"), FAULTS)
async def test_what_the_client_sees(scripts: Scripts, streams: Seen, wholes: Seen | None) -> None:
    """`wholes` is the same as `streams` if None."""

    def faulty(asked: Asked) -> Script:
        return scripts[0] if asked.json.get("stream") else scripts[1]

    async with serving(faulty) as main, serving(speaking) as other:
        text = CONFIG.format(first=main.port, second=other.port, main="")
        for stream, expected in ((True, streams), (False, wholes or streams)):
            # A new gateway, which has learned nothing of the fault.
            async with in_process(text) as gateway:
                seen, got = await ask(gateway, stream=stream)
                assert got == expected
                check(seen, stream, got)
                await gateway.settled()


async def test_nobody_listens(refused_port: int) -> None:
    async with (
        serving(speaking) as other,
        in_process(CONFIG.format(first=refused_port, second=other.port, main="")) as gateway,
    ):
        found = await ask_both(gateway)
        assert [got for _, got in found] == [backup("connect_failed")] * 2
        for stream, (seen, got) in zip((True, False), found, strict=True):
            check(seen, stream, got)


async def test_a_prompt_too_long_for_one_model_may_go_to_another() -> None:
    main = 'fallback_on = ["context_length"]'
    async with (
        serving(one(LONG)) as faulty,
        serving(speaking) as other,
        in_process(CONFIG.format(first=faulty.port, second=other.port, main=main)) as gateway,
    ):
        found = await ask_both(gateway)
        assert [got for _, got in found] == [backup("context_length")] * 2


async def test_the_second_attempt_may_do() -> None:
    """The quick retry: one failure of a model is not seen, and not answered by another one."""
    async with (
        serving(one(failure(500)), speaking, one(failure(503)), speaking) as main,
        serving(speaking) as other,
        in_process(CONFIG.format(first=main.port, second=other.port, main="")) as gateway,
    ):
        found = await ask_both(gateway)
        assert [got for _, got in found] == [Seen("main", ("server_error",))] * 2
        assert [seen["headers"].get("x-gateway-fallback") for seen, _ in found] == [None, None]
        assert other.asked == []


async def test_the_asked_name_can_be_kept() -> None:
    text = CONFIG.replace('bind = "', 'answer_model = "asked"\nbind = "')
    async with (
        serving(one(failure(429))) as main,
        serving(speaking) as other,
        in_process(text.format(first=main.port, second=other.port, main="")) as gateway,
    ):
        found = await ask_both(gateway)
        assert [got.model for _, got in found] == ["main", "main"]
        # Headers and records tell all the same.
        assert [seen["headers"]["x-gateway-fallback"] for seen, _ in found] == ["backup"] * 2
        assert [record.fallback_model for record in gateway.records] == ["backup"] * 2


def asked_models(providers: Sequence[Provider]) -> list[list[str]]:
    return [[asked.json["model"] for asked in provider.asked] for provider in providers]


async def test_both_are_down() -> None:
    async with (
        serving(one(failure(500))) as main,
        serving(one(failure(500))) as other,
        in_process(CONFIG.format(first=main.port, second=other.port, main="")) as gateway,
    ):
        found = await ask_both(gateway)
        assert [(got.error, got.status) for _, got in found] == [("InternalServerError", 502)] * 2
        assert asked_models([main, other]) == [["main-2026-01-01"] * 4, ["backup-2026-01-01"] * 2]
