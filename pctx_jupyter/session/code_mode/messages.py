"""The messages of the session API, typed: bodies of requests, answers, and frames of its WebSocket.

Names and shapes are those of the original system, whose clients read them strictly: a frame that its client cannot
parse is dropped there, and the program that waits for it hangs. Unknown fields of requests are ignored.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from ...rpc.span_context import Meta

SESSION_HEADER = "x-code-mode-session"
"""The HTTP header with the id of the session."""

EXECUTE_TYPESCRIPT = "execute_typescript"
EXECUTE_CODE = "execute_code"
"""What older clients call ``execute_typescript``."""


class RegisteredTool(msgspec.Struct):
    """One tool of ``register/tools``. Without schemas, or with an empty one, its values are `any`."""

    name: str
    namespace: str | None = None
    description: str | None = None
    input_schema: Any = None
    output_schema: Any = None


class RegisterTools(msgspec.Struct):
    """Body of ``register/tools``: all of the tools are registered, or none."""

    tools: list[RegisteredTool]


class RegisterServers(msgspec.Struct):
    """Body of ``register/servers``: entries as in ``pctx.json``."""

    servers: list[Any]


class FunctionsWanted(msgspec.Struct):
    """Body of ``functions/details``: names such as ``Sales.loadOrders``."""

    functions: list[str]


class BashCommand(msgspec.Struct):
    """Body of ``execute-bash``."""

    command: str


class ApiError(msgspec.Struct):
    """Every error of the session API. The HTTP reason phrase has the message too, because clients show only that."""

    code: Literal["invalid_session", "internal", "execution"]
    message: str
    details: str | None


class SessionOpened(msgspec.Struct):
    """A new session."""

    session_id: str


class SessionClosed(msgspec.Struct):
    """A session that is closed, now or before."""

    success: bool = True


class ListedFunction(msgspec.Struct):
    """One function, under the names that programs call it by."""

    namespace: str
    name: str
    description: str | None


class FunctionList(msgspec.Struct):
    """What the programs of a session can call; `code` declares it in TypeScript."""

    functions: list[ListedFunction]
    code: str


class DetailedFunction(msgspec.Struct):
    """One function with its types. `input_type` is empty where it takes no arguments; `types` declares the others."""

    namespace: str
    name: str
    description: str | None
    input_type: str
    output_type: str
    types: str


class FunctionDetails(msgspec.Struct):
    """The functions that were asked for, as far as they exist."""

    functions: list[DetailedFunction]
    code: str


class ToolsRegistered(msgspec.Struct):
    """How many tools were registered."""

    registered: int


class ServersRegistered(msgspec.Struct):
    """How many MCP servers can be called now, and which cannot; `errors` says why, by name."""

    registered: int
    failed: list[str]
    errors: dict[str, str]


class ExecuteTypescript(msgspec.Struct):
    """Parameters of ``execute_typescript``.

    `tool_timeout_secs` limits each call of a tool, `tool_timeout_overrides` the calls of single tools by their ids
    (``namespace__name``, as registered). `meta` is ``_meta``: the span that this is part of (`span_context`).
    """

    code: str
    disclosure: Literal["catalog", "filesystem", "sidecar"] = "catalog"
    tool_timeout_secs: float | None = None
    tool_timeout_overrides: dict[str, float] | None = None
    meta: Meta = msgspec.field(default=UNSET, name="_meta")


class ExecuteToolArgs(msgspec.Struct):
    """Parameters of ``execute_tool``; `args` is an object or null, and always there."""

    namespace: str
    name: str
    args: Raw | None


class ToolOutput(msgspec.Struct):
    """Result of ``execute_tool``."""

    output: Raw


class SystemTime(msgspec.Struct):
    """A moment, as seconds and nanoseconds since 1970."""

    secs_since_epoch: int
    nanos_since_epoch: int


class CallSucceeded(msgspec.Struct, tag="success", tag_field="type", omit_defaults=True):
    """The outcome of a call that ended well."""

    output: Raw | None = None


class CallFailed(msgspec.Struct, tag="error", tag_field="type"):
    """The outcome of a call that failed."""

    message: str


class TypesPassed(msgspec.Struct, tag="passed", tag_field="type"):
    """The outcome of a type check that found nothing."""


class TypeDiagnostic(msgspec.Struct, omit_defaults=True):
    """One thing that is wrong with a program's types."""

    message: str
    severity: str
    line: int | None = None
    column: int | None = None
    code: int | None = None


class TypesFailed(msgspec.Struct, tag="failed", tag_field="type"):
    """The outcome of a type check that refused the program."""

    diagnostics: list[TypeDiagnostic]


class TypeCheckEvent(msgspec.Struct, tag="type_check", tag_field="type", kw_only=True):
    """The type check of a program."""

    outcome: TypesPassed | TypesFailed
    started_at: SystemTime
    ended_at: SystemTime


class McpToolCall(msgspec.Struct, tag="mcp_tool_call", tag_field="type", kw_only=True):
    """A call of an MCP server's tool."""

    server: str
    tool: str
    cached_client: bool
    args: Raw | None
    outcome: CallSucceeded | CallFailed
    started_at: SystemTime
    ended_at: SystemTime


class CallbackInvocation(msgspec.Struct, tag="callback_invocation", tag_field="type", kw_only=True):
    """A call of a tool of the client."""

    id: str
    args: Raw | None
    outcome: CallSucceeded | CallFailed
    started_at: SystemTime
    ended_at: SystemTime


class TypescriptTrace(msgspec.Struct):
    """What a program did."""

    code: str
    started_at: SystemTime
    ended_at: SystemTime
    events: list[TypeCheckEvent | McpToolCall | CallbackInvocation]


class TypescriptResult(msgspec.Struct):
    """Result of ``execute_typescript``; a program that failed is one, too, with the error in `stderr`."""

    success: bool
    stdout: str
    stderr: str
    output: Raw | None
    trace: TypescriptTrace
