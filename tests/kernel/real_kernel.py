"""Real kernels for tests: started as Jupyter does, spoken to over their sockets, with an embedded engine."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

START = 60
"""Seconds after which a kernel that does not start counts as a hang: it imports a lot, on a busy machine."""

SOON = 60
"""Seconds after which a cell that should have ended long ago counts as a hang."""


@dataclass
class Cell:
    """What came of one cell."""

    reply: dict[str, Any] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    """Its IOPub messages, in order, without status and echo."""

    def text(self, stream: str = "stdout") -> str:
        """What it printed."""
        said = (o["content"] for o in self.outputs if o["msg_type"] == "stream")
        return "".join(content["text"] for content in said if content["name"] == stream)

    @property
    def shown(self) -> list[dict[str, str]]:
        """The MIME bundles it displayed, results included."""
        kinds = ("execute_result", "display_data")
        return [o["content"]["data"] for o in self.outputs if o["msg_type"] in kinds]

    @property
    def value(self) -> str | None:
        """The text of its result."""
        results = [o["content"]["data"]["text/plain"] for o in self.outputs if o["msg_type"] == "execute_result"]
        return results[0] if results else None

    @property
    def error(self) -> str | None:
        """The name of its error; None when it ended well."""
        return self.reply.get("ename")

    @property
    def traceback(self) -> str:
        """What it shows of its error."""
        return "\n".join(line for o in self.outputs if o["msg_type"] == "error" for line in o["content"]["traceback"])


class RealKernel:
    """One kernel process."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client
        self.elsewhere: list[dict[str, Any]] = []
        """What cells other than the one heard out have said."""

    def run(self, code: str, *, when: tuple[str, Callable[[], None]] | None = None) -> Cell:
        """Run a cell to its end.

        Args:
            code: The cell.
            when: A text, and what to do once the cell has printed or displayed it.
        """
        return self.end(self.start(code), when=when)

    def run_and_answer(self, code: str, answer: str) -> tuple[str, Cell]:
        """Run a cell that asks for a line of input, and send the answer; returns the question, too."""
        id = self.start(code)
        asked = self.client.get_stdin_msg(timeout=SOON)
        self.client.input(answer)
        return asked["content"]["prompt"], self.end(id)

    def run_without_input(self, code: str) -> Cell:
        """Run a cell as a front end does that cannot ask for input."""
        return self.end(self.client.execute(code, store_history=True, allow_stdin=False))

    def start(self, code: str) -> str:
        """Send a cell; returns its id."""
        return self.client.execute(code, store_history=True)

    def ask_comm(self, target: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """Open a comm with data, and return the data of the kernel's first message; None: it sent none."""
        message = self.client.session.msg("comm_open", {"comm_id": uuid4().hex, "target_name": target, "data": data})
        self.client.shell_channel.send(message)
        answered = None
        deadline = time.monotonic() + SOON
        while True:
            found = self._next(deadline)
            if found["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                self.elsewhere.append(found)
            elif found["msg_type"] == "comm_msg":
                answered = found["content"]["data"]
            elif found["msg_type"] == "status" and found["content"]["execution_state"] == "idle":
                return answered

    def end(self, id: str, *, when: tuple[str, Callable[[], None]] | None = None) -> Cell:
        """Receive a cell's messages until it ends; those of other cells go to `elsewhere`."""
        cell = Cell()
        deadline = time.monotonic() + SOON
        while True:
            message = self._next(deadline)
            kind = message["msg_type"]
            if message["parent_header"].get("msg_id") != id:
                self.elsewhere.append(message)
                continue
            if kind == "status" and message["content"]["execution_state"] == "idle":
                break
            if kind not in ("status", "execute_input"):
                cell.outputs.append(message)
            shown = message["content"].get("data", {}).get("text/plain", "") if kind != "execute_input" else ""
            if when is not None and (when[0] in shown or (kind == "stream" and when[0] in cell.text())):
                act, when = when[1], None
                act()
        while cell.reply == {}:
            reply = self.client.get_shell_msg(timeout=max(0.1, deadline - time.monotonic()))
            if reply["parent_header"].get("msg_id") == id:
                cell.reply = reply["content"]
        return cell

    def _next(self, deadline: float) -> dict[str, Any]:
        try:
            message: dict[str, Any] = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"the cell had not ended after {SOON} s") from None
        return message

    def interrupt(self) -> None:
        """What the stop button does."""
        self.manager.interrupt_kernel()

    def processes(self) -> list[psutil.Process]:
        """The kernel's children: sandboxes and their starter."""
        return psutil.Process(self.manager.provisioner.pid).children(recursive=True)

    def restart(self, *, now: bool = False) -> None:
        """What the restart button does."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=now)
        self.client = self.manager.blocking_client()
        connect(self.client)

    def works(self) -> bool:
        """Whether programs run, and none is left running but the one that asks."""
        fine = self.run("%%pctx --no-check\n6 * 7").value == "42"
        return fine and "running 0" in (self.run("%pctx status").value or "")


def connect(client: BlockingKernelClient) -> None:
    """Open a client's channels and wait until the kernel answers."""
    client.start_channels()
    deadline = time.monotonic() + START
    while True:
        try:
            return client.wait_for_ready(timeout=START)
        except RuntimeError:  # "Kernel died": it missed a heartbeat while it was importing, on a busy machine
            if time.monotonic() > deadline:
                raise


@contextmanager
def open_kernel(home: Path, **environment: str) -> Iterator[RealKernel]:
    """Start a kernel with folders of its own below `home` and these variables in its environment; end it afterwards."""
    ours = {"IPYTHONDIR": str(home / "ipython"), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PCTX_", "JPY_"))}
    profile = home / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    # On a busy machine the type checker may take long to start: then wait for it, and do not run unchecked.
    with (profile / "ipython_kernel_config.py").open("a") as config:
        config.write("c.Pctx.max_check_s = 20\n")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=inherited | ours | environment)
    kernel = RealKernel(manager, manager.blocking_client())
    try:
        connect(kernel.client)
        yield kernel
    finally:
        kernel.client.stop_channels()
        manager.shutdown_kernel(now=True)
        with suppress(AttributeError):
            manager.context.destroy()


@contextmanager
def attached(process: psutil.Process) -> Iterator[RealKernel]:
    """Speak to a kernel that a server has started; it is the server's to restart and to end."""
    client = BlockingKernelClient(connection_file=process.cmdline()[-1])
    client.load_connection_file()
    try:
        connect(client)
        yield RealKernel(None, client)  # type: ignore[arg-type]
    finally:
        client.stop_channels()
