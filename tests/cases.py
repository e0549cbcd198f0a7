"""All cases of a parametrised test that needs nothing but its parameters, as one test.

Half of what pytest is given are such cases, of a millisecond or less, and each costs six more: it
is collected by every worker, set up, reported in three parts and sent to the controller. As one
test they are run one after the other; a case that fails does not keep the rest from running, and is
named. `-k` and a case's own id choose among the cases as ever.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pytest

__all__ = ["CASES", "joined"]

# How many cases ran inside of tests of many, beyond those tests themselves.
CASES: Final = pytest.StashKey[int]()


def joined(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Return the tests, the cases of each plain function as one where the first of them was."""
    groups: dict[object, list[Any]] = {}
    for item in items:
        groups.setdefault(_test_of(item), []).append(item)
    for cases in groups.values():
        yield cases[0] if len(cases) == 1 else _one_of(cases)


def _test_of(item: pytest.Item) -> object:
    """Return what `item` is a case of, or itself."""
    if isinstance(item, pytest.Function) and _is_plain(item):
        return item.parent, item.originalname
    return item


def _is_plain(item: pytest.Function) -> bool:
    """Whether it is a case of a function that takes its parameters and uses no fixture."""
    if not hasattr(item, "callspec") or item.callspec.marks:
        return False
    if inspect.iscoroutinefunction(item.function) or hasattr(item.function, "hypothesis"):
        return False
    marks = list(item.iter_markers("parametrize"))
    if any("indirect" in mark.kwargs for mark in marks):
        return False
    named = {name for mark in marks for name in _names(mark)}
    takes = set(inspect.signature(item.function).parameters) - {"self"}
    return named == takes == set(item.fixturenames) - {"request"}


def _names(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs["argnames"]
    return [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)


def _one_of(cases: list[pytest.Function]) -> pytest.Item:
    first = cases[0]

    def run() -> None:
        first.config.stash[CASES] = first.config.stash.get(CASES, 0) + len(cases) - 1
        _run_all((each.callspec.id, each.obj, each.callspec.params) for each in cases)

    marks = [mark for mark in first.own_markers if mark.name != "parametrize"]
    # What pytest reads of a function: its marks, and which one is meant by a report.
    vars(run).update(pytestmark=marks, place_as=first.function)
    one: pytest.Item = pytest.Function.from_parent(
        first.parent, name=first.originalname, callobj=run
    )
    return one


def _run_all(cases: Iterable[tuple[str, Callable[..., Any], dict[str, Any]]]) -> None:
    failed: list[BaseException] = []
    skipped: list[str] = []
    for name, function, params in cases:
        try:
            function(**params)
        except pytest.skip.Exception as exc:
            skipped.append(f"[{name}] {exc}")
        except (Exception, pytest.fail.Exception) as exc:  # noqa: BLE001 - raised or told below
            exc.add_note(f"the case [{name}]")
            failed.append(exc)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        told = (
            str(pytest.ExceptionInfo.from_exception(exc).getrepr(style="short")) for exc in failed
        )
        pytest.fail("\n\n".join([f"{len(failed)} cases", *told]), pytrace=False)
    if skipped:
        pytest.skip("; ".join(skipped))
