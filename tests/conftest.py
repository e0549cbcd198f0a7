"""What holds for all tests: how much is drawn at random, and by which clock they run."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from . import fair_clock
from .postgres import PostgresServer
from .rounds import rounds

# Neither how long an example takes nor how long drawing it takes says anything while others use
# the processor too; how long a test takes is pytest-timeout's to say.
settings.register_profile(
    "gateway",
    max_examples=rounds(30, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gateway")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep ten thousand tests out of the garbage collector's sight.

    They are there until the end, and each of hundreds of full collections would look at them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.trio(run=fair_clock.run))
        if _wants_postgres(item):
            item.add_marker(pytest.mark.slow)


def _wants_postgres(item: pytest.Function) -> bool:
    """Whether it needs the server, which takes seconds to make: `make quick` does without."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return "postgres" in item.fixturenames or "postgresql" in parameters


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a worker; who stops it starts it again."""
    with PostgresServer() as server:
        yield server
