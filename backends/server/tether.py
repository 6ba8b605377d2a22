"""Ties a program to the process that starts it: `python tether.py PARENT PROGRAM ARGUMENT…`.

On Linux the kernel kills the program as soon as its parent is gone, however it went (PR_SET_PDEATHSIG survives exec).
Elsewhere this only replaces itself by the program, and the worker's process group does the rest. A program of its own,
because code between fork and exec in a process with threads may deadlock. Standard library only: it is run by path.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # gone before the tie was made
            sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
