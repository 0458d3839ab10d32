"""``doctor``: what is installed, found and reachable here, and how to repair the rest.

Each check tries the thing itself: the sandbox runs a program, servers are asked, kernels' Pythons import us.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from jupyter_core.paths import jupyter_config_dir, jupyter_config_path, jupyter_data_dir, jupyter_path
from msgspec import Raw

from .. import errors, files, memory, processes, restrictions
from .._version import __version__
from ..session.upstreams import withheld_in_words
from ..settings import MIB, Settings, usual_places
from . import terminal
from .command import Command, Exit, Stop, say
from .servers import health, hosts, running

if TYPE_CHECKING:
    from ..engine import Engine
    from ..session.upstreams import Listed

PACKAGES = ("jupyter_server", "ipykernel", "ipython", "deno", "mcp", "jupyterlab", "notebook")
"""Packages whose versions are shown; the last two are not needed."""

LABEXTENSION = "pctx-jupyter"
"""The name of our extension for JupyterLab."""

KERNEL_S = 20.0
"""Seconds a kernel's Python may take to import us."""

Severity = Literal["ok", "note", "wrong"]

DESCRIPTORS = 4
"""Files that one running sandbox keeps open in its host: its pipe, its stderr, its process, and one for its client."""
OWN_DESCRIPTORS = 64
"""Files that a server, or a kernel, has open besides: libraries, listeners, connections."""
THREADS = 12
"""Processes and threads that one sandbox is: Deno, and its workers."""
OWN_THREADS = 64
"""Processes and threads that a server and its kernels are."""
SOCKET_BYTES = 107
"""Bytes that the path of a Unix socket can have."""
SOCKET = "/pctx-xxxxxxxx/kernels"
"""What follows the temporary folder in the path of the kernels' socket."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Args:
        about: What was looked at.
        state: ``wrong`` if something does not work, ``note`` if it may be intended.
        says: What is the case.
        cure: What to do, where something is to be done.
    """

    about: str
    state: Severity
    says: str
    cure: str = ""


class Doctor(Command):
    """``jupyter pctx doctor``."""

    description = """
        Say what is installed, found and reachable, and the cure where it is not. Ends with 3 when something is wrong.
        """
    examples = "jupyter pctx doctor"

    def main(self) -> int:
        """Check everything, and print what was found."""
        found = list(self._findings())
        is_well = all(one.state != "wrong" for one in found)
        if self.json:
            terminal.write_json({"ok": is_well, "findings": found})
        else:
            sys.stdout.write(_shown(found) + "\n")
        return Exit.OK if is_well else Exit.UNREACHABLE

    def _findings(self) -> Iterator[Finding]:
        yield from _python()
        try:
            settings = self.settings()
        except Stop as stop:
            yield Finding("Configuration", "wrong", stop.message, "correct it; jupyter --paths says where it may be")
        else:
            yield from _restrictions()
            yield from asyncio.run(_engine(settings))
            yield from _limits(settings)
            yield _history(settings)
            yield from _audit_log(settings)
            yield from _memory(settings)
        yield from _folders()
        yield from _state_files(Path(usual_places(os.curdir).data))
        yield _server_extension()
        yield _lab_extension()
        yield from _kernels()
        yield from _servers()


def _shown(found: list[Finding]) -> str:
    width = max(len(one.about) for one in found)
    lines = []
    for one in found:
        lines.append(f"{one.state:<5}  {one.about:<{width}}  {one.says}")
        if one.cure:
            lines.append(f"{'':<5}  {'':<{width}}  → {one.cure}")
    return terminal.harmless("\n".join(lines))


def _python() -> Iterator[Finding]:
    yield Finding("pctx", "ok", f"{__version__}, Python {sys.version.split()[0]} at {sys.executable}")
    versions = {name: _version(name) for name in PACKAGES}
    yield Finding("Packages", "ok", ", ".join(f"{name} {version}" for name, version in versions.items() if version))
    for name in ("jupyter_server", "ipykernel", "deno"):
        if not versions[name]:
            yield Finding("Packages", "wrong", f"{name} is missing", "pip install --force-reinstall pctx-jupyter")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _restrictions() -> Iterator[Finding]:
    """What an administrator demands here, and in which files."""
    for path, demanded in restrictions.read():
        yield Finding("Restrictions", "ok", f"{', '.join(sorted(demanded)) or 'none'} in {path}")


async def _engine(settings: Settings) -> list[Finding]:
    """Open an engine, run a program, and wait for the MCP servers that programs may call."""
    from ..embedded import settle
    from ..engine import open_engine

    # Hosts connect to servers, not to this engine: what it tries are the sandboxes of this machine.
    # Nor is what it tries, a program of its own, anybody's to record.
    settings = replace(
        settings, warm_sandboxes=min(1, settings.warm_sandboxes), sandboxes="here", history=False, audit="off"
    )
    async with open_engine(settings, usual_places(str(Path.cwd()))) as engine:
        found = await _programs(engine)
        if engine.upstreams is not None:
            await settle(engine.upstreams, lambda line: say(terminal.harmless(line)))
            found += _upstreams(engine.upstreams.listed())
    return found


async def _programs(engine: Engine) -> list[Finding]:
    """Run a program, type check and all."""
    try:
        result = await engine.registry.agents().execute("const n: number = 6; n * 7", typecheck=True)
    except errors.PctxError as error:
        return [Finding("Programs", "wrong", error.message)]
    sandbox = engine.status()["sandbox"]
    assert isinstance(sandbox, dict)
    found = [Finding("Programs", "ok", f"run in Deno {sandbox['deno']}: 6 * 7 is {bytes(result.value).decode()}")]
    if result.unchecked is not None:
        cure = "try again; on a slow machine, raise Pctx.max_check_s"
        found.append(Finding("Type checker", "wrong", result.unchecked, cure))
    if sandbox["layers"] == 2:
        found.append(Finding("Isolation", "ok", "2 layers: Deno's permissions, and the operating system's"))
    else:
        cure = "Linux with Landlock (5.13 and later) has the second; Pctx.layers = 2 refuses to run without it"
        found.append(Finding("Isolation", "note", "1 layer: Deno's permissions", cure))
    return found


def _upstreams(known: Listed) -> Iterator[Finding]:
    """How the MCP servers do that programs may call."""
    for server in known.upstreams:
        about = f"MCP server {server.name}"
        if server.withheld:
            says = f"{server.tools} tools; {withheld_in_words(server)} ({server.where})"
            yield Finding(about, "note", says)
        elif server.state == "ready":
            yield Finding(about, "ok", f"{server.tools} tools ({server.where})")
        elif server.state == "untrusted":
            yield Finding(about, "note", f"untrusted: {server.error} ({server.where})")
        elif server.state == "needs sign-in":
            cure = f"jupyter pctx mcp sign-in {server.name}"
            yield Finding(about, "note", f"{server.error} ({server.where})", cure)
        else:
            cure = f"jupyter pctx mcp test {server.name} tries it again; mcp remove takes it out of {server.source}"
            why = f": {server.error}" if server.error else ""
            yield Finding(about, "wrong", f"{server.state}{why} ({server.where})", cure)
    for problem in known.problems:
        yield Finding("MCP servers", "wrong", problem, "correct the file")


def _history(settings: Settings) -> Finding:
    """Whether past runs can be written down."""
    from ..history.file import HistoryFile, HistoryUnavailable, usual_path

    if not settings.history:
        return Finding("History", "ok", "switched off (Pctx.history)")
    file = HistoryFile(usual_path(), settings.max_history_runs, settings.max_history_bytes)
    try:
        file.add([])
        file.close()
        return Finding("History", "ok", f"{file.count():,} runs in {file.path}")
    except HistoryUnavailable as error:
        says, _, cure = error.message.rpartition("; ")
        return Finding("History", "wrong", says, cure)


def _audit_log(settings: Settings) -> Iterator[Finding]:
    """Whether the events of an engine outside of a server can be written, where that is required."""
    from ..history.audit import open_audit_file, path_of

    if settings.audit == "off":
        return
    try:
        _, close = open_audit_file(settings)
    except errors.SandboxUnavailable as error:
        says, _, cure = error.message.rpartition("; ")
        yield Finding("Audit log", "wrong", says, cure)
    else:
        close()
        yield Finding("Audit log", "ok", f"written to {path_of(settings)}")


def _server_extension() -> Finding:
    """Whether a Jupyter server would load us: read as it reads it, without loading it."""
    state: dict[str, Any] = {}
    for folder in reversed(jupyter_config_path()):
        parts = sorted(Path(folder, "jupyter_server_config.d").glob("*.json"))
        for file in (*parts, Path(folder, "jupyter_server_config.json")):
            state |= _json(file).get("ServerApp", {}).get("jpserver_extensions", {})
    match state.get("pctx_jupyter"):
        case True:
            return Finding("Server extension", "ok", "enabled")
        case False:
            says = "disabled: programs of notebooks run on an engine in each kernel"
        case _:
            says = "not enabled in any configuration of this environment"
    return Finding("Server extension", "wrong", says, "jupyter server extension enable pctx_jupyter")


def _json(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _lab_extension() -> Finding:
    if not _version("jupyterlab") and not _version("notebook"):
        return Finding("JupyterLab extension", "ok", "not needed: neither JupyterLab nor Notebook is installed")
    for folder in jupyter_path("labextensions"):
        if version := _json(Path(folder, LABEXTENSION, "package.json")).get("version"):
            return Finding("JupyterLab extension", "ok", f"{version}, in {folder}")
    cure = "pip install --force-reinstall pctx-jupyter; cells run without it, but are not edited as TypeScript"
    return Finding("JupyterLab extension", "note", "not found", cure)


def _kernels() -> Iterator[Finding]:
    """Whether the Python of each kernel has us; a kernel may have another Python than the server."""
    for name, python in _pythons().items():
        about = f"Kernel {name}"
        version = __version__ if python == sys.executable else _version_in(python)
        if version == __version__:
            yield Finding(about, "ok", f"has pctx ({python})")
        elif version:
            cure = f"{python} -m pip install pctx-jupyter=={__version__}"
            yield Finding(about, "note", f"has pctx {version}, this is {__version__} ({python})", cure)
        else:
            cure = f"{python} -m pip install pctx-jupyter, if its notebooks shall have %%pctx"
            yield Finding(about, "note", f"has no pctx ({python})", cure)


def _pythons() -> dict[str, str]:
    """The Python of each installed kernel that is a Python; the first of a name counts."""
    found: dict[str, str] = {}
    for folder in jupyter_path("kernels"):
        for file in sorted(Path(folder).glob("*/kernel.json")):
            spec = _json(file)
            argv = spec.get("argv")
            if spec.get("language") == "python" and isinstance(argv, list) and argv:
                # Jupyter runs a bare name with the Python of its own.
                python = sys.executable if Path(argv[0]).name == argv[0] else str(argv[0])
                found.setdefault(file.parent.name, python)
    return found


def _version_in(python: str) -> str:
    """Return the version of pctx that a Python imports; empty if it has none."""
    program = "import pctx_jupyter; print(pctx_jupyter.__version__)"
    # Not in the current folder: `-c` would import from there.
    running = processes.run(python, "-c", program, within_s=KERNEL_S, folder=os.sep)
    try:
        done = asyncio.run(running)
    except (OSError, ValueError):  # a TimeoutError is an OSError
        return ""
    return done.stdout.decode(errors="replace").strip()[:40] if done.status == 0 else ""


def _limits(settings: Settings) -> Iterator[Finding]:
    """Whether this account may have as many files, processes and threads as the sandboxes need."""
    if sys.platform == "win32":
        return
    import resource

    needs = (
        ("Open files", resource.RLIMIT_NOFILE, "ulimit -n", DESCRIPTORS, OWN_DESCRIPTORS),
        ("Processes", resource.RLIMIT_NPROC, "ulimit -u", THREADS, OWN_THREADS),
    )
    for about, which, command, each, own in needs:
        _, most = resource.getrlimit(which)  # a server raises its soft limit
        needed = own + each * settings.max_running
        if most == resource.RLIM_INFINITY or most >= needed:
            shown = "no limit" if most == resource.RLIM_INFINITY else f"{most:,} at most"
            yield Finding(about, "ok", f"{shown} ({command}); {settings.max_running} sandboxes need about {needed:,}")
        else:
            says = f"{most:,} at most ({command} -H); {settings.max_running} sandboxes at a time need about {needed:,}"
            room = max(1, (most - own) // each)
            yield Finding(about, "note", says, f"raise the limit, or set c.Pctx.max_running = {room}")


def _memory(settings: Settings) -> Iterator[Finding]:
    """Whether all sandboxes fit at once into the memory of the container, or pod, that this process runs in."""
    limit = memory.cgroup_limit()
    if limit is None:
        return
    if (shortage := memory.shortage(settings, limit)) is not None:
        yield Finding("Memory", "note", *shortage)
    else:
        yield Finding("Memory", "ok", f"{limit // MIB:,} MiB; all sandboxes fit")


def _folders() -> Iterator[Finding]:
    """Whether files can be written where they have to be."""
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        yield Finding("Temporary folder", "wrong", "none can be written", "set TMPDIR to a folder that can be written")
    else:
        if why := _unwritable(Path(temporary)):
            yield Finding("Temporary folder", "wrong", f"{temporary}: {why}", "or set TMPDIR to another folder")
        elif len(os.fsencode(temporary)) + len(SOCKET) > SOCKET_BYTES:
            says = f"{temporary} is too long for the kernels' Unix socket; kernels use the slower WebSocket"
            yield Finding("Temporary folder", "note", says, "set TMPDIR to a shorter path")
        else:
            yield Finding("Temporary folder", "ok", temporary)
    for about, folder, kept in (
        ("Data folder", jupyter_data_dir(), "trust, approvals and sign-ins are lost when the server ends"),
        ("Configuration folder", jupyter_config_dir(), "MCP servers that are added are lost when the server ends"),
    ):
        if why := _unwritable(Path(folder)):
            yield Finding(
                about, "note", f"{folder}: {why}; {kept}", "make it writable, or choose another: jupyter --paths"
            )
        else:
            yield Finding(about, "ok", folder)


def _state_files(folder: Path) -> Iterator[Finding]:
    """Which files with what has to be remembered cannot be read."""
    for path in sorted(folder.glob("*.json")):
        try:
            msgspec.json.decode(files.read(str(path), most=None) or b"{}", type=dict[str, Raw])
            continue
        except OSError as error:
            why = processes.shortage(error, otherwise="")
        except (msgspec.DecodeError, UnicodeDecodeError):
            why = "it is no JSON object"
        yield Finding(f"Data file {path.name}", "note", f"{path}: {why}; it counts as empty", "move it away")


def _unwritable(folder: Path) -> str:
    """Return why no file can be written in a folder, which need not exist yet; empty if one can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return processes.shortage(error, otherwise="")
    return ""


def _servers() -> Iterator[Finding]:
    found = running()
    if not found:
        yield Finding("Servers", "ok", "none runs here; jupyter pctx start, or jupyter lab, starts one")
    for server in found:
        about, how = f"Server {server.port}", health(server)
        if how.trouble:
            yield Finding(about, "wrong", f"{server.url}: {how.trouble}")
        elif how.version != __version__:
            cure = "restart the server"
            yield Finding(about, "note", f"{server.url} has pctx {how.version}, this is {__version__}", cure)
        else:
            yield Finding(about, "ok", f"{server.url} has pctx {how.version}")
            yield from _hosts(about, hosts(server))


def _host(host: dict[str, Any]) -> str:
    """Return the name of a sandbox host, and what it does."""
    leaving = ", takes no more" if host.get("leaving") else ""
    return f"{host['name']} ({host['running']} of {host['capacity']} run{leaving})"


def _hosts(about: str, found: list[dict[str, Any]] | None) -> Iterator[Finding]:
    """The sandbox hosts of one server, if its programs run on hosts."""
    cure = "jupyter pctx sandbox-host starts one; c.Pctx.fallback = 'here' runs programs on the server meanwhile"
    if found:
        listed = f"sandbox hosts: {', '.join(_host(host) for host in found)}"
        takes_programs = not all(host.get("leaving") for host in found)
        yield Finding(about, "ok", listed) if takes_programs else Finding(about, "note", listed, cure)
    elif found is not None:
        yield Finding(about, "note", "no sandbox host is connected", cure)
