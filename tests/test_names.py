"""Names of classes, types and functions: one name means one thing. Reads files; runs nothing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON, TYPESCRIPT = ROOT / "pctx_jupyter", ROOT / "labextension" / "src"
MIRRORS = {"api.ts", "wire.ts"}
"""Modules of the JupyterLab extension whose types are those of the server's messages, under the same names."""

SHARED = {
    "ArgumentRule": "the check of charts, in Python and TypeScript",
    "ChartRefused": "the check of charts, in Python and TypeScript",
    "Vocabulary": "the check of charts, in Python and TypeScript",
}
"""Names that are defined more than once, and why."""

UNRESOLVED = {
    "Answer",
    "Approvals",
    "Ask",
    "Body",
    "CallTool",
    "Check",
    "ClientConfig",
    "Command",
    "Diagnostic",
    "Endpoint",
    "Format",
    "Health",
    "Heard",
    "Home",
    "Hover",
    "Kept",
    "Launcher",
    "Line",
    "Mcp",
    "Message",
    "Output",
    "Place",
    "Places",
    "Prelude",
    "Run",
    "Scope",
    "Send",
    "Serve",
    "Server",
    "Shared",
    "Signature",
    "State",
    "Stop",
    "ToolError",
    "Upstream",
    "_Bounded",
    "_Details",
    "_Execute",
    "_Question",
}
"""Names that still mean several things. None may be added."""

SPOKEN = re.compile(r"_?(hear|heard|look|tell)")
"""Verbs of persons. Functions receive, read, refresh, find, report or show."""

SPOKEN_IN = {
    "agents/runs.py",
    "agents/server.py",
    "cli/approvals.py",
    "cli/doctor.py",
    "cli/programs.py",
    "client/client.py",
    "engine.py",
    "rpc/peer.py",
    "sandbox/checker.py",
    "sandbox/spawner.py",
    "sandbox/supervisor.py",
    "sandbox/worker.py",
    "server/changes.py",
    "server/pipes.py",
    "session/execution.py",
    "session/local_tools.py",
    "session/trace.py",
    "session/watch.py",
    "tools/scope.py",
    "upstream/all.py",
    "upstream/allowed.py",
    "upstream/connection.py",
    "upstream/sign_in.py",
    "upstream/trust.py",
}
"""Modules that still have such names. None may be added."""


def modules() -> list[Path]:
    return sorted(path for path in PYTHON.rglob("*.py") if "stubs" not in path.parts)


def types_of(path: Path) -> set[str]:
    """The classes and type aliases that a Python module defines."""
    found: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        match statement:
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if re.fullmatch(r"_?[A-Z][a-z]\w*", name):
                    found.add(name)
    return found


def definitions() -> dict[str, set[str]]:
    """The modules that define each name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in modules():
        for name in types_of(path):
            found[name].add(str(path.relative_to(PYTHON)))
    for path in sorted(TYPESCRIPT.rglob("*.ts*")):
        text = path.read_text("utf-8")
        for name in re.findall(r"^(?:export )?(?:abstract )?(?:class|interface|type) (\w+)", text, re.MULTILINE):
            found[name].add(str(path.relative_to(TYPESCRIPT)))
    return found


def test_one_name_means_one_thing() -> None:
    several = {name: places - MIRRORS for name, places in definitions().items()}
    unexplained = {
        name: sorted(places)
        for name, places in several.items()
        if len(places) > 1 and name not in SHARED and name not in UNRESOLVED
    }
    assert not unexplained, "rename all but one of each"


def test_functions_are_named_for_what_they_do() -> None:
    found = [
        f"{path.relative_to(PYTHON)}: {node.name}"
        for path in modules()
        if str(path.relative_to(PYTHON)) not in SPOKEN_IN
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and SPOKEN.fullmatch(node.name)
    ]
    found += [
        f"{path.relative_to(TYPESCRIPT)}: {name}"
        for path in sorted(TYPESCRIPT.rglob("*.ts*"))
        for name in re.findall(r"^\s+(?:async )?#?(hear|tell|look)\(.*\{$", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert not found
