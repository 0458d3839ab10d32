"""Machines and accounts that lack something: a program runs, or the command says at once what is missing.

Real processes in real environments. What a kernel without Landlock does is done by a filter of system calls.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ..cli.conftest import call

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the limits and the filter are Linux's"),
]

WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
# Of system calls 444 to 446, say that the kernel does not have them.
rules = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7fff0000)]
code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
buffer = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""


def limited(limit: str, *words: str) -> list[str]:
    """A command line under a limit of the shell's ``ulimit``."""
    return ["/bin/sh", "-c", f'ulimit {limit}; exec "$0" "$@"', *words]


def without_landlock(*words: str) -> list[str]:
    """A command line on a kernel that has no Landlock."""
    return [sys.executable, "-c", WITHOUT_LANDLOCK, *words]


ROWS: dict[str, dict[str, Any]] = {
    "ulimit -n 64": {"wrap": lambda *words: limited("-n 64", *words)},
    "ulimit -n 13": {"wrap": lambda *words: limited("-n 13", *words), "says": "ulimit -n"},
    "full disk": {"wrap": lambda *words: limited("-f 0", *words)},
    "read-only home": {"HOME": "/proc", "JUPYTER_DATA_DIR": "/proc/data", "JUPYTER_CONFIG_DIR": "/proc/config"},
    "long TMPDIR": {"TMPDIR": "t" * 100 + "/" + "u" * 100},
    "odd TMPDIR": {"TMPDIR": "a b'c\"d%s$HOME\\é\n,;:"},
    "missing TMPDIR": {"TMPDIR": "/nowhere/at/all"},
    "no Landlock": {"wrap": without_landlock},
    "no Landlock, required": {"wrap": without_landlock, "options": ["--Pctx.layers=2"], "says": "Landlock"},
}
"""What is short, by name. With `says`, no program can run, and the error has these words."""


@pytest.mark.parametrize("name", ROWS)
def test_where_something_is_short_a_program_runs_or_the_error_and_the_doctor_say_what_is_missing(
    tmp_path: Path, name: str
) -> None:
    row = dict(ROWS[name])
    wrap, says, options = row.pop("wrap", lambda *words: list(words)), row.pop("says", None), row.pop("options", [])
    if "TMPDIR" in row and not row["TMPDIR"].startswith("/nowhere"):
        row["TMPDIR"] = str(tmp_path / row["TMPDIR"])
        Path(row["TMPDIR"]).mkdir(parents=True)
    done = call(tmp_path, "run", "-", *options, stdin="const n: number = 6; n * 7", wrap=wrap, **row)
    if says is None:
        assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
    else:
        assert says in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert done.returncode != 0 or done.stdout == "42\n", done.stdout  # it runs, but unchecked, which is said
    examined = call(tmp_path, "doctor", "--json", *options, wrap=wrap, **row)
    found = {one["about"]: one for one in json.loads(examined.stdout)["findings"]}
    assert (found["Programs"]["state"] == "ok") == (says is None), found["Programs"]
    if says is not None:
        assert says in found["Programs"]["says"]
