"""Hints that the notebook adds to a program's error. Nothing is fake."""

from __future__ import annotations

from pctx_jupyter import errors
from pctx_jupyter.errors import ExecutionFailed, Failure
from pctx_jupyter.kernel.output.failure import with_hint


def lacks(message: str) -> ExecutionFailed:
    """A program's error: it has no name ``add``."""
    return ExecutionFailed(Failure("TypeError", message, missing="add"), stdout="", stderr="")


def add() -> int:
    return 1


def test_a_name_of_the_notebook_is_named_after_a_whole_sentence() -> None:
    hint = "The notebook has add: pass it in with %%pctx -i add."
    for message in ("Cannot find name 'add'.", "Cannot find name 'add'. Did you mean 'Sales.add'?"):
        hinted = with_hint(lacks(message), {"add": 1})
        assert isinstance(hinted, errors.ExecutionFailed)
        assert hinted.failure.message == f"{message} {hint}"


def test_a_function_that_is_a_tool_already_is_not_to_be_registered() -> None:
    error = lacks("Cannot find name 'add'. Did you mean 'Notebook.add'?")
    assert with_hint(error, {"add": add}, [add]) is error
    assert "%pctx register add" in str(with_hint(error, {"add": add}))
