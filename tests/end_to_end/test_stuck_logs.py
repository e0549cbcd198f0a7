"""Where a gateway's own output goes nowhere: requests and signals go on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from ..fork_server.popen import SCRIPT, open_process
from ..ports import lasting_port
from ..rounds import rounds
from .caller import ask, get
from .harness import GATEWAY, PATIENCE, ROOT, config
from .provider import serving, speaking, until

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
CLOSED = (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")


async def answers(port: int) -> bool:
    try:
        return (await get(port, "/health/live")).status == 200
    except (OSError, trio.BrokenResourceError):
        return False


async def answering(port: int) -> None:
    while not await answers(port):  # noqa: ASYNC110  # it is another process
        await trio.sleep(0.1)


def full_pipe() -> tuple[int, int]:
    """Return a pipe's ends to read and to write; nothing more fits in."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    return reader, writer


@pytest.mark.parametrize("stuck", ["stderr", "both"])
async def test_output_that_is_not_read_stops_nothing(stuck: str, write: Write) -> None:
    """The output is a pipe that is full and is not read, as when a log shipper hangs."""
    port = lasting_port()
    async with serving([(0.0, b"not HTTP at all\r\n\r\n")]) as provider:
        text = config(provider.port, server="drain_delay = 0").replace(
            "127.0.0.1:0", f"127.0.0.1:{port}"
        )
        file = write(text + '\n[log]\nlevel = "debug"\n')
        reader, writer = full_pipe()
        process = await open_process(
            list(GATEWAY),
            env={**os.environ, "GATEWAY_CONFIG": str(file), "PYTHONPATH": str(ROOT)},
            cwd=file.parent,
            stdin=subprocess.DEVNULL,
            stdout=writer if stuck == "both" else subprocess.DEVNULL,
            stderr=writer,
        )
        os.close(writer)
        try:
            with trio.fail_after(PATIENCE):
                await answering(port)
            for _ in range(40):
                with trio.fail_after(PATIENCE):
                    assert (await ask(port)).status in (502, 503)
            assert await answers(port)
            process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None, "the exit", PATIENCE)
            assert process.returncode == 0
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            os.close(reader)


@pytest.mark.parametrize(
    ("closed", "workers"),
    [
        *((each, "1") for each in rounds(few=CLOSED[1:2], many=CLOSED)),
        *((each, "2") for each in rounds(few=CLOSED[-1:], many=CLOSED)),
    ],
)
async def test_output_that_is_closed_is_no_reason_to_leave(
    closed: str, workers: str, write: Write
) -> None:
    """Service managers of some kinds start processes without any of the three."""
    port = lasting_port()
    async with serving(speaking) as provider:
        text = config(provider.port, server="drain_delay = 0").replace(
            "127.0.0.1:0", f"127.0.0.1:{port}"
        )
        file = write(text + '\n[log]\nlevel = "debug"\n')
        process = await trio.lowlevel.open_process(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *GATEWAY, "--workers", workers],
            env={**os.environ, "GATEWAY_CONFIG": str(file), "PYTHONPATH": str(ROOT)},
            cwd=file.parent,
        )
        try:
            with trio.fail_after(PATIENCE):
                await answering(port)
                for _ in range(5):
                    assert (await ask(port)).status == 200
            process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None, "the exit", PATIENCE)
            assert process.returncode == 0
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def test_a_stream_that_is_read_again_says_what_was_dropped() -> None:
    """Warnings, tracebacks and logging take the same way, and none is lost that fits."""
    script = """
import logging, os, sys, time, warnings
from gateway.telemetry.stderr import BackgroundStream, in_background
from gateway.telemetry.logs import set_up_logging
with in_background():
    set_up_logging("info", "json")
    warnings.warn("a warning", stacklevel=1)
    began = time.monotonic()
    for number in range(10000):
        logging.getLogger("x").warning("number %d " + "x" * 100, number)
    try:
        1 / 0
    except ZeroDivisionError:
        sys.excepthook(*sys.exc_info())
    os.write(1, b"%.1f" % (time.monotonic() - began))
    sys.stdin.read()
    time.sleep(0.5)
    logging.getLogger("x").warning("the last")
"""
    process = await open_process(
        [*SCRIPT, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with trio.fail_after(PATIENCE):
        took = await process.stdout.receive_some()
        await process.stdin.aclose()
        said = b""
        async for data in process.stderr:
            said += data
        assert await process.wait() == 0
    assert float(took) < PATIENCE / 2
    lines = said.splitlines()
    assert b"a warning" in said
    assert b"ZeroDivisionError" in said
    assert b"log lines dropped" in said
    assert b"the last" in lines[-1]
    assert all(line.endswith(b"}") for line in lines if line.startswith(b"{"))
