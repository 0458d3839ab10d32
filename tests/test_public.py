"""The names that programs import: where they are, what they bring, what their signatures name."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import pctx_jupyter
from pctx_jupyter import agents, client, embedded, settings
from pctx_jupyter.client import types
from pctx_jupyter.rpc.channel import Channel


@pytest.mark.parametrize("name", pctx_jupyter.__all__)
def test_public_names_are_imported_from_the_root_and_listed(name: str) -> None:
    assert getattr(pctx_jupyter, name) is not None and name in dir(pctx_jupyter)


def test_the_root_has_no_other_names_to_give() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        pctx_jupyter.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("name", agents.__all__)
def test_the_functions_for_agents_are_imported_when_they_are_first_used(name: str) -> None:
    assert getattr(agents, name).__doc__ and name in dir(agents)
    loaded = (
        "import sys, pctx_jupyter.agents; print([one for one in sys.modules if 'frameworks' in one or 'mcp' in one])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_functions_for_agents_need_no_framework_before_one_is_asked_for() -> None:
    script = (
        "import sys, pctx_jupyter.agents as agents; agents.agent_tools; "
        "print({'agents', 'pydantic_ai', 'langchain_core', 'smolagents', 'claude_agent_sdk', 'mcp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("module", ["pctx_jupyter", "pctx_jupyter.client", "pctx_jupyter.errors"])
def test_a_star_import_replaces_nothing_of_pythons(module: str) -> None:
    script = (
        f"from {module} import *\nimport builtins\nprint([n for n in dir(builtins) if n in globals() and n[0] != '_'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_name_of_the_original_client_is_still_importable() -> None:
    from pctx_jupyter.client import ConnectionError as Lost

    assert Lost is pctx_jupyter.errors.ConnectionLost


PUBLIC: set[Any] = {
    *(getattr(types, name) for name in types.__all__),
    *(value for value in vars(pctx_jupyter.errors).values() if inspect.isclass(value)),
    client.PctxClient,
    settings.Settings,
    settings.Limits,
    settings.Places,
    Channel,  # of `ws`, which the original has, too; and of the function that opens one
}


def named(hint: Any) -> Iterator[type]:
    """The classes in an annotation."""
    for part in typing.get_args(hint):
        for one in part if isinstance(part, list) else [part]:
            yield from named(one)
    found = typing.get_origin(hint) or hint
    if inspect.isclass(found):
        yield found


def public_functions() -> list[Any]:
    methods = inspect.getmembers(client.PctxClient, inspect.isfunction)
    return [embedded.open_client, *(method for name, method in methods if name[0] != "_")]


@pytest.mark.parametrize("function", public_functions(), ids=lambda function: function.__name__)
def test_public_signatures_name_public_types_only(function: Any) -> None:
    from pctx_jupyter.session.session import Sharing

    hints = typing.get_type_hints(inspect.unwrap(function), localns={"Sharing": Sharing, "Json": object})
    ours = {kind for hint in hints.values() for kind in named(hint) if kind.__module__.startswith("pctx_jupyter")}
    assert ours <= PUBLIC


def test_a_type_checker_and_an_editor_know_the_traits_and_the_results() -> None:
    from mypy import api

    script = """
from typing import assert_type
from pctx_jupyter import PctxClient, open_client, tool
from pctx_jupyter.client import Result
from pctx_jupyter.settings import Settings
from pctx_jupyter.traits import Pctx

async def use(client: PctxClient) -> None:
    assert_type(await client.run("1"), Result)

@tool
def double(n: int) -> int:
    return 2 * n

assert_type(Pctx().timeout_s, float)
assert_type(Pctx().typecheck, bool)
assert_type(Pctx().settings(), Settings)
"""
    said, failed, status = api.run(["--strict", "--config-file=", "-c", script])
    assert status == 0, said + failed
