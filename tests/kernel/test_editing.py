"""Tab and Shift-Tab in ``%%pctx`` cells: a real kernel, asked as a notebook asks; and a shell without one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from pctx_jupyter.kernel import magics
from pctx_jupyter.kernel.functions import tool as tools
from pctx_jupyter.kernel.options import _cell
from pctx_jupyter.kernel.output import display
from pctx_jupyter.program import cell

from .real_kernel import SOON, RealKernel

NOTEBOOK = """
from dataclasses import dataclass

@dataclass
class Order:
    id: str
    amount: float

@tool
def load_orders(status: str = "open") -> list[Order]:
    '''Load orders </pre><script>alert(1)</script>.

    Args:
        status: Which ones.
    '''
    return [Order("a", 1.0)]

orders = [{"number": 1, "客": 2}]
python_only = 1
"""
HEAD = "\n\n%%pctx -i orders\n"
BEFORE = "const 名 = '\U0001d54f \U0001f600 é'; // \U0001f9ea\n"


@pytest.fixture(scope="module")
def editor(kernel: RealKernel) -> RealKernel:
    """A kernel with tools and values, whose type checker is up."""
    assert kernel.run(NOTEBOOK).error is None
    assert kernel.run("%%pctx -i orders\norders.length").value == "1"
    return kernel


def complete(kernel: RealKernel, source: str, at: int | None = None) -> dict[str, Any]:
    """What Tab gets."""
    reply: dict[str, Any] = kernel.client.complete(source, at, reply=True, timeout=SOON)["content"]
    return reply


def names(kernel: RealKernel, source: str, at: int | None = None) -> list[str]:
    found: list[str] = complete(kernel, source, at)["matches"]
    return found


def inspect(kernel: RealKernel, source: str, at: int | None = None) -> dict[str, Any]:
    """What Shift-Tab gets."""
    reply: dict[str, Any] = kernel.client.inspect(source, at, reply=True, timeout=SOON)["content"]
    return reply


def test_tools_fields_and_inputs_are_completed(editor: RealKernel) -> None:
    source = HEAD + BEFORE + "await Notebook.loadO"
    found = complete(editor, source)
    assert found["matches"] == ["loadOrders"]
    assert (found["cursor_start"], found["cursor_end"]) == (len(source) - 5, len(source))
    assert found["metadata"]["_jupyter_types_experimental"][0]["type"] == "function"
    assert names(editor, HEAD + BEFORE + "(await Notebook.loadOrders())[0].") == ["amount", "id"]
    assert "orders" in names(editor, HEAD + BEFORE + "ord")
    assert "Notebook" in names(editor, HEAD + "Note")
    assert names(editor, HEAD + "'\U0001f600'; Notebook.load\n// \U0001f600", len(HEAD) + 18)[0] == "loadOrders"


def test_an_input_is_known_from_the_last_program(editor: RealKernel) -> None:
    assert names(editor, "%%pctx -i orders\norders[0].n") == ["number"]


def test_names_of_python_stay_out(editor: RealKernel) -> None:
    assert "python_only" in names(editor, "python_o")
    assert names(editor, HEAD + "python_o") == []
    assert names(editor, HEAD + "Notebook.nothing_like_it") == []
    assert names(editor, HEAD + "'unfinished") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%pctx --ti", ["--timeout"]),
        ("%%pctx -i python_o", ["python_only"]),
        ("%%pctx --input=orders,python_o", ["python_only"]),
        ("%%pctx --tools Notebook.*,Notebook.load", ["Notebook.loadOrders"]),
        ("%%pctx --timeout ", []),
        ("%%pctx -o python_o", []),
    ],
)
def test_the_magic_line_is_completed(editor: RealKernel, line: str, expected: list[str]) -> None:
    assert names(editor, line) == expected
    assert names(editor, line + "\n1", len(line)) == expected


def test_every_option_is_offered(editor: RealKernel) -> None:
    taken = {name for action in _cell._actions for name in action.option_strings} - {"-h", "--help"}
    assert set(names(editor, "%%pctx ")) == taken == {name for option in cell.OPTIONS for name in option.names}


@pytest.mark.parametrize("source", ["%%pctx", "%%pctx\n", "\n%%pctx \n\n", "%%pctx\r\n"])
def test_an_empty_cell_has_an_answer(editor: RealKernel, source: str) -> None:
    assert complete(editor, source)["status"] == inspect(editor, source)["status"] == "ok"


def test_a_changed_tool_is_completed_before_anything_runs(editor: RealKernel) -> None:
    editor.run("@tool\ndef brand_new(wanted: int) -> int:\n    return wanted")
    assert names(editor, "%%pctx\nNotebook.brand") == ["brandNew", "brand_new"]
    assert names(editor, "%%pctx\nNotebook.brandNew({ w") == ["wanted"]
    editor.run("%pctx unregister brand_new")
    assert names(editor, "%%pctx\nNotebook.brand") == []


@pytest.mark.parametrize("at", ["|loadOrders", "load|Orders", "loadOrders|(", "({ |status", "(|{ status"])
def test_a_tool_is_explained_with_its_description(editor: RealKernel, at: str) -> None:
    source = HEAD + BEFORE + "await Notebook.loadOrders({ status: 'open' })"
    before, after = at.split("|")
    found = inspect(editor, source, source.rindex(before + after) + len(before))
    assert found["found"]
    text = found["data"]["text/plain"]
    if before.endswith(" "):
        assert "status?:" in text and "Which ones." in text
    else:
        assert "loadOrders(args?:" in text and "Load orders" in text


def test_an_explanation_is_text_in_every_form() -> None:
    bundle = display.explanation("f(): \u202e", "Evil </pre><script>alert(1)</script>")
    assert "\\u202e" in bundle["text/plain"] and "Evil </pre>" in bundle["text/plain"]
    assert "<script>" not in bundle["text/html"] and "&lt;script&gt;" in bundle["text/html"]
    huge = display.explanation("\u202e" * 10_000, "")
    assert huge.keys() == bundle.keys()


def test_what_nothing_is_known_of_is_not_found(editor: RealKernel) -> None:
    assert not inspect(editor, HEAD + "python_only", len(HEAD) + 3)["found"]
    assert not inspect(editor, HEAD + "  \n", len(HEAD) + 1)["found"]


def test_options_and_what_they_name_are_explained(editor: RealKernel) -> None:
    found = inspect(editor, "%%pctx --timeout 3\n1", 10)
    assert "Stop the program after S seconds" in found["data"]["text/plain"]
    assert "list" in inspect(editor, "%%pctx -i orders\n1", 12)["data"]["text/plain"]


def test_other_cells_are_as_ever(editor: RealKernel) -> None:
    assert "int" in inspect(editor, "python_only", 4)["data"]["text/plain"]
    assert "splitlines" in names(editor, "'a'.splitl")
    assert "%%time" in names(editor, "%%ti")


def test_names_of_other_scripts_and_odd_ones_are_text(editor: RealKernel) -> None:
    assert names(editor, "%%pctx -i orders\norders[0].客") == ["客"]
    for source in ("%%pctx -i 'a;declare const leaked: 1'\nleak", "%%pctx -i class,\u202e\nleak", "%%pctx '\nleak"):
        assert names(editor, source) == []


def test_half_a_character_costs_nothing_but_the_answer(editor: RealKernel) -> None:
    cell = editor.run(
        "from IPython.core.completer import provisionalcompleter\nwith provisionalcompleter():\n"
        "    found = list(get_ipython().Completer.completions('%%pctx\\n\\ud800 Note', 13))\nfound"
    )
    assert cell.error is None and cell.value == "[]" and cell.text("stderr") == ""


def test_a_busy_engine_does_not_block_the_kernel(editor: RealKernel) -> None:
    """A program that takes TypeScript seconds: the answer is none, and the kernel goes on."""
    bomb = "type T<N extends 0[]> = N['length'] extends 900 ? N : T<[...N, 0]>;\n"
    bomb += "".join(f"const a{n}: [T<[]>, T<[{n}]>, T<[...T<[]>]>] = 0;\n" for n in range(200))
    assert complete(editor, "%%pctx\n" + bomb + "a1.")["status"] == "ok"
    assert editor.run("1 + 1").value == "2"


def test_a_shell_without_a_kernel_completes_too() -> None:
    script = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.completer import provisionalcompleter
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "pctx_jupyter")
shell.run_cell("from pctx_jupyter import tool\\n@tool\\ndef load_orders() -> int:\\n    return 1")
while "ready yes" not in repr(shell.run_line_magic("pctx", "status")):  # the type checker is up
    time.sleep(0.1)
with provisionalcompleter():
    print([c.text for c in shell.Completer.completions("%%pctx\\nNotebook.load", 20)])
shell.run_line_magic("unload_ext", "pctx_jupyter")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SOON, check=False)
    assert "['loadOrders', 'load_orders']" in done.stdout, done.stderr


def test_unloading_leaves_nothing_behind() -> None:
    shell = InteractiveShell()  # type: ignore[no-untyped-call]  # IPython is not typed
    before = list(shell.Completer.custom_matchers)
    magics.load(shell)
    assert len(shell.Completer.custom_matchers) == len(before) + 1 and "object_inspect_mime" in vars(shell)
    assert [c for c in shell.events.callbacks["post_run_cell"] if "pctx" in getattr(c, "__module__", "")]
    watchers = set(tools.watchers)
    assert [w for w in watchers if getattr(w, "__self__", None) is shell._pctx.bridge]  # type: ignore[attr-defined]
    magics.unload(shell)
    assert shell.Completer.custom_matchers == before and "object_inspect_mime" not in vars(shell)
    assert not [c for c in shell.events.callbacks["post_run_cell"] if "pctx" in getattr(c, "__module__", "")]
    assert len(watchers - tools.watchers) == 1
    with provisionalcompleter():
        list(shell.Completer.completions("%%pctx\nx", 8))
    InteractiveShell.clear_instance()
