"""What a process of ours writes: lines that say why it ended, and floods. The process is fake, its pipes are not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from pctx_jupyter.upstream.child import CHUNK, Child, error_line

NODE = """node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/srv/index.js'
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at node:internal/main/run_main_module:36:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: []
}

Node.js v22.19.0
"""
CODE = """file:///srv/index.js:3
TypeError [ERR_INVALID_ARG_TYPE]: The "path" argument must be of type string
    at ok (file:///srv/index.js:3:9) {
  code: 'ERR_INVALID_ARG_TYPE'
}
"""
NPM = """npm error code E404
npm error 404 Not Found - GET https://registry.example/nope - Not found
npm error A complete log of this run can be found in: /home/me/.npm/_logs/1.log
"""
PYTHON = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'TOKEN'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
ValueError: set TOKEN
"""
RUST = """thread 'main' panicked at src/main.rs:4:5:
note: run with `RUST_BACKTRACE=1` to display a backtrace
"""


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (NODE, "Error: Cannot find module '/srv/index.js'"),
        (CODE, 'TypeError [ERR_INVALID_ARG_TYPE]: The "path" argument must be of type string'),
        (NPM, "npm error 404 Not Found - GET https://registry.example/nope - Not found"),
        (PYTHON, "ValueError: set TOKEN"),
        (RUST, "thread 'main' panicked at src/main.rs:4:5:"),
        ("usage: serve [-h] DIR\nserve: error: the following arguments are required: DIR\n", None),
        ("Starting\nno licence for you\n}\n", "no licence for you"),
        ("Error: Missing option '--db'.\nServer stopped\n", "Error: Missing option '--db'."),
        ("}\n\n  ]\n", ""),
        ("", ""),
    ],
)
def test_the_line_that_says_the_error_is_found_among_its_surroundings(stderr: str, line: str | None) -> None:
    assert error_line(stderr) == (stderr.splitlines()[-1] if line is None else line)


@pytest.mark.parametrize("line", [b"{}\n", b"\n"])
async def test_others_are_served_while_a_flood_of_short_lines_is_read(line: bytes) -> None:
    pipe, turns = asyncio.StreamReader(), 0
    pipe.feed_data(line * (CHUNK // len(line)))
    pipe.feed_eof()
    process: Any = SimpleNamespace(stdout=pipe, stderr=pipe, returncode=None)

    def on_line(text: str) -> None:
        sum(range(200))

    child = Child(process, 1 << 20, on_line)
    into, out = anyio.create_memory_object_stream[Any](0)
    with out:
        reading = asyncio.create_task(child.read(into) if line == b"{}\n" else child.read_stderr())
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
    into.close()
    assert turns > 8  # all lines come in one piece
