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

SPOKEN = re.compile(r"_?(hear|heard|look|tell|told)(_\w+)?")
"""Verbs of persons. Functions receive, read, refresh, find, report, notify or show."""
SPOKEN_IN_TYPESCRIPT = re.compile(
    r"^\s*(?:(?:export )?(?:const|(?:async )?function) (?:hear|tell|look)\b|(?:async )?#?(?:hear|tell|look)\(.*\{$)",
    re.MULTILINE,
)


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


def names_in(node: ast.AST) -> list[str]:
    """The names of a function and its parameters."""
    match node:
        case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
            return [name, *(one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs))]
    return []


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
    several = {name for name, places in definitions().items() if len(places - MIRRORS) > 1}
    assert several - SHARED.keys() == set(), "rename all but one of each"
    assert SHARED.keys() - several == set(), "these are defined once: remove them from SHARED"


def test_functions_and_parameters_are_named_for_what_they_do() -> None:
    found = [
        f"{path.relative_to(PYTHON)}: {name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in names_in(node)
        if SPOKEN.fullmatch(name)
    ]
    found += [
        f"{path.relative_to(TYPESCRIPT)}: {match[0].strip()}"
        for path in sorted(TYPESCRIPT.rglob("*.ts*"))
        for match in SPOKEN_IN_TYPESCRIPT.finditer(path.read_text("utf-8"))
    ]
    assert not found
