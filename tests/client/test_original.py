"""The original's clients, as programs written for it use them: a real server, its endpoint and its WebSocket."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.client import ExecutionError, McpClient, PctxClient, PctxUnifiedClient, ToolError
from pctx_jupyter.errors import ConnectionLost
from pctx_jupyter.rpc.environment import TOKEN, TOKEN_HEADER

Urls = tuple[str, str, str]


@pytest.fixture
def urls(server: tuple[str, dict[str, str]]) -> Urls:
    """The MCP endpoint, the WebSocket, and the token of a server."""
    socket, headers = server
    token = headers["Authorization"].removeprefix("token ")
    return socket.replace("ws", "http", 1).replace("local-tools", "mcp"), socket, token


@pytest.fixture
def mcp(urls: Urls) -> McpClient:
    return McpClient(urls[0], token=urls[2])


@pytest.fixture
def unified(urls: Urls) -> Callable[..., PctxUnifiedClient]:
    mcp_url, ws_url, token = urls
    return lambda ws_url=ws_url, **options: PctxUnifiedClient(mcp_url, ws_url, token=token, **options)


async def test_a_client_is_connected_in_its_block_and_not_after(mcp: McpClient) -> None:
    async with mcp:
        assert mcp.client is not None
    assert mcp.client is None
    with pytest.raises(ConnectionLost, match="not connected"):
        await mcp.list_functions()


async def test_the_three_functions_list_and_describe_themselves(mcp: McpClient) -> None:
    own = ["list_functions", "get_function_details", "execute"]
    async with mcp:
        functions = await mcp.list_functions()
        assert set(own) <= {function["name"] for function in functions}
        assert all({"description", "input_schema", "output_schema"} <= function.keys() for function in functions)
        details = await mcp.get_function_details(own)
        assert list(details) == own and details["execute"]["name"] == "execute"
        assert details["execute"]["input_schema"]["required"] == ["code"]
        with pytest.raises(ToolError, match=r"Sales\.load"):
            await mcp.get_function_details(["Sales.load"])


async def test_a_program_gives_output_and_what_it_printed(mcp: McpClient) -> None:
    code = """
    async function run(): Promise<{ n: number }> {
        const delay = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));
        await delay(1);
        console.log("out"); console.error("err");
        return { n: 42 };
    }
    """
    async with mcp:
        result = await mcp.execute(code)
    assert (result["success"], result["output"]) == (True, {"n": 42})
    assert (result["stdout"].strip(), result["stderr"].strip()) == ("out", "err")


@pytest.mark.parametrize("typecheck", [True])
@pytest.mark.usefixtures("typecheck")
async def test_a_program_that_fails_raises(mcp: McpClient) -> None:
    async with mcp:
        with pytest.raises(ExecutionError, match="Intentional"):
            await mcp.execute('async function run() { throw new Error("Intentional"); }')
        with pytest.raises(ExecutionError, match="number"):
            await mcp.execute('const n: number = "text"; n')


async def test_programs_run_side_by_side(mcp: McpClient) -> None:
    async with mcp:
        results = await asyncio.gather(*(mcp.execute(f"({{ id: {n} }})") for n in range(3)))
    assert [result["output"]["id"] for result in results] == [0, 1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is that of Unix")
async def test_a_client_that_can_open_no_socket_says_what_is_short() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with McpClient("http://127.0.0.1:9/mcp") as client:
        for work in client.list_functions, PctxClient("ws://127.0.0.1:9/local-tools").connect:
            with pytest.raises(errors.CannotConnect, match="is the server running there"):
                await work()  # and have its modules loaded
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
            try:
                with pytest.raises(errors.CannotConnect, match="as many as it may \\(ulimit -n\\)"):
                    await work()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_who_cannot_be_reached_or_refuses_is_a_connection_error(urls: Urls) -> None:
    async with McpClient("http://127.0.0.1:9/mcp") as nobody:
        with pytest.raises(errors.CannotConnect, match="is the server running there"):
            await nobody.list_functions()
    async with McpClient(f"{urls[0]}?secret=1", token="wrong") as stranger:
        with pytest.raises(errors.CannotConnect, match="jupyter server list") as refused:
            await stranger.list_functions()
    assert refused.value.http_status == 403 and "secret" not in str(refused.value)
    async with McpClient(urls[0].replace("/mcp", "/api"), token=urls[2]) as lost:
        with pytest.raises(ConnectionLost):
            await lost.list_functions()
    async with McpClient(urls[0], timeout=0.2, token=urls[2]) as hasty:
        with pytest.raises(ConnectionLost, match=r"no answer within 0\.2 s"):
            await hasty.execute("await new Promise(() => setTimeout(() => {}, 60_000)); 1")


async def test_tools_are_called_like_methods(
    unified: Callable[..., PctxUnifiedClient], caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[dict[str, Any]] = []

    def multiply(arguments: dict[str, Any]) -> Any:
        calls.append(arguments)
        return {"result": arguments["value"] * 10}

    async def triple(arguments: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return arguments["value"] * 3

    async with unified() as client:
        await client.register_local_tool("TestTools", "multiply", multiply, description="Multiplies by 10.")
        await client.register_local_tool("Math", "add", lambda args: args["a"] + args["b"])
        await client.register_local_tool("String", "upper_case", lambda args: args["text"].upper())
        await client.register_local_tool("async", "triple", triple)
        await client.register_local_tool("Echo", "back", lambda args: args)
        assert await client.TestTools.multiply(5) == {"result": 50} and calls == [{"value": 5}]
        assert await client.Math.add(a=5, b=3) == 8
        assert await client.Math.add({"a": 1, "b": 2}) == 3
        assert await client.String.upper_case(text="hello") == await client.String.upperCase(text="hello") == "HELLO"
        assert await getattr(client, "async").triple(7) == await client.Async.triple(7) == 21
        awkward = {"__proto__": {"a": 1}, "quote": "'\"\\ \u2028", "nested": [[1], {"k": None}]}
        assert await client.Echo.back(awkward) == awkward
        await client.register_local_tool("Echo", "text", repr)
        exact = {"id": 2**53 + 1, "other": [-(2**63)], "nan": float("nan"), "text": "9" * 20}
        assert await client.Echo.text(exact) == repr(exact)
        assert await client.Echo.back(id=2**53 + 1) == {"id": 2**53}
        assert "Echo.back: The result of Echo.back: value.id is 9007199254740993, beyond 2**53" in caplog.text
        assert await asyncio.gather(*(client.Math.add(a=n, b=n) for n in range(5))) == [0, 2, 4, 6, 8]
        assert "Math" in dir(client) and "add" in dir(client.Math)
        with pytest.raises(TypeError, match="one positional argument"):
            await client.Math.add(1, 2)
        with pytest.raises(AttributeError, match="Namespace 'Nothing' not found"):
            client.Nothing  # noqa: B018


async def test_what_a_tool_raises_is_a_tool_error(unified: Callable[..., PctxUnifiedClient]) -> None:
    def fail(_: dict[str, Any]) -> Any:
        raise ValueError("failed on purpose")

    async with unified() as client:
        await client.register_local_tool("ErrorTools", "fail", fail)
        with pytest.raises(ToolError, match="failed on purpose"):
            await client.ErrorTools.fail()
        with pytest.raises(ToolError, match="other"):
            await client.ErrorTools.other()


async def test_programs_run_both_ways(unified: Callable[..., PctxUnifiedClient]) -> None:
    async with unified() as client:
        await client.register_local_tool("LocalTools", "test", lambda _: {"ok": True})
        by_mcp = await client.execute('async function run() { return { source: "mcp" }; }')
        assert by_mcp["success"] is True and by_mcp["output"] == {"source": "mcp"}
        code = "async function run() { return await LocalTools.test({}); }"
        for result in (await client.execute(code, use_ws=True), await client.execute_with_local_tools(code)):
            assert result["value"] == {"ok": True}
        with pytest.raises(ExecutionError, match="LocalTools"):
            await client.execute(code)
        assert client.list_local_tools() == ["LocalTools.test"]
        every = await client.list_all_tools()
        assert every["local"] == [{"name": "LocalTools.test"}] and len(every["mcp"]) >= 3
        assert "execute" in await client.get_function_details(["execute"])


async def test_without_a_websocket_there_are_no_local_tools(unified: Callable[..., PctxUnifiedClient]) -> None:
    async with unified(None) as client:
        assert (await client.execute("async function run() { return 42; }"))["output"] == 42
        for refused in (client.execute("1", use_ws=True), client.register_local_tool("A", "b", lambda _: 1)):
            with pytest.raises(ConnectionLost, match="ws_url"):
                await refused
        with pytest.raises(ConnectionLost):
            client.list_local_tools()
        assert (await client.list_all_tools())["local"] == []


async def test_who_reaches_only_one_of_both_is_not_connected(
    unified: Callable[..., PctxUnifiedClient],
) -> None:
    client = unified("ws://127.0.0.1:9/local-tools")
    with pytest.raises(ConnectionLost):
        await client.connect()
    assert client.ws_client is None and client.mcp_client.client is None


async def test_the_tools_of_a_notebook_are_methods_too(
    http_server: Any, jp_serverapp: Any, jp_http_port: int, jp_base_url: str
) -> None:
    base = f"http://localhost:{jp_http_port}{jp_base_url}"
    manager = jp_serverapp.kernel_manager
    kernel_id = await manager.start_kernel()
    headers = {TOKEN_HEADER: psutil.Process(manager.get_kernel(kernel_id).provisioner.pid).environ()[TOKEN]}
    token = jp_serverapp.identity_provider.token
    socket = f"{base.replace('http', 'ws', 1)}local-tools"
    async with PctxClient(socket, headers=headers) as kernel, PctxUnifiedClient(f"{base}mcp", token=token) as client:
        await kernel.register_tool("Notebook", "double_it", lambda args: 2 * args["n"])  # as that kernel would
        with pytest.raises(AttributeError, match="Namespace 'Kernel' not found"):
            client.Kernel  # noqa: B018
        await client.list_functions()
        assert await client.Kernel.doubleIt(n=21) == 42
        with pytest.raises(ToolError, match="KeyError"):
            await client.Kernel.doubleIt(m=21)
    await manager.shutdown_kernel(kernel_id, now=True)
