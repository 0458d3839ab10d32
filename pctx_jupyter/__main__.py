"""``python -m pctx_jupyter``: the same as ``jupyter pctx``."""

from .cli.app import main

main()
