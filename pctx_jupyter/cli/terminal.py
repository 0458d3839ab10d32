"""What a person sees: tables and text of others, which must not command the terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

import msgspec

from ..visible import HIDING

_COMMANDS = re.compile(f"[{HIDING}]")


def prepare_streams() -> None:
    """Make the standard streams take any text, whatever the locale is; replace those that are closed.

    A file or a pipe gets UTF-8, as programs are read, unless ``PYTHONIOENCODING`` says otherwise. A terminal gets its
    own encoding, with ``?`` in the place of what that has not.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (open until the end)
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            is_free = not (stream.isatty() or os.environ.get("PYTHONIOENCODING"))
            stream.reconfigure(encoding="utf-8" if is_free else None, errors="replace")


def harmless(text: str) -> str:
    """The text without what a terminal takes for a command."""
    return _COMMANDS.sub("\ufffd", text)


def write(stream: TextIO, text: str) -> None:
    """Write others' text: as it is into a file or pipe, harmless on a terminal; it arrives at once."""
    stream.write(harmless(text) if stream.isatty() else text)
    stream.flush()


def write_json(value: object) -> None:
    """Write one line of JSON to stdout; on a terminal without what would command it, which JSON need not escape."""
    write(sys.stdout, msgspec.json.encode(value).decode() + "\n")


def can_ask() -> bool:
    """Whether a person is at the terminal who can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask a person a question; whatever is not yes is no."""
    sys.stdout.flush()
    write(sys.stderr, f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Draw a table of plain text: columns as wide as they need, the last one as long as it is."""
    lines = [headings, *[[harmless(" ".join(cell.split())) for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )
