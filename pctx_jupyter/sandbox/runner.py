"""Joins the modules of ``runtime/runner/`` into ``runtime/runner.js``, the one script that a sandbox loads.

One script, because Deno takes 0.1 to 0.4 ms for each module of a start. The build joins it for a wheel, which has no
modules. A checkout has the modules, and joins them again when one of them has changed.

It knows how modules refer to one another; it refuses to know what they do. Standard library only: the build loads this
file before the package's dependencies are there.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent / "runtime"
JOINED = RUNTIME / "runner.js"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|function) )", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/ ?|^ *//[^\n]*", re.DOTALL | re.MULTILINE)
"""Nothing else in the modules looks like a comment: a test compares their tokens with those of the joined script."""


def ensure_joined(runtime: Path = RUNTIME) -> None:
    """Write ``runner.js`` if the modules are there and it is not what they make; an installed package has no modules.

    Args:
        runtime: The folder of both.

    Raises:
        ValueError: See `join`.
        OSError: It cannot be written.
    """
    modules, joined = runtime / "runner", runtime / JOINED.name
    if not modules.is_dir():
        return
    text = join(modules)
    with contextlib.suppress(FileNotFoundError):
        if joined.read_text("utf-8") == text:
            return
    # Another process may read it at the same time, or write it as well.
    descriptor, name = tempfile.mkstemp(dir=runtime, prefix=".runner-")
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        written.chmod(0o644)
        written.replace(joined)
    finally:
        written.unlink(missing_ok=True)


def join(modules: Path) -> str:
    """Join the modules that ``main.js`` needs: one strict script, in the order of evaluation.

    It has no comments and no indentation, because a start takes the longer the longer the script is.

    Args:
        modules: Their folder. Modules import from one another by name, and declare each name once among all of them.

    Raises:
        ValueError: Two modules import from each other, or a module holds a character beyond ASCII outside its comments.
            V8 would then store two bytes for each character of the script.
    """
    texts: dict[str, str] = {}
    open_: list[str] = []

    def add(name: str) -> None:
        if name in open_:
            way = ", ".join(open_)
            raise ValueError(f"Cannot join {name}.js: it imports itself by way of {way}; split one of them")
        if name in texts:
            return
        open_.append(name)
        text = (modules / f"{name}.js").read_text("utf-8")
        for imported in _IMPORT.findall(text):
            add(imported)
        open_.pop()
        text = _COMMENT.sub("", _EXPORT.sub("", _IMPORT.sub("", text)))
        if not text.isascii():
            raise ValueError(f"Cannot join {name}.js: it holds a character beyond ASCII; write \\u2026 instead")
        texts[name] = "".join(f"{line.lstrip()}\n" for line in text.splitlines() if line.strip())

    add("main")
    body = "".join(texts.values())
    # Strict, as a module is, and named, so that stack traces can leave its frames out.
    return f'(async () => {{\n"use strict";\n{body}}})();\n//# sourceURL=runner.js\n'
