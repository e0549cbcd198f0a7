"""Items, which are looked at one by one: to translate them, or for what they need of a model."""

from __future__ import annotations

from typing import Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.bodies.items import MOST_ITEMS, check_items
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translatable, translate
from gateway.errors import InvalidRequest

from ..canonical.recipient import To
from .cost import DOORS, TALK, calls

ITEMS: Final[dict[str, tuple[str, str, str]]] = {
    "chat": ("messages", '{"role":"user","content":"x"}', '{"role":"user","content":%s}'),
    "chat, texts": ("messages", '{"role":"user","content":["x"]}', '{"role":"user","content":%s}'),
    "messages": ("messages", '{"role":"user","content":[{"type":"text","text":"x"}]}', '{"role":"user","content":%s}'),  # noqa: E501
    "responses": ("input", '{"role":"user","content":"x"}', '{"role":"user","content":%s}'),
    "gemini": ("contents", '{"parts":[{"text":"x"}]}', '{"parts":%s}'),
    "converse": ("messages", '{"role":"user","content":[{"text":"x"}]}', '{"role":"user","content":%s}'),  # noqa: E501
    "tools": ("tools", '{"functionDeclarations":[{"name":"f"}]}', '{"functionDeclarations":%s}'),
    "results": ("messages", '{"content":[{"toolResult":{"content":[{"text":"x"}]}}]}', '{"content":[{"toolResult":{"content":%s}}]}'),  # noqa: E501
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ITEMS)
def test_items_are_counted_in_bounded_time(name: str) -> None:
    member, item, holder = ITEMS[name]
    inner = '["x"%s]' if name == "chat, texts" else '[{"text":"x"}%s]'
    element = ',"x"' if name == "chat, texts" else ',{"text":"x"}'
    many = (
        f'{{"{member}":[{",".join([item] * MOST_ITEMS)},{item}]}}',
        f'{{"{member}":[{holder % (inner % (element * MOST_ITEMS))}]}}',
        f'{{"{member}":["\\ud800",{holder % (inner % (element * MOST_ITEMS))}]}}',
    )
    for body in many:
        with pytest.raises(InvalidRequest, match="more than 20000 messages, parts and tools"):
            check_items(body.encode())
        # No more for three times as many: the count ends where it is too much.
        longer = body.replace(item, ",".join([item] * 3)).replace(element, element * 3)
        assert calls(lambda longer=longer: refused(longer.encode())) < 6 * MOST_ITEMS  # type: ignore[misc]
    few = [item] * (MOST_ITEMS // 5)
    check_items(f'{{"{member}":[{",".join(few)}],"x":"{"," * MOST_ITEMS}"}}'.encode())


@pytest.mark.parametrize("member", ["documents", "include"])
def test_texts_of_which_items_are_made_are_counted(member: str) -> None:
    more = ',"x"' * (MOST_ITEMS - 1)
    check_items(f'{{"{member}":["x"{more}]}}'.encode())
    refused(f'{{"{member}":["x"{more},"x"]}}'.encode())


def refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_items(body)


def test_what_is_no_item_is_not_counted() -> None:
    schema = ",".join(['{"type":"string"}'] * 2 * MOST_ITEMS)
    numbers = ",".join(["[1,2]"] * MOST_ITEMS)
    check_items(f'{{"tools":[{{"name":"f","input_schema":{{"a":[{schema}]}}}}]}}'.encode())
    text = "{," * 50_000
    check_items(f'{{"logit_bias":[{numbers}],"messages":[{{"content":"{text}"}}]}}'.encode())
    for odd in ("1,", "[],", "null,", "1e400,"):
        with pytest.raises(InvalidRequest):
            check_items(f'{{"messages":[{odd * 2 * MOST_ITEMS}{{}}]}}'.encode())


@pytest.mark.parametrize("target", [OPENAI_CHAT, ANTHROPIC_MESSAGES, GEMINI, BEDROCK_CONVERSE])
def test_an_item_takes_so_many_calls_to_translate(target: Dialect) -> None:
    """Some 10 us: with `MOST_ITEMS` that is a fifth of a second, beside the loop."""
    for door in ("chat", "messages", "responses", "gemini", "converse"):
        dialect, rest, _, _ = DOORS[door]
        to = To(target, drops=True)
        if dialect.name == target.name or not translatable(dialect, to):
            continue
        member, item, _ = ITEMS[door]
        counts = [_calls_to_translate(dialect, to, rest, member, item, n) for n in (100, 200)]
        assert counts[1] - counts[0] < 100 * 150, (door, counts)


def _calls_to_translate(
    dialect: Dialect, to: To, rest: str, member: str, item: str, number: int
) -> int:
    given = f'"{member}":[{",".join([item] * number)}]'
    body = rest.replace(TALK, given) if TALK in rest else f"{rest},{given}"
    request = dialect.read_request(f"{{{body}}}".encode())
    return calls(lambda: translate(request, dialect, to, 0.0))
