"""Agents that run in this notebook: how their calls reach the engine, and how a cell shows what they do.

A coroutine awaits a call and so leaves its loop free; a function blocks its thread. Either way the tools that the
agent's program calls run on the thread of the caller. So nothing waits for the kernel's main thread, which may itself
wait for the agent. This module does not know agent frameworks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from .. import errors
from ..rpc import wire
from .bridge import Bridge
from .mainthread import pass_interrupts_on
from .timelines import timeline

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LIST_S = 60.0
"""Seconds that listing the functions may take; the engine may have to be opened first."""


class NotebookAgents:
    """What the agents of one notebook ask its engine.

    Args:
        shell: The notebook's shell.
        bridge: The connection to the engine.
    """

    def __init__(self, shell: InteractiveShell, bridge: Bridge) -> None:
        self._shell, self._bridge = shell, bridge

    def listed(self, agent: str) -> wire.AgentFunctions:
        """List the functions that an agent may call; this thread blocks until the engine answers."""
        return self._bridge.do(lambda home: home.client.list_agent_functions(agent), LIST_S, with_tools=True)

    async def call(self, name: str, arguments: dict[str, Any], agent: str) -> wire.AgentAnswered:
        """Call one of them, and show the timeline of its program in the cell."""
        with timeline(self._shell) as drawing:
            asked = wire.CallAgentFunction(name, arguments, agent)
            return await self._bridge.wait_for_agent(asked, drawing.draw, drawing.reserve)

    def call_and_block(self, name: str, arguments: dict[str, Any], agent: str) -> wire.AgentAnswered:
        """Call one of them like `call`, while this thread blocks."""
        with timeline(self._shell) as drawing:
            asked = wire.CallAgentFunction(name, arguments, agent)
            return self._bridge.block_for_agent(asked, drawing.draw, drawing.reserve)


def of_this_notebook() -> NotebookAgents:
    """Return what agents of this notebook call; loads the extension where that is not done yet.

    Raises:
        InvalidParams: This is no notebook.
    """
    shell: Any = get_ipython()
    if shell is None:
        raise errors.InvalidParams(
            "Cannot list the functions for an agent: this program is no notebook; "
            "use client_agent_tools(client) with a PctxClient, or with the client of open_client()"
        )
    from .magics import load

    load(shell)
    pass_interrupts_on()  # the cell that loads the extension has begun before
    return NotebookAgents(shell, shell._pctx.bridge)
