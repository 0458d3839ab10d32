"""MCP: our tools as an MCP server, other MCP servers as tools. The SDK is imported here and nowhere else."""
