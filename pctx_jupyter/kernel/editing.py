"""Tab and Shift-Tab inside ``%%pctx`` cells: the tools, fields and globals of the program, and the magic's options.

The engine is asked through the kernel's own client, and has `DEADLINE_S` seconds to answer: an empty answer is better
than a kernel that does not respond. Names of Python are never offered in these cells, because programs cannot use
them. Other cells are left to IPython.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from ..program import cell as cells
from ..program.cell import Cell, units
from ..rpc import wire
from .bridge import Bridge
from .functions import tool as python_tools
from .home import Home

log = logging.getLogger(__name__)

T = TypeVar("T")

DEADLINE_S = 0.4
"""Seconds after which an answer of the engine is dropped; usually it takes 0.01."""

MOST_NAMES = 2_000
"""Names of the notebook that are offered after ``-i``, at most."""

_IN_NAME = re.compile(r"[\w$]")


class Editing:
    """Completion and inspection in one shell.

    Args:
        shell: The shell of the cells.
        bridge: The connection to its engine.
    """

    def __init__(self, shell: InteractiveShell, bridge: Bridge) -> None:
        self._shell, self._bridge = shell, bridge
        self._inspect: Callable[..., dict[str, Any]] = shell.object_inspect_mime

    def load(self) -> None:
        """Add our completion and inspection to the shell."""
        self._shell.Completer.custom_matchers.append(self.match)
        self._shell.object_inspect_mime = self.inspect  # type: ignore[method-assign]
        self._shell.events.register("post_run_cell", self._after_cell)
        python_tools.watchers.add(self._bridge.report_tools_soon)  # outside of cells: a task, a thread, a comm

    def unload(self) -> None:
        """Remove our completion and inspection from the shell."""
        if self.match in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self.match)
        if self._shell.__dict__.get("object_inspect_mime") == self.inspect:
            del self._shell.object_inspect_mime
        with suppress(ValueError):  # it is not registered
            self._shell.events.unregister("post_run_cell", self._after_cell)
        python_tools.watchers.discard(self._bridge.report_tools_soon)

    def _after_cell(self, result: object) -> None:
        """Report new tools to the engine, for editors that ask the engine and not this kernel."""
        self._bridge.report_tools()

    @context_matcher(identifier="pctx", priority=1000)  # type: ignore[untyped-decorator]  # IPython's decorators are not typed
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete what is before the cursor: an IPython matcher."""
        cell = cells.read(context.full_text)
        if cell.line is None:
            return {"completions": [], "suppress": False}
        lines = cell.source.split("\n")
        before = "\n".join([*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]])
        try:
            start, items = self._complete(cell, units(before))
        except Exception:  # an error cannot be shown in a list of names
            log.debug("editing = cannot complete", exc_info=True)
            start, items = units(before), []
        return {
            "completions": items or _Silence(),
            "suppress": True,
            "ordered": True,
            "matched_fragment": before[cells.index(before, start) :],
        }

    def _complete(self, cell: Cell, offset: int) -> tuple[int, list[SimpleCompletion]]:
        if cell.is_in_line(offset):
            paths = (tool.path for tool in python_tools.defined())
            start, fitting = cells.complete(cell, offset, self._names(), paths)
            return start, [SimpleCompletion(text, type="option") for text, _ in fitting]
        found = self._ask(lambda home: home.client.complete(cell.source, offset))
        return found.start, [SimpleCompletion(item.insert_text, type=item.type) for item in found.items]

    def inspect(self, oname: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Explain what is at the cursor of a ``%%pctx`` cell, or else a Python object: a shell's `object_inspect_mime`.

        Raises:
            KeyError: Nothing is known about it.
        """
        if (place := self._place()) is None:
            return self._inspect(oname, *args, **kwargs)
        cell, offset = place
        if cell.is_in_line(offset):
            if (there := cells.explain(cell, offset)) is None:
                return self._inspect(oname, *args, **kwargs)
            return _shown(there[2].usage, there[2].help)
        try:
            text, documentation = self._ask(lambda home: _explained(home, cell.source, offset))
        except Exception:
            log.debug("editing = cannot explain", exc_info=True)
            raise KeyError(oname) from None
        if not text:
            raise KeyError(oname)
        return _shown(text, documentation)

    def _place(self) -> tuple[Cell, int] | None:
        """The ``%%pctx`` cell of the present request, and the position in it; None: it is another cell, or unknown."""
        try:
            request = self._shell.kernel.get_parent("shell")  # type: ignore[attr-defined]  # a terminal has none
            if request["header"]["msg_type"] != "inspect_request":
                return None
            source, at = request["content"]["code"], request["content"]["cursor_pos"]
        except (AttributeError, KeyError, TypeError):
            return None
        cell = cells.read(source)
        return None if cell.line is None else (cell, units(source[: max(0, at)]))

    def _names(self) -> list[str]:
        """Names of the notebook that stand for values."""
        names = self._shell.user_ns
        hidden: dict[str, Any] = self._shell.user_ns_hidden
        code = (ModuleType, FunctionType, type)
        mine = [n for n, v in names.items() if n[:1] != "_" and n not in hidden and not isinstance(v, code)]
        return sorted(mine[-MOST_NAMES:])

    def _ask(self, work: Callable[[Home], Coroutine[Any, Any, T]]) -> T:
        return self._bridge.do(work, DEADLINE_S, with_tools=True)


async def _explained(home: Home, source: str, offset: int) -> tuple[str, str]:
    """What is at an offset, or before it where a name ends there; else the call around it."""
    at = cells.index(source, offset)
    is_end = _IN_NAME.match(source[at - 1 : at]) and not _IN_NAME.match(source[at : at + 1])
    found = await home.client.hover(source, offset - 1 if is_end else offset)
    if found.text is not None:
        return found.text.removesuffix(found.documentation).rstrip("\n"), found.documentation
    call: wire.ExplainedCall = await home.client.signature(source, offset)
    if not call.signatures:
        return "", ""
    current = call.signatures[min(call.signature, len(call.signatures) - 1)]
    return current.text, current.documentation


def _shown(text: str, documentation: str) -> dict[str, Any]:
    from .output import display

    return display.explanation(text, documentation)


class _Silence(list[SimpleCompletion]):
    """An empty list of completions that suppresses others: IPython allows that only to matchers with completions."""

    def __len__(self) -> int:
        return 1
