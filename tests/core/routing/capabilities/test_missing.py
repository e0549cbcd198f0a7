"""What a request needs and a deployment has not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.dialects.needs import Needs
from gateway.core.routing.capabilities.declared import Capabilities
from gateway.core.routing.capabilities.missing import Missing, missing, nothing_can
from gateway.core.routing.causes import UNABLE, SkipReason

NO_FLAGS = ("context_tokens", "context_with_answer", "max_output_tokens", "web_search")
FLAGS = [name for name in Capabilities.__struct_fields__ if name not in NO_FLAGS]


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag(name: str) -> None:
    asked: Any = {name: "here"}
    needs = Needs(**asked)
    found = missing(Capabilities(**{name: False}), needs, translated=False)
    assert found is not None
    assert (found.why.value, found.member) == (f"no_{name}", "here")
    assert found.why in UNABLE
    # What it may, and what nobody asks for, is no reason.
    assert missing(Capabilities(**{name: True}), needs, translated=False) is None
    assert missing(Capabilities(**{name: False}), Needs(), translated=False) is None
    others = Capabilities(**{other: False for other in FLAGS if other != name})
    assert missing(others, needs, translated=False) is None


def test_sizes() -> None:
    can = Capabilities(context_tokens=1000, max_output_tokens=100)
    assert missing(can, Needs(prompt=1000, answer=100), translated=False) is None
    # With the answer, where the provider refuses what it could not answer to its end.
    both = Capabilities(context_tokens=1000, context_with_answer=True, max_output_tokens=300)
    assert missing(both, Needs(prompt=800, answer=200), translated=False) is None
    # A translated request asks for no more than there may be.
    assert missing(both, Needs(prompt=700, answer=900), translated=True) is None
    for needs, translated in (
        (Needs(prompt=801, answer=200), False),
        (Needs(prompt=701, answer=900), True),
    ):
        found = missing(both, needs, translated=translated)
        assert found is not None
        assert found.why is SkipReason.CONTEXT_TOO_SMALL
        assert str(nothing_can("m", [("p/m", found)]).code) == "context_length_exceeded"
    # What has no prompt has no context.
    assert missing(both, Needs(answer=200), translated=False) is None
    too_long = missing(can, Needs(prompt=1001), translated=True)
    assert too_long is not None
    assert too_long.why is SkipReason.CONTEXT_TOO_SMALL
    much = missing(can, Needs(answer=101), translated=False)
    assert much is not None
    assert much.why is SkipReason.ANSWER_TOO_LONG
    assert missing(can, Needs(answer=101), translated=True) is None


def test_the_error_names_what_is_missing() -> None:
    images = Missing(SkipReason.NO_IMAGES, "images", "messages.0.content.1")
    tools = Missing(SkipReason.NO_TOOLS, "tools", "tools")
    one = nothing_can("m", [("p/a", images), ("p/b", images)])
    assert one.message == "the model 'm' cannot serve this request: it does not take images"
    assert (one.status, one.code, one.param) == (400, "unsupported", "messages.0.content.1")
    two = nothing_can("m", [("p/a", images), ("p/b", tools)])
    assert two.message.endswith("not taken are: p/a: images; p/b: tools")


def test_a_prompt_that_is_too_long_has_the_code_that_clients_know() -> None:
    long = Missing(SkipReason.CONTEXT_TOO_SMALL, "a prompt of about 9 tokens (at most 8)")
    error = nothing_can("m", [("p/a", long)])
    assert (error.code, error.param) == ("context_length_exceeded", None)
    images = Missing(SkipReason.NO_IMAGES, "images", "x")
    assert nothing_can("m", [("p/a", long), ("p/b", images)]).code == "unsupported"
