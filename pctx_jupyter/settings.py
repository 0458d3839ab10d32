"""Limits and switches, with their defaults and what they mean. The one place that knows a default.

Traits (`c.Pctx…`), magic options and command-line flags all fill one `Settings`. Each field's ``metadata["help"]`` is
the text that ``jupyter server --help-all`` and the configuration reference show; a test holds the reference to it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

MIB = 1 << 20


def _setting(
    default: Any,
    help: str,
    *,
    least: int | None = None,
    most: int | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field with its help text.

    A number must be above 0, or lie from `least` to `most` where these are given; a text is one of `choices`, if any.
    """
    return field(default=default, metadata={"help": help, "least": least, "most": most, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one execution may use. Beyond any of them it is stopped, and the error names the limit."""

    timeout_s: float = _setting(
        60.0, "Seconds of wall clock one program may run; a request may ask for less, or for more up to max_timeout_s."
    )
    max_call_s: float = _setting(30.0, "Seconds one tool call may take; then the program gets an error it can catch.")
    max_cpu_s: int = _setting(60, "Seconds of CPU time one sandbox may use.")
    max_heap_mb: int = _setting(
        256, "Megabytes (MiB) of JavaScript heap one sandbox may use; with fewer than 8, none starts.", least=8
    )
    max_memory_mb: int = _setting(
        512, "Megabytes (MiB) of memory one sandbox may use beyond its start, buffers and native memory included."
    )
    max_output_bytes: int = _setting(
        1 * MIB, "Bytes of console output kept and passed on; the rest is cut, with a note."
    )
    max_display_bytes: int = _setting(
        4 * MIB, "Bytes of charts, pictures and HTML one program may show; beyond that, display fails with an error."
    )
    max_result_bytes: int = _setting(
        64 * MIB, "Bytes of JSON one program's value, or one tool call's arguments, may have."
    )
    max_calls: int = _setting(10_000, "Tool calls one program may make in all.")
    max_calls_in_flight: int = _setting(
        64,
        "Tool calls one program may have open at the same time; further calls wait. They also wait while the arguments "
        "of the open calls have more than max_result_bytes together.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, for one engine."""

    limits: Limits = field(default_factory=Limits)
    max_timeout_s: float = _setting(600.0, "The longest timeout_s a request may ask for, in seconds.")
    max_program_bytes: int = _setting(1 * MIB, "Bytes of UTF-8 one program's text may have.")
    max_message_bytes: int = _setting(
        64 * MIB, "Bytes one message on a connection may have; a larger one fails its own request only."
    )
    max_running: int = _setting(
        16,
        "Programs that may run at the same time; others wait for their turn. One of the places is kept for cells of "
        "notebooks.",
    )
    max_running_per_session: int = _setting(
        0,
        "Programs of one session, or of one agent, that may run at the same time; 0: half of max_running, and no "
        "fewer than 2.",
        least=0,
    )
    max_queued_per_session: int = _setting(
        100, "Programs of one session that may wait for their turn; one more is refused at once."
    )
    warm_sandboxes: int = _setting(
        2, "Sandboxes kept started and waiting; each costs about 10 MB of private memory.", least=0
    )
    sandboxes: str = _setting(
        "here",
        "Where programs run. here: on the machine of the engine. hosts: on the sandbox hosts that connect to the "
        "server (jupyter pctx sandbox-host). dask: on such hosts, which the workers of a Dask cluster start.",
        choices=("here", "hosts", "dask"),
    )
    dask_scheduler: str = _setting(
        "",
        "Address of the scheduler of that cluster, such as tls://dask.example.org:8786. With tls, the certificates are "
        "those of Dask's own configuration.",
    )
    host_url: str = _setting(
        "",
        "Base URL of the server for the sandbox hosts that a Dask cluster starts; empty: the address at which the "
        "server listens.",
    )
    fallback: str = _setting(
        "refuse",
        "What happens to programs while no sandbox host is connected. refuse: they wait up to max_queue_s, then they "
        "are refused. here: they run on the machine of the engine.",
        choices=("here", "refuse"),
    )
    host_token_file: str = _setting(
        "",
        "Path of the file with the token of sandbox hosts; empty: pctx/sandbox-token in Jupyter's data folder, which "
        "jupyter pctx sandbox-token writes.",
    )
    max_queue_s: float = _setting(
        30.0, "Seconds a program may wait for its turn and for a sandbox before it is refused as busy."
    )
    max_tools: int = _setting(10_000, "Tools one session may register.")
    max_tools_bytes: int = _setting(
        32 * MIB, "Bytes of names, descriptions and schemas that the tools of one session may have together."
    )
    max_kept: int = _setting(500, "Names of earlier programs that one session keeps for later ones.")
    max_kept_bytes: int = _setting(
        4 * MIB,
        "Bytes of programs and JSON that one session keeps for later programs. All sessions together keep at most "
        "64 times as many.",
    )
    max_run_handles_bytes: int = _setting(
        4_096 * MIB,
        "Bytes of memory that the objects which tools return by handle, and what programs make of frames, may take "
        "together while one program runs; each piece of memory counts once. The oldest make room. Those that a "
        "notebook keeps for later programs may take as many.",
    )
    max_agent_states: int = _setting(
        50,
        "States that agents may have, each with what an agent's programs export for its later ones; of the client "
        "that has the most, the one unused the longest makes room. 0: agents keep nothing between programs.",
        least=0,
    )
    max_agent_state_bytes: int = _setting(1 * MIB, "Bytes of programs and JSON that one such state may have.")
    agent_state_idle_s: float = _setting(3600.0, "Seconds such a state is kept after its last use.")
    timeline: bool = _setting(True, "Show a timeline under a cell whose program called tools; a cell may override it.")
    save_notices: bool = _setting(
        False,
        "Save what notebooks show of agents' programs, and of other notebooks' programs, that call their tools, in the "
        "notebooks' files.",
    )
    max_history: int = _setting(
        100, "Executions whose traces are kept in memory, for JupyterLab's panel and the REST API."
    )
    history: bool = _setting(
        True,
        "Keep a history of executions in Jupyter's data folder: who ran what and when, the tools it called, how it "
        "ended. Only its owner can read the file.",
    )
    history_code: bool = _setting(True, "Keep the code of programs in that history.")
    history_values: bool = _setting(
        False, "Keep what programs print, and the beginnings of arguments and results, in that history."
    )
    max_history_runs: int = _setting(10_000, "Executions that the history keeps; the oldest make room.")
    max_history_bytes: int = _setting(64 * MIB, "Bytes that the executions in the history may have together.")
    mcp_path: str = _setting(
        "mcp",
        "A second path of the MCP endpoint below the server's base URL, besides pctx/mcp; empty: no second path. "
        "Another extension may use mcp.",
    )
    max_mcp_characters: int = _setting(
        16_000, "Characters of text one answer to an agent may have; what is longer is cut, with a note.", least=1_000
    )
    max_listing_tokens: int = _setting(
        2_000,
        "Tokens, estimated as characters / 4, up to which an agent's list of functions has their full declarations.",
        least=0,
    )
    disclosure: str = _setting(
        "catalog",
        "How agents reach the functions. catalog: they find functions and write programs that call them. filesystem: "
        "they find them with bash commands, in files that declare them. sidecar: as catalog, and they also have "
        "invoke, which calls one function without a program.",
        choices=("catalog", "filesystem", "sidecar"),
    )
    agent_meter: bool = _setting(
        False,
        "End each answer about an agent's program with a line that says how many tokens it cost, and how many plain "
        "calls of the same tools cost. The line itself costs about 20.",
    )
    mcp_wait_s: float = _setting(
        40.0,
        "Seconds an agent waits for a program; then it gets a handle to collect its result, as most clients give up "
        "at 60.",
    )
    mcp_kept_s: float = _setting(600.0, "Seconds the answer of such a program is kept after its end.")
    session_idle_s: float = _setting(3600.0, "Seconds a session without a connection is kept after its last use.")
    max_api_sessions: int = _setting(
        1_000,
        "Sessions that clients of the session API (pctx-client) may have open; one more closes the one that was idle "
        "for the longest time. Each kernel has as many of its own.",
    )
    api_session_idle_s: float = _setting(
        86_400.0, "Seconds such a session is kept after its last use: its client does not keep it alive."
    )
    ping_s: float = _setting(
        5.0,
        "Seconds between pings on a client's connection while an answer is owed; it is closed when two are not "
        "answered.",
    )
    layers: int = _setting(
        1,
        "Layers of isolation required: 1 is Deno's permissions; 2 also demands the operating system's (Linux, "
        "Landlock), and refuses to run programs where it is missing.",
        least=1,
        most=2,
    )
    agents: str = _setting(
        "on",
        "Whether agents may come in. on: the policy decides about their calls. ask: a person is asked about every call "
        "that the policy allows an agent. off: no agent comes in, neither by MCP nor from a notebook.",
        choices=("off", "ask", "on"),
    )
    policy: tuple[str, ...] = _setting(
        ("ask agent * effects", "ask agent * unknown"),
        "Which tool calls need a person's consent, as rules such as 'ask agent Mail.*'. The first rule that fits "
        "counts; a call that none fits is allowed. A rule has a decision (allow, ask or deny), a caller (agent, "
        "notebook, client, cell or *), a pattern of tools, and optionally effects, none or unknown, for tools that "
        "change something outside, that do not, or that do not say.",
    )
    max_approval_s: float = _setting(
        120.0,
        "Seconds a call waits for a person's consent; then it is denied. This time does not count towards the "
        "program's time limit.",
    )
    consent_by: tuple[str, ...] = _setting(
        ("jupyterlab", "terminal", "client"),
        "Where a person may give that consent: jupyterlab; terminal (jupyter pctx approvals); and client, an agent's "
        "own MCP client, if it can ask its user. A client may answer for its user.",
        choices=("jupyterlab", "terminal", "client"),
    )
    max_waiting_programs: int = _setting(
        16,
        "Programs that may wait for a person's consent at the same time, besides those that run; they keep their "
        "processes. One client's may have half of these places. A call of one more program is denied at once. As many "
        "more may wait for their turn in busy notebooks, or for programs that their tools run; one client's may have "
        "half of those, too.",
    )
    audit: str = _setting(
        "off",
        "Whether an event is written for every execution and every call that has ended. On a server, "
        "c.EventLogger.handlers write them. on: without code, arguments and results; payloads: with the code of "
        "programs and the arguments of calls.",
        choices=("off", "on", "payloads"),
    )
    audit_file: str = _setting(
        "",
        "Path of a file to which every engine appends these events, on a server besides c.EventLogger.handlers; ~ is "
        "the home folder, {user} the name of the user. Empty: kernels without a server, scripts and commands run no "
        "programs while audit is on.",
    )
    spans: str = _setting(
        "on",
        "Whether spans of OpenTelemetry are recorded for executions and calls, if this process has a tracer provider. "
        "on: without code, arguments and results; payloads: with the beginnings of them.",
        choices=("off", "on", "payloads"),
    )
    typecheck: bool = _setting(
        True, "Check a program's types before it runs, and refuse it if they are wrong; a request may override it."
    )
    may_skip_check: bool = _setting(True, "Let a request switch the check off for its program, as --no-check does.")
    observe_types: bool = _setting(
        True,
        "Remember which fields and kinds of values tools without a return type have returned, never the values, and "
        "declare that as their type.",
    )
    max_check_s: float = _setting(
        3.0, "Seconds a type check may take, and may wait before it starts; after that the program runs unchecked."
    )
    upstreams: str = _setting(
        "",
        "Path of the file that names the MCP servers programs may call; empty: pctx.json in the server's root "
        "folder, or in that of a kernel without a server, and the one in Jupyter's configuration folder; none: no "
        "file.",
    )
    upstream_commands: tuple[str, ...] = _setting(
        ("*",),
        "Patterns of the commands that MCP servers may be started by, compared word by word: 'npx -y "
        "@modelcontextprotocol/*'. As the last word, * stands for any further words.",
    )
    upstream_hosts: tuple[str, ...] = _setting(
        ("*",), "Patterns of the hosts that MCP servers may be reached at: '*.example.org', 'localhost:8080'."
    )
    trust_folder: bool = _setting(
        False,
        "Start the MCP servers that a folder's pctx.json names without asking for trust: for images whose folders an "
        "administrator fills. The folder is the server's root folder, or that of a kernel without a server.",
    )
    kernels_may_add_servers: bool = _setting(
        False,
        "Let every kernel of the server add, change and trust MCP servers, as %pctx mcp does, and so start commands "
        "as the server. Kernels that connect by the server's Unix socket may do so anyway; others may run in a "
        "container or in another account.",
    )
    kernel_url: str = _setting(
        "",
        "Address at which kernels find the server: for kernels in containers, on other hosts or behind a gateway. "
        "'http://10.0.0.5:{port}{base_url}': the server's port and base URL replace the placeholders. Empty: the "
        "address that the server itself names.",
    )
    connect_timeout_s: float = _setting(30.0, "Seconds an MCP server may take to connect and to list its tools.")
    changed_tools: str = _setting(
        "withhold",
        "What happens to an MCP server's tool whose description or schemas differ from those that were approved: "
        "withhold it until they are approved, or only flag it.",
        choices=("withhold", "flag"),
    )
    sign_ins: str = _setting(
        "file",
        "Where the tokens of MCP servers with a sign-in are kept: file, which only its owner can read, in Jupyter's "
        "data folder; or keychain, the operating system's (needs the package keyring).",
        choices=("file", "keychain"),
    )
    jitless: bool = _setting(False, "Run programs without just-in-time compilation: less attack surface, slower.")
    deno: str = _setting("", "Path of the Deno executable; empty: the one that came with the deno package.")

    @property
    def running_per_session(self) -> int:
        """Programs of one session that may run at the same time, with the default worked out."""
        return min(self.max_running, self.max_running_per_session or max(2, (self.max_running + 1) // 2))

    def limits_for(self, timeout_s: float | None) -> Limits:
        """The limits of one execution that asked for `timeout_s`; None asks for the default."""
        if timeout_s is None:
            return self.limits
        return replace(self.limits, timeout_s=min(timeout_s, self.max_timeout_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an engine finds and leaves files. By default it has none, and does neither.

    Args:
        upstreams: Paths of the files that name MCP servers, the most important first; what is added goes to the last.
        in_question: Those of them that may have come with a folder: what they name has to be trusted first.
        data: The folder for what it has to remember.
    """

    upstreams: tuple[str, ...] = ()
    in_question: tuple[str, ...] = ()
    data: str = ""


def usual_places(root: str) -> Places:
    """Return where people look for files: in the folder they work in, and where Jupyter keeps its own.

    Args:
        root: The folder a server serves, or a kernel works in.
    """
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir

    here, own = (os.path.join(folder, "pctx.json") for folder in (root, jupyter_config_dir()))  # noqa: PTH118
    is_own = os.path.realpath(root) == os.path.realpath(jupyter_config_dir())
    data = os.path.join(jupyter_data_dir(), "pctx")  # noqa: PTH118
    return Places(upstreams=(here, own), in_question=() if is_own else (here,), data=data)
