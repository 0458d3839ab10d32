"""Metrics and the audit log of a real server: what programs and calls leave there, and what they do not."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pctx_jupyter import errors
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.session.execution import CallMade
from pctx_jupyter.session.observers import Observers
from pctx_jupyter.session.trace import Trace

Limits = dict[str, Any]


@pytest.fixture
def audit() -> str:
    """What ``c.Pctx.audit`` is."""
    return "on"


@pytest.fixture
def written(tmp_path: Path) -> Path | None:
    """Where the server writes its events; None: nowhere."""
    return tmp_path / "events.jsonl"


@pytest.fixture
def jp_server_config(audit: str, written: Path | None) -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"pctx_jupyter": True}},
        "Pctx": {"warm_sandboxes": 1, "audit": audit, "policy": ["deny client Shop.refund"]},
        "EventLogger": {"handlers": [logging.FileHandler(written, delay=True)] if written else []},
    }


def events(written: Path, kind: str) -> list[dict[str, Any]]:
    """The events of a kind, ``execution`` or ``call``, in their order."""
    lines = written.read_text().splitlines() if written.exists() else []
    return [event for event in map(json.loads, lines) if event["__schema__"].endswith(f"pctx-jupyter.org/{kind}/v1")]


async def sell(client: Any) -> None:
    """Run four programs: two calls, one of them refused; an error of a tool; one that is no program; an endless one."""
    async with client() as it:

        def price(arguments: dict[str, Any]) -> int:
            if arguments["sku"] == "none":
                raise ValueError("the secret price of none")
            return 42

        for name in ("price", "refund"):
            await it.register_tool("Shop", name, price)
        await it.execute_code(
            'const a = await Shop.price({ sku: "hidden-sku" });await Shop.refund({ sku: "b" }).catch(() => null); a'
        )
        with pytest.raises(errors.ExecutionFailed):
            await it.execute_code('await Shop.price({ sku: "none" })')
        with pytest.raises(errors.ExecutionFailed):
            await it.execute_code("const n: number = 'text'")
        with pytest.raises(errors.ExecutionTimeout):
            await it.execute_code("for (;;);", timeout_s=0.1)


async def test_every_execution_and_every_call_is_an_event_without_code_arguments_or_texts_of_errors(
    client: Any, written: Path
) -> None:
    await sell(client)
    first, second, third, fourth = events(written, "execution")
    assert (first["outcome"], first["calls"], first["failed_calls"], first["check"]) == ("ok", 2, 1, "passed")
    assert (second["outcome"], second["error"]) == ("failed", "ValueError")
    assert (third["outcome"], third["check"], third["calls"]) == ("failed", "failed", 0)
    assert third["code_sha256"] == hashlib.sha256(b"const n: number = 'text'").hexdigest()
    assert (fourth["outcome"], fourth["stopped_by"], fourth["error"]) == ("stopped", "limit", "ExecutionTimeout")
    called = events(written, "call")
    assert [(one["tool"], one["number"], one["outcome"], one.get("decision")) for one in called] == [
        ("Shop.price", 1, "ok", None),
        ("Shop.refund", 2, "refused", "forbidden"),
        ("Shop.price", 1, "failed", None),
    ]
    assert [one["execution"] for one in called] == [first["execution"], first["execution"], second["execution"]]
    assert called[0]["arguments_sha256"] == hashlib.sha256(b'{"sku":"hidden-sku"}').hexdigest()
    assert (called[0]["argument_bytes"], called[0]["result_bytes"]) == (20, 2)
    assert {one["asked_by"] for one in called} == {"client"} and called[0]["user"]
    text = json.dumps([*called, first, second, third])
    assert not [secret for secret in ("hidden-sku", "secret price", "const n") if secret in text]


@pytest.mark.parametrize("audit", ["payloads"])
async def test_code_and_arguments_are_written_where_that_is_asked_for(client: Any, written: Path) -> None:
    await sell(client)
    assert "hidden-sku" in events(written, "execution")[0]["code"]
    assert events(written, "call")[0]["arguments"] == '{"sku":"hidden-sku"}'


@pytest.mark.parametrize("audit", ["off"])
async def test_no_event_is_written_unless_it_is_asked_for(client: Any, written: Path) -> None:
    await sell(client)
    assert events(written, "execution") == events(written, "call") == []


@pytest.mark.parametrize("written", [None])
async def test_audit_log_that_is_written_nowhere_is_a_warning_with_the_way_out(
    running: RunningEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await running.get()
    warned = [one.message for one in caplog.records if one.message.startswith("audit = ")]
    assert warned == ["audit = events are not written: set c.EventLogger.handlers or c.Pctx.audit_file"]


async def measured(jp_fetch: Any) -> dict[str, float]:
    """The samples that the server shows, by name and labels."""
    text = (await jp_fetch("metrics")).body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{one.name}{sorted(one.labels.values())}": one.value for one in samples if one.name.startswith("pctx_")}


async def test_the_metrics_of_the_server_count_executions_calls_and_decisions(
    client: Any, jp_fetch: Any, running: RunningEngine
) -> None:
    await running.get()
    before = await measured(jp_fetch)
    assert not any("_total" in name for name in before), "nothing has happened yet"
    assert before["pctx_sessions[]"] == before["pctx_tools[]"] == before["pctx_programs['running']"] == 0
    await sell(client)
    after = await measured(jp_fetch)
    assert after["pctx_executions_total['', 'client', 'ok']"] == 1
    assert after["pctx_executions_total['', 'client', 'failed']"] == 2
    assert after["pctx_executions_total['client', 'limit', 'stopped']"] == 1
    assert after["pctx_execution_seconds_count['client']"] == 4
    assert after["pctx_check_seconds_count['passed']"] == 3 and after["pctx_check_seconds_count['failed']"] == 1
    assert after["pctx_calls_total['client', 'ok']"] == after["pctx_calls_total['client', 'failed']"] == 1
    assert after["pctx_calls_total['client', 'refused']"] == after["pctx_decisions_total['forbidden']"] == 1
    assert after["pctx_call_seconds_count[]"] == 3
    assert not any("Shop" in name for name in after), "a tool's name is no label"


async def test_the_metrics_show_what_is_under_way(client: Any, jp_fetch: Any) -> None:
    async with client() as it:
        seen: list[dict[str, float]] = []

        async def look(arguments: Any) -> None:
            seen.append(await measured(jp_fetch))

        await it.register_tool("Test", "look", look)
        await it.execute_code("await Test.look({})")
        assert seen[0]["pctx_programs['running']"] == seen[0]["pctx_sessions[]"] == seen[0]["pctx_tools[]"] == 1


def test_an_observer_that_fails_keeps_no_other_from_recording(caplog: pytest.LogCaptureFixture) -> None:
    recorded: list[str] = []

    class Broken:
        def execution_ended(self, trace: Trace) -> None:
            raise RuntimeError("the disk is full")

        def call_ended(self, trace: Trace, call: CallMade) -> None:
            raise RuntimeError("the disk is full")

    class Working:
        def execution_ended(self, trace: Trace) -> None:
            recorded.append(trace.id)

        def call_ended(self, trace: Trace, call: CallMade) -> None:
            recorded.append(call.tool.path)

    observers = Observers()
    assert not observers
    observers.add(Broken())
    stop = observers.add(Working())
    trace = Trace(id="k.1", code="1", asked_by="cell", state="ok", started_at=0.0)
    observers.execution_ended(trace)
    stop()
    observers.execution_ended(trace)
    assert recorded == ["k.1"] and "the disk is full" in caplog.text
