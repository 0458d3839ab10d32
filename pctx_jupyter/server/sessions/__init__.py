"""The routes of the session API, and its WebSocket."""
