"""Who may import whom: the architecture, kept. Reads the source; runs nothing but two imports in a fresh Python."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pctx_jupyter"
FOLDERS = {"sandbox", "mcp", "client", "server", "kernel", "cli"}
WIRING = {"engine", "embedded"}

MAY_IMPORT = {
    "root": {"root"},
    "sandbox": {"root"},
    "mcp": {"root"},
    "client": {"root"},
    "engine": {"root", "sandbox", "mcp"},
    "embedded": {"root", "client", "engine"},
    "server": {"root", "engine"},
    "kernel": {"root", "client", "engine"},
    "cli": {"root", "client", "engine", "embedded"},
}

ALSO = {"cli/start.py": {"server"}, "cli/mcp.py": {"mcp"}, "cli/upstreams.py": {"mcp"}}
"""What single modules import beyond their layer: the command that starts a server takes the server; those that pass MCP
on, and that edit the file of upstreams, take what does it, for they need no engine.
"""

OWNERS = {
    "deno": {"sandbox"},
    "mcp": {"mcp"},
    "tornado": {"server"},
    "jupyter_server": {"server"},
    "websockets": {"client"},
    "httpx2": {"client", "mcp"},  # the MCP SDK brings it, and the original's plain client speaks HTTP
    "IPython": {"kernel"},
    "ipykernel": {"kernel"},
}
"""Outside packages that only one layer may import."""

NO_IO = {"socket", "subprocess", "os", "pathlib", "http", "urllib.request", "time", "asyncio"}
"""What the root does without; errors.py takes `http` for its status numbers, channel.py and pipe.py `asyncio`."""


def layer(module: Path) -> str:
    inside = module.relative_to(PACKAGE)
    if inside.parts[0] in FOLDERS:
        return inside.parts[0]
    return inside.stem if inside.stem in WIRING else "root"


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


@pytest.mark.parametrize("module", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(module: Path) -> None:
    own = layer(module)
    also = ALSO.get(str(module.relative_to(PACKAGE)), set())
    if module == PACKAGE / "__init__.py" or module.stem == "__main__":
        return  # the hooks import what they start, inside functions
    for name, for_types in imports(module):
        first = name.split(".")[0]
        if first == "pctx_jupyter":
            parts = name.split(".")[1:]
            target = parts[0] if parts and parts[0] in FOLDERS | WIRING else "root"
            assert target == own or target in MAY_IMPORT[own] | also or for_types, f"{own} imports {name}"
        elif not for_types:
            assert ({own} | also) & OWNERS.get(first, {own}), f"{own} imports {name}"


@pytest.mark.parametrize("module", [p for p in modules() if layer(p) == "root"], ids=lambda p: p.stem)
def test_the_root_does_no_io(module: Path) -> None:
    outside = {name for name, for_types in imports(module) if not for_types}
    excepted = {"errors": {"http"}, "channel": {"asyncio"}, "pipe": {"asyncio"}}.get(module.stem, set())
    assert not outside & NO_IO - excepted


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


@pytest.mark.parametrize("command", ["app", "programs", "clients", "servers", "doctor", "mcp", "upstreams"])
def test_a_command_loads_neither_a_server_nor_an_engine_before_it_needs_one(command: str) -> None:
    loaded = loaded_by(f"import pctx_jupyter.cli.{command}")
    assert not loaded & {"IPython", "jupyter_server", "tornado", "mcp", "deno", "pydantic", "websockets", "httpx2"}


def test_a_server_that_no_agent_asks_loads_nothing_of_mcp() -> None:
    loaded = loaded_by("import pctx_jupyter.server.app, pctx_jupyter.agents.door")
    assert not loaded & {"mcp", "mcp_types", "starlette", "bm25s", "numpy", "httpx2"}
