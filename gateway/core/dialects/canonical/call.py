"""A request in canonical form."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..model_terms import Effort
from .own_tools.tool import OwnTool
from .sources import Citation

Raw = msgspec.Raw

Role = Literal["system", "developer", "user", "assistant"]


class Text(msgspec.Struct):
    """`cache` is a hint to cache the prompt up to here, in Anthropic's form.

    `citations` are of an earlier answer's.
    """

    text: str
    cache: Raw | None = None
    citations: list[Citation] = []


class Image(msgspec.Struct):
    """By `url`, or as base64 `data` of `media_type`. `detail` is low, high or auto."""

    url: str | None = None
    data: str | None = None
    media_type: str = ""
    detail: str | None = None
    cache: Raw | None = None


class Document(msgspec.Struct):
    """A file: by `url`, base64 `data` of `media_type`, plain `text`, or a provider's `id`.

    `cited` names the member that asks for the answer to say what of it is from here; "": none does.
    """

    url: str | None = None
    data: str | None = None
    text: str | None = None
    id: str | None = None
    media_type: str = ""
    title: str | None = None
    cache: Raw | None = None
    cited: str = ""


class Audio(msgspec.Struct):
    """Base64 `data`; `format` is wav, mp3 and so on."""

    data: str
    format: str


class ToolCall(msgspec.Struct):
    """`arguments` is the JSON text that the model wrote; of a `custom` tool it is any text.

    `namespace` is that of its tool.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: Raw | None = None
    namespace: str = ""


class ToolResult(msgspec.Struct):
    """What the call `id` came to."""

    id: str
    blocks: list[Block]
    is_error: bool = False
    cache: Raw | None = None


class Thinking(msgspec.Struct):
    """Reasoning of an earlier answer. `signature` is tagged with its family (`opaque`).

    `encrypted` says that it has no text and the signature is all of it.
    """

    text: str
    family: str = ""
    signature: str = ""
    encrypted: bool = False


class RefusalText(msgspec.Struct):
    """A refusal in words, of an earlier answer."""

    text: str


Block = Text | Image | Document | Audio | ToolCall | ToolResult | Thinking | RefusalText


class Turn(msgspec.Struct):
    """`head` says that a system turn stands before the conversation and is no message of it."""

    role: Role
    blocks: list[Block]
    head: bool = False
    path: str = ""


class Tool(msgspec.Struct):
    """A function that the caller runs. `schema` None: any arguments.

    A `custom` tool takes any text, or what `grammar` allows, in OpenAI's form of it. Tools of one
    `namespace` may have the names of other tools.
    """

    name: str
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None
    cache: Raw | None = None
    path: str = ""
    custom: bool = False
    grammar: Raw | None = None
    namespace: str = ""


class ToolChoice(msgspec.Struct):
    """`any` is one of all, `tool` the one called `names[0]`; `auto` and `any` of some by `names`.

    `own` are those of `CanonicalCall.own_tools` that are named, by their kinds.
    """

    mode: Literal["auto", "none", "any", "tool"]
    names: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


class OutputFormat(msgspec.Struct):
    """`schema` None: any JSON object."""

    schema: Raw | None = None
    name: str = "response"
    strict: bool | None = None
    path: str = ""


class Reasoning(msgspec.Struct):
    """`budget` is in tokens. `off` is explicit; nothing said at all is no Reasoning.

    `summary` says how much of it is to be shown, in OpenAI's words (auto, concise, detailed);
    `shown_by` is the member that says so, if it is one of its own.
    """

    effort: Effort | None = None
    budget: int | None = None
    adaptive: bool = False
    off: bool = False
    path: str = ""
    summary: str | None = None
    shown_by: str = ""


class CanonicalCall(msgspec.Struct):
    """A request. Sampling parameters are numbers as they were written.

    `paths` says how the caller's dialect calls what has another name: `{"stop": "stop_sequences"}`.
    """

    turns: list[Turn]
    stream: bool = False
    tools: list[Tool] = []
    own_tools: list[OwnTool] = []
    choice: ToolChoice | None = None
    parallel: bool | None = None
    format: OutputFormat | None = None
    reasoning: Reasoning | None = None
    max_tokens: Raw | None = None
    temperature: Raw | None = None
    top_p: Raw | None = None
    top_k: Raw | None = None
    presence_penalty: Raw | None = None
    frequency_penalty: Raw | None = None
    seed: Raw | None = None
    logprobs: Raw | None = None
    top_logprobs: Raw | None = None
    logit_bias: Raw | None = None
    answers: Raw | None = None
    stop: list[str] = []
    user: str | None = None
    metadata: Raw | None = None
    service_tier: str | None = None
    cache_key: str | None = None
    cache_retention: str | None = None
    safety_id: str | None = None
    verbosity: str | None = None
    paths: dict[str, str] = {}

    def path(self, name: str) -> str:
        """Return what the caller's dialect calls a member."""
        return self.paths.get(name, name)
