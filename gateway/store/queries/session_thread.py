"""One session: what its requests come to in all, and by the agents that made them."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from ...core.records.client_metadata import AgentName, agent_of
from ..engine.schema import requests
from .agent_sessions import (
    AgentSession,
    SessionKind,
    SessionTotals,
    described,
    made,
    sums,
    together,
)

# Agents are told apart by what else of a request's head is kept, which is nearly always the same
# for all requests of one agent. Where it is not, so many different ones are read.
_MOST_HEADS: Final = 20_000
MOST_AGENTS: Final = 200
_of: Final = requests.c
_Metadata: Final = msgspec.json.Decoder(dict[str, str])


class AgentTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent of a session has used. `id` is None for the main one."""

    id: str | None
    parent: str | None
    totals: SessionTotals


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session, and the agents in it in the order in which they began; the main one alone, too.

    `more_agents` is set if there are too many to be told apart.
    """

    session: AgentSession
    agents: list[AgentTotals]
    more_agents: bool


def summary(
    connection: Connection, name: str, by: SessionKind = "session"
) -> SessionSummary | None:
    """Return what is on record of a session, or of a user; None if there is nothing."""
    found = described(connection, by, [name])
    if not found:
        return None
    heads = connection.execute(
        select(_of.metadata, *sums(), func.min(_of.id), func.max(_of.id))
        .where(_of[by] == name)
        .group_by(_of.metadata)
        .limit(_MOST_HEADS + 1)
    ).all()
    agents: dict[AgentName | None, SessionTotals] = {}
    for row in heads[:_MOST_HEADS]:
        agent = agent_of(_Metadata.decode(row[0])) if row[0] else None
        totals = made(row[1:-2], row[-2], row[-1])
        known = agents.get(agent)
        agents[agent] = totals if known is None else together(known, totals)
    begun = sorted(agents.items(), key=lambda each: each[1].first)
    return SessionSummary(
        session=found[0],
        agents=[
            AgentTotals(
                id=None if agent is None else agent.id,
                parent=None if agent is None else agent.parent,
                totals=totals,
            )
            for agent, totals in begun[:MOST_AGENTS]
        ],
        more_agents=len(heads) > _MOST_HEADS or len(begun) > MOST_AGENTS,
    )
