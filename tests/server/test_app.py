"""The extension as a whole: configuration in, routes and help out. A real server, in this process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

from pctx_jupyter import __version__
from pctx_jupyter.server.app import PctxApp, colour_exports
from pctx_jupyter.server.running import RunningEngine
from pctx_jupyter.traits import Pctx
from tests.fakes import SOON

from .wires import Wire


@pytest.fixture
def limits() -> dict[str, Any]:
    return {"timeout_s": 0.5, "warm_sandboxes": 0}


@pytest.fixture
def extension(jp_serverapp: Any) -> PctxApp:
    (found,) = jp_serverapp.extension_manager.extension_apps["pctx_jupyter"]
    assert isinstance(found, PctxApp)
    return found


async def test_the_configuration_reaches_the_programs(
    wire: Callable[..., AbstractAsyncContextManager[Wire]], running: RunningEngine
) -> None:
    assert running.settings.limits.timeout_s == 0.5 and running.settings.warm_sandboxes == 0
    async with wire() as it:
        answer = await it.ask("execute", {"code": "for (;;);"})
        assert answer["error"]["code"] == -32003 and "0.5 s" in answer["error"]["message"]


def test_the_help_shows_every_trait(capsys: pytest.CaptureFixture[str]) -> None:
    PctxApp().print_help(classes=True)
    shown = capsys.readouterr().out
    for name, trait in Pctx.class_own_traits(config=True).items():
        assert f"--Pctx.{name}=" in shown and trait.help.split()[0] in shown


@pytest.mark.parametrize("limits", [{"timeout_s": -1}])
async def test_a_value_that_cannot_be_used_is_one_error_and_the_server_runs_without_the_extension(
    jp_serverapp: Any, jp_fetch: Any, extension: PctxApp, caplog: pytest.LogCaptureFixture
) -> None:
    extension.initialize_settings()  # once more: nothing records what a fixture logs
    (said,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "runs without pctx: Cannot read the configuration: The 'timeout_s' trait" in said.message
    assert said.exc_info is None
    await jp_serverapp._post_start()
    assert "failed" not in caplog.text and extension.current_activity() is None
    with pytest.raises(HTTPClientError, match="404"):
        await jp_fetch("pctx", "health")
    await extension.stop_extension()


async def test_health_and_status_are_json(jp_fetch: Any, extension: PctxApp, jp_serverapp: Any) -> None:
    await jp_serverapp._post_start()  # what a server of its own does once it listens
    health = await jp_fetch("pctx", "health")
    assert json.loads(health.body) == {"status": "ok", "version": __version__}
    assert health.headers["Content-Type"].startswith("application/json")
    status = json.loads((await jp_fetch("pctx", "api", "status")).body)
    assert {"version", "sessions", "tools", "executions", "sandbox"} <= status.keys()
    assert extension.current_activity() is None


async def test_a_server_with_a_running_program_is_not_idle(
    wire: Callable[..., AbstractAsyncContextManager[Wire]], extension: PctxApp
) -> None:
    async with wire() as it:
        await it.offer("a.b")
        await it.say(id=1, method="execute", params={"code": "await a.b()"})
        call = await it.receive()
        assert extension.current_activity() == 1
        await it.say(id=call["id"], result=None)
        await it.receive()
        assert extension.current_activity() is None


async def test_requests_that_come_at_once_share_one_engine(running: RunningEngine) -> None:
    async with asyncio.timeout(SOON):
        engines = await asyncio.gather(*(running.get() for _ in range(5)))
    assert len({id(engine) for engine in engines}) == 1 and running.engine is engines[0]


async def test_an_exported_notebook_has_its_programs_coloured_as_typescript(
    jp_fetch: Any, jp_root_dir: Path, extension: PctxApp
) -> None:
    cells = [nbformat.v4.new_code_cell("%%pctx -o total\nconst total: number = 1;\ntotal")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    language = {"name": "python", "pygments_lexer": "ipython3"}
    saved = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": language})
    nbformat.write(saved, jp_root_dir / "exported.ipynb")
    page = (await jp_fetch("nbconvert", "html", "exported.ipynb")).body.decode()
    assert '<span class="kd">const</span>' in page
    assert extension.serverapp.config.HighlightMagicsPreprocessor.languages == {"%%pctx": "typescript"}


@pytest.mark.parametrize("set_before", [{}, {"%%pctx": "text"}, {"%%other": "r"}])
def test_a_language_that_is_set_for_exports_is_kept(set_before: dict[str, str]) -> None:
    config = Config({"HighlightMagicsPreprocessor": {"languages": set_before}} if set_before else {})
    colour_exports(config)
    assert config.HighlightMagicsPreprocessor.languages == {"%%pctx": "typescript", **set_before}
