"""Measure everything and print one table: ``python -m benchmarks [PART …]``, a part being one of `PARTS`."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

from .measure import HEAD

PARTS = (
    "engine",
    "checker",
    "many_tools",
    "server",
    "hosts",
    "mcp",
    "upstream",
    "tokens",
    "learnt",
    "kernel",
    "cluster",
    "frames",
    "browser",
    "memory",
    "embedded",
    "seeing",
)


def main() -> None:
    """Measure the parts that are named, or all."""
    print(HEAD)
    for part in sys.argv[1:] or PARTS:
        for row in asyncio.run(import_module(f".{part}", __package__).rows()):
            print(row, flush=True)


if __name__ == "__main__":
    main()
