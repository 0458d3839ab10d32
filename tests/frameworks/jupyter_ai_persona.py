"""A persona of Jupyter AI whose model is a script. Jupyter AI imports it from the folder ``.jupyter/personas``.

It is also the program of the agent behind the persona. Jupyter AI passes an agent the MCP servers of
``.jupyter/mcp_settings.json``, by the Agent Client Protocol.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import acp
import httpx2
from acp import schema
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


class ScriptedAgent(acp.Agent):
    """Speaks the Agent Client Protocol. It answers each prompt with what a program returns that is the prompt."""

    def on_connect(self, conn: acp.Client) -> None:
        """Remember whom to answer."""
        self._chat = conn

    async def initialize(self, protocol_version: int, **more: Any) -> acp.InitializeResponse:
        """Say that MCP servers may be reached over HTTP."""
        able = schema.AgentCapabilities(mcp_capabilities=schema.McpCapabilities(http=True))
        return acp.InitializeResponse(protocol_version=protocol_version, agent_capabilities=able)

    async def new_session(self, cwd: str, mcp_servers: Any = None, **more: Any) -> acp.NewSessionResponse:
        """Remember the MCP server."""
        (self._server,) = (server for server in mcp_servers if server.name == "pctx")
        return acp.NewSessionResponse(session_id="one")

    async def prompt(self, session_id: str, prompt: list[Any], **more: Any) -> acp.PromptResponse:
        """Run the last line of the prompt as a program."""
        headers = {header.name: header.value for header in self._server.headers}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(self._server.url, http_client=http)) as mcp,
        ):
            answer: Any = await mcp.call_tool("execute", {"code": prompt[0].text.splitlines()[-1]})
        await self._chat.session_update(session_id, acp.update_agent_message_text(answer.content[0].text))
        return acp.PromptResponse(stop_reason="end_turn")


if __name__ == "__main__":
    asyncio.run(acp.run_agent(ScriptedAgent()))
else:
    from jupyter_ai_acp_client.base_acp_persona import BaseAcpPersona
    from jupyter_ai_persona_manager import PersonaDefaults

    class Scripted(BaseAcpPersona):
        """The persona that people see in the chat."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, executable=[sys.executable, __file__], **options)

        @property
        def defaults(self) -> PersonaDefaults:
            """Its name and description."""
            return PersonaDefaults(name="Scripted", description="Runs programs.", avatar_path="", system_prompt="")
