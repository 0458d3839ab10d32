"""Sessions of clients of the original system: its session API over an engine's own sessions."""
