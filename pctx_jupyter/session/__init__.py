"""One client's programs while they run: tools, calls, approvals, traces."""
