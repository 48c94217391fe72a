"""Becomes another program that ends when its starter ends: ``launcher.py STARTER_PID PROGRAM [ARGUMENT...]``.

Run as a file by a bare interpreter, it asks Linux to send SIGTERM when the starter dies, however it dies,
and then replaces itself with the program, so that the pid the starter knows is the program's own. Doing it
here, after the fork, spares a ``preexec_fn``, which is unsafe in a process with threads. Other systems have
no such request: there the program outlives a starter that was killed with SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""From Linux's ``sys/prctl.h``. The request survives ``exec``; its "parent" is the *thread* that forked."""


def main(arguments: Sequence[str]) -> None:
    """Replace this process; returns only by an exception (OSError when the program cannot be executed)."""
    starter, program = int(arguments[0]), list(arguments[1:])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM)) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
        if os.getppid() != starter:  # it died before the request was made
            sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
