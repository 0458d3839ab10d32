"""The magics ``%%pctx`` and ``%pctx``: parse, wait, show. And what ``%load_ext`` and ``%unload_ext`` do.

The outermost cell of a kernel is *awaited*: an input transformer rewrites it, so the kernel's loop continues and
async tools run on it. Elsewhere (under ``%%time``, in a terminal, with ``%autoawait off``, in a script) the magic
*blocks*. Async tools then run on a private loop of the same thread, where objects that are bound to the kernel's loop
do not work.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import FrameType
from typing import Any

from IPython.core import async_helpers
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from msgspec import Raw

from .. import errors, foreign
from ..handles.table import Handle, Handles
from ..nearest import did_you_mean
from ..rpc import marks, wire
from ..rpc.jsonrpc import NULL
from . import exits
from .bridge import Bridge
from .bridge_thread import as_shown
from .commands import Commands, help_in_text
from .editing import Editing
from .functions import tool as python_tools
from .guests import Guests
from .home import Home, open_home
from .options import CellOptions, cell_options
from .output.failure import ProgramFailed, with_hint
from .running import Running
from .spelling import as_python
from .stopped import Interrupted, StoppedByPerson, show_stops
from .timelines import Drawing, timeline

log = logging.getLogger(__name__)

VALUES = "pctx.value"
"""The name that front ends open comms with; see `output.whole`."""

_CELL = re.compile(r"\s*%%pctx(?:[ \t]+(?P<line>[^\n]*))?\n(?P<body>.*)\Z", re.DOTALL)


@magics_class
class PctxMagics(Magics):
    """The magics of one shell, and the connection to its engine."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell = shell
        # A terminal has no loop that runs between its cells.
        self.guests = Guests(shell) if hasattr(shell, "kernel") else None
        self.bridge = Bridge(self._open_home, self._tools, self.guests)
        self.bridge.handles.names = shell.user_ns
        self.editing = Editing(shell, self.bridge)
        self._commands = Commands(shell, self.bridge, None if self.guests is None else self.guests.notices)
        self._has_shown_home = False
        self.forget_stops: Callable[[], None] | None = None
        self._frames: python_tools.PythonTool | None = None  # what serves the frames that cells pass in
        self._kept: dict[str, set[str]] = {}  # by session: names are kept as long as their session

    @no_var_expand  # braces and dollars are TypeScript's
    @line_cell_magic
    def pctx(self, line: str, cell: str | None = None) -> Any:
        """Run TypeScript that calls this notebook's tools (%%pctx), or manage them (%pctx)."""
        if cell is None:
            with _shortage_shown():
                return self._commands.run(line)
        chosen = cell_options(line)
        with _shortage_shown(), self._handles_of_run() as handles:
            program = self._program(chosen, cell, handles)
            with timeline(self._shell, is_wanted=_has_timeline(chosen)) as drawing:
                try:
                    outcome, running = self.bridge.block_for(program, drawing.draw, drawing.reserve, handles)
                except KeyboardInterrupt as interrupt:
                    raise Interrupted(interrupt, drawing.shown) from None
            return self._result(chosen, outcome, running, drawing)

    pctx.__doc__ = f"{pctx.__doc__}\n\n{help_in_text()}"  # what %pctx? shows

    async def run(self, line: str, cell: str) -> Any:
        """Run a ``%%pctx`` cell, awaited: the transformer rewrites outermost cells into calls of this."""
        chosen = cell_options(line)
        with _shortage_shown(), self._handles_of_run() as handles:
            program = self._program(chosen, cell, handles)
            with timeline(self._shell, is_wanted=_has_timeline(chosen)) as drawing:
                try:
                    outcome, running = await self.bridge.wait_for(program, drawing.draw, drawing.reserve, handles)
                except KeyboardInterrupt as interrupt:
                    raise Interrupted(interrupt, drawing.shown) from None
            return self._result(chosen, outcome, running, drawing)

    def transform(self, lines: list[str]) -> list[str]:
        """Rewrite an outermost ``%%pctx`` cell so that it is awaited; return other cells unchanged."""
        found = _CELL.match("".join(lines)) if lines else None
        if found is None or not found["body"].strip() or not self._can_await() or _is_in_cell():
            return lines
        return [f"await get_ipython()._pctx.run({(found['line'] or '').strip()!r}, {found['body']!r})\n"]

    # Without this mark IPython would call it for incomplete cells, and treat them as complete.
    transform.has_side_effects = True  # type: ignore[attr-defined]

    def _can_await(self) -> bool:
        shell = self._shell
        return bool(shell.autoawait) and shell.loop_runner is foreign.asyncio_runner(async_helpers)

    def _open_home(self) -> AbstractAsyncContextManager[Home]:
        from ..handles.table import PASSING_BYTES
        from ..traits import read_settings  # on the bridge's thread: %load_ext does not wait for it

        settings = read_settings(self._shell)
        self.bridge.handles.max_run_bytes = settings.max_run_handles_bytes
        self.bridge.handles.max_passing_bytes = max(PASSING_BYTES, settings.max_message_bytes)
        return open_home(os.environ, settings)

    def _tools(self) -> list[python_tools.PythonTool]:
        return python_tools.defined() if self._frames is None else [*python_tools.defined(), self._frames]

    @contextmanager
    def _handles_of_run(self) -> Iterator[Handles]:
        """Make the table of one run. A cell that fails empties it, because IPython keeps the error and its frames."""
        handles = self.bridge.handles.of_run()
        try:
            yield handles
        except BaseException:
            handles.clear()
            raise

    def _program(self, chosen: CellOptions, code: str, handles: Handles) -> wire.Execute:
        inputs = {name: self._input(name) for name in chosen.inputs}
        inputs |= {name: self._frame(name, handles) for name in chosen.frames}
        tools = None if chosen.tools is None else list(chosen.tools)
        if tools is not None and chosen.frames and self._frames is not None:
            tools.append(self._frames.path)
        return wire.Execute(
            code,
            timeout_s=chosen.timeout_s,
            typecheck=chosen.typecheck,
            tools=tools,
            inputs=inputs,
            keep=chosen.keep,
        )

    def _input(self, name: str) -> Raw:
        from .. import values

        value = self._named(name)
        try:
            return values.to_json(value, name)
        except errors.NotJson as error:
            raise UsageError(f"Cannot pass in {error.message}") from None

    def _frame(self, name: str, handles: Handles) -> Raw:
        """Hold an object for the program; returns its handle."""
        from ..handles.frames import NotAFrame
        from ..handles.others import NoHandle
        from .functions import handed, operations

        value = self._named(name)
        if self._frames is None:
            self._frames = operations.server_of_frames()
        try:
            return handed.hand_in(value, handles, name, self._frames.path)
        except (NotAFrame, NoHandle) as error:
            raise UsageError(f"Cannot pass in {name} by handle: {error}; -i {name} passes a value in") from None

    def _named(self, name: str) -> Any:
        names, name = self._shell.user_ns, as_python(name)
        if name not in names:
            hint = did_you_mean(name, (key for key in names if not key.startswith("_")))
            raise UsageError(f"Cannot pass in {name}: the notebook has no such name{hint}")
        return names[name]

    def _result(
        self, chosen: CellOptions, outcome: wire.Executed | Exception, running: Running, drawing: Drawing
    ) -> Any:
        self._show_home()
        self._show_lost()
        if isinstance(outcome, errors.ExecutionStopped):
            raise StoppedByPerson(outcome, drawing.shown)
        if isinstance(outcome, Exception):
            outcome = with_hint(outcome, self._shell.user_ns, [one.function for one in python_tools.defined()])
            token = outcome.failure.token if isinstance(outcome, errors.ExecutionFailed) else None
            raise ProgramFailed(outcome, None if token is None else running.raised.get(token))
        from .. import values
        from .output import display

        if outcome.unchecked is not None:
            sys.stderr.write(f"pctx: ran without a type check. {outcome.unchecked}\n")
        for name, why in outcome.unkept.items():
            sys.stderr.write(f"pctx: {name} is not kept: {why}\n")
        if outcome.kept and (session := self._session()) is not None:
            self._kept.setdefault(session, set()).update(outcome.kept)
            self.bridge.handles.keep(outcome.kept, running.handles)
        try:
            value = values.from_json(outcome.value)
        except errors.ParseError as error:  # a number that Python does not read
            raise ProgramFailed(error) from None
        if chosen.output is not None:
            self._shell.user_ns[chosen.output] = _kept_value(outcome.value, value, running)
        if chosen.is_quiet:
            return None
        if chosen.output is not None:
            from .output import publisher

            publisher.show_stored(chosen.output)
        if running.look is not None:
            from .output import sanitizer

            return display.Shown(*sanitizer.safe(running.look))
        if outcome.value == NULL:
            return None
        if (body := marks.body(value)) is not None and (handle := _held(body, running)) is not None:
            return self._shown(handle, body, running)
        raw = outcome.value
        if marks.holds_handle(raw):  # among other values
            from .functions import handed

            value = handed.replaced(value, running.handles, handed.named)
            raw = values.to_json(value)
        return display.Shown(display.result(raw, value))

    def _shown(self, handle: Handle[Any], body: dict[str, Any], running: Running) -> Any:
        """Return how a value that stays in the notebook is shown; None: it has displayed itself."""
        from .functions import handed
        from .output import display

        if handle.kind == "figure":
            bundle = handed.figure(self._shell, handle.given)
            return None if bundle is None else display.Shown(*bundle)
        if handle.kind == "frame":
            shown = display.frame(body, handed.place_of(handle))
            return display.Shown(shown or display.words(handed.named(body, running.handles)))
        return display.Shown(display.handle(body))

    def _session(self) -> str | None:
        """The session at the engine, if there is one now."""
        with suppress(Exception):
            return self.bridge.home.result(0).client.session_id
        return None

    def _show_lost(self) -> None:
        """Show once that names which earlier cells kept are lost, because the session is a new one."""
        session = self._session()
        if session is None:
            return
        lost = sorted(set().union(*(names for id, names in self._kept.items() if id != session)))
        self._kept = {id: names for id, names in self._kept.items() if id == session}
        lost = [name for name in lost if name not in self._kept.get(session, ())]
        if lost:
            self.bridge.handles.forget(lost)
            sys.stderr.write(
                f"pctx: the engine's session is a new one; what earlier cells kept is gone ({', '.join(lost)}): "
                "run those cells again\n"
            )

    def _show_home(self) -> None:
        """Show once that programs run in an embedded engine although a server was expected, or at the server again."""
        with suppress(Exception):
            home = self.bridge.home.result(0)
            if home.is_second_choice and not self._has_shown_home:
                sys.stderr.write(f"pctx: programs run in an engine of this kernel: {home.why}\n")
            elif self._has_shown_home and not home.is_second_choice:
                sys.stderr.write("pctx: programs run at the Jupyter server again\n")
            self._has_shown_home = home.is_second_choice


@contextmanager
def _shortage_shown() -> Iterator[None]:
    """Raise what the block raises for lack of files, threads or memory as an error that says what is short."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        shown = as_shown(error)
        if isinstance(shown, errors.PctxError):
            raise ProgramFailed(shown) from None
        raise


def _held(body: dict[str, Any], running: Running) -> Handle[Any] | None:
    """Return the handle that a value names; None: the notebook holds none of this id, whatever the value's JSON is."""
    try:
        return running.handles.find(str(body.get("id")))
    except errors.InvalidParams:
        return None


def _kept_value(payload: Raw, value: Any, running: Running) -> Any:
    """Return what ``-o`` stores: the value, with the very objects in the place of handles."""
    if not marks.holds_handle(payload):
        return value
    from .. import values
    from .functions import handed

    return handed.replaced(values.from_json(payload), running.handles)


def _has_timeline(chosen: CellOptions) -> bool:
    return chosen.timeline and not chosen.is_quiet


def _is_in_cell() -> bool:
    """Whether a cell runs further up the stack: then this one is nested, and cannot be awaited."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is InteractiveShell.run_code.__code__:
            return True
        frame = frame.f_back
    return False


def load(shell: InteractiveShell) -> None:
    """Load the magics into a shell, and begin to open the engine in the background; does nothing the second time."""
    if hasattr(shell, "_pctx"):
        return
    _log_own_faults_only()
    magics = PctxMagics(shell)
    shell._pctx = magics  # type: ignore[attr-defined]  # rewritten cells find it there
    shell.register_magics(magics)
    if magics.guests is not None:
        shell.input_transformers_cleanup.append(magics.transform)
        magics.guests.load(in_cell=_is_in_cell())
        magics.forget_stops = show_stops(shell)
        _comms(shell).register_target(VALUES, _on_value)
    magics.editing.load()
    exits.add(magics.bridge.close)
    try:
        magics.bridge.open()
    except (OSError, RuntimeError) as error:  # the first cell tries again, and shows why it cannot
        log.info("magics = cannot open a home: %s", error)
    magics.bridge.report_tools()  # existing tools: if no cell loads us, no end of a cell would report them


def _comms(shell: InteractiveShell) -> Any:
    """Return what opens the comms of this shell's kernel."""
    kernel: Any = shell.kernel  # type: ignore[attr-defined]  # ipykernel sets it
    return kernel.comm_manager


def _on_value(comm: Any, message: dict[str, Any]) -> None:
    """Answer a front end that asks for a whole value."""
    from .output import whole  # only when it is needed: programs start faster

    whole.on_open(comm, message)


def _log_own_faults_only() -> None:
    """Keep the log out of cells, except for faults of ours. A cell shows everything else that concerns it."""
    ours = logging.getLogger("pctx_jupyter")
    if not ours.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(lambda record: record.exc_info is not None)
        ours.addHandler(handler)


def unload(shell: InteractiveShell) -> None:
    """Take the magics out, close the engine or the connection to it, and leave nothing; tools stay defined."""
    magics: PctxMagics | None = shell.__dict__.pop("_pctx", None)
    if magics is None:
        return
    if magics.transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(magics.transform)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("pctx", None)
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    magics.editing.unload()
    if magics.guests is not None:
        magics.guests.unload()
        _comms(shell).unregister_target(VALUES, _on_value)
    if magics.forget_stops is not None:
        magics.forget_stops()
    if (whole := sys.modules.get("pctx_jupyter.kernel.output.whole")) is not None:
        whole.forget()
    magics.bridge.close()
    exits.remove(magics.bridge.close)
