"""Clients for any async Python program. `PctxClient` offers tools and runs programs, over one WebSocket or embedded.

`McpClient` and `PctxUnifiedClient` are for programs that were written for the original's.

::

    from pctx_jupyter.client import PctxClient

    async with PctxClient("ws://localhost:8888/local-tools", headers={"Authorization": "token …"}) as client:
        await client.register_tool("math", "double", lambda args: 2 * args["n"])
        result = await client.run("await Math.double({ n: 21 })")
        assert result.value == 42
"""

from __future__ import annotations

from ..errors import ConnectionLost, ExecutionError, PctxError, ToolError
from .client import Connector, PctxClient
from .http import McpClient
from .offers import Callback
from .types import CallEvent, DisplayEvent, Result
from .unified import PctxUnifiedClient

ConnectionError = ConnectionLost  # its name in the original client; not below: `import *` must not replace Python's own

__all__ = [
    "CallEvent",
    "Callback",
    "ConnectionLost",
    "Connector",
    "DisplayEvent",
    "ExecutionError",
    "McpClient",
    "PctxClient",
    "PctxError",
    "PctxUnifiedClient",
    "Result",
    "ToolError",
]
