"""Programs that take more than they may: each is stopped, is told which limit, and leaves the next one untouched."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.program.result import Display
from pctx_jupyter.sandbox.pool import Pool
from pctx_jupyter.sandbox.supervisor import Supervisor
from pctx_jupyter.session.execution import ProgramStopped, ProgramThrew
from pctx_jupyter.settings import MIB, Limits
from tests.sandbox.programs import Host, job, pool_of, run, sandboxes, soon, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits that only Linux sets from outside")


def limited(**limits: Any) -> Any:
    """A pool whose sandboxes have these limits."""
    return pool_of(limits=Limits(**limits))


async def stopped(pool: Pool, code: str, limits: Limits, host: Host | None = None) -> str:
    """Run a program that has to be stopped; returns what it is told. The next one must not notice."""
    with pytest.raises(ProgramStopped) as told:
        await run(pool, code, limits, host)
    assert told.value.name == "LimitExceeded"
    assert await run(pool, "1 + 1") == 2
    return told.value.message


@pytest.mark.parametrize(
    "code",
    [
        "for (;;) {}",
        "const spin = () => Promise.resolve().then(spin); await spin()",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "await new Promise(() => {})",
        "await Test.hang()",
        "setInterval(() => {}, 1); await new Promise(() => {})",
    ],
)
async def test_wall_clock(code: str) -> None:
    limits, host = Limits(timeout_s=0.3), Host()
    async with pool_of() as pool:
        with pytest.raises(errors.ExecutionTimeout, match=r"stopped after 0.3 s .*timeout_s"):
            await run(pool, code, limits, host)
        assert host.cancelled == len(host.called)
        await until(lambda: len(sandboxes()) == 1)
        assert await run(pool, "1 + 1") == 2


@linux
async def test_processor_time() -> None:
    limits = Limits(max_cpu_s=1)
    async with limited(max_cpu_s=1) as pool:
        assert "1 s of CPU time (Pctx.max_cpu_s)" in await stopped(pool, "for (;;) {}", limits)


@pytest.mark.parametrize(
    "code",
    [
        "const all = []; for (;;) all.push({ a: [1, 2, 3], b: {} })",
        "let all = 'x'; for (const list = [];;) list.push(all += all.slice(0, 1 << 20) + Math.random())",
        "const all = new Map(); for (let i = 0;; i++) all.set(i, new Array(100).fill(i))",
    ],
)
async def test_heap(code: str) -> None:
    limits = Limits(max_heap_mb=32)
    async with limited(max_heap_mb=32) as pool:
        try:
            assert "32 MB of JavaScript heap" in await stopped(pool, code, limits)
        except ProgramThrew as error:  # a text longer than any may be
            assert error.thrown.name == "RangeError"


@linux
async def test_one_buffer_too_large_is_an_error_the_program_can_catch() -> None:
    code = "let said = ''; try { new Uint8Array(1 << 28) } catch (e) { said = e.message } said"
    async with limited(max_memory_mb=128) as pool:
        assert await run(pool, code) == "Array buffer allocation failed"


@linux
async def test_many_buffers() -> None:
    code = "const all = []; for (;;) all.push(new Uint8Array(1 << 22).fill(1))"
    async with limited(max_memory_mb=128) as pool:
        try:
            assert "128 MB in all" in await stopped(pool, code, Limits(max_memory_mb=128))
        except ProgramThrew as error:  # when there was enough left to say so
            assert error.thrown.message == "Array buffer allocation failed"
        assert await run(pool, "1 + 1") == 2


@linux
async def test_native_memory() -> None:
    code = "const all = []; const part = new Uint8Array(1 << 22).fill(1); for (;;) all.push(new Blob([part]))"
    async with limited(max_memory_mb=128) as pool:
        assert "128 MB in all (Pctx.max_heap_mb, Pctx.max_memory_mb)" in await stopped(
            pool, code, Limits(max_memory_mb=128)
        )


@linux
async def test_memory_of_a_library_that_crashes_when_it_gets_none() -> None:
    code = "const all = []; for (;;) all.push(new Intl.DateTimeFormat('de', { timeZone: 'Europe/Berlin' }))"
    async with limited(max_memory_mb=256) as pool:
        assert "256 MB" in await stopped(pool, code, Limits(max_memory_mb=256))


@linux
async def test_memory_is_watched_even_where_the_system_would_allow_it() -> None:
    # The sandbox may use 512 MB, this execution 16: so it is the watch that stops it.
    code = "const all = new Uint8Array(1 << 26).fill(1); await new Promise(() => {})"
    async with pool_of() as pool:
        assert "16 MB of memory (Pctx.max_memory_mb)" in await stopped(pool, code, Limits(max_memory_mb=16))


async def test_output_is_cut_once_and_the_program_goes_on() -> None:
    host = Host()
    code = "for (let i = 0; i < 10_000; i++) console.log('x'.repeat(1000)); 'done'"
    async with pool_of() as pool:
        assert await run(pool, code, Limits(max_output_bytes=5000), host) == "done"
    printed = host.printed()
    assert printed.endswith("… output cut after 5000 bytes (max_output_bytes)\n")
    assert printed.count("output cut") == 1
    assert 5000 <= len(printed.encode()) <= 5100


async def test_displays_are_bounded_and_the_program_hears_of_it() -> None:
    host = Host()
    code = """
    let shown = 0, said = "";
    try {
      for (;; shown++) await Deno.jupyter.display(Deno.jupyter.html`${"x".repeat(1000)}`);
    } catch (e) { said = e.message + shown }
    said"""
    async with pool_of() as pool:
        value = await run(pool, code, Limits(max_display_bytes=5000), host)
    assert value == "Cannot display: a program may show 5000 bytes in all (Pctx.max_display_bytes); show less3"
    assert len([event for event in host.events if isinstance(event, Display)]) == 3


async def test_displays_of_a_sandbox_that_does_not_count_are_dropped_by_us() -> None:
    line = b'{"jsonrpc":"2.0","method":"display","params":{"data":{"text/plain":"' + b"x" * 80 + b'"}}}'
    async with judging(Limits(max_display_bytes=1000)) as (supervisor, host):
        for _ in range(100):
            supervisor.receive(line)
    assert len([event for event in host.events if isinstance(event, Display)]) == 3


async def test_output_of_a_sandbox_that_does_not_count_is_cut_by_us() -> None:
    line = b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","text":"' + b"x" * 99 + b'\\n"}}'
    async with judging(Limits(max_output_bytes=1000)) as (supervisor, host):
        for _ in range(100):
            supervisor.receive(line)
    printed = host.printed()
    assert printed.count("output cut after 1000 bytes") == 1
    assert len(printed) < 1200


async def test_value() -> None:
    async with limited(max_result_bytes=MIB) as pool:
        told = await stopped(pool, "'x'.repeat(1 << 20)", Limits(max_result_bytes=MIB))
        assert told == (
            "Cannot finish execution: its value has more than 1,048,576 bytes of JSON (Pctx.max_result_bytes); use less"
        )
        assert await run(pool, "'x'.repeat((1 << 20) - 2).length", Limits(max_result_bytes=MIB)) == MIB - 2


async def test_a_value_of_200_megabytes() -> None:
    limits = Limits(max_heap_mb=1024, max_memory_mb=2048)
    async with limited(max_heap_mb=1024, max_memory_mb=2048) as pool:
        told = await stopped(pool, "const part = 'x'.repeat(1 << 20); Array(200).fill(part)", limits)
    assert "67,108,864 bytes of JSON (Pctx.max_result_bytes)" in told


async def test_arguments() -> None:
    host = Host()
    async with limited(max_result_bytes=MIB) as pool:
        for size in (1 << 20, 1 << 21):
            told = await stopped(pool, f"await Test.echo('x'.repeat({size}))", Limits(max_result_bytes=MIB), host)
            assert "the arguments of a tool call have more than 1,048,576 bytes" in told
    assert not host.called


async def test_calls_in_all() -> None:
    host = Host()
    async with pool_of() as pool:
        told = await stopped(pool, "for (;;) Test.echo()", Limits(max_calls=100), host)
        assert "more than 100 tool calls (Pctx.max_calls)" in told
        assert len(host.called) <= 100
        assert await run(pool, "for (let i = 0; i < 100; i++) await Test.echo(); 1", Limits(max_calls=100)) == 1


async def test_calls_at_once() -> None:
    host = Host()
    async with pool_of() as pool:
        code = "(await Promise.all(Array.from({ length: 500 }, (_, i) => Test.echo(i)))).length"
        assert await run(pool, code, Limits(max_calls_in_flight=7), host) == 500
    assert (len(host.called), host.most_at_once) == (500, 7)


@pytest.mark.parametrize(
    ("code", "limits", "read"),
    [
        ("for (;;) Test.hang()", {"max_calls_in_flight": 5}, 5),
        ("for (;;) Test.hang('x'.repeat(400_000))", {"max_result_bytes": MIB}, 3),
    ],
)
async def test_a_flood_of_calls_that_never_end_is_not_even_read(code: str, limits: dict[str, Any], read: int) -> None:
    host = Host()
    async with limited(**limits) as pool:
        with pytest.raises(errors.ExecutionTimeout):
            await run(pool, code, Limits(timeout_s=0.5, **limits), host)
    assert (len(host.called), host.cancelled) == (read, read)


async def test_answers_that_are_not_read() -> None:
    async with pool_of() as pool:
        told = await stopped(pool, "for (;;) Test.big()", Limits(max_memory_mb=8))
        assert "more than 8 MB of answers to its tool calls wait to be read (Pctx.max_memory_mb)" in told


async def test_the_time_of_a_call_is_an_error_the_program_can_catch() -> None:
    host = Host()
    async with pool_of() as pool:
        code = "let said = ''; try { await Test.hang() } catch (e) { said = `${e.name}: ${e.message}` } said"
        said = await run(pool, code, Limits(max_call_s=0.05), host)
    assert said == "TimeoutError: Tool Test.hang timed out after 0.05 s; raise Pctx.max_call_s if it needs longer"
    assert host.cancelled == 1


async def test_recursion_is_an_error_of_the_program() -> None:
    async with pool_of() as pool:
        with pytest.raises(ProgramThrew) as told:
            await run(pool, "const down = (): number => 1 + down(); down()")
    assert told.value.thrown.message == "Maximum call stack size exceeded"


async def test_a_program_nested_too_deeply_to_be_read_is_told_so() -> None:
    async with pool_of() as pool:
        told = await stopped(pool, "(" * 20_000 + "1" + ")" * 20_000, Limits())
    assert told == "Cannot finish execution: it is nested too deeply to be read; use fewer brackets inside one another"


# A sandbox that has been taken over says whatever it likes.


@asynccontextmanager
async def judging(limits: Limits | None = None) -> AsyncIterator[tuple[Supervisor, Host]]:
    """A supervisor whose program waits for ever, to be told things in its sandbox's name."""
    host, waits = Host(), job("await new Promise(() => {})", limits)
    async with pool_of() as pool, pool.borrow() as worker:
        yield Supervisor(worker, waits, host.serve, host.events.append, message_bytes=MIB), host


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"jsonrpc":"2.0","id":1,"result":"\xff"}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"jsonrpc":"2.0","method":"ready","params":{"left":[]}}',
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"log","text":"x"}}',
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","text":7}}',
        b'{"jsonrpc":"2.0","id":5,"method":"execute","params":{"code":"1"}}',
        b'{"jsonrpc":"2.0","id":5,"method":"call","params":{"arguments":1}}',
        [
            b'{"jsonrpc":"2.0","id":5,"method":"call","params":{"name":"Test.hang"}}',
            b'{"jsonrpc":"2.0","method":"$/cancel","params":{"id":5}}',
        ],
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"x","data":{"phase":"never"}}}',
    ],
)
async def test_a_line_against_the_protocol_ends_the_execution(line: bytes | list[bytes]) -> None:
    async with judging() as (supervisor, host):
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(0)
        for one in [line] if isinstance(line, bytes) else line:
            supervisor.receive(one)
        with pytest.raises(ProgramStopped, match="broke the protocol"):
            await soon(running)
        assert not host.events


async def test_forged_answers_and_calls_can_do_no_more_than_the_program_may(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with judging() as (supervisor, host):
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(0)
        supervisor.receive(b'{"jsonrpc":"2.0","id":2,"result":"for another request"}')
        supervisor.receive(b'{"jsonrpc":"2.0","id":"1","result":"for one with a text of that look"}')
        supervisor.receive(b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"for none"}}')
        supervisor.receive(b'{"jsonrpc":"2.0","id":"mine","method":"call","params":{"name":"Other.tool"}}')
        supervisor.receive(b'{"jsonrpc":"2.0","id":"\\nforged","method":"call","params":{"name":"\\nforged\\u001b"}}')
        await until(lambda: host.called == ["Other.tool", "\nforged\x1b"])  # the session checks whether it is offered
        assert not running.done()
        supervisor.receive(b'{"jsonrpc":"2.0","id":1,"result":"first"}')
        supervisor.receive(b'{"jsonrpc":"2.0","id":1,"result":"second"}')
        assert bytes(await soon(running)) == b'"first"'
    assert "\nforged" not in caplog.text and "\x1b" not in caplog.text
