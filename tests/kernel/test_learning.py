"""``%pctx learn`` and ``%pctx details``. Real: a kernel with an engine of its own, and MCP servers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.upstream.conftest import peer

from .real_kernel import RealKernel, open_kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKernel]:
    folder = tmp_path_factory.mktemp("kernel")
    servers = [peer(name="good"), peer("library", name="library")]
    (folder / "pctx.json").write_text(json.dumps({"servers": servers}))
    with open_kernel(folder, JUPYTER_CONFIG_DIR=str(folder), JUPYTER_DATA_DIR=str(folder / "data")) as kernel:
        assert kernel.run("%load_ext pctx_jupyter").error is None
        assert kernel.run("%%pctx\ntypeof Good + typeof Library").error is None
        yield kernel


def test_a_tool_is_called_once_and_its_type_is_shown(kernel: RealKernel) -> None:
    learnt = kernel.run("""%pctx learn Good.echo { text: '[{"id": 1, "name": null}]' }""")
    assert learnt.error is None, learnt.traceback
    assert "Observed in 1 call; may be incomplete." in (learnt.value or "")
    assert "Promise<{" in (learnt.value or "") and "id: number;" in (learnt.value or "")
    assert kernel.run("%pctx details Good.echo").value == learnt.value
    assert kernel.run("%pctx learn --forget Good.echo").text() == "Forgot what was observed of Good.echo\n"
    assert "Promise<any>" in (kernel.run("%pctx details Good.echo").value or "")


def test_a_function_without_an_annotation_is_learnt_and_forgotten_when_its_code_changes(kernel: RealKernel) -> None:
    define = "from pctx_jupyter import tool\n@tool\ndef load(n: int = 1):\n    return {'rows': [{'n': n}] * n}"
    assert kernel.run(define).error is None
    assert "Promise<any>" in (kernel.run("%pctx details load").value or "")
    learnt = kernel.run("%pctx learn Notebook.load { n: 2 }").value or ""
    assert "Promise<{ rows: { n: number }[] }>" in learnt
    assert kernel.run("%pctx details load").value == learnt
    assert kernel.run(define).error is None
    assert kernel.run("%pctx details load").value == learnt, "the same code in another cell"
    assert kernel.run(define.replace("* n", "* 3")).error is None
    assert "Promise<any>" in (kernel.run("%pctx details load").value or "")


def test_tools_of_a_server_that_only_read_are_sampled_when_the_user_agrees(kernel: RealKernel) -> None:
    question, declined = kernel.run_and_answer("%pctx learn Library", "")
    assert question == "Call Library.linked once? The server says that they only read. [y/N] "
    assert declined.error is None and declined.value is None
    refused = kernel.run_without_input("%pctx learn Library")
    assert "has no input; %pctx learn Library --read-only calls them" in refused.text("stderr")
    assert "Promise<any>" in (kernel.run("%pctx details Library.linked").value or "")
    _, sampled = kernel.run_and_answer("%pctx learn Library", "y")
    assert "Library.linked" in (sampled.value or "") and "Library.news" not in (sampled.value or "")
    assert "Observed in 1 call" in (sampled.value or "")
    kernel.run("%pctx learn --forget Library.linked")


def test_tools_of_a_server_that_only_read_are_sampled_without_a_question(kernel: RealKernel) -> None:
    sampled = kernel.run("%pctx learn Library --read-only")
    assert "Library.linked" in (sampled.value or "") and "Library.news" not in (sampled.value or "")
    assert "Observed in 1 call" in (sampled.value or "")
    assert "Nothing to learn of Library" in kernel.run("%pctx learn --read-only Library").text("stderr")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Good.structured", "it declares its result"),
        ("Good.fail { text: 'it broke' }", "it broke"),
        ("Good.echo { txt: 'a' }", "txt"),
        ("Good.echo { text: 'null' }", "Learnt nothing of Good.echo"),
        ("Good.ecoh {}", "Good.ecoh"),
        ("Good.echo(await Good.die())", "it is not the name of a tool"),
        ("Good.echo { text: await Good.env({ text: 'A' }) }", "Good.env"),
        ("echo", "it is not the name of a tool"),
        ("", "Usage: %pctx learn"),
        ("Goood --read-only", "did you mean Good"),
        ("--forget", "The name of a tool is missing"),
        ("--forget Good.ecoh", "did you mean Good.echo"),
    ],
)
def test_what_cannot_be_learnt_is_said(kernel: RealKernel, line: str, said: str) -> None:
    cell = kernel.run(f"%pctx learn {line}")
    assert said in cell.text("stderr") + cell.traceback, cell.outputs
    assert "Internal error" not in cell.text("stderr")
