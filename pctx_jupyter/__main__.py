"""``python -m pctx_jupyter``: a Jupyter server with pctx, as ``jupyter pctx``."""

from .server.app import main

main()  # type: ignore[no-untyped-call]  # traitlets' launch_instance is not typed
