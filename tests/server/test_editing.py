"""What editors ask over HTTP. A real server in this process, with the real type checker; kernels are their tokens."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketHandler

import pctx_jupyter
from pctx_jupyter import errors
from pctx_jupyter.program.check import CheckJob
from pctx_jupyter.rpc import wire
from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.server import editing, state
from pctx_jupyter.server.app import PctxApp
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.mcp import McpHandler
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.session import trace

from .authorizer import Whim
from .conftest import Headers
from .wires import Wire, open_wire

ORDERS = {
    "description": "Loads orders.",
    "input_schema": {"type": "object", "properties": {"status": {"enum": ["open", "paid"]}}},
    "output_schema": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
}
POSTS = ["complete", "hover", "signature", "diagnostics"]


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"warm_sandboxes": 0, "typecheck": True, "max_program_bytes": 20_000, "max_check_s": 20.0}


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    Whim.denied = set()
    jp_server_config["ServerApp"]["authorizer_class"] = Whim
    return jp_server_config


@pytest.fixture
def kernel_token(kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch) -> Headers:
    """The headers of a kernel ``k1`` that the server has, and ``k2`` beside it."""
    monkeypatch.setattr(kernels, "_tokens", {"k1": "secret 1", "k2": "secret 2"})
    monkeypatch.setattr(kernels, "_starting", {"k1", "k2"})
    return {TOKEN_HEADER: "secret 1"}


@pytest.fixture
def kernel(url: str, kernel_token: Headers, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Wire]:
    """The connection of kernel ``k1``, with one tool."""
    opened = open_wire(url + "pctx/local-tools", kernel_token)
    wire = jp_asyncio_loop.run_until_complete(opened.__aenter__())
    jp_asyncio_loop.run_until_complete(wire.offer("sales.load_orders", **ORDERS))
    yield wire
    jp_asyncio_loop.run_until_complete(opened.__aexit__(None, None, None))


class Api:
    """Asks over HTTP, as whoever the headers say."""

    def __init__(self, client: Any, base_url: str, headers: Headers) -> None:
        self._client, self._base, self._headers = client, base_url, headers

    async def post(self, name: str, headers: Headers | None = None, **body: Any) -> tuple[int, Any]:
        return await self.fetch(name, "POST", json.dumps(body), headers)

    async def fetch(
        self, path: str, method: str = "GET", body: str | bytes | None = None, headers: Headers | None = None
    ) -> tuple[int, Any]:
        try:
            answer = await self._client.fetch(
                f"{self._base}pctx/api/{path}",
                method=method,
                body=body,
                headers=self._headers if headers is None else headers,
                follow_redirects=False,
                request_timeout=60,
            )
        except HTTPClientError as error:
            assert error.response is not None
            answer = error.response
        assert answer.headers["Content-Type"].startswith("application/json")
        return answer.code, json.loads(answer.body)


@pytest.fixture
def api(http_server_client: Any, jp_base_url: str, jp_auth_header: Headers) -> Api:
    return Api(http_server_client, jp_base_url, jp_auth_header)


HEAD = "\n%%pctx -i orders --timeout 5\r\n"
BEFORE = "const 名 = '\U0001d54f \U0001f600 é'; // \U0001f9ea\r\n"


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


async def test_a_tool_is_completed_in_a_cell_with_any_characters_before_it(kernel: Wire, api: Api) -> None:
    source = HEAD + BEFORE + "await Sales.lo"
    status, found = await api.post("complete", source=source, offset=units(source), kernel_id="k1")
    assert status == 200
    assert (found["start"], found["end"]) == (units(source) - 2, units(source))
    first = found["items"][0]
    assert first["label"] == first["insertText"] == "loadOrders" and first["type"] == "function"
    assert first["documentation"].startswith("loadOrders(args?: {") and "Loads orders." in first["documentation"]


async def test_fields_and_inputs_are_completed(kernel: Wire, api: Api) -> None:
    source = HEAD + BEFORE + "(await Sales.loadOrders())[0]."
    found = (await api.post("complete", source=source, offset=units(source), kernel_id="k1"))[1]
    assert [item["label"] for item in found["items"]] == ["id"]
    for text, inputs in [("orders", []), ("mine", ["mine"])]:
        source = HEAD + text[:3]
        found = (await api.post("complete", source=source, offset=units(source), kernel_id="k1", inputs=inputs))[1]
        assert text in [item["label"] for item in found["items"]]


async def test_the_magic_line_is_completed(kernel: Wire, api: Api) -> None:
    for line, offset, label in [
        ("%%pctx --ti", 11, "--timeout"),
        ("%%pctx --tools Sa", 17, "Sales.*"),
        ("%%pctx -i a,or\n1", 14, "orders"),
    ]:
        found = (await api.post("complete", source=line, offset=offset, kernel_id="k1", inputs=["orders"]))[1]
        assert label in [item["label"] for item in found["items"]]
        assert found["end"] == offset


async def test_a_tool_is_explained(kernel: Wire, api: Api) -> None:
    source = HEAD + BEFORE + "await Sales.loadOrders({ status: "
    at = units(source[: source.index("loadOrders")])
    found = (await api.post("hover", source=source, offset=at + 2, kernel_id="k1"))[1]
    assert found["text"].endswith("\n\nLoads orders.") and "loadOrders" in found["text"]
    assert (found["documentation"], found["start"], found["end"]) == ("Loads orders.", at, at + 10)
    found = (await api.post("signature", source=source, offset=units(source), kernel_id="k1"))[1]
    assert "loadOrders(args?:" in found["signatures"][0]["text"]
    assert found["signatures"][0]["documentation"] == "Loads orders."
    assert (await api.post("hover", source="  ", offset=1, kernel_id="k1"))[1]["text"] is None
    assert (await api.post("signature", source="  ", offset=1, kernel_id="k1"))[1]["signatures"] == []


async def test_what_is_wrong_is_found_where_it_is(kernel: Wire, api: Api) -> None:
    source = HEAD + BEFORE + "await Sales.loadOrder()"
    status, found = await api.post("diagnostics", source=source, kernel_id="k1")
    (wrong,) = found["diagnostics"]
    at = units(source[: source.index("loadOrder(")])
    assert (status, wrong["from"], wrong["to"]) == (200, at, at + len("loadOrder"))
    assert (wrong["severity"], wrong["source"]) == ("error", "pctx") and "loadOrders" in wrong["message"]
    assert wrong["instead"] == "loadOrders"
    unchecked = source.replace("--timeout 5", "--no-check")
    assert (await api.post("diagnostics", source=unchecked, kernel_id="k1"))[1] == {"diagnostics": []}


async def test_a_guess_may_be_put_in_place_of_what_is_underlined(kernel: Wire, api: Api) -> None:
    for wrong, right in [
        ("await loadOrder()", "await Sales.loadOrders()"),
        ("await Sales.loadOrders({ statsu: 'open' })", "await Sales.loadOrders({ status: 'open' })"),
        ("const first = 1; furst", "const first = 1; first"),
        ("const n: number = ''", None),
    ]:
        source = HEAD + wrong
        found = (await api.post("diagnostics", source=source, kernel_id="k1"))[1]["diagnostics"][0]
        fixed = found["instead"] and source[: found["from"]] + found["instead"] + source[found["to"] :]
        assert fixed == (right and HEAD + right), found


async def test_a_program_is_laid_out_below_its_magic_line(api: Api) -> None:
    status, found = await api.post("format", source="%%pctx  -q\n//é\nconst a=[1,2\n]\na.map( x=>x )")
    assert (status, found) == (200, {"source": "%%pctx  -q\n//é\nconst a = [1, 2];\na.map((x) => x);", "message": ""})
    assert (await api.post("format", source="let x=1"))[1]["source"] == "let x = 1;"
    for empty in ("", "%%pctx", "%%pctx \n\n"):
        assert (await api.post("format", source=empty))[1] == {"source": empty, "message": ""}


async def test_a_program_that_cannot_be_laid_out_has_a_reason(api: Api) -> None:
    status, found = await api.post("format", source="%%pctx\n1;\nconst a = ;")
    assert (status, found["source"]) == (200, None)
    assert found["message"] == "Cannot format: Expression expected (line 2, column 11)"
    found = (await api.post("format", source="(" * 9_000))[1]
    assert found["source"] is None and found["message"].startswith("Cannot format: ")
    status, found = await api.post("format", source="1" * 20_001)
    assert status == 400 and "max_program_bytes" in found["message"]
    assert (await api.post("format", source=1))[0] == 400


async def test_an_empty_cell_has_answers(kernel: Wire, api: Api) -> None:
    for source in ("", "%%pctx", "%%pctx\n", "%%pctx\r\n", "\n\n%%pctx -o x", "%%pctx\n\n"):
        for name in POSTS:
            status, _ = await api.post(name, source=source, offset=len(source), kernel_id="k1")
            assert status == 200, (name, source)


async def test_declarations_are_those_a_model_reads(kernel: Wire, api: Api) -> None:
    status, found = await api.fetch("declarations?kernel_id=k1")
    assert status == 200 and found["declarations"].startswith("declare namespace Sales {")
    assert (await api.fetch(f"declarations?session_id={kernel.session_id}"))[1] == found


async def test_hostile_names_are_text(kernel: Wire, api: Api) -> None:
    await kernel.offer("evil.run_it", description="*/ } declare const leaked: 1; /* <script>", input_schema={})
    for inputs in (["a; declare const leaked: 1"], ["class"], ["Sales"], ["\u202e"]):
        status, found = await api.post("complete", source="leak", offset=4, kernel_id="k1", inputs=inputs)
        assert status == 200 and found["items"] == []
    source = "%%pctx -i a;declare,Sales,class\nSales.load"
    found = (await api.post("complete", source=source, offset=len(source), kernel_id="k1"))[1]
    assert found["items"][0]["label"] == "loadOrders"


async def test_bad_input_gets_one_clear_error(kernel: Wire, api: Api) -> None:
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"kernel_id": "nobody"}, 404, "not connected"),
        ({"session_id": "nobody"}, 404, "session is over"),
        ({}, 400, "kernel_id, or session_id, is missing"),
        ({"kernel_id": "k1", "session_id": "x"}, 400, "not both"),
        ({"kernel_id": "k1", "offset": -1}, 400, "offset -1"),
        ({"kernel_id": "k1", "offset": 3}, 400, "ends at 2"),
        ({"kernel_id": "k1", "offset": "1"}, 400, "$.offset"),
        ({"kernel_id": "k1", "source": 1}, 400, "$.source"),
        ({"kernel_id": "k1", "source": "é" * 10_001}, 400, "20,000 bytes"),
        ({"kernel_id": "k1", "source": "x" * 200_000}, 400, "too many"),
    ]
    for body, status, said in cases:
        found = await api.post("complete", **{"source": "\U0001f600", "offset": 0, **body})
        assert found[0] == status and said in found[1]["message"], said


async def test_a_body_that_is_not_ours_is_refused(kernel: Wire, api: Api) -> None:
    for body in ("", "[]", "{", '{"source": "\\ud800", "offset": 0}', "\xff".encode("latin-1")):
        status, answer = await api.fetch("complete", "POST", body)
        assert status == 400 and "Cannot serve complete" in answer["message"], body


async def test_a_kernel_that_is_gone_is_not_found(kernel: Wire, api: Api) -> None:
    await kernel.connection.close()
    await kernel.gone()
    assert (await api.post("hover", source="1", offset=0, kernel_id="k1"))[0] == 404


class BusyEditor:
    """An `Editor` that has no time."""

    async def complete(self, job: CheckJob, offset: int) -> Any:
        raise errors.Busy("The type checker has other programs to check; try again")

    hover = signature = complete


async def test_a_busy_type_checker_is_a_503(kernel: Wire, api: Api, running: RunningEngine) -> None:
    session = (await running.get()).registry.of_kernel("k1")
    assert session is not None
    session.editor = BusyEditor()
    for name in ("complete", "hover", "signature"):
        status, answer = await api.post(name, source="x", offset=1, kernel_id="k1")
        assert status == 503 and "try again" in answer["message"]


async def test_what_an_editor_expects_is_an_answer_and_no_error_when_its_request_is_quiet(
    kernel: Wire, api: Api, running: RunningEngine
) -> None:
    for name in POSTS:
        status, answer = await api.post(f"{name}?quiet=1", source="x", offset=1, kernel_id="nobody")
        assert (status, answer["refused"]) == (200, 404) and "%load_ext" in answer["message"]
    session = (await running.get()).registry.of_kernel("k1")
    assert session is not None
    session.editor = BusyEditor()
    assert (await api.post("hover?quiet=1", source="x", offset=1, kernel_id="k1"))[1]["refused"] == 503
    assert (await api.post("hover?quiet=1", source="x", offset="1", kernel_id="k1"))[0] == 400


async def test_only_the_last_of_many_requests_has_to_be_answered(kernel: Wire, api: Api) -> None:
    source = "Sales.loadOrders"
    asked = [api.post("complete", source=source[:end], offset=end, kernel_id="k1") for end in range(7, 12)]
    answers = await asyncio.gather(*asked)
    assert all(status == 200 for status, _ in answers)
    assert any(found["items"] for _, found in answers)


# who may


async def test_strangers_are_refused(kernel: Wire, api: Api, jp_auth_header: Headers) -> None:
    async def ask(name: str, headers: Headers) -> int:
        if name == "declarations":
            return (await api.fetch("declarations?kernel_id=k1", headers=headers))[0]
        return (await api.post(name, headers, source="1", offset=0, kernel_id="k1"))[0]

    strangers: list[Headers] = [
        {},
        {"Authorization": "token wrong"},
        {TOKEN_HEADER: "wrong"},
        {**jp_auth_header, "Origin": "https://evil.example"},
    ]
    for name in (*POSTS, "format", "declarations"):
        Whim.denied = set()
        assert await ask(name, jp_auth_header) == 200, name
        for headers in strangers:
            assert await ask(name, headers) == 403, (name, headers)
        Whim.denied = {("read", "pctx")}
        assert await ask(name, jp_auth_header) == 403, name
        Whim.denied = {("execute", "pctx")}
        assert await ask(name, jp_auth_header) == 200, name


async def test_a_kernel_may_ask_about_its_own_session_only(
    kernel: Wire, api: Api, url: str, kernel_token: Headers
) -> None:
    async with open_wire(url + "local-tools", {TOKEN_HEADER: "secret 2"}) as other:
        assert (await api.post("hover", kernel_token, source="1", offset=0))[0] == 200
        assert (await api.post("hover", kernel_token, source="1", offset=0, session_id=kernel.session_id))[0] == 200
        assert (await api.post("hover", kernel_token, source="1", offset=0, kernel_id="k2"))[0] == 404
        assert (await api.post("hover", kernel_token, source="1", offset=0, session_id=other.session_id))[0] == 404


async def test_a_cookie_counts_with_our_own_page_only(kernel: Wire, api: Api, jp_fetch: Any, jp_http_port: int) -> None:
    own = f"localhost:{jp_http_port}"
    signed_in = await jp_fetch("pctx", "health", headers={"Host": own})
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].split(";")[0]}
    path = "declarations?kernel_id=k1"
    page = {**cookie, "Host": own, "Referer": f"http://{own}/lab"}
    assert (await api.fetch(path, headers={**page, "Sec-Fetch-Site": "same-origin"}))[0] == 200
    for site in ("cross-site", "same-site", "none"):
        assert (await api.fetch(path, headers={**page, "Sec-Fetch-Site": site}))[0] == 403
    assert (await api.fetch(path, headers=cookie))[0] == 403
    # Another page may have the browser post, but not read our cookie to repeat it.
    forged = {**cookie, "Origin": f"http://{own}"}
    assert (await api.post("hover", forged, source="1", offset=0, kernel_id="k1"))[0] == 403


# what is written down


SPECIFICATION = yaml.safe_load((Path(pctx_jupyter.__file__).parent / "server" / "openapi.yaml").read_text())


def plain(schema: Any) -> Any:
    """A schema without what is there for people."""
    if isinstance(schema, dict):
        for_people = ("description", "title", "default")
        return {
            key: {name: plain(one) for name, one in value.items()} if key == "properties" else plain(value)
            for key, value in schema.items()
            if key not in for_people
        }
    return [plain(one) for one in schema] if isinstance(schema, list) else schema


def as_written(route: str) -> str:
    """A route's pattern, as OpenAPI has it."""
    return re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", route)


def test_every_route_is_written_down_with_its_methods(jp_serverapp: Any) -> None:
    (app,) = jp_serverapp.extension_manager.extension_apps["pctx_jupyter"]
    assert isinstance(app, PctxApp)
    routes = {
        as_written(route[route.index("/pctx") :]): {
            method for method in ("get", "post", "put", "patch", "delete") if method in vars(handler)
        }
        for route, handler, *_ in app.handlers
        # MCP has a specification of its own.
        if "/pctx" in route and not issubclass(handler, WebSocketHandler | McpHandler) and "static" not in route
    }
    assert {path: set(found) - {"description"} for path, found in SPECIFICATION["paths"].items()} == routes


STATE = [state.Questions, state.Decided, state.Answered, state.ClientConfigs, state.Kernels, state.Executions]
STATE += [state.Stopped, wire.Share, trace.Trace]


def test_bodies_and_answers_are_written_down_as_they_are() -> None:
    asked = [editing.AskedOfCell, editing.AskedOfText, editing.AskedOfPlace]
    answers = [wire.Completed, wire.Explained, wire.ExplainedCall, wire.Diagnosed, wire.Formatted, wire.Declared]
    _, components = msgspec.json.schema_components(
        [*asked, *answers, *STATE], ref_template="#/components/schemas/{name}"
    )
    written = SPECIFICATION["components"]["schemas"]
    assert {name: plain(written[name]) for name in components} == plain(components)


def test_every_schema_named_is_there() -> None:
    named = re.findall(r"#/components/(\w+)/(\w+)", json.dumps(SPECIFICATION))
    assert named and all(name in SPECIFICATION["components"][kind] for kind, name in named)


async def test_health_and_status_are_as_written_down_and_say_all_that_the_engine_does(
    api: Api, jp_fetch: Any, running: RunningEngine
) -> None:
    for path in ("/pctx/health", "/pctx/api/status"):
        answer = json.loads((await jp_fetch(*path.strip("/").split("/"))).body)
        reply = SPECIFICATION["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = SPECIFICATION["components"]["schemas"][reply["$ref"].rpartition("/")[2]]
        assert set(schema["required"]) <= answer.keys() == schema["properties"].keys()
    engine = await running.get()
    assert answer.keys() == engine.status().keys() and answer["meter"] == {"runs": 0, "plain": 0, "here": 0}
