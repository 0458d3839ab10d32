"""An MCP server with all that the conformance suite asks for, and the extension that puts it behind our own handler.

A Jupyter server loads it beside ours: ``--ServerApp.jpserver_extensions=tests.upstream.everything=True``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import mcp.types as t
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from pctx_jupyter.agents.endpoint import AsgiEndpoint
from pctx_jupyter.server.mcp import DOOR

warnings.simplefilter("ignore", MCPDeprecationWarning)  # what the older era has, it shall have

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
SECRET = secrets.token_bytes(32)
PAUSE_S = 0.05

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
DIALECT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

Result = t.CallToolResult | t.InputRequiredResult
Handler = Callable[[Any, t.CallToolRequestParams], Awaitable[Result]]
TOOLS: dict[str, tuple[dict[str, Any], Handler]] = {}
bus = InMemorySubscriptionBus()


def tool(schema: dict[str, Any] = NOTHING) -> Callable[[Handler], Handler]:
    """Offer a function under its own name."""

    def offer(handler: Handler) -> Handler:
        TOOLS[handler.__name__] = (schema, handler)
        return handler

    return offer


def text(*lines: str, is_error: bool = False) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=line) for line in lines], is_error=is_error)


def resource(uri: str, mime_type: str, content: str) -> t.EmbeddedResource:
    return t.EmbeddedResource(resource=t.TextResourceContents(uri=uri, mime_type=mime_type, text=content))


@tool()
async def test_simple_text(context: Any, params: t.CallToolRequestParams) -> Result:
    return text("This is a simple text response for testing.")


@tool()
async def test_image_content(context: Any, params: t.CallToolRequestParams) -> Result:
    return t.CallToolResult(content=[t.ImageContent(data=PNG, mime_type="image/png")])


@tool()
async def test_audio_content(context: Any, params: t.CallToolRequestParams) -> Result:
    return t.CallToolResult(content=[t.AudioContent(data=WAV, mime_type="audio/wav")])


@tool()
async def test_embedded_resource(context: Any, params: t.CallToolRequestParams) -> Result:
    embedded = resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return t.CallToolResult(content=[embedded])


@tool()
async def test_multiple_content_types(context: Any, params: t.CallToolRequestParams) -> Result:
    mixed = resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    image = t.ImageContent(data=PNG, mime_type="image/png")
    return t.CallToolResult(content=[t.TextContent(text="Multiple content types test:"), image, mixed])


@tool()
async def test_tool_with_logging(context: Any, params: t.CallToolRequestParams) -> Result:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", said, related_request_id=context.request_id)
        await asyncio.sleep(PAUSE_S)
    return text("logged")


@tool()
async def test_logging_tool(context: Any, params: t.CallToolRequestParams) -> Result:
    await context.session.send_log_message("info", "logged", related_request_id=context.request_id)
    return text("logged")


@tool()
async def test_tool_with_progress(context: Any, params: t.CallToolRequestParams) -> Result:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await asyncio.sleep(PAUSE_S)
    return text("done")


@tool()
async def test_error_handling(context: Any, params: t.CallToolRequestParams) -> Result:
    return text("This tool intentionally returns an error for testing", is_error=True)


@tool({"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]})
async def test_sampling(context: Any, params: t.CallToolRequestParams) -> Result:
    asked = str((params.arguments or {}).get("prompt"))
    message = t.SamplingMessage(role="user", content=t.TextContent(text=asked))
    answer = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
    return text(f"LLM response: {getattr(answer.content, 'text', '')}")


async def elicited(context: Any, message: str, schema: dict[str, Any], prefix: str) -> Result:
    answer = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return text(f"{prefix}action={answer.action}, content={json.dumps(answer.content)}")


@tool({"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]})
async def test_elicitation(context: Any, params: t.CallToolRequestParams) -> Result:
    known = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    schema = {"type": "object", "properties": known, "required": ["username", "email"]}
    return await elicited(context, str((params.arguments or {}).get("message")), schema, "User response: ")


@tool()
async def test_elicitation_sep1034_defaults(context: Any, params: t.CallToolRequestParams) -> Result:
    known = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await elicited(context, "Defaults", {"type": "object", "properties": known}, "Elicitation completed: ")


@tool()
async def test_elicitation_sep1330_enums(context: Any, params: t.CallToolRequestParams) -> Result:
    options = ["option1", "option2", "option3"]
    titled = [
        {"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)
    ]
    choices = [
        {"const": f"value{n}", "title": f"{word} Choice"} for n, word in enumerate(("First", "Second", "Third"), 1)
    ]
    known = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": choices}},
    }
    return await elicited(context, "Enums", {"type": "object", "properties": known}, "Elicitation completed: ")


@tool()
async def test_reconnection(context: Any, params: t.CallToolRequestParams) -> Result:
    if context.close_sse_stream is not None:
        await context.close_sse_stream()
    await asyncio.sleep(2 * PAUSE_S)
    return text("reconnected")


@tool({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}})
async def test_x_mcp_header(context: Any, params: t.CallToolRequestParams) -> Result:
    return text(f"region={(params.arguments or {}).get('region')}")


@tool()
async def test_missing_capability(context: Any, params: t.CallToolRequestParams) -> Result:
    if context.session.client_capabilities is None or context.session.client_capabilities.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling", needed)
    return text("sampling is there")


@tool()
async def test_trigger_tool_change(context: Any, params: t.CallToolRequestParams) -> Result:
    await bus.publish(ToolsListChanged())
    return text("told")


@tool()
async def test_trigger_prompt_change(context: Any, params: t.CallToolRequestParams) -> Result:
    await bus.publish(PromptsListChanged())
    return text("told")


@tool(DIALECT)
async def json_schema_2020_12_tool(context: Any, params: t.CallToolRequestParams) -> Result:
    return text("ok")


# what the newer era asks of its client


def form(message: str, name: str, kind: str = "string") -> t.ElicitRequest:
    schema: Any = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(message: str, most: int) -> t.CreateMessageRequest:
    asked = t.SamplingMessage(role="user", content=t.TextContent(text=message))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[asked], max_tokens=most))


def signed(state: str) -> str:
    return f"{state}.{hmac.new(SECRET, state.encode(), hashlib.sha256).hexdigest()}"


def checked(given: str | None, *states: str) -> str:
    """Which of the states it is that a client has brought back."""
    for state in states:
        if given is not None and hmac.compare_digest(given, signed(state)):
            return state
    raise MCPError(t.INVALID_PARAMS, "requestState is not what was sent")


def given(params: Any, key: str) -> dict[str, Any] | None:
    """A client's answer to one of our requests, if it has the shape of one."""
    answer = (params.input_responses or {}).get(key)
    if answer is None:
        return None
    found: dict[str, Any] = answer if isinstance(answer, dict) else answer.model_dump(by_alias=True, exclude_none=True)
    return found


def field(params: Any, key: str, name: str) -> Any:
    """One field of a form that a client has accepted."""
    answer = given(params, key)
    content = answer.get("content") if answer and answer.get("action") == "accept" else None
    return content.get(name) if isinstance(content, dict) else None


def wanted(state: str | None = None, **requests: Any) -> t.InputRequiredResult:
    return t.InputRequiredResult(input_requests=requests or None, request_state=state and signed(state))


@tool()
async def test_input_required_result_elicitation(context: Any, params: t.CallToolRequestParams) -> Result:
    name = field(params, "user_name", "name")
    if not isinstance(name, str):
        return wanted(user_name=form("What is your name?", "name"))
    return text(f"Hello, {name}!")


@tool()
async def test_input_required_result_sampling(context: Any, params: t.CallToolRequestParams) -> Result:
    answer = given(params, "capital_question")
    if answer is None:
        return wanted(capital_question=sample("What is the capital of France?", 100))
    return text(json.dumps(answer))


@tool()
async def test_input_required_result_list_roots(context: Any, params: t.CallToolRequestParams) -> Result:
    answer = given(params, "client_roots")
    if answer is None:
        return wanted(client_roots=t.ListRootsRequest())
    return text(json.dumps(answer, default=str))


@tool()
async def test_input_required_result_request_state(context: Any, params: t.CallToolRequestParams) -> Result:
    if given(params, "confirm") is None:
        return wanted("confirming", confirm=form("Please confirm", "ok", "boolean"))
    checked(params.request_state, "confirming")
    return text("state-ok")


@tool()
async def test_input_required_result_tampered_state(context: Any, params: t.CallToolRequestParams) -> Result:
    if given(params, "confirm") is None and params.request_state is None:
        return wanted("guarded", confirm=form("Please confirm", "ok", "boolean"))
    checked(params.request_state, "guarded")
    return text("state-ok")


@tool()
async def test_input_required_result_multiple_inputs(context: Any, params: t.CallToolRequestParams) -> Result:
    asked = {
        "user_name": form("What is your name?", "name"),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": t.ListRootsRequest(),
    }
    if any(given(params, key) is None for key in asked):
        return wanted("several", **asked)
    checked(params.request_state, "several")
    return text("all there")


@tool()
async def test_input_required_result_multi_round(context: Any, params: t.CallToolRequestParams) -> Result:
    if params.request_state is None:
        return wanted("first", step1=form("Step 1: What is your name?", "name"))
    if checked(params.request_state, "first", "second") == "first":
        return wanted("second", step2=form("Step 2: What is your favorite color?", "color"))
    return text(f"Both are known, {field(params, 'step2', 'color')}")


@tool()
async def test_input_required_result_capabilities(context: Any, params: t.CallToolRequestParams) -> Result:
    if params.input_responses:
        return text("thanks")
    known = context.session.client_capabilities
    requests: dict[str, Any] = {}
    if known is not None and known.sampling is not None:
        requests["sampled"] = sample("Say something", 10)
    if known is not None and known.elicitation is not None:
        requests["asked"] = form("Say something", "word")
    return wanted(**requests) if requests else text("nothing can be asked of this client")


@tool()
async def test_streaming_elicitation(context: Any, params: t.CallToolRequestParams) -> Result:
    await context.session.report_progress(1)
    if field(params, "asked", "word") is None:
        return wanted(asked=form("Say something", "word"))
    return text("thanks")


# the rest of the protocol

RESOURCES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://watched-resource": ("text/plain", "Watched."),
}
PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


async def list_tools(context: Any, params: Any) -> t.ListToolsResult:
    return t.ListToolsResult(
        tools=[
            t.Tool(name=name, description=f"Does {name}.", input_schema=schema) for name, (schema, _) in TOOLS.items()
        ]
    )


async def call_tool(context: Any, params: t.CallToolRequestParams) -> Result:
    if params.name not in TOOLS:
        raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {params.name}")
    try:
        return await TOOLS[params.name][1](context, params)
    except MCPError as error:
        if context.protocol_version < "2026" and params.name in ("test_sampling", "test_elicitation"):
            return text(f"The client cannot: {error}", is_error=True)
        raise


async def list_resources(context: Any, params: Any) -> t.ListResourcesResult:
    known = [
        t.Resource(uri=uri, name=uri.split("//")[1], description=f"Is {uri}.", mime_type=mime_type)
        for uri, (mime_type, _) in RESOURCES.items()
    ]
    known.append(
        t.Resource(uri="test://static-binary", name="static-binary", description="A pixel.", mime_type="image/png")
    )
    return t.ListResourcesResult(resources=known)


async def list_templates(context: Any, params: Any) -> t.ListResourceTemplatesResult:
    template = t.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="Data of an id.",
        mime_type="application/json",
    )
    return t.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(context: Any, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
    uri = str(params.uri)
    content: t.TextResourceContents | t.BlobResourceContents
    if uri == "test://static-binary":
        content = t.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri in RESOURCES:
        content = t.TextResourceContents(uri=uri, mime_type=RESOURCES[uri][0], text=RESOURCES[uri][1])
    elif uri.startswith("test://template/") and uri.endswith("/data"):
        id = uri.split("/")[3]
        body = json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
        content = t.TextResourceContents(uri=uri, mime_type="application/json", text=body)
    else:
        raise MCPError(t.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return t.ReadResourceResult(contents=[content])


async def list_prompts(context: Any, params: Any) -> t.ListPromptsResult:
    return t.ListPromptsResult(
        prompts=[
            t.Prompt(
                name=name,
                description=f"Says {name}.",
                arguments=[t.PromptArgument(name=one, description=one, required=True) for one in arguments] or None,
            )
            for name, arguments in PROMPTS.items()
        ]
    )


async def get_prompt(context: Any, params: t.GetPromptRequestParams) -> t.GetPromptResult | t.InputRequiredResult:
    arguments = params.arguments or {}
    said: list[Any]
    match params.name:
        case "test_simple_prompt":
            said = [t.TextContent(text="This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            words = f"arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'"
            said = [t.TextContent(text=f"Prompt with arguments: {words}")]
        case "test_prompt_with_embedded_resource":
            uri = arguments.get("resourceUri", "test://example-resource")
            embedded = resource(uri, "text/plain", "Embedded resource content for testing.")
            said = [embedded, t.TextContent(text="Please process the embedded resource above.")]
        case "test_prompt_with_image":
            image = t.ImageContent(data=PNG, mime_type="image/png")
            said = [image, t.TextContent(text="Please analyze the image above.")]
        case "test_input_required_result_prompt":
            if field(params, "user_context", "context") is None:
                return wanted(user_context=form("What context should the prompt use?", "context"))
            said = [t.TextContent(text=str(field(params, "user_context", "context")))]
        case _:
            raise MCPError(t.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return t.GetPromptResult(messages=[t.PromptMessage(role="user", content=one) for one in said])


async def complete(context: Any, params: t.CompleteRequestParams) -> t.CompleteResult:
    return t.CompleteResult(completion=t.Completion(values=["paris", "park"], total=2, has_more=False))


async def nothing(context: Any, params: Any) -> t.EmptyResult:
    return t.EmptyResult()


class Everything(Server[Any]):
    """All of the protocol."""

    def __init__(self) -> None:
        super().__init__(
            "everything",
            version="1",
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_resources=list_resources,
            on_list_resource_templates=list_templates,
            on_read_resource=read_resource,
            on_subscribe_resource=nothing,
            on_unsubscribe_resource=nothing,
            on_list_prompts=list_prompts,
            on_get_prompt=get_prompt,
            on_completion=complete,
            on_set_logging_level=nothing,
            on_subscriptions_listen=ListenHandler(bus),
        )

    def create_initialization_options(self, notification_options: Any = None, *args: Any, **kwargs: Any) -> Any:
        told = notification_options or NotificationOptions(tools_changed=True, prompts_changed=True)
        return super().create_initialization_options(told, *args, **kwargs)


class Events(EventStore):
    """Keeps what was sent, for clients that come back."""

    def __init__(self) -> None:
        self._events: list[tuple[str, t.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: t.JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        from mcp.server.streamable_http import EventMessage

        last = int(last_event_id)
        stream = self._events[last][0]
        for at in range(last + 1, len(self._events)):
            if self._events[at][0] == stream and self._events[at][1] is not None:
                await send_callback(EventMessage(self._events[at][1], str(at)))
        return stream


class NoPlainClients:
    """Takes nothing for a plain client's request."""

    def accepts(self, message: Any) -> None:
        return None


class EverythingDoor:
    """Stands where the engine's door stands."""

    plain = NoPlainClients()
    most_bytes = 1 << 20

    def __init__(self) -> None:
        self._endpoint: AsgiEndpoint | None = None

    async def endpoint(self) -> AsgiEndpoint:
        if self._endpoint is None:
            manager = StreamableHTTPSessionManager(Everything(), event_store=Events(), retry_interval=500)
            self._endpoint = AsgiEndpoint(manager, lambda session_id: None)
        return self._endpoint


def _load_jupyter_server_extension(app: Any) -> None:
    door = EverythingDoor()

    async def find() -> EverythingDoor:
        return door

    app.web_app.settings[DOOR] = find


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "tests.upstream.everything"}]
