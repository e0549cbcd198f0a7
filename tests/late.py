"""SDKs and pandas, imported when the first test that uses one begins.

Each worker of the tests imports all test modules; the SDKs would be a third of what that takes, in
workers that run none of their tests. `from tests.late import openai` stands for `import openai`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final

__all__ = ["anthropic", "openai", "pandas"]

if TYPE_CHECKING:
    import types

    from pydantic import TypeAdapter


class Late:
    """Stands for the module `name`."""

    def __init__(self, name: str) -> None:
        self._name: Final = name

    def load(self) -> types.ModuleType:
        return importlib.import_module(self._name)

    def __getattr__(self, name: str) -> Any:
        # pytest asks each object of a test module for names of its own.
        if name.startswith(("_", "pytest")):
            raise AttributeError(name)
        return getattr(self.load(), name)


if TYPE_CHECKING:
    import anthropic
    import openai
    import pandas  # type: ignore[import-untyped]
else:
    anthropic, openai, pandas = Late("anthropic"), Late("openai"), Late("pandas")


def load_for(module: object) -> None:
    """Load what `module` uses: not while a test has deadlines."""
    for value in vars(module).values():
        if isinstance(value, Late):
            value.load()


@cache
def message_event() -> TypeAdapter[Any]:
    """Return what reads an event of Anthropic's Messages."""
    return _adapter(anthropic.types.RawMessageStreamEvent)


@cache
def response_event() -> TypeAdapter[Any]:
    """Return what reads an event of OpenAI's Responses."""
    return _adapter(openai.types.responses.ResponseStreamEvent)


@cache
def adapter(sdk: str, name: str) -> TypeAdapter[Any]:
    """Return what reads the type `name`, such as `types.Message`, of an SDK."""
    found: Any = importlib.import_module(sdk)
    for part in name.split("."):
        found = getattr(found, part)
    return _adapter(found)


def _adapter(model: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(model)


def accumulate_event(event: Any, snapshot: Any, buffers: dict[int, bytes]) -> Any:
    """Return the message `snapshot` with `event` added, as Anthropic's SDK does."""
    from anthropic.lib.streaming._messages import accumulate_event as accumulate

    return accumulate(event=event, current_snapshot=snapshot, json_bufs=buffers)
