from __future__ import annotations

import trio
import trio.testing

from gateway.core.processes import ProcessDrain, process_target
from gateway.group.known.presence import ProcessPresence
from gateway.lifecycle import Lifecycle


def presence(lifecycle: Lifecycle, **options: object) -> ProcessPresence:
    return ProcessPresence(
        lifecycle,
        environ={"GATEWAY_HOST": "here"},
        epoch=trio.current_time,
        **options,  # type: ignore[arg-type]
    )


async def test_a_drain_is_obeyed_and_ends_by_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lifecycle = Lifecycle()
    lifecycle.ready()
    own, now = presence(lifecycle), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        own.obey([ProcessDrain(target="host:elsewhere", until=now + 60)])
        assert (lifecycle.standing, lifecycle.moving) == ("running", False)
        own.obey([ProcessDrain(target="host:here", until=now + 60)])
        # It says that it is drained, and is not on its way to its exit.
        assert (lifecycle.standing, lifecycle.moving, lifecycle.leaving) == ("drained", True, False)
        await trio.sleep(50)
        assert lifecycle.drained
        await trio.sleep(13)
        assert (lifecycle.standing, lifecycle.moving) == ("running", False)
        own.add(ProcessDrain(target=process_target(own.id), until=now + 600), "process")
        assert lifecycle.drained
        lifecycle.start_drain()
        assert {"draining"} == {lifecycle.standing}
        own.add(None, process_target(own.id))
        assert own.drain is None
        nursery.cancel_scope.cancel()


async def test_load_is_the_part_of_a_processor(autojump_clock: trio.testing.MockClock) -> None:
    own = presence(Lifecycle(), used=lambda: trio.current_time() / 4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        await trio.sleep(7)
        assert own.load == 0.25
        nursery.cancel_scope.cancel()


async def test_one_of_several_leaves_what_is_new_to_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lifecycle, serve = Lifecycle(), True
    lifecycle.ready()
    own, now = presence(lifecycle), trio.current_time()

    async def others() -> bool:
        await trio.sleep(0.1)
        return serve

    own.others = others
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        await trio.sleep(0.1)
        itself = process_target(own.id)
        own.obey([ProcessDrain(target=itself, until=now + 60)])
        # Its address is ready: others are there. What is kept open moves.
        await trio.sleep(0.2)
        assert (lifecycle.paused, lifecycle.taking, lifecycle.moving) == (True, True, True)
        assert lifecycle.standing == "drained"
        # Nobody else: it goes on accepting, and load balancers are told.
        serve = False
        await trio.sleep(3)
        assert (lifecycle.paused, lifecycle.taking) == (False, False)
        serve = True
        await trio.sleep(3)
        assert (lifecycle.paused, lifecycle.taking) == (True, True)
        # With its host it answers those who ask whether it is ready.
        own.add(ProcessDrain(target="host:here", until=now + 60), "host:here")
        assert (lifecycle.paused, lifecycle.taking) == (False, False)
        await trio.sleep(3)
        assert (lifecycle.paused, lifecycle.taking) == (False, False)
        own.add(None, "host:here")
        assert (lifecycle.paused, lifecycle.taking) == (True, True)
        own.add(None, itself)
        assert (lifecycle.paused, lifecycle.taking, lifecycle.moving) == (False, True, False)
        # It ends while the others are asked.
        own.obey([ProcessDrain(target=itself, until=now + 60)])
        own.obey([])
        await trio.sleep(3)
        assert (lifecycle.paused, lifecycle.taking) == (False, True)
        nursery.cancel_scope.cancel()
