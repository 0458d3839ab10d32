"""Names of notebooks' tools: the real server, its session and kernel managers, real kernels; the clients are ours."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from pctx_jupyter import errors
from pctx_jupyter.agents.answers import AgentAnswer
from pctx_jupyter.agents.functions import Functions
from pctx_jupyter.client import PctxClient
from pctx_jupyter.rpc.environment import TOKEN, TOKEN_HEADER
from pctx_jupyter.server.naming import NotebookNames
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.session.registry import Registry
from pctx_jupyter.settings import Settings
from tests.fakes import FakeClock, FakeSandbox

Fetch = Callable[..., Awaitable[Any]]


class Notebooks:
    """Notebooks open on a server, by path, and the connections of their kernels."""

    def __init__(self, fetch: Fetch, manager: Any, url: str) -> None:
        self._fetch, self._manager, self._url = fetch, manager, url

    async def open(self, path: str, kind: str = "notebook", kernel_id: str | None = None) -> dict[str, Any]:
        """Open a notebook (or something else), with a kernel of its own or one that is there; returns its session."""
        kernel = {"name": "python3"} if kernel_id is None else {"id": kernel_id}
        asked = {"path": path, "name": path.rpartition("/")[2], "type": kind, "kernel": kernel}
        session: dict[str, Any] = json.loads((await self._fetch("api", "sessions", method="POST", **_body(asked))).body)
        return session

    async def rename(self, session: dict[str, Any], path: str) -> None:
        await self._fetch("api", "sessions", session["id"], method="PATCH", **_body({"path": path}))

    def connect(self, kernel_id: str) -> PctxClient:
        """A connection as the kernel's own."""
        environment = psutil.Process(self._manager.get_kernel(kernel_id).provisioner.pid).environ()
        return PctxClient(self._url + "local-tools", headers={TOKEN_HEADER: environment[TOKEN]}, reconnect=False)


def _body(content: object) -> dict[str, Any]:
    return {"body": json.dumps(content)}


@pytest.fixture
def notebooks(jp_fetch: Fetch, jp_serverapp: Any, url: str) -> Notebooks:
    return Notebooks(jp_fetch, jp_serverapp.kernel_manager, url)


async def name_of(client: PctxClient) -> str | None:
    return (await client.share()).name


async def test_a_kernels_tools_have_its_notebooks_name_and_follow_when_it_is_renamed(notebooks: Notebooks) -> None:
    session = await notebooks.open("reports/sales report.ipynb")
    async with notebooks.connect(session["kernel"]["id"]) as client:
        assert await name_of(client) == "SalesReport"
        await notebooks.rename(session, "old/sales report 2.ipynb")
        assert await name_of(client) == "SalesReport2"
        await notebooks.rename(session, "🎉.ipynb")
        assert await name_of(client) == "u1f389"


async def test_two_notebooks_of_one_name_are_told_apart_even_when_one_is_gone(
    notebooks: Notebooks, jp_fetch: Fetch, running: RunningEngine
) -> None:
    first, second = [await notebooks.open(f"{folder}/sales.ipynb") for folder in "ab"]
    async with notebooks.connect(first["kernel"]["id"]) as one, notebooks.connect(second["kernel"]["id"]) as other:
        assert [await name_of(one), await name_of(other)] == ["Sales", "Sales2"]
    await jp_fetch("api", "sessions", first["id"], method="DELETE")
    third = await notebooks.open("c/sales.ipynb")
    async with notebooks.connect(third["kernel"]["id"]) as one:
        assert await name_of(one) == "Sales3"
    assert running.engine is not None
    assert sorted(running.engine.registry.named_kernels) == sorted([second["kernel"]["id"], third["kernel"]["id"]])


async def test_a_kernel_without_a_notebook_has_a_name_too_and_takes_a_notebooks_when_it_gets_one(
    notebooks: Notebooks, jp_fetch: Fetch
) -> None:
    started = json.loads((await jp_fetch("api", "kernels", method="POST", body="{}")).body)
    async with notebooks.connect(started["id"]) as client:
        assert await name_of(client) == "Kernel"
        await notebooks.open("console-1-7d3f", kind="console", kernel_id=started["id"])
        assert await name_of(client) == "Console"
        await notebooks.open("sales.ipynb", kernel_id=started["id"])
        assert await name_of(client) == "Sales"


async def missing(running: RunningEngine, code: str) -> str:
    """What an agent reads whose program names a tool that is not there."""
    assert running.engine is not None
    with pytest.raises(errors.ExecutionFailed) as failed:
        await running.engine.registry.agents().execute(code)
    return failed.value.failure.message


@pytest.mark.parametrize("typecheck", [True])
async def test_an_agent_reads_that_a_notebooks_kernel_was_restarted_and_reaches_no_other_notebook(
    notebooks: Notebooks, jp_fetch: Fetch, running: RunningEngine
) -> None:
    first, second = [await notebooks.open(f"{folder}/report.ipynb") for folder in "ab"]
    kernel_id = first["kernel"]["id"]
    one = notebooks.connect(kernel_id)
    await one.connect()
    async with notebooks.connect(second["kernel"]["id"]) as other:
        assert [await name_of(one), await name_of(other)] == ["Report", "Report2"]
        for client in (one, other):
            await client.register_tool("Notebook", "load", lambda arguments: 1)
            await client.register_tool("Notebook", "save", lambda arguments: 1)
        await jp_fetch("api", "kernels", kernel_id, "restart", method="POST", body="")
        await one.disconnect()
        said = await missing(running, "await Report.load()")
        assert (
            "Report': the kernel of a/report.ipynb was restarted and has not loaded pctx again: run its cells" in said
        )
        assert "Report2" not in said
        async with notebooks.connect(kernel_id) as one:
            assert "a/report.ipynb was restarted and offers no tools yet" in await missing(running, "Report.load()")
            await one.register_tool("Notebook", "save", lambda arguments: 1)
            assert "has not defined load again: run its cells" in await missing(running, "await Report.load()")
            await one.register_tool("Notebook", "load", lambda arguments: 2)
            assert running.engine is not None
            result = await running.engine.registry.agents().execute("await Report.load()")
            assert bytes(result.value) == b"2"


async def test_a_notebook_whose_kernel_is_shut_down_keeps_its_name_and_gets_it_back(
    notebooks: Notebooks, jp_fetch: Fetch, running: RunningEngine
) -> None:
    session = await notebooks.open("report.ipynb")
    async with notebooks.connect(session["kernel"]["id"]) as one:
        assert await name_of(one) == "Report"
    await jp_fetch("api", "sessions", session["id"], method="DELETE")
    other = await notebooks.open("copies/report.ipynb")
    async with notebooks.connect(other["kernel"]["id"]) as two:
        assert await name_of(two) == "Report2"
        await two.register_tool("Notebook", "load", lambda arguments: 1)
        said = await missing(running, "await Report.load()")
        assert "the kernel of report.ipynb was shut down: open it and run its cells" in said
    again = await notebooks.open("report.ipynb")
    async with notebooks.connect(again["kernel"]["id"]) as one:
        assert await name_of(one) == "Report"


async def test_the_name_of_a_notebook_that_was_renamed_leads_to_its_new_one(
    notebooks: Notebooks, running: RunningEngine
) -> None:
    session = await notebooks.open("report.ipynb")
    async with notebooks.connect(session["kernel"]["id"]) as one:
        await one.register_tool("Notebook", "load", lambda arguments: 1)
        await notebooks.rename(session, "sales.ipynb")
        said = await missing(running, "await Report.load()")
        assert "report.ipynb is sales.ipynb now; its tools are in Sales" in said
        other = await notebooks.open("other/report.ipynb")
        async with notebooks.connect(other["kernel"]["id"]) as two:
            assert await name_of(two) == "Report2"
        await notebooks.rename(session, "archive/sales.ipynb")  # moved: its name is the same
        assert await name_of(one) == "Sales"


async def test_a_notebook_that_gets_another_kernel_keeps_its_name(
    notebooks: Notebooks, jp_fetch: Fetch, running: RunningEngine
) -> None:
    session = await notebooks.open("report.ipynb")
    async with notebooks.connect(session["kernel"]["id"]) as one:
        assert await name_of(one) == "Report"
        await one.register_tool("Notebook", "load", lambda arguments: 1)
        changed = await jp_fetch(
            "api", "sessions", session["id"], method="PATCH", **_body({"kernel": {"name": "python3"}})
        )
    kernel_id = json.loads(changed.body)["kernel"]["id"]
    assert kernel_id != session["kernel"]["id"]
    assert "report.ipynb" in (said := await missing(running, "await Report.load()")) and "run its cells" in said
    async with notebooks.connect(kernel_id) as one:
        assert await name_of(one) == "Report"


async def test_a_session_manager_that_fails_costs_a_name_and_no_more() -> None:
    class Broken:
        async def save_session(self) -> str:
            return "saved"

        async def update_session(self) -> None: ...
        async def list_sessions(self) -> list[dict[str, Any]]:
            raise OSError("the database is locked")

    registry, broken = Registry(FakeSandbox(), Settings(), FakeClock()), Broken()
    names = NotebookNames(broken, lambda: registry, lambda kernel_id: True)
    session = registry.open("k1")
    await names.name("k1")
    assert session.name == "Kernel"
    assert await broken.save_session() == "saved"


async def test_notebooks_of_one_file_name_show_agents_their_paths_and_a_move_is_followed(
    notebooks: Notebooks, jp_fetch: Fetch, running: RunningEngine
) -> None:
    first, second = [await notebooks.open(f"{folder}/sales.ipynb") for folder in "ab"]
    async with notebooks.connect(first["kernel"]["id"]) as one, notebooks.connect(second["kernel"]["id"]) as two:
        for client in (one, two):
            await client.register_tool("Notebook", "load", lambda arguments: 1)
        assert running.engine is not None
        functions = Functions(running.engine.registry.agents(), running.engine.settings)

        async def listed() -> str:
            answer = await functions.call("list_functions", {"detail": "names"}, report_to_nobody)
            assert isinstance(answer, AgentAnswer)
            return answer.text

        assert "Sales (a/sales.ipynb): load\nSales2 (b/sales.ipynb): load" in await listed()
        await notebooks.rename(second, "archive/sales.ipynb")
        assert "Sales (a/sales.ipynb): load\nSales2 (archive/sales.ipynb): load" in await listed()
        kernels = json.loads((await jp_fetch("pctx", "api", "kernels")).body)["kernels"]
        assert all(one["has_namesake"] for one in kernels)
        assert {(one["name"], one["path"]) for one in kernels} == {
            ("Sales", "a/sales.ipynb"),
            ("Sales2", "archive/sales.ipynb"),
        }


async def report_to_nobody(message: str) -> None:
    """Take a message of progress, and do nothing."""
