"""The model or its server cannot do what is asked, and calls that a failure of its own."""

from __future__ import annotations

from typing import Final

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark
from .causes import BROKEN, REJECTED, any_of

# What a request goes on from is kept by another deployment. OpenAI's Responses say so with 400.
NOT_KEPT_HERE: Final = Mark(
    Cause.UNSUPPORTED,
    REJECTED,
    codes=frozenset({"previous_response_not_found"}),
)

UNSUPPORTED: Final = Mark(
    Cause.UNSUPPORTED,
    BROKEN,
    words=any_of(
        r"^(image|audio|video) input is not supported\b",  # llama.cpp, issues 13566 and 15377
        # llama.cpp, issue 12947, and what it says of tools and grammars that it cannot use.
        r"^failed to parse (messages|tools|grammar|the grammar|input)\b",
        r"^failed to initialize samplers\b",
        r"^json schema conversion failed\b",
        r"^unable to generate parser for this template\b",
        r"^(tools|tool_choice|grammar) param requires\b",  # llama.cpp without --jinja
        r"^unsupported (content part type|param)\b",
        # The model's template refuses the messages: llama.cpp says where in it (issue 17040).
        r"\bat row \d+, column \d+:",
        r"\bjinja exception\b",
        r"\bconversation roles must alternate\b",
        # Images that cannot be read: llama.cpp, Ollama, and Pillow's words in vLLM and SGLang.
        r"^failed to (load|decode|process) (the )?(image|audio|video)\b",
        r"\bimage: unknown format\b",
        r"\bcannot identify image file\b",
        r"\bmissing data required for image input\b",  # Ollama
        r"^input validation error\b",  # TGI
    ).search,
)
