"""What a body costs, counted in calls, which a busy machine does not change; all doors' bodies."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.dialect import dialect_of_path
from gateway.core.dialects.gemini.dialect import asked_by
from gateway.core.dialects.ollama.dialect import OLLAMA_CHAT, OLLAMA_EMBED, OLLAMA_GENERATE
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_completions.dialect import OPENAI_COMPLETIONS
from gateway.core.dialects.openai_media.dialect import MEDIA
from gateway.core.dialects.openai_numbers.dialect import OPENAI_EMBEDDINGS, OPENAI_MODERATIONS
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.rerank.dialect import RERANK
from gateway.core.wire.overrides import Overrides
from gateway.errors import InvalidRequest
from gateway.providers.overrides import BEDROCK, EVERYWHERE
from gateway.providers.overrides import GEMINI as GEMINI_OVERRIDES

SIZE: Final = 48 * 1024


def _gemini(method: str) -> Dialect:
    found = asked_by(f"/v1beta/models/m:{method}")
    assert found is not None
    return found


_CONVERSE: Final = dialect_of_path("/model/m/converse")
assert _CONVERSE is not None
TALK: Final = '"messages":[{"role":"user","content":"Hi"}]'
# The dialect, what a body has, members that are looked into, and what providers go by.
DOORS: Final[dict[str, tuple[Dialect, str, tuple[str, ...], Overrides]]] = {
    "chat": (OPENAI_CHAT, f'"model":"m",{TALK}', ("stream_options", "tools", "metadata", "plugins"), EVERYWHERE),  # noqa: E501
    "completions": (OPENAI_COMPLETIONS, '"model":"m","prompt":"Hi"', ("stream_options",), EVERYWHERE),  # noqa: E501
    "embeddings": (OPENAI_EMBEDDINGS, '"model":"m"', ("input",), EVERYWHERE),
    "moderations": (OPENAI_MODERATIONS, '"model":"m"', ("input",), EVERYWHERE),
    "responses": (OPENAI_RESPONSES, '"model":"m"', ("input", "conversation", "tools"), EVERYWHERE),
    "messages": (ANTHROPIC_MESSAGES, f'"model":"m","max_tokens":9,{TALK}', ("metadata", "tools", "system"), EVERYWHERE),  # noqa: E501
    "rerank": (RERANK, '"model":"m","query":"x"', ("documents",), EVERYWHERE),
    "images": (MEDIA[0], '"model":"m"', ("prompt",), EVERYWHERE),
    "gemini": (_gemini("generateContent"), '"a":1', ("contents", "generationConfig", "tools"), GEMINI_OVERRIDES),  # noqa: E501
    "gemini, count": (_gemini("countTokens"), '"a":1', ("contents", "generateContentRequest"), GEMINI_OVERRIDES),  # noqa: E501
    "gemini, embed": (_gemini("embedContent"), '"a":1', ("content",), GEMINI_OVERRIDES),
    "gemini, batch": (_gemini("batchEmbedContents"), '"a":1', ("requests",), GEMINI_OVERRIDES),
    "converse": (_CONVERSE, '"a":1', ("messages", "inferenceConfig", "toolConfig", "additionalModelRequestFields"), BEDROCK),  # noqa: E501
    "ollama": (OLLAMA_CHAT, f'"model":"m",{TALK}', ("options", "tools", "format"), EVERYWHERE),
    "ollama, generate": (OLLAMA_GENERATE, '"model":"m"', ("prompt", "options", "images"), EVERYWHERE),  # noqa: E501
    "ollama, embed": (OLLAMA_EMBED, '"model":"m"', ("input", "options"), EVERYWHERE),
}  # fmt: skip


def array(item: str) -> Callable[[int], str]:
    return lambda size: f"[{','.join([item] * (size // (len(item) + 1)))}]"


def members(each: Iterable[str]) -> str:
    return "{" + ",".join(each) + "}"


SHAPES: Final[dict[str, Callable[[int], str]]] = {
    "numbers": array("1"),
    "lists": array("[]"),
    "objects": array("{}"),
    "small objects": array('{"type":"x"}'),
    "texts": array('""'),
    "escapes": lambda size: '"' + "\\u0041" * (size // 6) + '"',
    "pairs of surrogates": lambda size: '"' + "\\ud83d\\ude00" * (size // 12) + '"',
    "letters": lambda size: '"' + "\u00e9" * (size // 2) + '"',
    "space": lambda size: " " * size + "1",
    "deep lists": array("[" * 300 + "]" * 300),
    "deep objects": array('{"a":' * 200 + "1" + "}" * 200),
    "distinct members": lambda size: members(f'"k{n}":1' for n in range(size // 10)),
    "one name": lambda size: members(['"a":1'] * (size // 6)),
    "base64": array('{"data":""}'),
}


def read(dialect: Dialect, rules: Overrides, body: bytes) -> bool:
    """Do what is done before a request is admitted; say whether it could be read."""
    try:
        request = dialect.read_request(body)
    except InvalidRequest:
        return False
    list(rules.find(request.members, request.body))
    return True


def calls(work: Callable[[], Any]) -> int:
    """Return how many calls `work` makes, those into C among them."""
    count = 0

    def profile(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
