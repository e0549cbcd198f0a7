"""The tables of what operators change while the gateway runs, and of its processes.

A change of `api_keys`, `teams` or `deployments` first raises its row of `generations`, in the same
transaction: that lock makes one of two changes wait, and who reads a generation sees every
change up to it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from .schema import metadata

__all__ = [
    "api_keys",
    "cancellations",
    "capture_windows",
    "deployments",
    "generations",
    "grants",
    "metadata",
    "process_drains",
    "processes",
    "teams",
]

# What has changed how often: "keys" (and teams, which are read with them), "deployments".
generations: Final = Table(
    "generations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# Keys that were made over HTTP or by `gateway keys`. None is ever deleted: the name of a revoked
# one stands in the records of its requests, and must not come to mean somebody else.
api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("name", Text, primary_key=True),
    # SHA-256 of the secret in hexadecimal, and of the one before, which is taken until then (µs).
    Column("digest", Text, nullable=False),
    Column("previous", Text),
    Column("previous_until", BigInteger),
    # "active", "disabled" or "revoked".
    Column("state", Text, nullable=False),
    # A JSON object of what stands in a [[tokens]] beside name and key.
    Column("terms", Text, nullable=False),
    Column("team", Text),
    # That of "keys" at its last change, and how often it was changed: what its ETag is made of.
    Column("generation", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", Text),
    Column("changed", BigInteger, nullable=False),
    Column("changed_by", Text),
)

# Limits of teams that were made over HTTP or by `gateway teams`. A team that is deleted leaves its
# name in the records and on its keys, and no limit.
teams: Final = Table(
    "teams",
    metadata,
    Column("name", Text, primary_key=True),
    # A JSON object of what stands in a [[teams]] beside the name.
    Column("terms", Text, nullable=False),
    # That of "keys" at its last change, which is never given twice: what its ETag is made of.
    Column("generation", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", Text),
    Column("changed", BigInteger, nullable=False),
    Column("changed_by", Text),
)

# What operators have told the gateway of deployments, by "provider/model".
deployments: Final = Table(
    "deployments",
    metadata,
    Column("name", Text, primary_key=True),
    # Until when (µs) no request is sent to it.
    Column("drained_until", BigInteger),
    Column("drained_by", Text),
    Column("reason", Text),
    # How often its breaker was reset by hand.
    Column("resets", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# Requests that an operator wants cancelled, by their ids: of whichever process has them.
cancellations: Final = Table(
    "cancellations",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("asked", BigInteger, nullable=False),
)

# Keys whose requests the debug log keeps until then (µs), whatever its settings say.
capture_windows: Final = Table(
    "capture_windows",
    metadata,
    Column("token", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("opened_by", Text),
    Column("reason", Text),
)

# Secrets that stand for a key until then (µs), by their SHA-256 in hexadecimal.
grants: Final = Table(
    "grants",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("granted_to", Text),
)

# The processes of all gateways on the database; each says every few seconds how it is.
processes: Final = Table(
    "processes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    # A JSON object: its phase, its configuration, its deployments.
    Column("state", Text, nullable=False),
)

# Processes and hosts that an operator wants out of service until then (µs): "host:NAME" or
# "process:ID".
process_drains: Final = Table(
    "process_drains",
    metadata,
    Column("target", Text, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("drained_by", Text),
    Column("reason", Text),
)
