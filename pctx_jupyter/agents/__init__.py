"""MCP in: what agents are offered, over HTTP and stdio."""
