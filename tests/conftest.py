"""What all tests share: Jupyter's own fixtures and event loop, and the one limit that turns a hang into a failure."""

pytest_plugins = ["pytest_jupyter.jupyter_server"]
