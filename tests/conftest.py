"""What all tests share: Jupyter's own fixtures and event loop, and draws that are the same in every run."""

from hypothesis import settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

# A gate must not fail for what was drawn today, nor for a busy machine. Drop the profile to look further.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
