"""A small host of one real sandbox: starts Deno, sends a program, serves its calls, keeps what it said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Timer
from typing import Any

from deno import find_deno_bin

from pctx_jupyter.errors import Failure
from pctx_jupyter.program.diagnostics import failure
from pctx_jupyter.program.program import Outline, Program, prepare
from pctx_jupyter.rpc.sandbox_wire import Thrown
from pctx_jupyter.sandbox import flags
from pctx_jupyter.settings import Limits

SOON = 20
"""Seconds after which a hang becomes a failure: the sandbox is killed, and its silence fails the test."""

RUNTIME = flags.RUNTIME

DENO = find_deno_bin()

COMMAND = flags.command(DENO, Limits(max_heap_mb=128))
"""What the product starts, without the second layer: so what is denied here, Deno denies."""

TOOLS: Mapping[str, Mapping[str, str]] = {"Notebook": {"echo": "Notebook.echo", "fail": "Notebook.fail"}}


def answer(name: str, arguments: Any) -> dict[str, Any]:
    """Serve the tools every test has: one returns its arguments, one fails."""
    if name.endswith(".fail"):
        data = {"name": "ValueError", "token": "e3"}
        return {"error": {"code": -32002, "message": f"no {arguments}", "data": data}}
    return {"result": arguments}


@dataclass(slots=True)
class Conversation:
    """What a sandbox said, in order, and the program it was about."""

    program: Program
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def value(self) -> Any:
        assert "result" in self.said[-1], self.said[-1]
        return self.said[-1]["result"]

    @property
    def thrown(self) -> dict[str, Any]:
        assert "error" in self.said[-1], self.said[-1]
        data: dict[str, Any] = self.said[-1]["error"]["data"]
        return data

    @property
    def failure(self) -> Failure:
        return failure(Thrown(**self.thrown), self.program)

    def params(self, method: str) -> list[dict[str, Any]]:
        return [message["params"] for message in self.said if message.get("method") == method]

    def output(self, stream: str) -> str:
        return "".join(params["text"] for params in self.params("output") if params["stream"] == stream)


@contextmanager
def sandbox(command: Sequence[str] = COMMAND) -> Iterator[subprocess.Popen[bytes]]:
    """Start a sandbox that has said nothing yet; it is killed on the way out."""
    with subprocess.Popen(
        command,
        env=flags.ENVIRONMENT,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        hang = Timer(SOON, process.kill)
        hang.start()
        try:
            yield process
        finally:
            hang.cancel()
            process.kill()


def write(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def request(
    program: Program,
    namespaces: Mapping[str, Mapping[str, str]] = TOOLS,
    inputs: Mapping[str, Any] | None = None,
    output_bytes: int = 100_000,
    **more: Any,
) -> dict[str, Any]:
    params = {"code": program.text, "entry": program.entry, "namespaces": namespaces, "inputs": inputs or {}}
    params |= {"output_bytes": output_bytes, "display_bytes": 10_000, **more}
    return {"jsonrpc": "2.0", "id": 1, "method": "run", "params": params}


def converse(
    code: str,
    *,
    namespaces: Mapping[str, Mapping[str, str]] = TOOLS,
    inputs: Mapping[str, Any] | None = None,
    output_bytes: int = 100_000,
    serve: Callable[[str, Any], dict[str, Any]] = answer,
    command: Sequence[str] = COMMAND,
    outline: Outline | None = None,
    before: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Conversation:
    """Run one program in a process of its own, until it answers or ends.

    Args:
        before: Messages that are sent before the program.

    Raises:
        AssertionError: It ended, or was stopped as hanging, without an answer.
    """
    heard = Conversation(prepare(code, outline))
    with sandbox(command) as process:
        assert process.stdout is not None
        for message in before:
            write(process, message)
        write(process, request(heard.program, namespaces, inputs, output_bytes, **more))
        for line in process.stdout:
            message = json.loads(line)
            heard.said.append(message)
            match message:
                case {"method": "call", "id": id, "params": {"name": name, **rest}}:
                    if said := serve(name, rest.get("arguments")):  # else it is never answered
                        write(process, {"jsonrpc": "2.0", "id": id} | said)
                case {"id": 1, "result": _} | {"id": 1, "error": _}:
                    return heard
    raise AssertionError(f"no answer; the last that was said: {heard.said[-1:]}")
