"""What ``pctx-client`` exports to agent frameworks, each used once and without a model: real server, real frameworks.

The client has an export for CrewAI, too: ``tests/frameworks/test_crewai.py``.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pctx_client import Pctx, tool

Make = Callable[..., Pctx]

CODE = "await Orders.total({ prices: [1.5, 2.5] })"


@tool(namespace="orders")
def total(prices: list[float]) -> float:
    """Adds up prices."""
    return sum(prices)


async def by_langchain(client: Pctx) -> dict[str, Any]:
    tools = {one.name: one for one in client.langchain_tools()}
    return {
        "list_functions": await tools["list_functions"].ainvoke({}),
        "get_function_details": await tools["get_function_details"].ainvoke({"functions": ["Orders.total"]}),
        "execute_typescript": await tools["execute_typescript"].ainvoke({"code": CODE}),
    }


async def by_openai_agents(client: Pctx) -> dict[str, Any]:
    from agents.tool_context import ToolContext

    tools = {one.name: one for one in client.openai_agents_tools()}

    async def call(name: str, **arguments: Any) -> Any:
        given = json.dumps(arguments)
        context = ToolContext(context=None, tool_name=name, tool_call_id="1", tool_arguments=given)
        return await tools[name].on_invoke_tool(context, given)

    return {
        "list_functions": await call("list_functions"),
        "get_function_details": await call("get_function_details", functions=["Orders.total"]),
        "execute_typescript": await call("execute_typescript", code=CODE),
    }


async def by_pydantic_ai(client: Pctx) -> dict[str, Any]:
    tools = {one.name: one for one in client.pydantic_ai_tools()}
    return {
        "list_functions": await tools["list_functions"].function(),
        "get_function_details": await tools["get_function_details"].function(["Orders.total"]),
        "execute_typescript": await tools["execute_typescript"].function(CODE),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the frameworks' own
@pytest.mark.parametrize("use", [by_langchain, by_openai_agents, by_pydantic_ai])
async def test_an_export_lists_describes_and_runs(pctx: Make, use: Callable[[Pctx], Any]) -> None:
    async with pctx(total) as client:
        said = await use(client)
    assert "namespace Orders" in said["list_functions"] and "Adds up prices" in said["get_function_details"]
    assert "Code Executed Successfully: True" in said["execute_typescript"] and "\n4\n" in said["execute_typescript"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the framework's own
async def test_an_export_for_agents_that_read_files_finds_and_runs(pctx: Make) -> None:
    async with pctx(total) as client:
        tools = {one.name: one for one in client.langchain_tools(disclosure="filesystem")}
        assert set(tools) == {"execute_bash", "execute_typescript"}
        said = await tools["execute_bash"].ainvoke({"command": "grep -l prices */*.d.ts"})
        assert "Exit Code: 0" in said and "Orders/total.d.ts" in said
        assert "\n4\n" in await tools["execute_typescript"].ainvoke({"code": CODE})


async def test_functions_listed_in_a_program_have_names_namespaces_and_descriptions(pctx: Make) -> None:
    async with pctx(total) as client:
        out = await client.execute_typescript(
            "list_functions().map((f) => [`${f}`, f.name, f.namespace, f.description])"
        )
    assert out.output[-1] == ["Orders.total", "total", "Orders", "Adds up prices."]
    assert [row[0] for row in out.output[:-1]] == ["list_functions", "get_function_details", "execute"]
