"""Who may import whom: the architecture, kept. Reads the source; runs nothing but two imports in a fresh Python."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pctx_jupyter"

BASE = {
    "_version",
    "classes",
    "cluster",
    "errors",
    "files",
    "foreign",
    "futures",
    "nearest",
    "own_task",
    "processes",
    "settings",
    "slices",
    "tcp",
    "threads",
    "visible",
}
"""Modules that every room may use; they use none of them."""
CORE = BASE | {"rpc", "tools", "program", "session"}
"""What the rooms for the outside worlds know."""
SHARED = CORE | {"engine", "client", "traits", "history"}
"""What the rooms know that are built on the engine."""

MAY_IMPORT = {
    "_version": set(),
    "cluster": {"errors"},
    "classes": set(),
    "errors": set(),
    "files": set(),
    "foreign": set(),
    "futures": {"classes", "cluster", "errors"},
    "memory": {"settings"},
    "nearest": set(),
    "own_task": set(),
    "processes": set(),
    "restrictions": {"errors", "settings"},
    "settings": set(),
    "slices": set(),
    "tcp": set(),
    "threads": set(),
    "visible": set(),
    "rpc": BASE,
    "tools": BASE | {"rpc"},
    "program": BASE | {"rpc", "tools"},
    "session": BASE | {"rpc", "tools", "program"},
    "traits": CORE | {"restrictions"},
    "sandbox": CORE,
    "agents": CORE,
    "upstream": CORE,
    "values": BASE | {"rpc"},
    "client": CORE | {"values"},
    "hosts": CORE | {"sandbox", "client"},
    "history": CORE,
    "engine": CORE | {"sandbox", "hosts", "agents", "upstream", "history"},
    "opening": {"engine", "own_task", "sandbox", "settings", "threads"},
    "embedded": CORE | {"client", "opening", "traits"},
    "server": SHARED | {"hosts", "memory"},
    "handles": BASE | {"memory"},
    "kernel": SHARED | {"opening", "handles", "values"},
    "frameworks": SHARED | {"kernel"},
    "cli": SHARED | {"embedded", "memory", "restrictions"},
}
"""One row a room, or a module of the root: what it may import, for types too."""

ALSO = {
    "agents/__init__.py": {"frameworks"},  # names the types of what programs import from there
    "cli/hosts.py": {"hosts", "sandbox"},  # the command that is a sandbox host
    "cli/start.py": {"server"},  # the command that starts a server
    "cli/mcp.py": {"agents"},  # passes MCP on, which needs no engine
    "cli/upstreams.py": {"upstream"},  # edits the file of servers, which needs no engine
    "cli/connecting.py": {"upstream"},  # connects to servers of that file
    "cli/clients.py": {"agents"},  # prints the configuration of MCP clients
    "server/state.py": {"agents"},  # the same, for the panel
    "server/mcp.py": {"agents"},  # the size that their requests may have
    "server/app.py": {"agents"},  # names the type of the engine's MCP door
}
"""What single modules import beyond their row."""

OWNERS = {
    "deno": {"sandbox"},
    "mcp": {"agents", "upstream"},
    "tornado": {"server"},
    "jupyter_server": {"server"},
    "websockets": {"client"},
    "httpx2": {"client", "agents", "upstream"},  # the MCP SDK brings it, and the original's plain client uses HTTP
    "IPython": {"kernel"},
    "ipykernel": {"kernel"},
    "distributed": {"cluster", "hosts"},
}
"""Outside packages that only some rooms may import."""

PURE = ("rpc", "tools", "program", "session")
"""Rooms that do no I/O."""
NO_IO = {"socket", "subprocess", "os", "pathlib", "http", "urllib.request", "time"}
"""What they do without. Futures, timeouts and tasks of asyncio are no I/O."""


def layer(module: Path) -> str:
    inside = module.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports(module: Path) -> list[tuple[str, bool]]:
    """The absolute names a module imports, and whether only types need them."""
    tree = ast.parse(module.read_text())
    package = ["pctx_jupyter", *module.relative_to(PACKAGE).parts[:-1]]
    typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in typing) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(filter(None, [base, node.module]))
            found += [(f"{name}.{alias.name}" if node.level else name, id(node) in typing) for alias in node.names]
    return found


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "labextension" not in p.parts)


def rooms(name: str) -> str | None:
    """The room of a name of this package; None for the package itself."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else None


@pytest.mark.parametrize("module", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(module: Path) -> None:
    own = layer(module)
    also = ALSO.get(str(module.relative_to(PACKAGE)), set())
    if own in ("__init__", "__main__"):
        return  # the hooks import what they start, inside functions
    for name, for_types in imports(module):
        first = name.split(".")[0]
        if first == "pctx_jupyter":
            target = rooms(name)
            assert target is not None, f"{own} imports {name}: take it from the module that defines it"
            assert target == own or target in MAY_IMPORT[own] | also, f"{own} imports {name}"
        elif not for_types:
            assert ({own} | also) & OWNERS.get(first, {own}), f"{own} imports {name}"


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    assert {layer(module) for module in modules()} - {"__init__", "__main__"} == MAY_IMPORT.keys()


def test_the_page_on_the_architecture_says_what_each_room_may_import() -> None:
    page = (PACKAGE.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    groups: dict[str, set[str]] = {}

    def named(text: str) -> set[str]:
        """The modules and rooms that a text names, those of groups included."""
        return set(re.findall(r"`(\w+)`", text)).union(*(groups[name] for name in re.findall(r"\*(\w+)\*", text)))

    for name, members in re.findall(r"^- \*(\w+)\*[^:]*: ((?:[^\n]|\n  )+)", page, re.MULTILINE):
        groups[name] = named(members)
    assert groups == {"base": BASE - {"_version"}, "core": CORE - {"_version"}, "shared": SHARED - {"_version"}}
    rows = re.findall(r"^\| `(\w+)/` \| .* \| ([^|]+) \|$", page, re.MULTILINE)
    folders = {room.name for room in PACKAGE.iterdir() if (room / "__init__.py").exists()}
    assert {room: named(cell) for room, cell in rows} == {room: MAY_IMPORT[room] - {"_version"} for room in folders}


def test_rooms_know_each_other_in_one_direction_only() -> None:
    order: list[str] = []
    left = dict(MAY_IMPORT)
    while left:
        ready = [room for room, known in left.items() if known <= {*order}]
        assert ready, f"a circle among {sorted(left)}"
        order += ready
        left = {room: known for room, known in left.items() if room not in ready}


@pytest.mark.parametrize(
    "module", [p for p in modules() if layer(p) in PURE], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_rooms_of_the_core_do_no_io(module: Path) -> None:
    outside = {name for name, for_types in imports(module) if not for_types}
    assert not outside & NO_IO


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after a statement, in a Python of its own."""
    script = f"{statement}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import pctx_jupyter")
    assert not loaded & {"IPython", "asyncio", "jupyter_server", "tornado", "mcp", "deno", "pydantic", "msgspec"}


def test_a_kernel_that_loads_the_magics_loads_no_server_no_deno_and_no_pydantic() -> None:
    loaded = loaded_by("import IPython; from pctx_jupyter.kernel import magics")
    assert not loaded & {"jupyter_server", "mcp", "deno", "pydantic", "tree_sitter", "websockets"}


def test_a_program_with_an_engine_of_its_own_loads_no_websockets() -> None:
    loaded = loaded_by("import pctx_jupyter.embedded, pctx_jupyter.engine")
    assert not loaded & {"websockets", "tornado", "mcp", "pydantic", "httpx2"}


@pytest.mark.parametrize("room", ["embedded", "kernel.home"])
def test_an_engine_is_not_imported_before_its_type_checker_starts(room: str) -> None:
    script = f"import pctx_jupyter.{room}, pctx_jupyter.opening, sys; print('pctx_jupyter.engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.parametrize("command", ["app", "programs", "clients", "servers", "doctor", "mcp", "upstreams"])
def test_a_command_loads_neither_a_server_nor_an_engine_before_it_needs_one(command: str) -> None:
    loaded = loaded_by(f"import pctx_jupyter.cli.{command}")
    assert not loaded & {"IPython", "jupyter_server", "tornado", "mcp", "deno", "pydantic", "websockets", "httpx2"}


def test_a_server_that_no_agent_asks_loads_nothing_of_mcp() -> None:
    loaded = loaded_by("import pctx_jupyter.server.app, pctx_jupyter.agents.door")
    assert not loaded & {"mcp", "mcp_types", "starlette", "numpy", "httpx2"}
