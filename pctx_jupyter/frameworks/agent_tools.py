"""The functions for an agent that this program runs itself, in a notebook or with a client, for any framework.

::

    from pctx_jupyter.agents import agent_tools

    agent = Agent("openai:gpt-5.2", tools=agent_tools().pydantic_ai())
    await agent.run("Which region sold most?")

No framework is imported before its method is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from .. import errors
from ..client.types import AgentAnswered, AgentFunction, AgentFunctions

if TYPE_CHECKING:
    from ..client import PctxClient


class AgentCaller(Protocol):
    """Makes the calls of an agent."""

    async def call(self, name: str, arguments: dict[str, Any], agent: str) -> AgentAnswered:
        """Call a function; cancelling the call stops its program."""

    def call_and_block(self, name: str, arguments: dict[str, Any], agent: str) -> AgentAnswered:
        """Call a function while this thread blocks."""


class AgentTools:
    """The functions of one agent: it finds tools with them, and runs programs that call the tools.

    Made by `agent_tools` and `client_agent_tools`.

    Args:
        caller: Makes the calls.
        listed: The functions.
        agent: The agent's name, for people; "": the name of its framework.

    Attributes:
        functions: The functions, with their descriptions for models, as they were when this was made.
        instructions: A sentence about all of them, for an agent's instructions.
    """

    def __init__(self, caller: AgentCaller, listed: AgentFunctions, agent: str = "") -> None:
        self._caller, self._agent = caller, agent
        self.functions: list[AgentFunction] = listed.functions
        self.instructions: str = listed.instructions

    def named(self, framework: str) -> AgentTools:
        """Return the same functions for an agent that has the name of its framework, unless it has one of its own."""
        return AgentTools(self._caller, AgentFunctions(self.functions, self.instructions), self._agent or framework)

    async def call(self, name: str, arguments: dict[str, Any] | str | None = None) -> AgentAnswered:
        """Call a function for the agent; cancelling the call stops its program.

        Args:
            name: The name of the function.
            arguments: Its arguments, or the JSON of them, as a model wrote them.

        Returns:
            The answer for the model: a text, perhaps images, and whether it is an error.
        """
        try:
            return await self._caller.call(name, _read(name, arguments), self._agent)
        except errors.PctxError as error:
            return AgentAnswered(error.message, is_error=True)

    def call_and_block(self, name: str, arguments: dict[str, Any] | str | None = None) -> AgentAnswered:
        """Call a function like `call`, while this thread blocks. The tools of its program run on this thread."""
        try:
            return self._caller.call_and_block(name, _read(name, arguments), self._agent)
        except errors.PctxError as error:
            return AgentAnswered(error.message, is_error=True)

    # function calling without a framework

    def openai(self) -> list[dict[str, Any]]:
        """Return the functions as ``tools`` of OpenAI's Chat Completions, which many other servers speak."""
        return [{"type": "function", "function": one} for one in self._for_openai()]

    def openai_responses(self) -> list[dict[str, Any]]:
        """Return the functions as ``tools`` of OpenAI's Responses."""
        return [{"type": "function", **one} for one in self._for_openai()]

    def anthropic(self) -> list[dict[str, Any]]:
        """Return the functions as ``tools`` of Anthropic's Messages."""
        return [
            {"name": one.name, "description": one.description, "input_schema": one.input_schema}
            for one in self.functions
        ]

    def _for_openai(self) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "description": one.description, "parameters": one.input_schema} for one in self.functions
        ]

    # frameworks

    def pydantic_ai(self) -> list[Any]:
        """Return the functions as ``tools`` of a Pydantic AI ``Agent``; needs pydantic-ai-slim."""
        with _extra("pydantic-ai"):
            from .pydantic_ai import tools

        return tools(self.named("Pydantic AI"))

    def langchain(self) -> list[Any]:
        """Return the functions as tools of LangChain and LangGraph, for sync and async agents; needs langchain-core."""
        with _extra("langchain"):
            from .langchain import tools

        return tools(self.named("LangChain"))

    def openai_agents(self) -> list[Any]:
        """Return the functions as ``tools`` of an ``Agent`` of the OpenAI Agents SDK; needs openai-agents."""
        with _extra("openai-agents"):
            from .openai_agents import tools

        return tools(self.named("OpenAI Agents"))

    def claude_agent(self) -> Any:
        """Return the functions as one of the ``mcp_servers`` of the Claude Agent SDK; needs claude-agent-sdk."""
        with _extra("claude-agent-sdk"):
            from .claude_agent import server

        return server(self.named("Claude Agent"))

    def smolagents(self) -> list[Any]:
        """Return the functions as ``tools`` of a smolagents agent; needs smolagents."""
        with _extra("smolagents"):
            from .smolagents import tools

        return tools(self.named("smolagents"))


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Say how to install the framework of an extra, if the import inside finds none."""
    try:
        yield
    except ModuleNotFoundError as error:
        said = f'Cannot make tools: the module {error.name} is not installed; pip install "pctx-jupyter[{name}]"'
        raise ModuleNotFoundError(said, name=error.name) from None


def agent_tools(agent: str = "") -> AgentTools:
    """Return the functions for an agent that runs in this notebook, over the notebook's tools.

    The agent's programs call the tools under the names that cells use, and the tools of MCP servers and of notebooks
    that share theirs. Tools with ``share=False`` are hidden. The engine is the one that ``%%pctx`` cells use; the
    extension is loaded where that is not done yet.

    Args:
        agent: The agent's name, for people who are asked for consent; "": the name of its framework.

    Raises:
        InvalidParams: This program is no notebook.
        PctxError: The engine cannot be reached or opened.
    """
    from ..kernel import agents

    notebook = agents.of_this_notebook()
    return AgentTools(notebook, notebook.listed(agent), agent)


async def client_agent_tools(client: PctxClient, agent: str = "") -> AgentTools:
    """Return the functions for an agent that runs in this program, over the tools that a client offers.

    Args:
        client: A connected client: of a server, or of `open_client`.
        agent: The agent's name, for people who are asked for consent; "": the name of its framework.
    """
    return AgentTools(_OfClient(client), await client.list_agent_functions(agent), agent)


class _OfClient:
    """Makes an agent's calls by a client, from any loop and thread."""

    def __init__(self, client: PctxClient) -> None:
        self._client, self._loop = client, asyncio.get_running_loop()

    async def call(self, name: str, arguments: dict[str, Any], agent: str) -> AgentAnswered:
        work = self._client.call_agent_function(name, arguments, agent=agent)
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def call_and_block(self, name: str, arguments: dict[str, Any], agent: str) -> AgentAnswered:
        try:
            is_own = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_own = False
        if is_own:
            raise errors.InvalidParams(
                f"Cannot call {name}: this thread runs the client's event loop, and would wait for itself; run the "
                "agent on another thread (await asyncio.to_thread(agent.run, …)), or use its async form"
            )
        work: Coroutine[Any, Any, AgentAnswered] = self._client.call_agent_function(name, arguments, agent=agent)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def _read(name: str, arguments: dict[str, Any] | str | None) -> dict[str, Any]:
    """Read arguments as a model wrote them.

    Raises:
        InvalidParams: They are not one object.
    """
    try:
        read = msgspec.json.decode(arguments or "{}") if isinstance(arguments, str) else dict(arguments or {})
        if isinstance(read, dict):
            return read
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    raise errors.InvalidParams(f"Cannot call {name[:100]}: its arguments are not one JSON object")
