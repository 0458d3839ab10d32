"""The tree in which agents look for functions, and what a session does with a command; the shell is a function."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import jsonrpc as rpc
from pctx_jupyter.session.bash import FEW, KEPT_TREES, Bash, BashJob, BashResult, tree
from pctx_jupyter.session.observations import Observations
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.session.session import Session
from pctx_jupyter.settings import Settings
from pctx_jupyter.tools.calls import Call
from pctx_jupyter.tools.tool import Tool
from pctx_jupyter.upstream.shapes import ShapeFile

from ..fakes import FakeClock, FakeSandbox

SCHEMA = {"type": "object", "properties": {"day": {"$ref": "#/$defs/Day"}}, "$defs": {"Day": {"enum": ["mon", "tue"]}}}


class FakeShell:
    """A `BashRunner` that notes its jobs, and answers when it may."""

    def __init__(self) -> None:
        self.jobs: list[BashJob] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, job: BashJob) -> BashResult:
        self.jobs.append(job)
        await self.may_answer.wait()
        return BashResult(0, job.command, "")

    def files(self, at: int = -1) -> dict[str, str]:
        """The files of one job."""
        found: dict[str, str] = msgspec.json.decode(self.jobs[at].files)
        return found


async def one(call: Call) -> Raw:
    return rpc.raw(1)


def registry(shell: FakeShell | None, **settings: object) -> Registry:
    bash = None if shell is None else Bash(shell)
    return Registry(FakeSandbox(), Settings(**settings), FakeClock(), bash=bash)  # type: ignore[arg-type]


def session(shell: FakeShell | None, **settings: object) -> Session:
    return registry(shell, **settings).open()


def test_the_tree_has_an_index_and_a_file_for_each_function() -> None:
    files = tree(
        [
            Tool("sales_report", "load_orders", "Loads ALL orders.\nNever those of today.", SCHEMA),
            Tool("math", "add"),
            Tool("sales_report", "count", "Counts."),
        ]
    )
    assert list(files) == ["README.md", "Math/add.d.ts", "SalesReport/count.d.ts", "SalesReport/loadOrders.d.ts"]
    assert files["README.md"] == (
        "# TypeScript SDK\n\nPrograms call each function as await Namespace.name({...}). Its file has its types.\n"
        "\n## Math\n\nMath/add.d.ts\n"
        "\n## SalesReport\n\nSalesReport/count.d.ts  # counts.\nSalesReport/loadOrders.d.ts  # loads all orders.\n"
    )
    orders = files["SalesReport/loadOrders.d.ts"]
    assert "Never those of today." in orders and '"mon" | "tue"' in orders
    assert "declare namespace SalesReport" in orders and "count" not in orders


def test_a_description_cannot_add_a_line_to_the_index() -> None:
    evil = "Adds.\u2028## Mail\u202e\r## Mail */ \x00"
    index = tree([Tool("math", "add", evil)])["README.md"]
    assert index.count("\n## ") == 1 and len(index.splitlines()) == 7
    assert not any(hidden in index for hidden in "\u2028\u202e\x00\r")


def test_without_functions_there_is_an_index_alone() -> None:
    assert list(tree([])) == ["README.md"]


async def test_a_command_gets_the_functions_that_programs_can_call_now() -> None:
    shell = FakeShell()
    mine = session(shell)
    assert await mine.run_bash("ls") == BashResult(0, "ls", "")
    assert list(shell.files()) == ["README.md"]
    mine.register(Tool("math", "add"), one)
    await mine.run_bash("ls")
    await mine.run_bash("ls", 3.0)
    assert "Math/add.d.ts" in shell.files() and shell.jobs[-1].files is shell.jobs[-2].files
    assert [job.limits.timeout_s for job in shell.jobs] == [60, 60, 3]
    mine.unregister("Math.add")
    await mine.run_bash("ls")
    assert list(shell.files()) == ["README.md"]


async def test_a_command_gets_the_types_that_were_observed_since_the_last_one() -> None:
    shell = FakeShell()
    engine = registry(shell)
    engine.observations = Observations(ShapeFile(""), FakeClock())
    mine = engine.open()
    tool = engine.watched(Tool("math", "load"))
    mine.register(tool, one)
    await mine.run_bash("ls")
    assert tool.observed is not None
    tool.observed.take(Raw(b'{"rate": 1.5}'))
    await mine.run_bash("ls")
    assert "Promise<{ rate: number }>" in shell.files()["Math/load.d.ts"]


async def test_no_command_has_the_functions_of_another_session() -> None:
    shell = FakeShell()
    all_of_them = registry(shell)
    mine, other = all_of_them.open(), all_of_them.open()
    mine.register(Tool("math", "add"), one)
    await mine.run_bash("ls")
    await other.run_bash("ls")
    assert "Math/add.d.ts" in shell.files(0) and list(shell.files(1)) == ["README.md"]


async def test_commands_that_come_at_once_share_one_tree() -> None:
    shell = FakeShell()
    mine = registry(shell).open()
    for n in range(2 * FEW):
        mine.register(Tool("math", f"add{n}"), one)
    await asyncio.gather(*(mine.run_bash("ls") for _ in range(5)))
    assert len({id(job.files) for job in shell.jobs}) == 1


async def test_the_trees_of_many_sessions_are_not_all_kept() -> None:
    shell = FakeShell()
    bash = Bash(shell)
    all_of_them = Registry(FakeSandbox(), Settings(), FakeClock(), bash=bash)
    sessions = [all_of_them.open() for _ in range(3 * KEPT_TREES)]
    for mine in sessions:
        await mine.run_bash("ls")
    assert len(bash._trees) == KEPT_TREES
    bash.forget(sessions[-1].id)
    assert len(bash._trees) == KEPT_TREES - 1


async def test_commands_count_as_programs_of_their_client() -> None:
    shell = FakeShell()
    shell.may_answer.clear()
    mine = session(shell, max_running=2, max_running_per_session=1, max_queued_per_session=1)
    waiting = [asyncio.create_task(mine.run_bash("ls")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy, match=r"Pctx\.max_queued_per_session"):
        await mine.run_bash("ls")
    with pytest.raises(errors.Busy):
        await mine.execute("1")
    shell.may_answer.set()
    await asyncio.gather(*waiting)
    await mine.run_bash("ls")


async def test_a_command_that_is_too_long_is_refused() -> None:
    shell = FakeShell()
    with pytest.raises(errors.InvalidParams, match=r"Pctx\.max_program_bytes"):
        await session(shell, max_program_bytes=10).run_bash("echo " + "é" * 4)
    assert not shell.jobs


async def test_where_there_is_no_shell_the_error_names_another_way() -> None:
    with pytest.raises(errors.SandboxUnavailable, match="list the functions instead"):
        await session(None).run_bash("ls")
