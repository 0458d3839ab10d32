"""Starts one MCP server and leaves nothing of it behind: run as ``python -I -S guard.py PARENT -- command…`` on Linux.

A server's own children often outlive it: ``npx`` starts node, a shell a pipeline. This process adopts all processes
that they leave (it is their *subreaper*). It ends them when the server ends, on SIGTERM (politely first), and when
the host dies, however it dies (SIGHUP, sent by the system). It does not touch the messages between server and host.
It uses the standard library only, and exits with the server's own status.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 0.7
"""Seconds between asking a server to end and ending it."""
NOT_FOUND = 127


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def children() -> "list[int]":
    """The processes that are ours to end, adopted ones included."""
    with open("/proc/thread-self/children") as listed:  # noqa: PTH123 (few imports)
        return [int(pid) for pid in listed.read().split()]


def end_all() -> None:
    """Kill until no process is left; a process that loses its parent by that becomes a child of this one."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ProcessLookupError:
            continue
        except (ChildProcessError, OSError):
            return
        time.sleep(0.002)


def main(parent: int, command: "list[str]") -> int:
    """Run the command; returns its status, as a shell has it."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = os.fork()
    if server == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own choice is not the server's
            os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(NOT_FOUND)

    def end_politely(number: int, frame: object) -> None:
        try:
            os.killpg(server, signal.SIGTERM)
        except ProcessLookupError:
            pass
        else:
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def end_now(number: int, frame: object) -> None:
        end_all()
        os._exit(1)

    signal.signal(signal.SIGTERM, end_politely)
    signal.signal(signal.SIGALRM, end_now)
    signal.signal(signal.SIGHUP, end_now)
    prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:  # it died before that line
        end_now(0, None)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):  # the server's alone: its end has to be seen at the other end
        os.dup2(nothing, number)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == server:
            end_all()
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[3:]))
