"""Run one worker: `python -m tests.serve.apps.one_worker POLICY_JSON [FD,FD... LIFELINE WORDS]`."""

from __future__ import annotations

import os
import sys
from functools import partial

import msgspec
import trio

from gateway.lifecycle import Lifecycle
from gateway.serve.policy import ServingPolicy
from gateway.serve.sighup import SighupReloads
from gateway.serve.sockets import adopt, listen
from gateway.serve.worker import serve_worker

from .ticking import Ticking


async def reload(cause: str) -> None:
    """Say so, and take a while."""
    print(cause, flush=True)  # noqa: T201
    await trio.sleep(0.3)


def main() -> None:
    policy = msgspec.json.decode(sys.argv[1], type=ServingPolicy)
    if len(sys.argv) > 2:
        sockets = [adopt(int(descriptor)) for descriptor in sys.argv[2].split(",")]
        lifeline = int(sys.argv[3])
    else:
        sockets = listen(["127.0.0.1:0"], send_timeout=policy.send_timeout)
        lifeline = None
    words = int(sys.argv[4]) if len(sys.argv) > 4 else None

    def on_ready(addresses: list[str]) -> None:
        print(*addresses, flush=True)  # noqa: T201
        if words is not None:
            os.write(words, b"ready 1\n")

    lifecycle = Lifecycle()
    trio.run(
        partial(
            serve_worker,
            Ticking(lifecycle),
            sockets=sockets,
            policy=lambda: policy,
            lifecycle=lifecycle,
            hangups=SighupReloads(reload),
            on_ready=on_ready,
            lifeline=lifeline,
        )
    )


if __name__ == "__main__":
    main()
