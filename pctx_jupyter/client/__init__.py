"""The client for any async Python program: offer tools, run programs, over one WebSocket (or none, embedded).

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

__all__ = ["Callback", "ConnectionError", "Connector", "ExecutionError", "PctxClient", "PctxError", "ToolError"]
