"""What all tests share: Jupyter's own fixtures and event loop, and draws that are the same in every run."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# A gate must not fail for what was drawn today, nor for a busy machine. `make fuzz` takes the other profile.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=5_000, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.load_profile("repeatable")
