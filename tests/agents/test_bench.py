"""The agents' benchmark in short: recorded conversations against the real endpoint and real MCP servers.

Models are a local HTTP server that answers from a script, in the shapes of both interfaces.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from benchmarks import agents, models

CODE = 'const { rows } = await Almanac.listCars();\nrows.filter((car) => car.Origin === "Europe").length'


async def test_nine_tasks_are_answered_rightly_after_little_discovery() -> None:
    found, done = await agents.here()
    assert len(done) == len(agents.plain_calls()) == 9
    assert agents.losses(done) == []
    assert found.tokens <= agents.MOST_DISCOVERY
    assert sum(tally.tokens for tally in done) < 3_000


def test_a_wrong_answer_an_error_and_a_missing_warning_are_found() -> None:
    done = [agents.Tally(answers=[task["expect"]], errors=task.get("errors", 0)) for task in agents.tasks()]
    done[0].answers, done[1].errors = ["nonsense"], 1
    found = agents.losses(done)
    assert len(found) == 3 and "'nonsense'" in found[0] and "1 errors" in found[1] and "0 warnings" in found[2]


def test_what_costs_more_here_is_named() -> None:
    line = agents._line("a task", agents.Tally(1, 10, 10, 10, 1.0), agents.Tally(1, 20, 5, 11, 0.5))
    assert line.endswith("more here: written, tokens")


@contextmanager
def scripted(answers: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[str, dict[str, str], dict[str, Any]]]]]:
    """A model's API that gives these answers in turn; yields its address, and the requests it has had."""
    had: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            had.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            text = json.dumps(answers[len(had) - 1]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", had
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def openai(text: str | None, *calls: tuple[str, str]) -> dict[str, Any]:
    made = [
        {"id": f"call-{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text} | ({"tool_calls": made} if made else {})
    return {"choices": [{"message": message}], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


def anthropic(text: str, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    blocks += [
        {"type": "tool_use", "id": f"use-{at}", "name": name, "input": given} for at, (name, given) in enumerate(calls)
    ]
    return {"content": blocks, "usage": {"input_tokens": 100, "output_tokens": 10}}


async def test_a_model_of_either_interface_uses_the_tools_until_it_has_an_answer() -> None:
    arguments = json.dumps({"code": CODE})
    ask = [
        openai(None, ("execute", "{not JSON")),
        openai(None, ("execute", arguments), ("nothing", "{}")),
        openai("73 cars"),
    ]
    use = [anthropic("I look.", ("execute", {"code": "weatherDay()"})), anthropic("", ("execute", {"code": CODE}))]
    async with agents.endpoint() as client:
        with scripted(ask) as (url, had):
            model = models.of_environment({"PCTX_BENCH_MODEL": "m", "PCTX_BENCH_URL": url, "PCTX_BENCH_KEY": "k"})
            assert model is not None
            done = await models.solve(model, client, "How many cars are from Europe?")
        assert (done.answer, done.calls, done.errors, done.tokens_in, done.tokens_out) == ("73 cars", 3, 2, 300, 30)
        assert [path for path, _, _ in had] == ["/v1/chat/completions"] * 3
        assert had[0][1]["authorization"] == "Bearer k"
        assert {tool["function"]["name"] for tool in had[0][2]["tools"]} >= {"execute", "list_functions"}
        results = [message["content"] for message in had[2][2]["messages"] if message["role"] == "tool"]
        assert "no JSON" in results[0] and results[1] == "73" and "nothing" in results[2]

        with scripted([*use, anthropic("73 cars")]) as (url, had):
            named = {"PCTX_BENCH_MODEL": "m", "PCTX_BENCH_URL": url + "/", "PCTX_BENCH_API": "anthropic"}
            model = models.of_environment(named)
            assert model is not None
            done = await models.solve(model, client, "How many cars are from Europe?")
        assert (done.answer, done.calls, done.errors, done.tokens_in) == ("73 cars", 2, 1, 300)
        assert had[0][0] == "/v1/messages" and "x-api-key" not in had[0][1]
        (failed,), (worked,) = (had[2][2]["messages"][at]["content"] for at in (2, 4))
        assert failed["is_error"] and "Almanac.weatherDay" in failed["content"]
        assert not worked["is_error"] and worked["content"] == "73"


async def test_a_model_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MOST_TURNS", 2)
    async with agents.endpoint() as client:
        with scripted([anthropic("", ("list_functions", {"detail": "names"}))] * 2) as (url, had):
            done = await models.solve(models.Model("m", url, "", is_anthropic=True), client, "Go on for ever")
    assert len(had) == done.calls == 2 and done.answer == "(no answer after 2 turns)"


def test_the_environment_names_the_model_and_its_interface() -> None:
    assert models.of_environment({}) is None
    with pytest.raises(SystemExit, match="PCTX_BENCH_URL"):
        models.of_environment({"PCTX_BENCH_MODEL": "m"})
    model = models.of_environment({"PCTX_BENCH_MODEL": "m", "PCTX_BENCH_URL": "https://api.anthropic.com/v1"})
    assert model is not None and model.is_anthropic
