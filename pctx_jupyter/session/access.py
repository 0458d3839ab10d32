"""Who may do what: one table for all routes of a Jupyter server and all methods of the wire.

The table is the rule. The server registers only the routes that have a row here and checks each request against that
row before its handler runs. A connection serves only the methods that have a row here. The tables in
``docs/reference/access.md`` show the same rows; a test compares them.

This module knows neither Jupyter nor how a caller proves who they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from .. import errors
from ..rpc import wire
from ..rpc.jsonrpc import Json

Action = Literal["read", "write", "execute"]
"""What the server's authorizer is asked about the resource ``pctx``."""


class Caller(Enum):
    """Who sends the methods of a connection; the value is the name in the documentation."""

    USER = "user"
    """A user of the server, on ``local-tools``, whom the authorizer allows to execute."""

    AGENT = "agents' connection"
    """A client of ``pctx/agents``, or of an embedded engine in which it runs programs as an agent."""

    KERNEL = "kernel's token"
    """A kernel that proved nothing but its token. It may run in a container, or in another account."""

    PIPE = "kernel by the Unix socket"
    """A kernel that runs in the account of the server, outside of any container."""

    EMBEDDED = "embedded"
    """A client in the process of the engine."""


class Code(Enum):
    """Whether a request makes the server run code outside of a sandbox, or read secrets of its account."""

    NEVER = "never"
    BY_ENTRY = "by entry"
    """It depends on the entry that is added; `runs_code` decides it."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Route:
    """One route with one HTTP method.

    Args:
        method: ``GET``, ``POST``, ``PUT`` or ``DELETE``. A WebSocket begins with a ``GET``.
        path: Below the server's base URL; ``{name}`` stands for one segment.
        action: What the authorizer must allow the user to do with the resource ``pctx``.
        kernel: Whether a kernel's own token opens it. That kernel then sees its own sessions only.
        code: If it runs code, the authorizer must also allow the user to ``execute`` the resource ``kernels``.
        is_socket: Whether it is a WebSocket.
        is_for_any_origin: Whether a page of another origin may lead here: the last step of a sign-in.
        host: Whether the token of sandbox hosts opens it, and nothing else does: neither a user nor a kernel.
    """

    method: str
    path: str
    action: Action
    kernel: bool = False
    code: Code = Code.NEVER
    is_socket: bool = False
    is_for_any_origin: bool = False
    host: bool = False


def _socket(path: str, action: Action, *, kernel: bool = False) -> Route:
    return Route("GET", path, action, kernel, is_socket=True)


_ROUTES = (
    _socket("local-tools", "execute", kernel=True),
    _socket("pctx/local-tools", "execute", kernel=True),
    _socket("pctx/agents", "execute"),
    _socket("pctx/api/changes", "read"),
    Route("GET", "pctx/sandboxes", "execute", is_socket=True, host=True),
    *(Route(method, path, "execute") for path in ("mcp", "pctx/mcp") for method in ("GET", "POST", "DELETE")),
    Route("GET", "pctx/health", "read", kernel=True),
    Route("GET", "pctx/api/status", "read", kernel=True),
    Route("POST", "pctx/api/complete", "read", kernel=True),
    Route("POST", "pctx/api/hover", "read", kernel=True),
    Route("POST", "pctx/api/signature", "read", kernel=True),
    Route("POST", "pctx/api/diagnostics", "read", kernel=True),
    Route("POST", "pctx/api/format", "read", kernel=True),
    Route("GET", "pctx/api/declarations", "read", kernel=True),
    Route("GET", "pctx/api/kernels", "read"),
    Route("GET", "pctx/api/kernels/{kernel_id}", "read"),
    Route("PUT", "pctx/api/kernels/{kernel_id}/sharing", "write"),
    Route("GET", "pctx/api/kernels/{kernel_id}/handles", "read"),
    Route("DELETE", "pctx/api/kernels/{kernel_id}/handles/{id}", "execute"),
    Route("GET", "pctx/api/executions", "read"),
    Route("GET", "pctx/api/executions/{id}", "read"),
    Route("POST", "pctx/api/executions/{id}/stop", "execute"),
    Route("GET", "pctx/api/history", "read"),
    Route("GET", "pctx/api/approvals", "read"),
    Route("POST", "pctx/api/approvals/{id}", "execute"),
    Route("POST", "pctx/api/approvals/{id}/check", "execute"),
    Route("GET", "pctx/api/permissions", "read"),
    Route("DELETE", "pctx/api/permissions/{id}", "execute"),
    Route("GET", "pctx/api/client-config", "execute", code=Code.ALWAYS),  # it shows the server's token
    Route("GET", "pctx/api/upstreams", "read"),
    Route("POST", "pctx/api/upstreams", "execute", code=Code.BY_ENTRY),
    Route("POST", "pctx/api/upstream-test", "execute", code=Code.BY_ENTRY),
    Route("GET", "pctx/api/upstreams/{name}", "read"),
    Route("DELETE", "pctx/api/upstreams/{name}", "execute"),
    Route("POST", "pctx/api/upstreams/{name}/reconnect", "execute"),
    Route("POST", "pctx/api/upstreams/{name}/approve", "execute"),
    Route("POST", "pctx/api/upstreams/{name}/trust", "execute", code=Code.ALWAYS),
    Route("DELETE", "pctx/api/upstreams/{name}/allowed", "execute"),
    Route("POST", "pctx/api/upstreams/{name}/sign-in", "execute"),
    Route("POST", "pctx/code-mode/session/create", "execute", kernel=True),
    Route("POST", "pctx/code-mode/session/close", "execute", kernel=True),
    Route("POST", "pctx/code-mode/functions/list", "execute", kernel=True),
    Route("POST", "pctx/code-mode/functions/details", "execute", kernel=True),
    Route("POST", "pctx/code-mode/execute-bash", "execute", kernel=True),
    Route("POST", "pctx/register/tools", "execute", kernel=True),
    Route("POST", "pctx/register/servers", "execute", code=Code.BY_ENTRY),  # it may read secrets of the account
    _socket("pctx/ws", "execute", kernel=True),
    Route("GET", "pctx/oauth/callback", "execute", is_for_any_origin=True),
)

ROUTES = {(route.path, route.method): route for route in _ROUTES}
"""Each route by its path and HTTP method. ``mcp`` stands for the path that ``Pctx.mcp_path`` names."""

PATHS = tuple(dict.fromkeys(route.path for route in _ROUTES))
"""The path of each route, once."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the wire.

    Args:
        name: As `wire` spells it.
        does: What it does, for messages: ``Cannot {does}: …``.
        callers: Who may use it.
        by_setting: Who may use it too where ``Pctx.kernels_may_add_servers`` is set.
        code: If it runs code, the authorizer must also allow a user to ``execute`` the resource ``kernels``.
    """

    name: str
    does: str
    callers: frozenset[Caller]
    by_setting: frozenset[Caller] = frozenset()
    code: Code = Code.NEVER


_EVERYBODY = frozenset(Caller)
_WITH_A_SESSION = _EVERYBODY - {Caller.AGENT}
_OF_THE_ACCOUNT = frozenset({Caller.USER, Caller.PIPE, Caller.EMBEDDED})


def _changes_servers(name: str, does: str, code: Code = Code.NEVER) -> Method:
    return Method(name, does, _OF_THE_ACCOUNT, frozenset({Caller.KERNEL}), code)


_METHODS = (
    Method(wire.REGISTER_TOOL, "register a tool", _WITH_A_SESSION),
    Method(wire.UNREGISTER_TOOL, "unregister a tool", _WITH_A_SESSION),
    Method(wire.EXECUTE, "run a program", _EVERYBODY),
    Method(wire.FORGET, "forget names", _WITH_A_SESSION),
    Method(wire.FORGET_TYPES, "forget observed types", _WITH_A_SESSION),
    Method(wire.LIST_FUNCTIONS, "list functions", _EVERYBODY),
    Method(wire.GET_FUNCTION_DETAILS, "describe functions", _EVERYBODY),
    Method(wire.COMPLETE, "complete a name", _EVERYBODY),
    Method(wire.HOVER, "explain a name", _EVERYBODY),
    Method(wire.SIGNATURE, "explain a call", _EVERYBODY),
    Method(wire.DIAGNOSTICS, "check a program", _EVERYBODY),
    Method(wire.DECLARATIONS, "declare tools", _EVERYBODY),
    Method(wire.SHARE, "share tools", _WITH_A_SESSION),
    Method(wire.LIST_APPROVALS, "list calls that wait for consent", _WITH_A_SESSION),
    Method(wire.REVOKE_PERMISSION, "revoke a permission", _WITH_A_SESSION),
    Method(wire.CALL_NOTE, "note a call", _WITH_A_SESSION),
    Method(wire.HANDLES_CHANGED, "report handles", _WITH_A_SESSION),
    Method(wire.LIST_UPSTREAMS, "list MCP servers", _EVERYBODY),
    Method(wire.LIST_AGENT_FUNCTIONS, "list the functions for agents", _WITH_A_SESSION),
    Method(wire.CALL_AGENT_FUNCTION, "call a function for agents", _WITH_A_SESSION),
    _changes_servers(wire.ADD_UPSTREAM, "add an MCP server", Code.BY_ENTRY),
    _changes_servers(wire.REGISTER_MCP, "add an MCP server", Code.BY_ENTRY),
    _changes_servers(wire.REMOVE_UPSTREAM, "remove an MCP server"),
    _changes_servers(wire.RECONNECT_UPSTREAM, "reconnect to an MCP server"),
    _changes_servers(wire.APPROVE_UPSTREAM, "approve the tools of an MCP server"),
    _changes_servers(wire.TRUST_UPSTREAM, "trust an MCP server", Code.ALWAYS),
    _changes_servers(wire.ASK_AGAIN, "ask again about the tools of an MCP server"),
    _changes_servers(wire.SIGN_IN_UPSTREAM, "sign in to an MCP server"),
)

METHODS = {method.name: method for method in _METHODS}
"""Each method that a client may use, by its name. ``$/cancel`` is none: it cancels a caller's own request."""


def may_use(method: Method, caller: Caller, *, kernels_may_add_servers: bool) -> bool:
    """Whether this caller may use a method."""
    return caller in method.callers or (kernels_may_add_servers and caller in method.by_setting)


def demand(name: str, caller: Caller, *, kernels_may_add_servers: bool) -> Method:
    """Return the row of a method that a caller may use.

    Raises:
        MethodNotFound: There is no such method.
        Forbidden: This caller may not use it; the message says who may.
    """
    method = METHODS.get(name)
    if method is None:
        raise errors.MethodNotFound(f"Cannot serve {name[:100]}: no such method")
    if not may_use(method, caller, kernels_may_add_servers=kernels_may_add_servers):
        raise errors.Forbidden(f"Cannot {method.does}: {_why_not(method, caller)}")
    return method


def runs_code(entry: Json) -> bool:
    """Whether an entry of ``pctx.json`` starts a command, or refers to secrets of the account.

    A reference such as ``${command:…}`` starts a command too, and ``${env:…}`` sends a secret to the entry's URL. What
    cannot be understood counts as code.
    """
    match entry:
        case {"command": _}:
            return True
        case {"url": _} | {"serverUrl": _}:
            return _has_reference(entry)
    return True


def _has_reference(value: Json) -> bool:
    if isinstance(value, str):
        return "$" in value  # `$NAME` refers to a variable, too
    if isinstance(value, dict):
        return any(_has_reference(key) or _has_reference(one) for key, one in value.items())
    return isinstance(value, list) and any(map(_has_reference, value))


def _why_not(method: Method, caller: Caller) -> str:
    if caller is Caller.AGENT and method.by_setting:
        return (
            "this connection runs programs as an agent. A person changes MCP servers, in JupyterLab's panel or with "
            "jupyter pctx mcp"
        )
    if caller is Caller.AGENT:
        return "this connection runs programs as an agent and has no tools of its own; connect to local-tools"
    return (
        "this kernel did not connect by the server's Unix socket, so it may run elsewhere or in another account. Do it "
        "in JupyterLab's panel, or in a terminal on the server with jupyter pctx mcp. With "
        "c.Pctx.kernels_may_add_servers = True, the server lets its kernels do it"
    )
