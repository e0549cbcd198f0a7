"""OpenAI's legacy completions: a prompt in, its continuation out, as plain text.

    dialect  the parts put together as `base.Dialect` wants them
    request  what of a request concerns the gateway: prompts, choices, how long they may become
    stream   what its events have of their own; the engine is that of chat completions

All else is as in `openai_chat`: errors, usage, the rewriting of streams and answers.
"""
