"""Starts sandboxes: a tiny process of its own, run as ``python -I -S launcher.py``; Linux, standard library only.

Three things have to happen between the fork of a sandbox and Deno's first instruction: Landlock, the parent-death
signal, and a session of its own. A threaded server cannot do them safely, so this process does: it has one thread and
one loop, and never sees a program.

    argv     FD PARENT-PID  readable paths…  --  environment, NAME=value…  --  command…
    sends    "ready LAYERS"                    once; 2 layers with Landlock, 1 without
             "failed ERRNO"                    in place of it, and then it ends: the system refuses what it needs
    receives "start ID"  + 2 descriptors       the sandbox's end of its pipe (stdin and stdout), and its stderr
             "kill ID"                         from a host that could not take the sandbox's pidfd
    sends    "started ID PID"  + 1 descriptor  the sandbox's pidfd
             "refused ID ERRNO"                it could not be forked
             "ended ID STATUS"                 negative: the signal that ended it

on a SOCK_SEQPACKET socket, a datagram each. Every start has one answer: "started" or "refused". When the host dies,
this process dies; when this process dies, every sandbox dies.
"""

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every architecture
LANDLOCK_VERSION, LANDLOCK_PATH_BENEATH = 1, 1
EXECUTE, READ_FILE, READ_DIR = 1, 4, 8

libc = ctypes.CDLL(None, use_errno=True)


def fail(what: str) -> OSError:
    """The error of a system call that just failed."""
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


def die_with(parent: int) -> None:
    """Make the operating system kill this process when its parent dies."""
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise fail("PR_SET_PDEATHSIG")
    if os.getppid() != parent:  # it died before that line
        os._exit(1)


class Landlock:
    """What all sandboxes may do with files: read and execute some, nothing else; no TCP, no signals to others.

    The paths are looked up once, for all sandboxes. What each of them does between its fork and Deno's first
    instruction takes a copy of every page of memory that it uses.

    Args:
        version: Of the kernel's Landlock.
        paths: Files and folders, with all that is in them.
    """

    def __init__(self, version: int, paths: list[str]) -> None:
        files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1  # every right on files this version knows
        tcp = scopes = 0b11  # bind and connect; abstract Unix sockets and signals
        self.handled = struct.pack("QQQ", files, tcp, scopes)[: 8 if version < 4 else 16 if version < 6 else 24]
        self.rules = [
            self.rule(path, EXECUTE | READ_FILE | (READ_DIR if os.path.isdir(path) else 0))  # noqa: PTH112 (few imports)
            for path in filter(os.path.exists, paths)
        ]

    @staticmethod
    def rule(path: str, allowed: int) -> bytes:
        """What the system takes as a rule for a path, which stays open."""
        return struct.pack("<Qi", allowed, os.open(path, os.O_PATH | os.O_CLOEXEC))

    def restrict(self, proc: str) -> None:
        """Put this process, and all it will start, under the rules: each time in a domain of its own.

        Args:
            proc: A folder of /proc that may be read as well. The C library looks up the bounds of a thread's stack in
                /proc/self/maps, and Deno ends itself when it cannot: while it words certain errors of a program.
        """
        ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, self.handled, ctypes.c_size_t(len(self.handled)), 0)
        if ruleset < 0:
            raise fail("landlock_create_ruleset")
        own = [self.rule(proc, READ_FILE)] if os.path.exists(proc) else []  # noqa: PTH110 (few imports)
        for rule in self.rules + own:
            if libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_PATH_BENEATH, rule, 0):
                raise fail("landlock_add_rule")
        if libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0):
            raise fail("landlock_restrict_self")
        os.close(ruleset)


class ForkServer:
    """Forks a sandbox for each request, and reports its end."""

    def __init__(
        self,
        host: socket.socket,
        landlock: "Landlock | None",
        environment: "dict[str, str]",
        command: "list[str]",
    ) -> None:
        self.host, self.landlock, self.environment, self.command = host, landlock, environment, command
        self.pid = os.getpid()
        self.children: dict[int, tuple[int, int]] = {}  # pidfd → the host's id, pid
        self.poll = select.poll()
        self.poll.register(host, select.POLLIN)

    def serve(self) -> None:
        """Serve until the host is gone."""
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.children:
                    self.reap(fd)
                elif not self.receive():
                    return

    def receive(self) -> bool:
        """Serve one request; returns False when the host is gone."""
        message, fds, _, _ = socket.recv_fds(self.host, 64, 2)
        match message.split():
            case [b"start", id]:
                self.start(int(id), fds)
            case [b"kill", id]:
                for pidfd in [pidfd for pidfd, (child, _) in self.children.items() if child == int(id)]:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            case _:
                return False
        return True

    def start(self, id: int, fds: "list[int]") -> None:
        """Fork one sandbox."""
        try:
            if len(fds) < 2:  # the system drops descriptors for which this process has no room
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            pid = os.fork()
            if pid == 0:
                self.become(*fds)
            pidfd = -1
            try:
                pidfd = os.pidfd_open(pid)
                socket.send_fds(self.host, [b"started %d %d" % (id, pid)], [pidfd])
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                if pidfd >= 0:
                    os.close(pidfd)
                raise
        except OSError as error:
            self.host.send(b"refused %d %d" % (id, error.errno or 0))
        else:
            self.children[pidfd] = (id, pid)
            self.poll.register(pidfd, select.POLLIN)
        finally:
            for fd in fds:
                os.close(fd)

    def become(self, pipe: int, stderr: int) -> None:
        """Turn this forked process into a sandbox; does not return."""
        try:
            die_with(self.pid)
            for number, fd in enumerate((pipe, pipe, stderr)):
                os.dup2(fd, number)
            os.setsid()
            # In a Landlock domain of its own it can neither signal nor trace us or its siblings, and of /proc it reads
            # what is its own: the rule holds what /proc/self is to the process that makes it.
            if self.landlock is not None:
                self.landlock.restrict("/proc/self/")
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os.execve(self.command[0], self.command, self.environment)
        except OSError as error:
            os.write(2, str(error).encode())
        finally:
            os._exit(127)

    def reap(self, pidfd: int) -> None:
        """Report one sandbox's end."""
        id, pid = self.children.pop(pidfd)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self.host.send(b"ended %d %d" % (id, os.waitstatus_to_exitcode(status)))


def main(arguments: "list[str]") -> None:
    """Become the launcher these arguments describe."""
    host, parent, *rest = arguments
    first = rest.index("--")
    second = rest.index("--", first + 1)
    paths, environment, command = rest[:first], rest[first + 1 : second], rest[second + 1 :]
    die_with(int(parent))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise fail("PR_SET_NO_NEW_PRIVS")
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 (few imports)
        score.write("800")  # when memory runs out, the kernel shall take a sandbox, not the server
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, which is not for sandboxes
        signal.signal(ignored, signal.SIG_DFL)
    channel = socket.socket(fileno=int(host))
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_VERSION)
    try:
        landlock = Landlock(version, paths) if version > 0 else None
        if landlock is not None:
            landlock.restrict("/proc")  # no sandbox can have what its launcher has not
    except OSError as error:
        channel.send(b"failed %d" % (error.errno or 0))
        raise
    channel.send(b"ready %d" % (1 if landlock is None else 2))
    with contextlib.suppress(ConnectionResetError):  # the host is gone
        ForkServer(channel, landlock, dict(pair.split("=", 1) for pair in environment), command).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
