"""The people on the dashboard: a process that ends when its standard input does.

python -m bench.dashboard.crowd PLAN        the plan as JSON; prints what came of it
"""

from __future__ import annotations

import http.client
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice

import msgspec

from .plan import LIVE, VISITED, CrowdCounts, CrowdPlan

_SECONDS = 30.0


class Crowd:
    def __init__(self, plan: CrowdPlan) -> None:
        self._plan = plan
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._times: list[float] = []
        self._events = 0
        self._errors: Counter[str] = Counter()

    def run(self) -> CrowdCounts:
        """Look at the pages until there is no more input."""
        work = [(self._watch, number) for number in range(self._plan.open)]
        work += [(self._walk, number) for number in range(self._plan.people)]
        for target, number in work:
            # Daemons: one that waits for an answer does not keep the process.
            threading.Thread(target=self._trying, args=(target, number), daemon=True).start()
        sys.stdin.read()
        self._over.set()
        with self._lock:
            times = sorted(self._times) or [0.0]
            return CrowdCounts(
                pages=len(self._times),
                p50_ms=statistics.median(times),
                p95_ms=times[int(len(times) * 0.95)],
                events=self._events,
                errors=dict(self._errors),
            )

    def _trying(self, work: Callable[[int], None], number: int) -> None:
        while not self._over.is_set():
            try:
                work(number)
            except (OSError, http.client.HTTPException) as exc:
                with self._lock:
                    self._errors[type(exc).__name__] += 1
                self._over.wait(1.0)

    def _watch(self, number: int) -> None:
        """Have a page open: take its events until the gateway ends it."""
        answer = self._ask(LIVE[number % len(LIVE)])
        while not self._over.is_set() and (line := answer.readline()):
            if line.startswith(b"event: "):
                with self._lock:
                    self._events += 1

    def _walk(self, number: int) -> None:
        """Go from page to page, each person beginning elsewhere."""
        for path in islice(VISITED * 2, number, number + len(VISITED)):
            if self._over.wait(self._plan.pause):
                return
            began = time.perf_counter()
            answer = self._ask(path)
            answer.read()
            with self._lock:
                self._times.append((time.perf_counter() - began) * 1000)

    def _ask(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._plan.port, timeout=_SECONDS)
        headers = {"authorization": f"Bearer {self._plan.key}"}
        connection.request("GET", f"/admin/{path}", headers=headers)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            with self._lock:
                self._errors[f"{answer.status} {path}"] += 1
        return answer


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.argv[1], type=CrowdPlan)
    print(msgspec.json.encode(Crowd(plan).run()).decode())
