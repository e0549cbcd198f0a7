"""Which tokenizer counts for which model.

OpenAI's are public (github.com/openai/tiktoken, `tiktoken/model.py`). Other vendors' are not, or
not in a form that the tokenizer library has. Theirs are counted with OpenAI's latest and raised, so
that a prompt is rather found too long than too short.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Final

from ...core.limits.prompt_text import Encoding

_LATEST: Final = "o200k_base"
_OLDER: Final = "cl100k_base"
# What other vendors' tokenizers may take more of a text than OpenAI's latest.
MARGIN: Final = 20
# From Claude Opus 4.7 and Sonnet 5 on a text has about 30 % more tokens than before
# (platform.claude.com/docs, "Token counting"): 1.2 * 1.3.
_NEW_CLAUDE_MARGIN: Final = 56

# Names as OpenAI, Azure, OpenRouter (openai/gpt-4o) and Bedrock (openai.gpt-oss-20b) have them.
_START: Final = r"(?:^|[/.:])"
_OLD: Final = re.compile(
    _START + r"(?:gpt-4(?![.o\d]|-o|-[5-9])|gpt-(?:3\.5|35)|text-embedding-(?:3|ada-002))"
)
_NEW: Final = re.compile(_START + r"(?:chatgpt-4o|gpt-|o[1-9](?:$|-)|codex-|computer-use)")
_NEW_CLAUDE: Final = re.compile(
    r"claude-(?:(?:opus|sonnet|haiku)-(?:4[-.][7-9](?!\d)|[5-9](?!\d)|\d\d(?!\d))|fable|mythos)"
)


def tokenizer_installed() -> bool:
    """Say whether the tokenizer library is there; `tokenizer/child.py` uses it."""
    return find_spec("bpe_openai") is not None


def encoding_of(model: str) -> Encoding:
    """Return how the tokens of `model`, a provider's name, are counted."""
    name = model.lower()
    if _OLD.search(name):
        return Encoding(_OLDER)
    if _NEW.search(name):
        return Encoding(_LATEST)
    return Encoding(_LATEST, _NEW_CLAUDE_MARGIN if _NEW_CLAUDE.search(name) else MARGIN)
