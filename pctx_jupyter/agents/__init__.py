"""MCP in: what agents are offered, over HTTP and stdio. And, for notebooks, the functions for agents that run there.

``from pctx_jupyter.agents import agent_tools`` is for programs that run an agent themselves, in a notebook or beside a
client. What they need is imported when one of these names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["AgentTools", "agent_tools", "client_agent_tools"]

if TYPE_CHECKING:
    from ..frameworks.agent_tools import AgentTools, agent_tools, client_agent_tools


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("..frameworks.agent_tools", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
