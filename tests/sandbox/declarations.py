"""Checks declarations themselves with the real compiler, in a Deno process of its own that may read this checkout."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from deno import find_deno_bin

SCRIPT = Path(__file__).with_name("declarations.js")
CHECKOUT = SCRIPT.parents[2]


class Declarations:
    """The compiler, asked one text at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [
                find_deno_bin(),
                "run",
                "--no-prompt",
                "--no-remote",
                "--no-config",
                f"--allow-read={CHECKOUT}",
                str(SCRIPT),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def wrong(self, text: str) -> list[str]:
        """Return what is wrong with declarations, each as ``line message``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        found: list[Any] = json.loads(self._process.stdout.readline())
        return [str(one) for one in found]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
