"""Our methods and notifications, typed. A method is spelled only here, or in `sandbox_wire` if it is a sandbox's.

Unknown fields of parameters are ignored, so that newer clients can talk to older servers; missing or mistyped ones are
refused as invalid parameters, naming the field. The wire is snake_case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import errors
from .jsonrpc import why_unreadable
from .span_context import Meta

# client → server
REGISTER_TOOL = "register_tool"
UNREGISTER_TOOL = "unregister_tool"
EXECUTE = "execute"
FORGET = "forget"
FORGET_TYPES = "forget_types"
LIST_FUNCTIONS = "list_functions"
GET_FUNCTION_DETAILS = "get_function_details"
COMPLETE = "complete"
HOVER = "hover"
SIGNATURE = "signature"
DIAGNOSTICS = "diagnostics"
DECLARATIONS = "declarations"
SHARE = "share"
CALL_NOTE = "call_note"
LIST_APPROVALS = "list_approvals"
REVOKE_PERMISSION = "revoke_permission"
LIST_UPSTREAMS = "list_upstreams"
ADD_UPSTREAM = "add_upstream"
REMOVE_UPSTREAM = "remove_upstream"
RECONNECT_UPSTREAM = "reconnect_upstream"
APPROVE_UPSTREAM = "approve_upstream"
TRUST_UPSTREAM = "trust_upstream"
ASK_AGAIN = "ask_again"
SIGN_IN_UPSTREAM = "sign_in_upstream"
REGISTER_MCP = "register_mcp"
LIST_AGENT_FUNCTIONS = "list_agent_functions"
CALL_AGENT_FUNCTION = "call_agent_function"
HANDLES_CHANGED = "handles_changed"

# server → client
SESSION_CREATED = "session_created"
EXECUTE_TOOL = "execute_tool"
LIST_HANDLES = "list_handles"
FORGET_HANDLE = "forget_handle"
OUTPUT = "output"
DISPLAY = "display"
EVENT = "event"
TRACE = "trace"
GUEST = "guest"

P = TypeVar("P", bound=msgspec.Struct)


class RegisterTool(msgspec.Struct, omit_defaults=True):
    """Parameters of ``register_tool``.

    `share`: whether others than its own session may see it, as far as the session shares its tools. `effects`: whether
    it changes something outside; absent: no, for its author would have said so. `nonfinite`: whether its
    client reads and writes payloads with NaN and the infinities, as the module of that name has them; without, they are
    null. `code_hash`: a hash of the code of a tool without an `output_schema`; when it changes, the type that was
    observed is forgotten.
    """

    namespace: str
    name: str
    description: str | None = None
    input_schema: Any = None
    output_schema: Any = None
    replace: bool = False
    share: bool = True
    effects: bool | Literal["unknown"] | None = None
    nonfinite: bool = False
    code_hash: str = ""


class UnregisterTool(msgspec.Struct):
    """Parameters of ``unregister_tool``."""

    namespace: str
    name: str


class Execute(msgspec.Struct, omit_defaults=True):
    """Parameters of ``execute``.

    `execution_id` is the client's own name for it, unique within its session, or absent; `events` asks for ``output``,
    ``display`` and ``event`` notifications while it runs; without `calls` there are no ``event`` ones among them.
    `trace` asks for ``trace`` notifications: now and then while a program that calls tools runs, and once more at its
    end. `keep` asks that later programs find what it has at its top level; absent, they find what it exports; false,
    nothing. `nonfinite`: as in ``register_tool``, for inputs, the value and what is displayed. `agent` is the name of
    an agent, for people; it counts on ``pctx/agents`` only. `meta` is ``_meta``: the span that this is part of
    (`span_context`).
    """

    code: str
    execution_id: str | None = None
    timeout_s: float | None = None
    typecheck: bool | None = None
    tools: list[str] | None = None
    inputs: dict[str, Raw] = {}
    events: bool = False
    calls: bool = True
    keep: bool | None = None
    trace: bool = False
    nonfinite: bool = False
    agent: str = ""
    meta: Meta = msgspec.field(default=UNSET, name="_meta")


class ListAgentFunctions(msgspec.Struct, omit_defaults=True):
    """Parameters of ``list_agent_functions``; `agent` is the agent's name, for people."""

    agent: str = ""


class AgentFunction(msgspec.Struct):
    """A function that an agent may call: its name, its description for models, and JSON Schema of its arguments."""

    name: str
    description: str
    input_schema: dict[str, Any]


class AgentFunctions(msgspec.Struct):
    """Result of ``list_agent_functions``; `instructions` are about all of the functions, for models."""

    functions: list[AgentFunction]
    instructions: str


class CallAgentFunction(msgspec.Struct, omit_defaults=True):
    """Parameters of ``call_agent_function``: one of the functions that ``list_agent_functions`` lists.

    `execution_id` names the program that the function runs, if it runs one; `events`, `calls`, `trace` and `meta` are
    as in ``execute``.
    """

    name: str
    arguments: dict[str, Any] = {}
    agent: str = ""
    execution_id: str | None = None
    events: bool = False
    calls: bool = True
    trace: bool = False
    meta: Meta = msgspec.field(default=UNSET, name="_meta")


class AgentImage(msgspec.Struct):
    """An image, or a sound, for a model; `data` is base64."""

    data: str
    mime_type: str


class AgentAnswered(msgspec.Struct, omit_defaults=True):
    """Result of ``call_agent_function``, for a model. What went wrong is a text with `is_error`."""

    text: str
    images: list[AgentImage] = []
    is_error: bool = False


class Forget(msgspec.Struct, omit_defaults=True):
    """Parameters of ``forget``: names that were kept; none: all of them."""

    names: list[str] = []


class Forgotten(msgspec.Struct):
    """Result of ``forget``: the names that later programs do not find any more."""

    forgotten: list[str]


class Share(msgspec.Struct, omit_defaults=True):
    """Parameters of ``share``: who else may see the session's tools; ``everyone``: agents and other notebooks.

    A client that is no kernel is seen by others only with a `name`, which people read. `instance` is a random text by
    which such a client is known again on its next connection.
    """

    to: Literal["nobody", "agents", "everyone"]
    name: str | None = None
    instance: str = ""


class Shared(msgspec.Struct):
    """Result of ``share``; `name` is the namespace under which others see the tools, null where there are no others.

    For a client that is no kernel, it is the name that people read; its namespaces keep their names.
    """

    to: Literal["nobody", "agents", "everyone"]
    name: str | None


class WaitingCall(msgspec.Struct):
    """A call that waits for a person's consent: where it can be given, and the seconds until it is denied."""

    tool: str
    asked_by: Literal["cell", "client", "agent", "notebook"]
    places: list[str]
    left_s: float


class AllowedTool(msgspec.Struct):
    """A tool that is allowed without asking: whose programs may call it, and since when (seconds since 1970)."""

    id: str
    tool: str
    asked_by: list[str]
    since: float


class WaitingCalls(msgspec.Struct):
    """Result of ``list_approvals``: calls of this session's own tools that wait, and own tools that are allowed."""

    approvals: list[WaitingCall]
    permissions: list[AllowedTool] = []


class Revoke(msgspec.Struct):
    """Params of ``revoke_permission``: the id of a permission for one of the session's own tools."""

    id: str


class CallNote(msgspec.Struct, omit_defaults=True):
    """Parameters of ``call_note``, from the client that serves a tool: what keeps a call, or how far it has come.

    `waits` says that the call waits for its turn: its program lets others run until the call ends.
    """

    execution_id: str
    call: int
    note: str
    waits: bool = False


MOST_HANDLES = 200
"""Objects in one list: a program in a loop may hold 1,000, and a person reads the first ones."""
LONGEST_HANDLE_TEXT = 200
"""Characters of each text in the list."""

HandleText = Annotated[str, msgspec.Meta(max_length=LONGEST_HANDLE_TEXT)]
"""A text about an object that a client holds."""


class HeldHandle(msgspec.Struct, omit_defaults=True):
    """An object that stays in a kernel, and that programs use by its handle.

    `label` is the tool that returned it, or the variable. `kind` is ``frame``, or another kind of handle. `shape` has
    rows and columns, or the lengths of an array; nothing else has one. `size` is its bytes of memory, roughly. `held`
    says what holds it: a ``run``, the ``session`` for the constants in `names`, or ``agents``: the kernel, for agents
    and other notebooks. `whose` is the name of the agent or the notebook to which it was handed over. `age_s` is the
    seconds since then, `left_s` those after which it leaves unless it is used again; without it, time does not end it.
    """

    id: HandleText
    label: HandleText
    kind: HandleText
    held: Literal["run", "session", "agents"]
    shape: list[int] = []
    size: int = 0
    names: list[HandleText] = []
    whose: HandleText = ""
    age_s: float = 0.0
    left_s: float | None = None


class HeldHandles(msgspec.Struct, omit_defaults=True):
    """Result of ``list_handles``: the objects that a kernel holds; `more` are not listed."""

    handles: Annotated[list[HeldHandle], msgspec.Meta(max_length=MOST_HANDLES)]
    more: int = 0


class ForgetHandle(msgspec.Struct):
    """Parameters of ``forget_handle``: the id of an object that outlives its run."""

    id: str


class HandleForgotten(msgspec.Struct):
    """Result of ``forget_handle``: whether the object was there."""

    forgotten: bool


class AddUpstream(msgspec.Struct, omit_defaults=True):
    """Parameters of ``add_upstream``, and the body of ``POST pctx/api/upstreams``.

    `server` is an entry as in ``pctx.json``; with `persist` it is written there, else it lasts as long as the engine.
    """

    server: dict[str, Any]
    persist: bool = True


class NamedUpstream(msgspec.Struct):
    """Parameters of ``remove_upstream``, ``reconnect_upstream``, ``approve_upstream`` and ``trust_upstream``.

    `seen`, for the last two, is the `mark` of the server that a person has reviewed: they fail if it has another now.
    """

    name: str
    seen: str | None = None


class SignInUpstream(msgspec.Struct, omit_defaults=True):
    """Parameters of ``sign_in_upstream``.

    Without `answer`, a sign-in begins, and the result says where a person does it. With it, it ends: `answer` is the
    URL to which the browser was sent at last.
    """

    name: str
    answer: str | None = None


class AskAgain(msgspec.Struct, omit_defaults=True):
    """Parameters of ``ask_again``: a server, and one of its tools; without one, all of them."""

    name: str
    tool: str | None = None


class RegisterMcp(msgspec.Struct, omit_defaults=True):
    """Parameters of ``register_mcp``: a server to call for as long as the engine runs."""

    name: str
    url: str
    auth: dict[str, Any] | None = None


class ForgetTypes(msgspec.Struct):
    """Parameters of ``forget_types``: full names of the tools whose observed types are forgotten."""

    functions: list[str]


class GetFunctionDetails(msgspec.Struct):
    """Parameters of ``get_function_details``: full names, in either spelling."""

    functions: list[str]


class Written(msgspec.Struct, omit_defaults=True):
    """Parameters of ``diagnostics``: a cell, or a program alone.

    `source` may begin with a ``%%pctx`` line, whose options count. `inputs` names constants that the program finds,
    besides those; while the magic line is completed, what may follow ``-i``.
    """

    source: str
    inputs: list[str] = []


class Position(Written, omit_defaults=True, kw_only=True):
    """Parameters of ``complete``, ``hover`` and ``signature``: an offset in `source`, in UTF-16 units."""

    offset: int


class CompletionItem(msgspec.Struct, rename="camel"):
    """A text that fits. It is spelled as editors have it: ``insertText``.

    `detail` is its type, as in ``(args: { id: number }) → Order`` or ``string, optional``. `arguments` are those that a
    call of this tool has to have, as names in TypeScript; without them, the item is no tool.
    """

    label: str
    insert_text: str
    type: str
    documentation: str
    detail: str = ""
    arguments: list[str] | None = None


class Completed(msgspec.Struct):
    """Result of ``complete``: what may replace the text from `start` to `end`, best first."""

    start: int
    end: int
    items: list[CompletionItem]


class Explained(msgspec.Struct):
    """Result of ``hover``: what the text from `start` to `end` is; `text` is null when nothing is known of it.

    `text` ends with the `documentation`, if there is any.
    """

    text: str | None
    documentation: str
    start: int
    end: int


class ExplainedParameter(msgspec.Struct):
    """A parameter: its text within the signature."""

    text: str
    documentation: str


class ExplainedSignature(msgspec.Struct):
    """One way to call a function."""

    text: str
    documentation: str
    parameters: list[ExplainedParameter]


class ExplainedCall(msgspec.Struct):
    """Result of ``signature``: the ways to call a function, and the current one; none outside of a call."""

    signatures: list[ExplainedSignature]
    signature: int
    parameter: int


class ArgumentsToAdd(msgspec.Struct):
    """The arguments that a call has to have and does not: names as an object has them, without values.

    They can be added at an offset, between the texts `before` and `after`.
    """

    at: int
    names: list[str]
    before: str
    after: str


class Underlined(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """What is wrong with the text between two offsets; `source` says who found it.

    `instead` is what was probably meant in place of that text, ready to be put there. `absent` are the arguments that a
    call does not have.
    """

    start: int
    end: int
    severity: Literal["error", "warning"]
    message: str
    source: str
    instead: str | None = None
    absent: ArgumentsToAdd | None = None


class Diagnosed(msgspec.Struct):
    """Result of ``diagnostics``, in the order of the text."""

    diagnostics: list[Underlined]


class Formatted(msgspec.Struct):
    """Answer of ``format``: the cell as it should look; None, and a sentence, where that is unknown."""

    source: str | None
    message: str


class Declared(msgspec.Struct):
    """Result of ``declarations``: TypeScript that declares the session's tools."""

    declarations: str


class Success(msgspec.Struct):
    """Result of ``register_tool`` and ``unregister_tool``."""

    success: bool = True


class ProgramMeter(msgspec.Struct):
    """Tokens of a program, estimated: of the same calls one by one, and of the program.

    `session_plain` and `session_here` are those of all programs of the session, of which there are `session_runs`.
    """

    plain: int
    here: int
    session_runs: int
    session_plain: int
    session_here: int


class Executed(msgspec.Struct, omit_defaults=True):
    """Result of ``execute``; `unchecked` says why its types were not checked though they should have been.

    `kept` are the names that later programs of the session find, `unkept` says of others why they do not. `meter` is
    what the program costs a model.
    """

    value: Raw
    stdout: str
    stderr: str
    success: bool
    execution_id: str
    duration_s: float
    unchecked: str | None = None
    kept: list[str] = []
    unkept: dict[str, str] = {}
    meter: ProgramMeter | None = None


class Admit(msgspec.Struct):
    """The first line a kernel says on a pipe: its own token."""

    token: str


class SessionCreated(msgspec.Struct):
    """Parameters of ``session_created``, the first frame of a connection."""

    session_id: str


class ExecuteTool(msgspec.Struct, omit_defaults=True):
    """Parameters of ``execute_tool``; `name` is the tool's full name as registered. `meta` is as in ``execute``.

    The other fields are for guest programs. `asked_by` is the kind of guest, and absent when the program is the
    session's own; `whose` is the name that the agent, or the notebook, has. `call` is the call's number for
    ``call_note``. `call_s` is the number of seconds that the call may take once it has begun; the client that serves
    the call enforces it.
    """

    name: str
    arguments: Raw | UnsetType = UNSET
    execution_id: str = ""
    asked_by: Literal["agent", "notebook", "client"] | None = None
    whose: str = ""
    call: int = 0
    call_s: float = 0.0
    meta: Meta = msgspec.field(default=UNSET, name="_meta")


class TraceNotice(msgspec.Struct):
    """Parameters of ``trace``: what is known so far of an execution that the client asked for (`trace.Trace`)."""

    execution_id: str
    trace: Raw


class GuestNotice(msgspec.Struct, omit_defaults=True):
    """Parameters of ``guest``: a guest program has called a tool of this session, or has ended after that.

    `execution_id` is that of its ``execute_tool`` requests; `trace` as in ``trace``. `drawn` is true where a front end
    shows the programs of others that call this kernel's tools, so that the kernel need not.
    """

    execution_id: str
    state: Literal["began", "ended"]
    asked_by: str
    code: str
    trace: Raw
    drawn: bool = False


class OutputNotice(msgspec.Struct, omit_defaults=True):
    """Parameters of ``output``, from a server to the client that asked for the execution.

    `level` marks debugging output on ``stdout`` and warnings on ``stderr``.
    """

    execution_id: str
    stream: Literal["stdout", "stderr"]
    text: str
    level: Literal["debug", "warn"] | None = None


class DisplayNotice(msgspec.Struct, omit_defaults=True):
    """Parameters of ``display``: content by MIME type, as the program made it.

    `update`: it replaces what was displayed under `display_id`; `is_value`: it displays the program's value.
    """

    execution_id: str
    data: Raw
    metadata: Raw | UnsetType = UNSET
    display_id: str | None = None
    update: bool = False
    is_value: bool = False


class EventNotice(msgspec.Struct, omit_defaults=True):
    """Parameters of ``event``: one tool call's start or end, `at_s` seconds after the program's start."""

    execution_id: str
    type: Literal["call_started", "call_ended"]
    call: int
    tool: str
    at_s: float
    argument_bytes: int | UnsetType = UNSET
    result_bytes: int | UnsetType = UNSET
    error: str | UnsetType | None = UNSET


class ToolErrorData(msgspec.Struct, omit_defaults=True):
    """``data`` of a failed ``execute_tool``: the exception's type, and its owner's key for it."""

    name: str = "ToolError"
    token: str | None = None


def read(params: Raw | None, kind: type[P], method: str) -> P:
    """Read a message's parameters.

    Raises:
        InvalidParams: Names the field and what was expected of it.
    """
    return _read(params, kind, method, None)


def _read(params: Raw | None, kind: type[P], method: str, hook: Callable[[Any, Any], Any] | None) -> P:
    try:
        return msgspec.json.decode(b"{}" if params is None else params, type=kind, dec_hook=hook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = str(error) if params is None else why_unreadable(memoryview(params), str(error))
        raise errors.InvalidParams(f"Cannot serve {method}: {why}") from None


class _Name(str):
    """The name of an input. As a type of its own, it is passed to a function before the next one is read."""

    __slots__ = ()


class _CountedExecute(Execute):
    inputs: dict[_Name, Raw] = {}  # type: ignore[assignment]  # plain names replace them before anyone sees them


def too_many_inputs(most: int) -> errors.InvalidParams:
    """Make the error for a program with more inputs than it may have."""
    return errors.InvalidParams(
        f"Cannot run program: it has more than {most:,} inputs; pass one object that holds them"
    )


def read_program(params: Raw | None, most_inputs: int) -> Execute:
    """Read the parameters of ``execute``, and stop when it has more inputs than it may have.

    To read a million of them takes a third of a second, and all of it is done in one turn of the loop.

    Raises:
        InvalidParams: It has too many inputs, or names the field and what was expected of it.
    """
    found = 0

    def count(kind: type[_Name], name: str) -> _Name:
        nonlocal found
        found += 1
        if found > most_inputs:
            raise too_many_inputs(most_inputs)
        return kind(name)

    asked = _read(params, _CountedExecute, EXECUTE, count)
    asked.inputs = {str(name): value for name, value in asked.inputs.items()}  # type: ignore[misc]
    return asked
