"""The examples of the how-to about the command line, run as a reader would: file by file, command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ..cli.conftest import call

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "command-line.md"


def sessions() -> list[str]:
    """The blocks that show files: all that they need is in them."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [text for text in blocks if "$ cat" in text]


def test_the_commands_of_the_page_say_what_it_shows(tmp_path: Path) -> None:
    run = 0
    for session in sessions():
        for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            words = shlex.split(command)
            if words[0] == "cat":
                (tmp_path / words[1]).write_text(shown.rstrip("\n") + "\n")
                continue
            assert words[:2] == ["jupyter", "pctx"]
            done = call(tmp_path, *words[2:], "--Pctx.max_check_s=20")
            assert (done.stdout + done.stderr).strip() == shown.strip()
            run += 1
    assert run == 2
