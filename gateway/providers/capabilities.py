"""What is known of models by their names, where their vendors' documentation is plain about it.

Whatever is not listed is left to the provider, and a route's `capabilities` go before all of it.
"""

from __future__ import annotations

import re
from typing import Final

from ..core.routing.capabilities.declared import UNDECLARED, Capabilities

# By the last part of a name. OpenAI's by platform.openai.com/docs/models (input: text only),
# DeepSeek's by api-docs.deepseek.com ("Create chat completion": content is a string), Anthropic's
# by docs.anthropic.com ("Vision": Claude 3 and later).
_TEXT_ONLY: Final = re.compile(
    r"(?:^|[/.])(?:gpt-3\.5|o1-(?:mini|preview)|o3-mini|gpt-oss|deepseek-(?:chat|reasoner|r1|coder)"
    r"|claude-(?:instant|2))(?![a-z0-9])"
)
_TEXT: Final = Capabilities(images=False, documents=False, audio=False)


def text_only(model: str) -> Capabilities:
    """Return what follows for a model whose vendor says that it reads text only."""
    return _TEXT if _TEXT_ONLY.search(model) else UNDECLARED
