"""The pool: programs go in, values come out, and nothing is left, whatever happens between."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.program.result import Output
from pctx_jupyter.sandbox import flags
from pctx_jupyter.sandbox.executable import Executable, find
from pctx_jupyter.sandbox.pool import open_pool
from pctx_jupyter.sandbox.spawner import Direct, Launcher, Spawner
from pctx_jupyter.session.execution import ProgramStopped, ProgramThrew, Sandboxes
from pctx_jupyter.settings import Limits, Settings
from tests.fakes import SOON

from .programs import Host, job, launcher, pool_of, remote_of, run, sandboxes, soon, until

OpenSandboxes = Callable[..., AbstractAsyncContextManager[Sandboxes]]


@pytest.fixture(params=[pool_of, remote_of], ids=["here", "on a host"])
def open_sandboxes(request: pytest.FixtureRequest) -> OpenSandboxes:
    """Opens what programs run in: the pool of this machine, or a sandbox host over a socket."""
    found: OpenSandboxes = request.param
    return found


def idle(pool: Sandboxes, warm: int = 1) -> bool:
    """Whether the pool has all it wants and nothing to do; an engine does not know what its hosts keep warm."""
    status = pool.status()
    return ("hosts" in status or status["warm"] == warm) and not (
        status["starting"] or status["running"] or status["waiting"]
    )


# programs


async def test_a_program_calls_tools_prints_and_returns_a_value(open_sandboxes: OpenSandboxes) -> None:
    host = Host()
    async with open_sandboxes() as pool:
        value = await run(
            pool,
            """
            console.log("before");
            const echoed: number[] = await Test.echo(orders);
            console.error("after");
            [echoed.length, await Test.echo()]
            """,
            host=host,
            orders=[1, 2, 3],
        )
    assert value == [3, None]
    assert host.called == ["Test.echo", "Test.echo"]
    assert host.events == [Output("stdout", "before\n"), Output("stderr", "after\n")]


async def test_a_value_passes_as_the_bytes_that_were_written(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes() as pool:
        value = await soon(pool.run(job('({big: 1e21, text: "ünï 😀", none: undefined})'), Host().serve, print))
    assert bytes(value) == '{"big":1e+21,"text":"ünï 😀"}'.encode()


async def test_a_program_that_throws_says_what_and_a_failed_tool_keeps_its_token(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes() as pool:
        with pytest.raises(ProgramThrew) as thrown:
            await run(pool, "const a = 1;\nawait Test.fail({})")
        error = thrown.value.thrown
        assert (error.name, error.token) == ("ValueError", "e3")
        assert "program.ts:2" in error.stack
        with pytest.raises(ProgramThrew) as wrong:
            await run(pool, "const a = ;")
        assert wrong.value.thrown.phase == "import"
        assert "Expression expected" in wrong.value.thrown.message


async def test_a_program_reads_the_data_of_a_failed_call(open_sandboxes: OpenSandboxes) -> None:
    code = """
        const error = await Test.refuse({}).catch((error) => error);
        const other = await Test.fail({}).catch((error) => error);
        [error instanceof Error, error.name, error.message, error.data, Object.keys(other).includes("data")]
    """
    async with open_sandboxes() as pool:
        value = await run(pool, code)
    assert value == [True, "McpError", "no such city", {"field": ["city"], "name": "x"}, False]


@pytest.mark.parametrize("last", ["f(null)", "try { f(null) } catch (error) { throw error.stack }"])
async def test_an_error_thrown_under_a_condition_is_worded_as_any_other(last: str) -> None:
    # Deno looks at the source around such a throw, and for that at the bounds of its own stack.
    async with pool_of() as pool:
        with pytest.raises(ProgramThrew) as thrown:
            await run(pool, f"function f(a) {{\n  if (!a) throw new RangeError('x');\n  return a;\n}}\n{last}")
    assert "RangeError: x" in thrown.value.thrown.stack + thrown.value.thrown.message


async def test_a_tool_nobody_offers_is_an_error_the_program_can_catch(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes() as pool:
        value = await run(
            pool, 'let said = ""; try { await CALLABLE_TOOLS.execute("Os.exit") } catch (e) { said = e.message } said'
        )
    assert value == "Cannot call Os.exit: no such tool"


async def test_a_tool_that_breaks_is_an_internal_error_and_in_the_log(
    caplog: pytest.LogCaptureFixture, open_sandboxes: OpenSandboxes
) -> None:
    async def serve(path: str, arguments: Raw | None) -> Raw:
        raise ZeroDivisionError

    async with open_sandboxes() as pool:
        program = job("let said = ''; try { await Test.echo() } catch (e) { said = e.message } said")
        assert bytes(await soon(pool.run(program, serve, print))) == b'"Internal error"'
    assert "failed to serve Test.echo" in caplog.text


async def test_a_tool_that_awaits_something_cancelled_is_answered(open_sandboxes: OpenSandboxes) -> None:
    async def serve(path: str, arguments: Raw | None) -> Raw:
        nothing: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        nothing.cancel()
        return await nothing

    async with open_sandboxes() as pool:
        value = await soon(pool.run(job("await Test.echo().catch((error) => error.message)"), serve, print))
    assert bytes(value) == b'"Test.echo was cancelled"'


async def test_answers_written_on_several_lines_stay_one_message(open_sandboxes: OpenSandboxes) -> None:
    async def serve(path: str, arguments: Raw | None) -> Raw:
        return Raw(b'{\n  "a": [\n1,\n2]\n}\n')

    async with open_sandboxes() as pool:
        assert bytes(await soon(pool.run(job("await Test.echo()"), serve, print))) == b'{"a":[1,2]}'


async def test_a_lost_rejection_is_printed_and_the_program_goes_on() -> None:
    host = Host()
    async with pool_of() as pool:
        assert await run(pool, 'Promise.reject(new TypeError("lost")); await Test.echo(); 7', host=host) == 7
    assert host.printed("stderr").startswith("Uncaught TypeError: lost")


@pytest.mark.parametrize("before", ["", "await Test.echo(); await Test.echo();"])
async def test_a_programs_timers_run_while_it_waits_for_a_slow_tool(before: str, open_sandboxes: OpenSandboxes) -> None:
    code = f"""
        {before}
        const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too slow")), 20));
        let ticks = 0;
        setInterval(() => ticks++, 1);
        await Promise.race([Test.hang(), late]).catch((error) => [error.message, ticks > 0])
        """
    async with open_sandboxes() as pool:
        assert await run(pool, code) == ["too slow", True]


async def test_what_else_a_program_does_goes_on_while_a_tool_is_slow(open_sandboxes: OpenSandboxes) -> None:
    code = """
        void Promise.race([Test.hang()]); // who races calls does not wait for them at the end
        const digest = await crypto.subtle.digest("SHA-1", new Uint8Array(1));
        [digest.byteLength, await Test.echo(1), await Test.echo(2)]
        """
    host = Host()
    async with open_sandboxes() as pool:
        assert await run(pool, code, host=host) == [20, 1, 2]
    assert host.called == ["Test.hang", "Test.echo", "Test.echo"]


async def test_what_comes_after_the_answer_does_not_count() -> None:
    host = Host()
    code = 'for (let i = 0; i < 100; i++) setTimeout(() => { console.log("late"); Test.echo() }, 0); 1'
    async with pool_of() as pool:
        assert await run(pool, code, host=host) == 1
        events = list(host.events)
        await until(lambda: idle(pool))
    assert host.events == events


async def test_many_programs_at_once_keep_to_themselves(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes(max_running=8, warm_sandboxes=2) as pool:
        hosts = [Host() for _ in range(12)]
        runs = (run(pool, "console.log(me); await Test.echo(me)", host=host, me=n) for n, host in enumerate(hosts))
        assert await asyncio.gather(*runs) == list(range(12))
        assert [host.printed() for host in hosts] == [f"{n}\n" for n in range(12)]
        await until(lambda: idle(pool, 2))


async def test_one_sandbox_more_than_there_are_processors_starts_while_programs_wait() -> None:
    processors = os.cpu_count() or 1
    async with pool_of(max_running=processors + 4) as pool:
        runs = asyncio.gather(*(run(pool, "1") for _ in range(processors + 4)))
        await until(lambda: pool.status()["starting"] == processors + 1)
        await soon(runs)


async def test_no_process_runs_two_programs() -> None:
    async with pool_of() as pool:
        assert await run(pool, "globalThis.mark = 1") == 1
        assert await run(pool, "typeof mark") == "undefined"


# the end of programs


async def test_cancelling_stops_the_program_and_its_tool_calls_at_once(open_sandboxes: OpenSandboxes) -> None:
    host = Host()
    async with open_sandboxes(warm_sandboxes=0) as pool:
        running = asyncio.ensure_future(run(pool, "await Promise.all([Test.hang(), Test.hang()])", host=host))
        await until(lambda: len(host.called) == 2)
        victim = sandboxes()[0]
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (host.cancelled, pool.status()["running"]) == (2, 0)
        await until(lambda: not victim.is_running())
        assert await run(pool, "1") == 1


async def test_cancelling_stops_a_program_that_computes() -> None:
    async with pool_of() as pool:
        host = Host()
        running = asyncio.ensure_future(run(pool, "await Test.echo(); for (;;) {}", host=host))
        await until(lambda: bool(host.called))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: len(sandboxes()) == 1 and idle(pool))  # the next one


async def test_a_tool_that_ignores_its_cancellation_does_not_keep_the_program(open_sandboxes: OpenSandboxes) -> None:
    released = asyncio.Event()
    begun = asyncio.Event()

    async def stubborn(path: str, arguments: Raw | None) -> Raw:
        begun.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return Raw(b"1")

    async with open_sandboxes() as pool:
        running = asyncio.ensure_future(pool.run(job("await Test.echo()"), stubborn, print))
        await soon(begun.wait())
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()
        released.set()


@pytest.mark.parametrize("code", ["for (;;) {}", "await Test.hang()", "await new Promise(() => {})"])
async def test_a_sandbox_killed_while_it_runs_ends_that_program_alone(code: str) -> None:
    host, other = Host(), Host()
    async with pool_of(warm_sandboxes=0) as pool:
        running = asyncio.ensure_future(run(pool, f"Test.echo(); {code}", host=host))
        await until(lambda: bool(host.called))
        (victim,) = sandboxes()
        beside = asyncio.ensure_future(run(pool, "await Test.hang()", host=other))
        await soon(other.hung.wait())
        victim.kill()
        with pytest.raises(ProgramStopped, match=r"sandbox ended \(exit status -9\)") as stopped:
            await soon(running)
        assert stopped.value.name == "SandboxEnded"
        assert not beside.done()
        beside.cancel()
        await asyncio.wait([beside])
        assert other.cancelled == 1


async def test_a_sandbox_stopped_while_it_runs_ends_its_program_and_says_so() -> None:
    host = Host()
    async with pool_of(warm_sandboxes=0) as pool:
        running = asyncio.ensure_future(run(pool, "await Test.hang()", host=host))
        await soon(host.hung.wait())
        (victim,) = sandboxes()
        victim.suspend()
        with pytest.raises(ProgramStopped, match=r"stopped from outside \(SIGSTOP\)") as stopped:
            await soon(running)
        assert stopped.value.name == "SandboxEnded"
        await until(lambda: not victim.is_running())


async def test_a_sandbox_stopped_while_it_waits_is_not_lent() -> None:
    async with pool_of() as pool:
        await until(lambda: idle(pool) and len(sandboxes()) == 1)
        (victim,) = sandboxes()
        victim.suspend()
        await until(lambda: victim.status() == psutil.STATUS_STOPPED)
        assert await run(pool, "1") == 1
        await until(lambda: not victim.is_running())


async def test_a_launcher_that_is_stopped_is_replaced_and_its_programs_fail() -> None:
    async def open_impatient(deno: Executable, settings: Settings) -> Spawner:
        return await Launcher.open(flags.command(deno.path, settings.limits), flags.readable(deno.path), start_s=0.1)

    host = Host()
    async with pool_of(open_impatient, warm_sandboxes=0) as pool:
        running = asyncio.ensure_future(run(pool, "await Test.hang()", host=host))
        await soon(host.hung.wait())
        launcher().suspend()
        assert await run(pool, "1") == 1
        with pytest.raises(ProgramStopped, match="sandbox ended"):
            await soon(running)
        assert pool.status()["trouble"] is None


async def test_a_sandbox_killed_while_it_waits_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async with pool_of() as pool:
        await until(lambda: idle(pool) and len(sandboxes()) == 1)
        sandboxes()[0].kill()
        await until(lambda: pool.status()["trouble"] is not None)
        await until(lambda: idle(pool))
        assert await run(pool, "1") == 1
        assert pool.status()["trouble"] is None
    assert caplog.text.count("ended from outside (exit status -9)") == 1


async def test_a_sandbox_that_died_unnoticed_is_not_lent() -> None:
    async with pool_of() as pool:
        await until(lambda: idle(pool))
        (victim,) = sandboxes()
        pidfd = os.pidfd_open(victim.pid)
        victim.kill()
        select.select([pidfd], [], [], SOON)  # the loop does not turn meanwhile: nobody tells the pool
        os.close(pidfd)
        assert await run(pool, "1") == 1


async def test_a_launcher_killed_takes_its_sandboxes_with_it_and_is_replaced() -> None:
    async with pool_of() as pool:
        host = Host()
        running = asyncio.ensure_future(run(pool, "await Test.hang()", host=host))
        await soon(host.hung.wait())
        victim = launcher()
        victim.kill()
        with pytest.raises(ProgramStopped, match="sandbox ended"):
            await soon(running)
        assert await run(pool, "1") == 1
        assert launcher() != victim


async def test_closing_the_pool_ends_programs_that_run_and_those_that_wait() -> None:
    host = Host()
    async with pool_of(max_running=1) as pool:
        running = asyncio.ensure_future(run(pool, "await Test.hang()", host=host))
        await soon(host.hung.wait())
        waiting = asyncio.ensure_future(run(pool, "1"))
        await until(lambda: pool.status()["waiting"] == 1)
    with pytest.raises(ProgramStopped, match="sandbox ended"):
        await soon(running)
    with pytest.raises(errors.Cancelled):
        await soon(waiting)
    with pytest.raises(errors.Cancelled):
        await run(pool, "1")


async def test_a_pool_closed_while_it_opens_leaves_nothing() -> None:
    for turns in (0, 1, 3, 10, 30):
        async with pool_of(warm_sandboxes=2):
            for _ in range(turns):
                await asyncio.sleep(0.001)


# places


async def test_executions_wait_for_a_place_and_are_refused_when_none_comes_free(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes(max_running=1, max_queue_s=1.0) as pool:
        await until(lambda: idle(pool))
        host = Host()
        running = asyncio.ensure_future(run(pool, "await Test.hang()", host=host))
        await soon(host.hung.wait())
        told = r"within 1 s .* number 1 of the waiting .* 1 are running, and 1 in all .* try again in about \d+ s"
        with pytest.raises(errors.Busy, match=told) as busy:
            await run(pool, "1")
        assert isinstance(busy.value.data, dict) and busy.value.data["retry_after_s"] == 1
        running.cancel()
        await asyncio.wait([running])
        assert pool.status()["waiting"] == 0


async def test_a_program_that_no_sandbox_starts_for_is_not_told_that_others_run() -> None:
    async def never(deno: Executable, settings: Settings) -> Spawner:
        await asyncio.Event().wait()
        raise AssertionError

    async with pool_of(never, warm_sandboxes=0, max_queue_s=0.05) as pool:
        with pytest.raises(errors.Busy, match=r"no sandbox has started within 0.05 s \(Pctx.max_queue_s\); try again"):
            await run(pool, "1")
        assert (pool.status()["running"], pool.status()["waiting"]) == (0, 0)


async def test_a_session_that_queues_many_programs_does_not_keep_another_from_running(
    open_sandboxes: OpenSandboxes,
) -> None:
    async with open_sandboxes(max_running=4, max_queue_s=4 * SOON) as pool:
        greedy = [Host() for _ in range(8)]
        queued = [
            asyncio.ensure_future(pool.run(replace(job("await Test.hang()"), session="greedy"), host.serve, print))
            for host in greedy
        ]
        await soon(greedy[1].hung.wait())
        assert (pool.status()["running"], pool.status()["waiting"]) == (2, 6)
        others = [
            replace(job("1 + 1"), session="other"),
            replace(job("1 + 2"), session="notebook", is_interactive=True),
        ]
        async with asyncio.timeout(2 * SOON):
            values = await asyncio.gather(*(pool.run(other, Host().serve, print) for other in others))
        assert [bytes(value) for value in values] == [b"2", b"3"]
        for one in queued:
            one.cancel()
        await asyncio.wait(queued)


async def test_those_who_wait_are_served_in_the_order_they_came(open_sandboxes: OpenSandboxes) -> None:
    order: list[int] = []

    async def one(pool: Sandboxes, n: int) -> None:
        await run(pool, "1")
        order.append(n)

    async with open_sandboxes(max_running=1) as pool:
        await asyncio.gather(*(one(pool, n) for n in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_giving_up_while_waiting_loses_no_sandbox() -> None:
    async with pool_of(warm_sandboxes=0, max_running=2) as pool:
        for turns in range(12):
            waiting = asyncio.ensure_future(run(pool, "1"))
            for _ in range(turns):
                await asyncio.sleep(0.003)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert pool.status()["running"] == 0
        assert await asyncio.gather(run(pool, "1"), run(pool, "2")) == [1, 2]


# the state of things


async def test_the_status_tells_deno_layers_and_numbers() -> None:
    async with pool_of(warm_sandboxes=2) as pool:
        await until(lambda: idle(pool, 2))
        status = pool.status()
        version = status.pop("deno")
        assert isinstance(version, str)
        assert version[0].isdigit()
        assert status == {
            "layers": 2 if sys.platform == "linux" else 1,
            "warm": 2,
            "starting": 0,
            "running": 0,
            "asking": 0,
            "waiting": 0,
            "trouble": None,
        }


async def test_a_waiting_pool_uses_no_processor_time() -> None:
    async with pool_of(warm_sandboxes=2) as pool:
        await until(lambda: idle(pool, 2))
        launched = launcher()
        switches = launched.num_ctx_switches().voluntary
        assert [timer for timer in pool._timers if not timer.cancelled()] == []
        assert launched.num_ctx_switches().voluntary == switches


def fake_deno(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, r"is no executable file"),
        ("echo 'deno 2.8.0 (stable)'", r"deno 2\.8\.0 has known ways out .* pip install"),
        ("echo 'deno 1.46.3'", r"deno 1\.46\.3 has known ways out"),
        ("echo 'deno 3.0.0'", r"deno 3\.0\.0 is newer"),
        ("echo Python 3", r"is none; install"),
        ("exit 3", r"is none; install"),
        ("[ $1 = --version ] && echo 'deno 2.9.8' || { echo out of luck >&2; exit 3; }", r"before it was ready \(.+\)"),
        ("[ $1 = --version ] && echo 'deno 2.9.8' || echo hello", r"another protocol|before it was ready"),
    ],
)
async def test_without_a_fitting_deno_the_pool_opens_and_says_what_is_missing(
    script: str | None, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deno = str(tmp_path / "deno") if script is None else fake_deno(tmp_path / "deno", script)
    async with pool_of(deno=deno) as pool:
        for _ in range(2):
            with pytest.raises(errors.SandboxUnavailable, match=why):
                await run(pool, "1")
        trouble = pool.status()["trouble"]
        assert isinstance(trouble, str)
        assert trouble.startswith("Cannot start a sandbox")
        assert pool.status()["running"] == 0
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 1


async def test_deno_is_asked_for_its_version_once_until_its_file_changes(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    deno = fake_deno(tmp_path / "deno", f"echo >> {asked}; echo 'deno 2.9.8'")
    first, second = await asyncio.gather(find(deno), find(deno))
    assert first == second == Executable(deno, "2.9.8")
    assert asked.read_text() == "\n"
    fake_deno(tmp_path / "deno", "echo 'deno 2.8.0 (stable)'")
    with pytest.raises(errors.SandboxUnavailable, match=r"deno 2\.8\.0"):
        await find(deno)


async def test_a_deno_that_appears_later_is_found_by_the_next_execution(tmp_path: Path) -> None:
    from deno import find_deno_bin

    deno = tmp_path / "deno"
    async with pool_of(deno=str(deno)) as pool:
        with pytest.raises(errors.SandboxUnavailable):
            await run(pool, "1")
        deno.symlink_to(find_deno_bin())
        assert await run(pool, "1") == 1
        assert pool.status()["trouble"] is None


async def test_layers_that_are_required_and_missing_refuse_every_program() -> None:
    async with pool_of(layers=3) as pool:
        with pytest.raises(errors.SandboxUnavailable, match=r"3 layers of isolation are required \(Pctx.layers\)"):
            await run(pool, "1")


async def test_jitless_programs_run(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes(jitless=True) as pool:
        assert await run(pool, "typeof WebAssembly + (1 + 1)") == "undefined2"


async def open_direct(deno: Executable, settings: Settings) -> Direct:
    return Direct(flags.command(deno.path, settings.limits), settings.limits)


async def test_without_the_launcher_programs_run_in_one_layer() -> None:
    before = psutil.Process().children()
    async with pool_of(open_direct) as pool:
        assert await run(pool, "await Test.echo(4)") == 4
        assert pool.status()["layers"] == 1
        host = Host()
        running = asyncio.ensure_future(run(pool, "Test.echo(); for (;;) {}", host=host))
        await until(lambda: bool(host.called))
        running.cancel()
        await asyncio.wait([running])
        await until(lambda: idle(pool) and len(sandboxes()) == 1)
        sandboxes()[0].kill()
        await until(lambda: pool.status()["trouble"] is not None)
        await until(lambda: idle(pool))
        assert [child for child in psutil.Process().children() if child not in before] == sandboxes()


REHEARSED = r"""
[ $1 = --version ] && { echo 'deno 2.9.8'; exit; }
echo '{"jsonrpc":"2.0","method":"ready","params":{"left":[]}}'
rehearsed=false
read -r line
case $line in *'"rehearse"'*) rehearsed=true; read -r line;; esac
echo '{"jsonrpc":"2.0","id":1,"result":'$rehearsed'}'
cat
"""
"""A sandbox whose programs have the value `true` if it was asked to rehearse before they came."""


@pytest.mark.parametrize(("warm", "rehearsed"), [(1, True), (0, False)])
async def test_a_sandbox_rehearses_while_it_waits_and_not_while_a_program_waits_for_it(
    warm: int, rehearsed: bool, tmp_path: Path
) -> None:
    deno = fake_deno(tmp_path / "deno", REHEARSED)
    async with pool_of(open_direct, deno=deno, warm_sandboxes=warm) as pool:
        await until(lambda: idle(pool, warm))
        assert await run(pool, "1") is rehearsed


async def test_pools_open_side_by_side() -> None:
    async def one(n: int) -> Any:
        async with open_pool(Settings(warm_sandboxes=0)) as pool:
            return await run(pool, "n * n", n=n)

    assert await asyncio.gather(*(one(n) for n in range(4))) == [0, 1, 4, 9]


async def test_a_program_handed_more_than_a_message_may_hold_is_refused(open_sandboxes: OpenSandboxes) -> None:
    async with open_sandboxes(max_message_bytes=1000) as pool:
        with pytest.raises(errors.MessageTooLarge):
            await run(pool, "1", Limits(max_result_bytes=1000), text="x" * 200_000)
        assert await run(pool, "1") == 1
