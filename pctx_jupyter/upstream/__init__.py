"""MCP out: the MCP servers whose tools programs may call."""
