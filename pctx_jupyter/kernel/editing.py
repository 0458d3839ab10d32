"""Tab and Shift-Tab inside ``%%pctx`` cells: the tools, fields and globals of the program, and the magic's options.

The engine knows them; it is asked over the kernel's own client, and given `DEADLINE_S`: a kernel that does not answer
is worse than one that has nothing to say. Python's names are of no use in these cells and are kept out of them, whether
or not there is something to say instead. Other cells stay IPython's.
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
"""Seconds in which the engine answers, or is not heard: it takes 0.01."""

MOST_NAMES = 2_000
"""Names of the notebook that may follow ``-i``."""

_IN_NAME = re.compile(r"[\w$]")


class Editing:
    """Completion and inspection in one shell.

    Args:
        shell: Whose cells they are.
        bridge: The way to its engine.
    """

    def __init__(self, shell: InteractiveShell, bridge: Bridge) -> None:
        self._shell, self._bridge = shell, bridge
        self._inspect: Callable[..., dict[str, Any]] = shell.object_inspect_mime

    def load(self) -> None:
        """Take part in the shell's completion and inspection."""
        self._shell.Completer.custom_matchers.append(self.match)
        self._shell.object_inspect_mime = self.inspect  # type: ignore[method-assign]
        self._shell.events.register("post_run_cell", self._after_cell)

    def unload(self) -> None:
        """Take no more part in them."""
        if self.match in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self.match)
        if self._shell.__dict__.get("object_inspect_mime") == self.inspect:
            del self._shell.object_inspect_mime
        with suppress(ValueError):  # it is not registered
            self._shell.events.unregister("post_run_cell", self._after_cell)

    def _after_cell(self, result: object) -> None:
        """Tell the engine of new tools, for editors that ask it and not this kernel."""
        self._bridge.tell()

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
        except Exception:  # whatever it is, a list of names is not the place to say so
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
            KeyError: Nothing is known of it.
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
        """The ``%%pctx`` cell that the kernel is asked about, and where in it; None: it is another's, or unknown."""
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
    """No completions that nevertheless keep others' away: IPython lets only those do it who have some themselves."""

    def __len__(self) -> int:
        return 1
