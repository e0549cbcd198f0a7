"""The request is too long for the model."""

from __future__ import annotations

from typing import Final

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark
from .causes import OF_REQUEST, any_of

_LENGTH: Final = r"(context|prompt|input|sequence|model) (length|window|size|limit)"
_PROMPT: Final = r"(input|prompt|messages?|conversation)"

CONTEXT_LENGTH: Final = Mark(
    Cause.CONTEXT_LENGTH,
    OF_REQUEST,
    codes=frozenset(
        {
            "context_length_exceeded",  # OpenAI, Azure, Groq, Cerebras
            "context_window_exceeded",
            "exceed_context_size_error",  # llama.cpp, pull request 15780
            "model_max_prompt_tokens_exceeded",  # GitHub Copilot
            "tokens_limit_reached",  # GitHub Models
            "1261",  # Zhipu: docs.bigmodel.cn, error codes
        }
    ),
    words=any_of(
        # Nearly all of them: "is" in OpenAI, vLLM, DeepSeek, OpenRouter and, as a prompt's, in xAI;
        # "of" in SGLang and vLLM, a colon in Fireworks, brackets in TensorRT-LLM. Not OpenAI's
        # "string with maximum length 64" of a name, but of 10485760, a message.
        rf"(?<!string with )\bmax(imum)? (allowed )?({_LENGTH}|length)( is| of|:)? ?\(?\d",
        r"\bstring with maximum length \d{6}",
        r"\btoo large for model with \d+ maximum context length\b",  # Mistral
        r"\bmax(imum)? context length\b",  # older ones of the same, without the number; Ollama
        r"\bmaximum supported sequence length\b",  # SambaNova
        # The available context size is llama.cpp's, the context window OpenAI's and, of a number,
        # llama-cpp-python's, the context limit Anthropic's, the model token limit Moonshot's.
        r"\bexceed(s|ed|ing)? (the |this )?(available |model'?s? )?"
        r"(context (size|window|length|limit)|max_model_len|token limit)\b",
        r"\bcontext (size|window|length)( has been| was)? exceed(s|ed)\b",  # llama.cpp, MiniMax
        r"\bcontextwindowexceedederror\b",  # LiteLLM
        r"\b(longer|greater) than the (model'?s? )?context length\b",  # SGLang, LM Studio
        # LM Studio: issues 237 and 2256 of its bug tracker.
        r"\bcontext the overflows\b|\bcontext overflow\b|\bn_keep \(\d+\) >= n_ctx\b",
        # "Prompt is too long" in Anthropic, Bedrock, Fireworks and vLLM, "input is" in Bedrock and
        # AI21, "token length" in Moonshot, "the total length of all messages" in Perplexity.
        rf"\b{_PROMPT}\b( token)?( length)? ?(\([^)]{{0,60}}\) )?(is |are )?too long\b",
        r"\btoo many (input|prompt) tokens\b",  # Bedrock
        # Cohere.
        r"\btoo many tokens: (size limit exceeded by|total number of tokens in the prompt)\b",
        r"\binput is too large to process\b",  # llama.cpp
        # Gemini, Bedrock's Nova, Databricks, watsonx, DashScope, Moonshot; Vertex says "is 40000
        # but model only supports". An image or a file is not the prompt.
        rf"\b{_PROMPT}\b(?![^.\n]{{0,60}}\b(image|audio|video|file)s?\b)[^.\n]{{0,20}}"
        r"\b(tokens?|length|size|count)\b[^.\n]{0,40}\bexceed",
        r"\b(input|prompt) token count is [\d,]+ but\b",
        r"\binput tokens exceed the configured limit\b",  # OpenAI
        r"\brange of input length should be \[",  # DashScope
        r"\breduce the length of the (input|messages|prompt|conversation)\b",  # Groq, vLLM
        # vLLM before pull request 36789: what the prompt leaves for the answer.
        r"\bmax_tokens must be at least 1, got -\d\d",
        r"`inputs` (tokens \+ `max_new_tokens` )?must (be <=|have less than) \d",  # TGI, Together
        r"\bprompt token count of \d+ exceeds the limit of \d+\b",  # GitHub Copilot
        r"\blength of prompt_tokens \(\d+\) must be less than max_seq_len\b",  # SiliconFlow
        r"\bnot exceed max_seq_len\b",  # TensorRT-LLM
        r"\bexceed max message tokens\b",  # Volcengine
        r"\bmax input tokens[:=] ?\d+, got[:=] ?\d+",  # LiteLLM, before it asks
    ).search,
)
