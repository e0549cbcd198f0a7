"""Have one command of the gateway run as `forks.py` does: `python -I -S forked.py ARGUMENT...`.

The socket to ask at is the descriptor $FORKS. Signals are passed on, and SIGUSR1 as SIGKILL: the
command has ended when this has, which it would not have if this were killed.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import sys


def main() -> int:
    arguments = [os.fsencode(each) for each in sys.argv[1:]]
    environ = [b"%b=%b" % item for item in os.environb.items()]
    request = b"\0".join([os.getcwdb(), b"%d" % len(arguments), *arguments, *environ])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sent = array.array("i", [0, 1, 2, theirs.fileno()])
    with socket.socket(fileno=int(os.environ["FORKS"])) as channel:
        channel.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
    theirs.close()
    passed_on = {each: each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for heard, sent_on in (passed_on | {signal.SIGUSR1: signal.SIGKILL}).items():
        text = b"%d" % sent_on
        signal.signal(heard, lambda *_, text=text: ours.send(text))
    answer = ours.recv(16)
    if not answer:
        raise ConnectionError("the process that forks has ended")
    return int(answer)


if __name__ == "__main__":
    sys.exit(main())
