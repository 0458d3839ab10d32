"""``jupyter pctx``, and ``python -m pctx_jupyter``. It imports nothing else before an interrupt can end it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; ends with `SystemExit`."""
    try:
        from .cli.app import main as run

        run()
    except KeyboardInterrupt:  # while modules are imported; later ones end in `run`
        sys.stderr.write("Interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
