"""Run a supervisor: `python -m tests.serve.apps.supervised WORKERS`. Prints its address."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import trio

from gateway.serve.crew.crew import Crew
from gateway.serve.crew.supervisor import supervise
from gateway.serve.sockets import describe, listen

POLICY = '{"drain_delay": 0.1, "drain_timeout": 5}'


def command(listeners: Sequence[int], lifeline: int, words: int) -> list[str]:
    descriptors = ",".join(map(str, listeners))
    module = "tests.serve.apps.one_worker"
    return [sys.executable, "-m", module, POLICY, descriptors, str(lifeline), str(words)]


def main() -> None:
    sockets = listen(["127.0.0.1:0"], send_timeout=30)
    print(describe(sockets[0]), flush=True)  # noqa: T201
    kill_after = float(sys.argv[2])
    crew = Crew(command, sockets, int(sys.argv[1]), kill_after)
    sys.exit(trio.run(partial(supervise, crew, sockets=sockets, kill_after=kill_after)))


if __name__ == "__main__":
    main()
