"""Consent over HTTP, with real sandboxes: an agent's program waits, and goes on as somebody says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pctx_jupyter import errors
from pctx_jupyter.rpc.environment import TOKEN_HEADER
from pctx_jupyter.rpc.jsonrpc import Json
from pctx_jupyter.server.kernels import KernelTokens
from pctx_jupyter.server.running import RunningEngine
from tests.fakes import SOON, read
from tests.upstream.conftest import PATIENCE_S, peer

from .authorizer import Whim
from .conftest import Headers
from .test_state import Ask, ask, heard, jp_server_config, watch
from .wires import Wire, open_wire

__all__ = ["ask", "jp_server_config", "watch"]

CODE = """// Clears up.
const names = ["a"];
await Sales.removeAll({ names });"""


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"timeout_s": 5.0}


@pytest.fixture
def kernel_token(kernels: KernelTokens, monkeypatch: pytest.MonkeyPatch) -> Headers:
    """The headers of a kernel ``k1`` that the server has."""
    monkeypatch.setattr(kernels, "_tokens", {"k1": "secret 1"})
    monkeypatch.setattr(kernels, "_starting", {"k1"})
    return {TOKEN_HEADER: "secret 1"}


async def removing(wire: Wire) -> Any:
    """The arguments that the kernel is asked to remove; it does."""
    while (message := await wire.receive()).get("method") != "execute_tool":
        pass
    await wire.say(id=message["id"], result="removed")
    return message["params"]["arguments"]


async def test_an_agents_call_waits_for_consent_and_may_have_other_arguments(
    url: str, kernel_token: Headers, ask: Ask, watch: Any, running: RunningEngine
) -> None:
    registry = (await running.get()).registry
    async with open_wire(url + "pctx/local-tools", kernel_token) as kernel, watch() as changes:
        await kernel.offer("notebook.remove_all", effects=True)
        registry.name_kernel("k1", "sales")
        run = asyncio.create_task(registry.agents().execute(CODE))
        await heard(changes, "approvals")
        (question,) = (await ask("approvals"))[1]["approvals"]
        assert (question["tool"], question["line"], question["arguments"]) == ("Sales.removeAll", 3, '{"names":["a"]}')
        assert question["code"] == CODE and 0 < question["left_s"] <= 120
        edited = {"decision": "allow", "arguments": {"names": []}}
        assert (await ask(f"approvals/{question['id']}", "POST", edited)) == (200, {"answered": True})
        assert await removing(kernel) == {"names": []}
        async with asyncio.timeout(SOON):
            assert read((await run).value) == "removed"
        assert (await ask("approvals"))[1] == {"approvals": []}
        assert (await ask(f"approvals/{question['id']}", "POST", edited))[0] == 404
        (execution,) = (await ask("executions"))[1]["executions"]
        (call,) = (await ask(f"executions/{execution['id']}"))[1]["calls"]
        assert call["decision"] == "edited"


async def test_a_denied_call_fails_in_the_program(
    url: str, kernel_token: Headers, ask: Ask, watch: Any, running: RunningEngine
) -> None:
    registry = (await running.get()).registry
    async with open_wire(url + "pctx/local-tools", kernel_token) as kernel, watch() as changes:
        await kernel.offer("notebook.remove_all", effects=True)
        registry.name_kernel("k1", "sales")
        code = "let said = ''; try { await Sales.removeAll() } catch (error) { said = `${error}` } said"
        run = asyncio.create_task(registry.agents().execute(code))
        await heard(changes, "approvals")
        (question,) = (await ask("approvals"))[1]["approvals"]
        wrong: list[Json] = [{}, {"decision": "perhaps"}, {"decision": "allow", "arguments": [1]}, []]
        for body in wrong:
            assert (await ask(f"approvals/{question['id']}", "POST", body))[0] == 400
        assert (await ask(f"approvals/{question['id']}", "POST", {"decision": "deny"}, kernel_token))[0] == 403
        Whim.denied = {"execute"}
        assert (await ask(f"approvals/{question['id']}", "POST", {"decision": "allow"}))[0] == 403
        Whim.denied = set()
        assert (await ask("approvals", headers=kernel_token))[0] == 403
        assert (await ask(f"approvals/{question['id']}", "POST", {"decision": "deny"}))[0] == 200
        async with asyncio.timeout(SOON):
            assert read((await run).value) == "Denied: Cannot call Sales.removeAll: a person denied it, in JupyterLab"


NAMES = {
    "type": "object",
    "properties": {"names": {"type": "array", "items": {"type": "string"}}},
    "required": ["names"],
}


async def test_arguments_that_do_not_fit_are_refused_and_the_call_waits_as_before(
    url: str, kernel_token: Headers, ask: Ask, watch: Any, running: RunningEngine
) -> None:
    registry = (await running.get()).registry
    async with open_wire(url + "pctx/local-tools", kernel_token) as kernel, watch() as changes:
        await kernel.offer("notebook.remove_all", effects=True, input_schema=NAMES)
        registry.name_kernel("k1", "sales")
        run = asyncio.create_task(registry.agents().execute(CODE))
        await heard(changes, "approvals")
        (question,) = (await ask("approvals"))[1]["approvals"]
        assert question["input_schema"] == NAMES
        path = f"approvals/{question['id']}"
        for arguments, field in (({"names": [1]}, "names[0]"), ({}, "names"), (None, "names")):
            for always in (False, True):
                wrong: Json = {"decision": "allow", "arguments": arguments, "always": always}
                status, said = await ask(path, "POST", wrong)
                assert status == 422 and [one["field"] for one in said["problems"]] == [field]
                assert f"Cannot call Sales.removeAll with these arguments: {field}: " in said["message"]
            assert (await ask(f"{path}/check", "POST", {"arguments": arguments}))[1] == {"problems": said["problems"]}
        assert [one["id"] for one in (await ask("approvals"))[1]["approvals"]] == [question["id"]]
        assert (await ask(f"{path}/check", "POST", {"arguments": {"names": []}}))[1] == {"problems": []}
        assert (await ask("approvals/guessed/check", "POST", {"arguments": {}})) == (200, {"problems": []})
        assert (await ask(f"{path}/check", "POST", {"arguments": {}}, kernel_token))[0] == 403
        assert (await ask(path, "POST", {"decision": "allow", "arguments": {"names": ["b"]}}))[0] == 200
        assert await removing(kernel) == {"names": ["b"]}
        async with asyncio.timeout(SOON):
            assert read((await run).value) == "removed"


class TestHolding:
    """How long somebody takes is no time of the program."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"timeout_s": 0.5, "max_call_s": 0.5, "max_approval_s": 2.0}

    async def test_a_program_outlives_its_time_while_it_waits_for_consent(
        self, url: str, kernel_token: Headers, running: RunningEngine
    ) -> None:
        registry = (await running.get()).registry
        async with open_wire(url + "pctx/local-tools", kernel_token) as kernel:
            await kernel.offer("notebook.remove_all", effects=True)
            registry.name_kernel("k1", "sales")
            code = "let said = ''; try { await Sales.removeAll() } catch (error) { said = `${error}` } said"
            registry.approvals.attend()
            result = await registry.agents().execute(code, typecheck=False)
            assert "nobody answered within 2 s" in read(result.value)
            with pytest.raises(errors.ExecutionTimeout):
                await registry.agents().execute("for (;;);", typecheck=False)


class TestUpstreams:
    """Tools of MCP servers that do not say whether they change something: a real one, and a file that names it."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"max_approval_s": 20.0}

    async def test_a_silent_tool_is_asked_for_once_and_again_when_a_person_says_so(
        self, ask: Ask, watch: Any, running: RunningEngine, kernel_token: Headers, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        described = [{"name": "delete_everything", "inputSchema": {"type": "object"}}]
        log.with_suffix(".tools").write_text(json.dumps(described))
        assert (await ask("upstreams", "POST", {"server": peer("told", log, name="files")}))[0] == 201
        registry = (await running.get()).registry
        code = "await Files.deleteEverything()"

        async def asked(answer: Json) -> None:
            """Run the program, and answer the one question about it."""
            async with watch() as changes:
                run = asyncio.create_task(registry.agents().execute(code))
                await heard(changes, "approvals")
                assert "ran delete_everything" not in before()
                (question,) = (await ask("approvals"))[1]["approvals"]
                assert (question["effects"], question["lasts"]) == (None, "tool")
                assert (await ask(f"approvals/{question['id']}", "POST", answer))[0] == 200
                async with asyncio.timeout(PATIENCE_S):
                    assert read((await run).value) == "called delete_everything"

        def before() -> str:
            text = log.read_text()
            log.write_text("")
            return text

        async def unasked() -> None:
            async with asyncio.timeout(PATIENCE_S):
                assert read((await registry.agents().execute(code)).value) == "called delete_everything"

        await asked({"decision": "allow"})
        before()
        await asked({"decision": "allow", "always": True})
        await unasked()
        (shown,) = (await ask("upstreams"))[1]["upstreams"]
        assert shown["allowed"] == ["delete_everything"]
        (permission,) = (await ask("permissions"))[1]["permissions"]
        assert (permission["tool"], permission["server"]) == ("Files.deleteEverything", "files")
        assert permission["lasts"] == "tool"
        assert permission["asked_by"] == ["agent"] and permission["since"] > 0
        path = f"permissions/{permission['id']}"
        Whim.denied = {"execute"}
        assert (await ask(path, "DELETE"))[0] == 403
        Whim.denied = set()
        assert (await ask(path, "DELETE", headers=kernel_token))[0] == 403
        assert (await ask(path, "DELETE"))[0] == 200
        assert (await ask(path, "DELETE"))[0] == 404
        assert (await ask("permissions"))[1] == {"permissions": []}
        before()
        await asked({"decision": "allow", "always": True})
        await unasked()
        assert (await ask("upstreams/files/allowed?tool=other", "DELETE"))[0] == 400
        assert (await ask("upstreams/nobody/allowed", "DELETE"))[0] == 404
        Whim.denied = {"execute"}
        assert (await ask("upstreams/files/allowed", "DELETE"))[0] == 403
        Whim.denied = set()
        code_, shown = await ask("upstreams/files/allowed?tool=delete_everything", "DELETE")
        assert (code_, shown["allowed"]) == (200, [])
        before()
        await asked({"decision": "allow"})
        assert (await ask("upstreams/files/trust", "POST", {"tools": True}, kernel_token))[0] == 403
        assert (await ask("upstreams"))[1]["upstreams"][0]["allowed"] == []
        code_, shown = await ask("upstreams/files/trust", "POST", {"tools": True})
        assert (code_, shown["allowed"]) == (200, ["delete_everything"])
        await unasked()
        assert (await ask("upstreams/files/allowed", "DELETE", headers=kernel_token))[0] == 403
        assert (await ask("upstreams/files/allowed", "DELETE"))[1]["allowed"] == []

    async def test_a_cell_of_the_users_own_is_not_asked_about(
        self, kernel_token: Headers, url: str, ask: Ask, running: RunningEngine
    ) -> None:
        assert (await ask("upstreams", "POST", {"server": peer(name="files")}))[0] == 201
        async with open_wire(url + "pctx/local-tools", kernel_token):
            (session,) = (await running.get()).registry
            async with asyncio.timeout(PATIENCE_S):
                assert isinstance(read((await session.execute("await Files.pid()")).value), int)


class TestNobodyThere:
    """An agent, and nobody who could be asked."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"max_approval_s": 0.2}

    async def test_a_silent_tool_does_not_run_and_the_refusal_says_how_to_allow_it(
        self, ask: Ask, running: RunningEngine, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        log.with_suffix(".tools").write_text('[{"name": "delete_everything", "inputSchema": {"type": "object"}}]')
        assert (await ask("upstreams", "POST", {"server": peer("told", log, name="my files")}))[0] == 201
        agents = (await running.get()).registry.agents()
        result = await agents.execute("await MyFiles.deleteEverything().catch(String)", typecheck=False)
        refused = read(result.value)
        assert refused.startswith(
            "Denied: Cannot call MyFiles.deleteEverything: it was not sent. It needs a person's consent"
        )
        assert "jupyter pctx mcp trust --tools 'my files'" in refused
        assert 'c.Pctx.policy = ["ask agent * effects"]' in refused
        assert "ran delete_everything" not in log.read_text()


class TestOldRule:
    """The one line of configuration that the refusal names."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"policy": ["ask agent * effects"], "max_approval_s": 0.2}

    async def test_with_it_only_what_says_that_it_has_effects_is_asked_for(
        self, ask: Ask, running: RunningEngine
    ) -> None:
        assert (await ask("upstreams", "POST", {"server": peer(name="files")}))[0] == 201
        agents = (await running.get()).registry.agents()
        code = "[typeof await Files.pid(), await Files.echo({ text: 'a' }), await Files.die().catch(e => e.name)]"
        assert read((await agents.execute(code)).value) == ["number", "a", "Denied"]


async def test_only_a_user_who_may_answer_counts_as_somebody_to_be_asked(
    watch: Any, url: str, kernel_token: Headers, jp_auth_header: Headers, running: RunningEngine
) -> None:
    approvals = (await running.get()).registry.approvals
    Whim.denied = {"execute"}
    async with watch():
        assert approvals.places(has_client=False) == []
    Whim.denied = set()
    async with watch():
        assert approvals.places(has_client=False) == ["jupyterlab"]
    address = f"{url}pctx/api/changes?place="
    async with connect(address + "terminal", additional_headers=jp_auth_header, proxy=None):
        assert "terminal" in approvals.places(has_client=False)
    with pytest.raises(InvalidStatus, match="400"):
        await connect(address + "client", additional_headers=jp_auth_header, proxy=None)


class TestConsentBy:
    """Where a person may give consent."""

    @pytest.fixture
    def limits(self) -> dict[str, Any]:
        return {"consent_by": ["terminal"], "typecheck": False}

    async def test_an_answer_from_a_place_that_may_not_give_consent_is_refused(
        self, url: str, kernel_token: Headers, ask: Ask, running: RunningEngine
    ) -> None:
        registry = (await running.get()).registry
        async with open_wire(url + "pctx/local-tools", kernel_token) as kernel:
            await kernel.offer("notebook.remove_all", effects=True)
            registry.name_kernel("k1", "sales")
            registry.approvals.attend("terminal")
            run = asyncio.create_task(registry.agents().execute(CODE))
            while not (waiting := registry.approvals.questions()):
                await asyncio.sleep(0.01)
            path = f"approvals/{waiting[0].id}"
            status, said = await ask(path, "POST", {"decision": "allow"})
            assert status == 403 and "Pctx.consent_by" in said["message"]
            assert (await ask(path, "POST", {"decision": "allow", "by": "client"}))[0] == 400
            assert len(registry.approvals) == 1
            assert (await ask(path, "POST", {"decision": "allow", "by": "terminal"}))[0] == 200
            await removing(kernel)
            async with asyncio.timeout(SOON):
                assert read((await run).value) == "removed"
