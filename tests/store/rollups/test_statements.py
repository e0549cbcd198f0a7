"""A statement that adds up is made once for all times and values, and says the same for each."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from gateway.core.records.periods import DAY, HOUR
from gateway.store.engine.database import Database
from gateway.store.engine.schema import rollups, team_rollups
from gateway.store.queries.conditions import status_is
from gateway.store.queries.rollup_sums import Chosen, busiest, read
from gateway.store.rollups import statements
from gateway.store.rollups.spans import RollupSpan
from gateway.store.rollups.statements import SumForm, parameters
from tests.store.filling import DAY_US, MODELS, SECOND, fill

END = 1_700_006_400_000_000 // DAY_US * DAY_US
SPAN = RollupSpan(HOUR, END - DAY_US, END)


def test_times_and_values_do_not_make_another_statement() -> None:
    form = SumForm(rollups, HOUR, None, ("model",), ("provider",), ("4xx",), 0)
    same = SumForm(rollups, HOUR, None, ("model",), ("provider",), ("4xx",), 0)
    names = ("requests", "errors")
    made = statements.sums(form, names, None, status_is)
    assert statements.sums(same, names, None, status_is) is made
    for other in (
        form._replace(table=team_rollups),
        form._replace(period=DAY),
        form._replace(by=()),
        form._replace(chosen=("token",)),
        form._replace(status=("5xx",)),
        form._replace(step=None),
        form._replace(step=DAY * SECOND),
    ):
        assert statements.sums(other, names, None, status_is) is not made, other
    assert statements.sums(form, names[:1], None, status_is) is not made
    given = parameters(form, SPAN, {"provider": ("a", "b"), "token": ("c",)}, 2)
    assert given == {"since_2": SPAN.start, "until_2": SPAN.end, "provider_2": ["a", "b"]}


def test_each_run_has_its_own_values(sqlite_database: Database) -> None:
    database = sqlite_database
    database.write_now(lambda connection: fill(connection, 2000, end=END, days=1), 60.0)

    def work(connection: Connection) -> None:
        of = rollups.c
        for model in MODELS[:3]:
            total = select(func.sum(of.requests)).where(of.period == HOUR, of.model == model)
            expected = connection.execute(total).scalar()
            chosen = Chosen({"model": (model,)})
            found = read(connection, [SPAN], chosen, ("model",), ("requests",))
            assert found == {(0, model): [expected]}
            assert busiest(connection, [SPAN, SPAN], chosen, "model", 3) == [model]
        # Of none there is nothing, and of none in particular there is all.
        assert read(connection, [SPAN], Chosen({"model": ()}), ("model",), ("requests",)) == {}
        both = read(connection, [SPAN], Chosen({"model": MODELS[:2]}), ("model",), ("requests",))
        assert {name for _, name in both} == {*MODELS[:2]}
        assert len(busiest(connection, [SPAN], Chosen(), "model", 5)) == 5

    database.read_now(work, 60.0)
