"""Clients for any async Python program. `PctxClient` offers tools and runs programs, over one WebSocket or embedded.

`McpClient` and `PctxUnifiedClient` are for programs that were written for the original's.

::

    from pctx_jupyter.client import PctxClient

    async with PctxClient("ws://localhost:8888/local-tools", headers={"Authorization": "token …"}) as client:
        await client.register_tool("math", "double", lambda args: 2 * args["n"])
        result = await client.execute_code("await Math.double({ n: 21 })")
        assert result["value"] == 42
"""

from __future__ import annotations

from ..errors import ConnectionLost as ConnectionError  # noqa: A004 - its name in the original client
from ..errors import ExecutionError, PctxError, ToolError
from .client import Callback, Connector, PctxClient
from .http import McpClient
from .unified import PctxUnifiedClient

__all__ = [
    "Callback",
    "ConnectionError",
    "Connector",
    "ExecutionError",
    "McpClient",
    "PctxClient",
    "PctxError",
    "PctxUnifiedClient",
    "ToolError",
]
