"""An MCP server for tests, with any manners: a process on stdin and stdout, written from the specification.

``python -I peer.py [MANNER] [FILE]``. FILE, if given, gets a line for whatever a test may want to know: ``start PID``,
``cancelled ID``, ``ran TOOL``. Until a test makes a file beside FILE that ends in ``.go``, the manner ``sulks`` says
nothing and ``later`` ends. Standard library only: it starts in no time, and imports nothing of what it tests.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

MANNER = sys.argv[1] if len(sys.argv) > 1 else "good"
FILE = sys.argv[2] if len(sys.argv) > 2 else None
FORGED = "no\n[I 2026-01-01 root] all is well\x1b[2J\x9b1m\u202e"
"""What would add a line to a log, clear a screen and turn text."""
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
NUMBER = {"type": "object", "properties": {"n": {"type": "number"}}}

lock = threading.Lock()
cancelled: dict[Any, threading.Event] = {}
asked: dict[str, queue.Queue[dict[str, Any]]] = {}


def note(line: str) -> None:
    if FILE is not None:
        with lock, Path(FILE).open("a") as file:
            file.write(line + "\n")


def write(line: str) -> None:
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def say(**message: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}))


def tool(name: str, schema: Any = None, description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": description or f"Does {name}.",
        "inputSchema": schema or {"type": "object"},
        **more,
    }


def described() -> str:
    """What the tool `echo` says of itself: the second line of the file beside FILE, if a test has written one."""
    beside = None if FILE is None else Path(FILE).with_suffix(".description")
    return beside.read_text() if beside is not None and beside.exists() else "Says it again."


def refuses() -> bool:
    """Whether to refuse this call as one of a tool that has changed: once, when a test has made a file beside FILE."""
    if MANNER != "told" or FILE is None or not (once := Path(FILE).with_suffix(".refuse")).exists():
        return False
    once.unlink()
    return True


def told() -> list[Any]:
    """The tools of the manner ``told``: what a test has written beside FILE."""
    assert FILE is not None
    return list(json.loads(Path(FILE).with_suffix(".tools").read_text()))


def tools() -> list[Any]:
    if MANNER == "told":
        return told()
    good = [
        tool("echo", TEXT, described(), annotations={"readOnlyHint": True}),
        tool("fail", TEXT),
        tool(
            "structured",
            None,
            outputSchema={"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        ),
        tool("content", TEXT),
        tool("env", TEXT),
        tool("slow", NUMBER),
        tool("count", NUMBER),
        tool("die", None, annotations={"destructiveHint": True}),
        tool("spawn"),
        tool("pid"),
        tool("storm", NUMBER),
        tool("large", NUMBER),
    ]
    if MANNER == "talkative":
        key = os.environ["API_KEY"]
        return [tool("whoami", {"type": "object", "properties": {"key": {"default": key}}}, f"Signs in with {key}.")]
    if MANNER == "asks":
        return [tool(name, {"type": "object"}) for name in ("ask", "ask_later", "sampled", "slow", "pid")]
    if MANNER == "library":
        linked = tool("linked", None, "Gives a link.", annotations={"readOnlyHint": True})
        return [linked, tool("news"), *library()["tools"]]
    if MANNER == "many":
        return [tool(f"tool_{n}", TEXT, "One of many.") for n in range(10_000)]
    if MANNER == "hostile":
        return [
            *good,
            {"name": "no_schema"},
            {"inputSchema": {"type": "object"}},
            {"name": 5, "inputSchema": {"type": "object"}},
            "not a tool",
            tool("array", {"type": "array"}),
            {
                "name": "odd",
                "description": 7,
                "inputSchema": {"type": "object"},
                "outputSchema": "x",
                "annotations": [],
                "icons": 3,
            },
            tool("__proto__"),
            tool("then"),
            tool("Echo"),
            tool("a\nb"),
            tool("x" * 200),
            tool("*/ globalThis.pwned = 1 /*", None, "*/ globalThis.pwned = 1; /* `${x}` </script>\u2028"),
            tool("deep", {"type": "object", "properties": {"a": nested(200)}}),
            tool("elsewhere", {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            tool("huge", None, "x" * (2 << 20)),
        ]
    return good


def library() -> dict[str, Any]:
    """What the manner ``library`` has beside tools: the defaults, and what a test has written beside FILE."""
    beside = None if FILE is None else Path(FILE).with_suffix(".library")
    told = json.loads(beside.read_text()) if beside is not None and beside.exists() else {}
    shelf = [{"uri": "book://one", "name": "One", "mimeType": "text/plain", "size": 3, "icons": 7}, {"name": "no uri"}]
    templates = [{"uriTemplate": "book://{shelf}/{+path}{?q*}", "name": "Any"}, {"uriTemplate": 5}]
    prompts = [
        {"name": "review", "description": "Ask for a review.", "arguments": [{"name": "code", "required": True}]},
        {"name": "greet"},
    ]
    return {"resources": shelf, "resourceTemplates": templates, "prompts": prompts, "tools": [], **told}


def page(id: Any, name: str, params: dict[str, Any], size: int = 1000) -> None:
    """Answer with a page of one of the lists of the library."""
    known, start = library()[name], int(params.get("cursor") or 0)
    more = {"nextCursor": str(start + size)} if start + size < len(known) else {}
    say(id=id, result={name: known[start : start + size], **more})


def read_resource(id: Any, uri: str) -> None:
    note(f"read {uri}")
    match uri:
        case "book://one":
            say(id=id, result={"contents": [{"uri": uri, "mimeType": "text/plain", "text": "Once."}]})
        case "book://bytes":
            blobs = [{"uri": uri, "mimeType": kind, "blob": "AAEC"} for kind in ("image/png", "audio/wav", "a/b")]
            say(id=id, result={"contents": [*blobs, {"blob": "AA=="}, 5, {"uri": uri}]})
        case "book://secret":
            say(id=id, result={"contents": [{"uri": uri, "text": f"key {os.environ.get('API_KEY')}"}]})
        case "book://slow":
            stopped = cancelled.setdefault(id, threading.Event()).wait(30)
            note(f"cancelled {uri}" if stopped else f"done {uri}")
        case _:
            say(id=id, error={"code": -32002, "message": f"no such book: {uri}"})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"allOf": [schema]}
    return schema


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def ask(**params: Any) -> dict[str, Any]:
    """Ask the client's user something, and wait for the answer."""
    with lock:
        number = f"ask {len(asked)}"
        inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        asked[number] = inbox
    note(number)
    say(id=number, method="elicitation/create", params=params)
    answer = inbox.get()
    note(f"answered {json.dumps(answer)}")
    return answer


def call(id: Any, name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any] | None:
    note(f"ran {name}")
    given, n = arguments.get("text", ""), arguments.get("n", 0)
    match name:
        case "echo":
            return text(f"{given}")
        case "fail":
            return {**text(given), "isError": True}
        case "structured":
            return (
                {"structuredContent": {"a": 1}}
                if MANNER == "sloppy"
                else {**text("{}"), "structuredContent": {"a": "no number"}}
            )
        case "content":
            content = json.loads(given)
            return content if isinstance(content, dict) else {"content": content}
        case "env":
            return text(os.environ.get(given, "not set"))
        case "slow":
            stopped = cancelled.setdefault(id, threading.Event()).wait(n)
            note(f"cancelled {name}" if stopped else f"done {name}")
            return None if stopped else text("done")
        case "count":
            for step in range(int(n)):
                said = {
                    "progressToken": meta.get("progressToken"),
                    "progress": step + 1,
                    "total": n,
                    "message": "counting",
                }
                say(method="notifications/progress", params=said)
            return text("counted")
        case "die":
            os._exit(7)
        case "spawn":  # a grandchild that wants to outlive everybody
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)",
                ],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
            return text(str(child.pid))
        case "pid":
            return text(str(os.getpid()))
        case "ask":
            said = ask(**arguments)
            return {**text(json.dumps(said)), "isError": said.get("action") == "cancel"}
        case "sampled":
            said = {"messages": [], "maxTokens": 5}
            with lock:
                asked["sample"] = queue.Queue()
            say(id="sample", method="sampling/createMessage", params=said)
            return text(json.dumps(asked["sample"].get()))
        case "ask_later":
            threading.Timer(
                0.1, lambda: ask(mode="form", message="Late?", requestedSchema={"type": "object", "properties": {}})
            ).start()
            return text("later")
        case "linked":
            return {
                "content": [{"type": "resource_link", "uri": "book://one", "name": "One", "mimeType": "text/plain"}]
            }
        case "news":
            say(method="notifications/resources/list_changed")
            say(method="notifications/prompts/list_changed")
            return text("told")
        case "storm":
            for _ in range(int(n)):
                say(method="notifications/tools/list_changed")
            return text("stormed")
        case "large" if MANNER == "torrent":  # one line without end, until nobody reads it
            with lock:
                while True:
                    sys.stdout.write("x" * int(n))
        case "large":
            return text("x" * int(n))
    return {**text(f"called {name}")}


def pester() -> None:
    """Send requests of every kind that a server may send, 50,000 of each at most, as fast as they are read."""
    form = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(50)}}
    message = {"role": "user", "content": {"type": "text", "text": "x" * 1_000}}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("sampling/createMessage", {"messages": [message] * 5, "maxTokens": 5}),
        ("elicitation/create", {"mode": "form", "message": "x" * 1_000, "requestedSchema": form}),
        ("roots/list", {}),
        ("ping", {}),
    ]
    for n in range(50_000):
        for method, params in kinds:
            say(id=f"{method} {n}", method=method, params=params)


def chatter() -> None:
    """Send notifications of every kind and lines to stderr, 200,000 of each at most, as fast as they are read."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("notifications/message", {"level": "info", "data": "x" * 100}),
        ("notifications/tools/list_changed", {}),
        ("notifications/progress", {"progressToken": "nobody's", "progress": 1}),
    ]
    lines = "".join(json.dumps({"jsonrpc": "2.0", "method": m, "params": p}) + "\n" for m, p in kinds * 100)
    for _ in range(2_000):
        write(lines[:-1])
        sys.stderr.write("a line\n" * 100)


def answer(message: dict[str, Any]) -> None:
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method == "initialize" and MANNER == "forger":
        say(id=id, error={"code": -32000, "message": FORGED})
    elif method == "initialize":
        capabilities: dict[str, Any] = {"tools": {"listChanged": True}}
        more: dict[str, Any] = {}
        if MANNER == "library":
            capabilities |= {"resources": {}, "prompts": {"listChanged": True}}
            more["instructions"] = library().get("instructions", "Books.\n*/ globalThis.pwned = 1; /* Read \u202eone.")
            if library().get("toolless"):
                del capabilities["tools"]
        info = {"name": "peer", "version": "1"}
        result = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info, **more}
        say(id=id, result=result)
        if MANNER == "quits":
            os._exit(5)
    elif method == "tools/list":
        note("list")
        known, start, size = tools(), int(params.get("cursor") or 0), 1000
        result = {"tools": known[start : start + size]}
        if start + size < len(known) or MANNER == "endless":
            result["nextCursor"] = str(start + size) if MANNER != "endless" else "0"
        say(id=id, result=result)
    elif MANNER == "library" and method in ("resources/list", "resources/templates/list", "prompts/list"):
        names = {"resources/list": "resources", "prompts/list": "prompts"}
        page(id, names.get(method, "resourceTemplates"), params)
    elif MANNER == "library" and method == "resources/read":
        threading.Thread(target=read_resource, args=[id, params["uri"]], daemon=True).start()
    elif MANNER == "library" and method == "prompts/get":
        said = f"{params['name']}: {json.dumps(params.get('arguments'))}"
        content = {"type": "resource", "resource": {"uri": "book://one", "blob": "AAEC", "mimeType": "image/png"}}
        messages = [{"role": "user", "content": {"type": "text", "text": said}}, {"role": "user", "content": content}]
        say(id=id, result={"description": "As asked.", "messages": messages})
    elif method == "tools/call" and refuses():
        say(id=id, error={"code": -32020, "message": "The headers do not match the tool"})
    elif method == "tools/call" and params["name"] == "refuse":
        data = {"field": "city", "got": [1, params.get("arguments")], "key": os.environ.get("API_KEY")}
        say(id=id, error={"code": -32050, "message": "no such city", "data": data})
    elif method == "tools/call":
        result_or_none = call(id, params["name"], params.get("arguments") or {}, params.get("_meta") or {})
        if result_or_none is not None:
            say(id=id, result=result_or_none)
    elif method == "notifications/initialized" and MANNER == "chatters":
        threading.Thread(target=chatter, daemon=True).start()
    elif method == "notifications/initialized" and MANNER == "pesters":
        threading.Thread(target=pester, daemon=True).start()
    elif method == "notifications/cancelled":
        cancelled.setdefault(params.get("requestId"), threading.Event()).set()
    elif id is not None:
        say(id=id, error={"code": -32601, "message": "Method not found"})


def main() -> None:
    note(f"start {os.getpid()}")
    if MANNER == "crash":
        sys.stderr.write(f"no licence for {os.environ.get('API_KEY', 'you')}\n")
        sys.exit(3)
    if MANNER == "groaning":
        sys.stderr.write(FORGED.replace("\n", "\r"))
        sys.exit(3)
    if MANNER in ("sulks", "later") and not (FILE is not None and Path(FILE).with_suffix(".go").exists()):
        if MANNER == "sulks":
            time.sleep(600)
        sys.exit(3)
    if MANNER == "node":
        sys.stderr.write(
            f"loader:1\n  throw err;\n  ^\n\nError: Cannot find {os.environ.get('API_KEY', 'it')}\n    at x\n}}\n"
        )
        sys.exit(1)
    if MANNER == "mute":
        time.sleep(600)
    if MANNER == "junk":
        write('Welcome!\n\x1b[31mred\x1b[0m\n{\n[]\nnull\n{"jsonrpc": "1.0"}')
        with lock:
            sys.stdout.buffer.write(b"\xff\xfe\x00a\x00\n" + b"x" * (4 << 20) + b"\n")
    if MANNER == "deaf":  # does not go when its stdin closes, nor when it is asked to
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            if message.get("id") in asked:
                asked[message["id"]].put(message.get("result") or message)
            continue
        if message.get("method") == "tools/call":
            threading.Thread(target=answer, args=[message], daemon=True).start()
        else:
            answer(message)
    if MANNER == "deaf":
        time.sleep(600)


if __name__ == "__main__":
    main()
