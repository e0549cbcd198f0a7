"""The statements that add up roll-ups, each made once for all times and values.

A page adds up some twenty times, most of them fifty columns. To put such a statement together, and
to find its compiled form, takes SQLAlchemy longer than SQLite takes to run it, and holds the
interpreter meanwhile, which requests for models wait for: half of an overview's time (measured).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, Table, bindparam, cast, func, select
from sqlalchemy.sql.expression import literal_column, union_all

from ..engine.condensed_table import condensed_rollups
from .spans import RollupSpan

# Each is some 100 KB with what SQLAlchemy remembers of it.
_REMEMBERED: Final = 64

# The condition that a status is one of some.
StatusCondition = Callable[[ColumnElement[Any], Sequence[str]], ColumnElement[bool]]


class SumForm(NamedTuple):
    """What a statement is made of.

    `alone` is the dimension by which sums are condensed, None: they are added up from `table`. `by`
    are the dimensions grouped by, `chosen` those of which there are only some values. `step` are
    microseconds by which times are grouped: 0 for each by itself, None for all together.
    """

    table: Table
    period: int
    alone: str | None
    by: tuple[str, ...]
    chosen: tuple[str, ...]
    status: tuple[str, ...]
    step: int | None = None


@lru_cache(_REMEMBERED)
def sums(
    form: SumForm, names: tuple[str, ...], most: int | None, status_is: StatusCondition
) -> Select[Any]:
    """Return the query of the columns `names` by the form's keys, `most` rows of it."""
    of = _table(form).c
    keys = _by(form)
    if form.step is not None:
        keys = [of.start // form.step * form.step if form.step else of.start, *keys]
    totals = [_total(of[name]) for name in names]
    query = select(*keys, *totals).where(*_where(form, status_is)).group_by(*keys)
    return query if most is None else query.limit(most)


@lru_cache(_REMEMBERED)
def busiest(
    forms: tuple[SumForm, ...], dimension: str, by_code: bool, status_is: StatusCondition
) -> Select[Any]:
    """Return the query of the values that have most requests, most first, `count` of them."""
    of_spans = union_all(
        *(
            select(_by(form)[0].label(dimension), _total(_table(form).c.requests).label("requests"))
            .where(*_where(form, status_is, number))
            .group_by(_by(form)[0])
            for number, form in enumerate(forms)
        )
    ).subquery()
    value: ColumnElement[Any] = of_spans.c[dimension]
    # Equal counts are ordered the same way on both engines.
    name = value.collate("C") if by_code else value
    total = func.sum(of_spans.c.requests)
    return select(value).group_by(value).order_by(total.desc(), name).limit(bindparam("count"))


def parameters(
    form: SumForm, span: RollupSpan, values: Mapping[str, Sequence[Any]], number: int = 0
) -> dict[str, Any]:
    """Return what a statement of this form is run with; `number` is its place among several."""
    found = {f"{name}_{number}": [*values[name]] for name in form.chosen}
    return {f"since_{number}": span.start, f"until_{number}": span.end, **found}


def _table(form: SumForm) -> Table:
    return form.table if form.alone is None else condensed_rollups


def _by(form: SumForm) -> list[ColumnElement[Any]]:
    if form.alone is None:
        return [form.table.c[name] for name in form.by]
    return [condensed_rollups.c.value for _ in form.by]


def _where(form: SumForm, status_is: StatusCondition, number: int = 0) -> list[ColumnElement[bool]]:
    of = _table(form).c
    # The period is in the statement's text: there are only three, and their plans differ.
    found: list[ColumnElement[bool]] = [
        of.period == literal_column(str(form.period)),
        of.start >= bindparam(f"since_{number}"),
        of.start < bindparam(f"until_{number}"),
    ]
    if form.alone is not None:
        found.append(of.dimension == literal_column(f"'{form.alone}'"))
    for name in form.chosen:
        column = of[name] if form.alone is None else of.value
        found.append(column.in_(bindparam(f"{name}_{number}", expanding=True)))
    return [*found, status_is(of.status, form.status)] if form.status else found


def _total(column: ColumnElement[Any]) -> ColumnElement[int]:
    # PostgreSQL makes a NUMERIC of such a sum, and the driver a Decimal of that.
    return cast(func.sum(column), BigInteger)
