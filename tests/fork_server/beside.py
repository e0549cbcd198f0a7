"""A fork that is a child of this process's parent, and not of this process."""

from __future__ import annotations

import ctypes
import os
from typing import Final

# clone(2), clone3(2), prctl(2).
_CLONE_PARENT: Final = 0x00008000
_CLONE_CHILD_CLEARTID: Final = 0x00200000
_CLONE_CHILD_SETTID: Final = 0x01000000
_CLONE3: Final = 435  # on every architecture
_PR_GET_TID_ADDRESS: Final = 40


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid"),
            *("exit_signal", "stack", "stack_size", "tls"),
        )
    ]


def fork_beside() -> int:
    """Do what `os.fork` does, but the parent of this process is that of the new one, too.

    That must be what takes over processes that have lost their parent (PR_SET_CHILD_SUBREAPER):
    where Linux is not as it is expected, the new one is such a process. This one has one thread.
    """
    try:
        return _cloned()
    except OSError:
        return _orphaned()


def _cloned() -> int:
    """Have the kernel do it; a second fork of a large process takes ten milliseconds more."""
    # Python's lock is held during these calls, and so is nothing else of it that runs.
    libc = ctypes.PyDLL(None, use_errno=True)
    address = ctypes.c_void_p()
    # Where the C library has the number of its only thread, which is to be that of the new one.
    if libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address)):
        raise OSError(ctypes.get_errno(), "PR_GET_TID_ADDRESS")
    flags = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    asked = _CloneArgs(flags=flags, child_tid=address.value)
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(libc.syscall(_CLONE3, ctypes.byref(asked), ctypes.sizeof(asked)))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    refused = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(refused, "clone3")
    return pid


def _orphaned() -> int:
    """Fork a process that forks it and ends."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.close(writer)
            return 0
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    pid = int(os.read(reader, 16))
    os.close(reader)
    os.waitpid(between, 0)
    return pid
