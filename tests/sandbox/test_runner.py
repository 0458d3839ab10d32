"""The modules of a sandbox's script, and the script that they are joined into. TypeScript and Deno are real."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pctx_jupyter.sandbox import runner

from .driver import DENO, RUNTIME, SOON

MODULES = RUNTIME / "runner"

TOKENS = """
const [compiler, modules, joined] = Deno.args.map((path) => Deno.realPathSync(path));
const module = { exports: {} };
new Function("module", Deno.readTextFileSync(compiler))(module);
const ts = module.exports;
function tokens(path) {
  const file = ts.createSourceFile(path, Deno.readTextFileSync(path), ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const found = [];
  const visit = (node) => {
    if (ts.isImportDeclaration(node) || ts.isJSDoc(node) || node.kind === ts.SyntaxKind.ExportKeyword) return;
    const children = node.getChildren(file);
    if (children.length === 0) { const text = node.getText(file); if (text !== "") found.push(text); }
    children.forEach(visit);
  };
  visit(file);
  return found;
}
const byModule = {};
for (const { name } of Deno.readDirSync(modules)) byModule[name] = tokens(modules + "/" + name);
console.log(JSON.stringify([byModule, tokens(joined)]));
"""
"""Prints the tokens of each module, without imports, comments and `export`, and those of the joined script."""


def test_the_joined_script_has_the_tokens_of_every_module_and_no_others(tmp_path: Path) -> None:
    runner.ensure_joined()
    script = tmp_path / "tokens.js"
    script.write_text(TOKENS)
    paths = [RUNTIME / "vendor" / "typescript.min.txt", MODULES, runner.JOINED]
    done = subprocess.run(
        [DENO, "run", "--no-config", "--allow-read", script, *paths], capture_output=True, timeout=4 * SOON, check=True
    )
    by_module, joined = json.loads(done.stdout)
    head, tail = ["(", "async", "(", ")", "=>", "{", '"use strict"', ";"], ["}", ")", "(", ")", ";"]
    assert joined[: len(head)] == head and joined[-len(tail) :] == tail
    body = joined[len(head) : -len(tail)]
    rest = "\0".join(body) + "\0"
    for name, tokens in by_module.items():
        part = "\0".join(tokens) + "\0"
        assert rest.count(part) == 1, f"{name} is not in the script as it is"
        rest = rest.replace(part, "")
    assert rest == ""


def test_a_changed_module_is_joined_again(tmp_path: Path) -> None:
    shutil.copytree(MODULES, tmp_path / "runner")
    runner.ensure_joined(tmp_path)
    joined = tmp_path / "runner.js"
    assert joined.read_text() == runner.JOINED.read_text()
    joined.chmod(0o444)
    runner.ensure_joined(tmp_path)
    assert joined.stat().st_mode & 0o777 == 0o444, "an unchanged script is not written again"
    with (tmp_path / "runner" / "main.js").open("a") as main:
        main.write("changed();\n")
    runner.ensure_joined(tmp_path)
    assert "changed();\n" in joined.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner", "runner.js"]


def test_a_script_that_cannot_be_replaced_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    shutil.copytree(MODULES, tmp_path / "runner")
    (tmp_path / "runner.js").mkdir()
    with pytest.raises(IsADirectoryError):
        runner.ensure_joined(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner", "runner.js"]


def test_a_package_without_modules_keeps_its_script(tmp_path: Path) -> None:
    (tmp_path / "runner.js").write_text("built")
    runner.ensure_joined(tmp_path)
    assert (tmp_path / "runner.js").read_text() == "built"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('const told = "cut…";\n', r"main\.js: it holds a character beyond ASCII; write \\u2026"),
        ('import { a } from "./other.js";\n', r"main\.js: it imports itself by way of main, other; split one"),
    ],
)
def test_modules_that_cannot_be_joined_are_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "main.js").write_text(text, "utf-8")
    (tmp_path / "other.js").write_text('import { b } from "./main.js";\nexport const a = b;\n')
    with pytest.raises(ValueError, match=why):
        runner.join(tmp_path)
