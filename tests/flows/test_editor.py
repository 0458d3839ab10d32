"""An editor asks the server about a cell of a running notebook. A real server process and its real kernel."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from ..kernel.real_kernel import SOON, attached
from ..server.process import START_S, ServerProcess, server_process

SOURCE = "%%pctx\nawait Notebook.greetEv"
TOOL = "from pctx_jupyter import tool\n@tool\ndef greet_everybody(names: list[str]) -> str:\n    return ''"


def ask(server: ServerProcess, path: str, **body: Any) -> Any:
    """Ask as a browser does."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{server.url}{path}", data=data, headers=server.headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=START_S) as answer:
        return json.load(answer)


def test_a_tool_is_known_to_the_editor_before_any_program_runs(tmp_path: Path) -> None:
    option = f"--KernelManager.connection_dir={tmp_path}"
    with server_process(option) as server, attached(server.start_kernel()) as kernel:
        (known,) = ask(server, "api/kernels")
        assert kernel.run("%load_ext pctx_jupyter").error is None
        assert kernel.run("%pctx status").error is None  # connected, now
        assert kernel.run(TOOL).error is None
        declared = f"pctx/api/declarations?kernel_id={known['id']}"
        deadline = time.monotonic() + SOON
        while "greetEverybody" not in ask(server, declared)["declarations"]:
            assert time.monotonic() < deadline, "the server was not told of the tool"
        found = ask(server, "pctx/api/complete", source=SOURCE, offset=len(SOURCE), kernel_id=known["id"])
        assert [item["label"] for item in found["items"]] == ["greetEverybody"]
