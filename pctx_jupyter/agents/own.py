"""The functions for an agent that runs in a client's own process, in the form of the wire. No SDK, no HTTP.

They are those that MCP clients find. A call lasts as long as its program: such a client waits for it.
"""

from __future__ import annotations

from typing import Any

from .. import errors
from ..rpc import wire
from ..session.session import Session
from ..settings import Settings
from .answers import AgentAnswer
from .functions import INSTRUCTIONS, Functions


class OwnAgentFunctions:
    """The functions that one such agent may call.

    Args:
        session: Where its programs run.
        settings: Sizes and limits.
    """

    def __init__(self, session: Session, settings: Settings) -> None:
        self._functions = Functions(session, settings, hands_over=False)

    def listed(self) -> wire.AgentFunctions:
        """Return the functions, with their descriptions for models."""
        listed = [
            wire.AgentFunction(one.name, one.description, one.input_schema) for one in self._functions.definitions()
        ]
        return wire.AgentFunctions(listed, INSTRUCTIONS)

    async def call(self, name: str, arguments: dict[str, Any]) -> wire.AgentAnswered:
        """Call one. What goes wrong is an answer for a model; cancelling the call stops its program.

        Raises:
            InvalidParams: There is no function of that name.
        """
        if not self._functions.has(name):
            known = ", ".join(one.name for one in self._functions.definitions())
            raise errors.InvalidParams(f"Cannot call {name[:100]}: no such function; there are {known}")
        answer = await self._functions.call(name, arguments, _ignore)
        assert isinstance(answer, AgentAnswer), "such a client is not answered with questions"
        images = [wire.AgentImage(image.data, image.mime_type) for image in answer.images]
        return wire.AgentAnswered(answer.text, images, answer.is_error)


async def _ignore(message: str) -> None:
    """Drop a report: the client follows the program by its events."""
