"""``python -m pctx_jupyter``: a Jupyter server with pctx, as ``jupyter pctx``."""

from .server.app import main

main()
