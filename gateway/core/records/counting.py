"""How a provider's counts of tokens are to be added up, where they do not say it themselves."""

from __future__ import annotations

from typing import Literal

# usual             as OpenAI counts: what was read from a cache is part of the prompt, reasoning
#                   is part of the answer; where a total says otherwise, that counts
# reasoning_beside  reasoning is counted beside the answer, whether or not there is a total
# cache_beside      what was read from a cache and written into one is counted beside the prompt
UsageRule = Literal["usual", "reasoning_beside", "cache_beside"]
