"""Names that strangers give to tools: each is refused with a reason or stays a name. Engine, checker, sandbox: real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import PctxClient
from pctx_jupyter.client.client import Callback
from pctx_jupyter.engine import open_engine
from pctx_jupyter.rpc.channel import Channel, OnNotification, Serve
from pctx_jupyter.rpc.jsonrpc import Json
from pctx_jupyter.settings import Settings

RESERVED = """
arguments as async await break case catch class const constructor continue debugger default delete do else enum eval
export extends false finally for function if implements import in instanceof interface let namespace new null of
package private protected public return static super switch this throw true try type typeof undefined var void while
with yield
"""
INHERITED = """
__proto__ __defineGetter__ apply bind call caller hasOwnProperty length name prototype then toJSON toString valueOf
"""
HOSTILE = [
    *("a'b", 'c"d', "e\nf", "g\r\nh", "*/i", "//j", "${k}", "`l`", "</script>", "\u2028m", "\\u002a/n", "o\x00p"),
    *("Symbol.iterator", "\U0001f40d", "x\U0001f40dy", "é", "日本語", "\u202eq", "1r", "-s", "t:u", "v/w", "", " "),
    *("x" * 128, "y" * 129),
]
NAMES = [*(RESERVED + INHERITED).split(), *HOSTILE]


@asynccontextmanager
async def a_client() -> AsyncIterator[PctxClient]:
    async with open_engine(Settings(warm_sandboxes=1)) as engine:

        async def connect(serve: Serve, on_notification: OnNotification) -> Channel:
            return engine.connect(serve=serve, on_notification=on_notification)

        async with PctxClient(connect=connect, reconnect=False) as client:
            yield client


def _naming(name: str) -> Callback:
    return lambda arguments: name


@pytest.mark.parametrize("place", ["tool", "namespace"])
async def test_a_strangers_name_is_refused_with_a_reason_or_calls_its_own_tool(place: str) -> None:
    async with a_client() as client:
        taken: list[str] = []
        for name in NAMES:
            path = ("Strange", name) if place == "tool" else (name, "tool")
            schema: Json = {
                "type": "object",
                "title": name,
                "properties": {name: {"enum": [name], "description": name}},
            }
            try:
                await client.register_tool(*path, _naming(name), f"{name} */ ${{1}}", schema)
                taken.append(name)
            except (errors.InvalidParams, errors.ToolExists) as error:
                assert str(error).startswith(("Cannot name a ", "Cannot register tool ")), error
        assert len(taken) > len(NAMES) // 2
        paths = [function["name"] for function in await client.list_functions()]
        assert len(paths) == len(taken)
        # Under the type check as well: the declarations hold those names, descriptions and schemas.
        calls = "".join(f"said.push([{json.dumps(path)}, await ({path} as any)()]);\n" for path in paths)
        ran = await client.execute_code(f"const said: [string, string][] = [];\n{calls}said")
        assert {path for path, _ in ran["value"]} == set(paths)
        assert {name for _, name in ran["value"]} == set(taken)
        clean = "[Object.keys(Object.prototype), Object.keys(Function.prototype), ({} as any).tool]"
        assert (await client.execute_code(clean))["value"] == [[], [], None]
