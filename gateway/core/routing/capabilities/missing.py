"""What a request needs and a deployment has not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...dialects.needs import Needs
from ...limits.estimate import BYTES_PER_TOKEN, MOST_BYTES_PER_TOKEN
from ..causes import SkipReason
from .declared import Capabilities

# By the name of the flag: the reason on record, and what is said to the caller.
_FLAGS: Final = {
    "images": (SkipReason.NO_IMAGES, "images"),
    "documents": (SkipReason.NO_DOCUMENTS, "documents"),
    "audio": (SkipReason.NO_AUDIO, "audio"),
    "tools": (SkipReason.NO_TOOLS, "tools"),
    "parallel_tools": (SkipReason.NO_PARALLEL_TOOLS, "parallel tool calls"),
    "structured_output": (SkipReason.NO_STRUCTURED_OUTPUT, "structured output"),
    "thinking": (SkipReason.NO_THINKING, "thinking"),
    "streaming": (SkipReason.NO_STREAMING, "streaming"),
}
TOO_LONG: Final = "context_length_exceeded"


class Missing(msgspec.Struct, frozen=True):
    """`words` are for the caller, `member` is where its request asks for it."""

    why: SkipReason
    words: str
    member: str | None = None


def body_too_large(size: int, most: int) -> Missing:
    """Return what a request is that has more bytes than its provider takes."""
    return Missing(SkipReason.BODY_TOO_LARGE, f"a body of {size} bytes (at most {most})")


def missing(can: Capabilities, needs: Needs, *, translated: bool) -> Missing | None:
    """Return the first thing that a deployment has not; None if it can serve the request.

    The tokens of an answer are no reason where the request is `translated`: what is sent asks for
    as many as there may be.
    """
    return next(_all_missing(can, needs, translated=translated), None)


def _all_missing(can: Capabilities, needs: Needs, *, translated: bool) -> Iterator[Missing]:
    for name, (why, words) in _FLAGS.items():
        if getattr(can, name) is False and (member := getattr(needs, name)):
            yield Missing(why, words, member)
    most = can.context_tokens
    if most is not None and needs.prompt > most:
        yield _prompt_too_long(needs.prompt, most)
    elif most is not None and can.context_with_answer and needs.prompt:
        # vLLM and others refuse what could not be answered to the end.
        answer = needs.answer
        if translated and can.max_output_tokens is not None:
            answer = min(answer, can.max_output_tokens)
        if needs.prompt + answer > most:
            words = (
                f"a prompt of about {needs.prompt} tokens with an answer of {answer} "
                f"(together at most {most})"
            )
            yield Missing(SkipReason.CONTEXT_TOO_SMALL, words)
    most = can.max_output_tokens
    if most is not None and needs.answer > most and not translated:
        yield answer_too_long(needs.answer, most)


def answer_too_long(asked: int, most: int) -> Missing:
    words = f"an answer of {asked} tokens (at most {most})"
    return Missing(SkipReason.ANSWER_TOO_LONG, words, "max_tokens")


def too_long(prompt: int, context: int) -> Missing | None:
    """Return what a prompt is that cannot fit into a context, however few tokens its text makes.

    `prompt` is an estimate, and most texts have fewer tokens than some: what may fit is left to
    the provider.
    """
    if prompt * BYTES_PER_TOKEN <= context * MOST_BYTES_PER_TOKEN:
        return None
    return _prompt_too_long(prompt, context)


def _prompt_too_long(prompt: int, most: int) -> Missing:
    words = f"a prompt of about {prompt} tokens (at most {most})"
    return Missing(SkipReason.CONTEXT_TOO_SMALL, words)


def nothing_can(model: str, found: Sequence[tuple[str, Missing]]) -> InvalidRequest:
    """Return the error for a request that no deployment of `model` can serve.

    `found` has what each one is missing, by its name. Where it is the prompt's length alone, the
    code is the one by which clients know that they should shorten it.
    """
    if len({each.words for _, each in found}) == 1:
        what = f"{found[0][1].words}"
        message = f"the model {model!r} cannot serve this request: it does not take {what}"
    else:
        each_one = "; ".join(f"{name}: {each.words}" for name, each in found)
        message = f"no deployment of {model!r} can serve this request; not taken are: {each_one}"
    long = {each.why for _, each in found} == {SkipReason.CONTEXT_TOO_SMALL}
    members = [each.member for _, each in found if each.member is not None]
    return InvalidRequest(
        message, code=TOO_LONG if long else "unsupported", param=members[0] if members else None
    )
