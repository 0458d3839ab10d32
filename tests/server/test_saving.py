"""How the server changes a notebook that it saves. Real: Jupyter Server, its contents manager, and the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from traitlets.config import Config

from pctx_jupyter.server.saving import with_languages, without_notices
from pctx_jupyter.session.trace import NOTICE


def notebook() -> dict[str, Any]:
    outputs = [
        nbformat.v4.new_output("stream", text="kept"),
        nbformat.v4.new_output("display_data", {"text/plain": "a notice"}, metadata={NOTICE: True}),
    ]
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("1", outputs=outputs)]
    content: dict[str, Any] = json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return content


async def saved(jp_fetch: Any, folder: Path) -> list[str]:
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook()})
    await jp_fetch("api", "contents", "some.ipynb", method="PUT", body=body)
    return [output["output_type"] for output in json.loads((folder / "some.ipynb").read_text())["cells"][1]["outputs"]]


async def test_notices_are_not_saved(jp_fetch: Any, jp_root_dir: Path) -> None:
    assert await saved(jp_fetch, jp_root_dir) == ["stream"]


@pytest.mark.parametrize("jp_server_config", [{"Pctx": {"save_notices": True}}])
async def test_notices_are_saved_where_a_setting_says_so(
    jp_server_config: object, jp_fetch: Any, jp_root_dir: Path
) -> None:
    assert await saved(jp_fetch, jp_root_dir) == ["stream", "display_data"]


async def test_nbconvert_colours_the_programs_of_a_saved_notebook_without_an_option(
    jp_fetch: Any, jp_root_dir: Path
) -> None:
    sources = ["%%pctx -o total\nconst total: number = 1;\ntotal", "const = 1", "%%pctxx\nconst a = 1"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[1].metadata["magics_language"] = "typescript"  # it was a program when it was saved before
    language = {"name": "python", "pygments_lexer": "ipython3"}
    content = json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"language_info": language})))
    body = json.dumps({"type": "notebook", "format": "json", "content": content})
    await jp_fetch("api", "contents", "some.ipynb", method="PUT", body=body)
    page, _ = HTMLExporter(config=Config()).from_filename(str(jp_root_dir / "some.ipynb"))
    assert page.count('<span class="kd">const</span>') == 1
    assert "magics_language" not in json.loads((jp_root_dir / "some.ipynb").read_text())["cells"][1]["metadata"]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"type": "notebook"},
        {"type": "notebook", "content": {"cells": None}},
        {"type": "notebook", "content": {"cells": [1, {"outputs": 2}, {"outputs": [3, {"metadata": 4}]}]}},
        {"type": "notebook", "content": {"cells": [{"cell_type": "code", "metadata": [], "source": "%%pctx"}]}},
        {"type": "notebook", "content": {"cells": [{"cell_type": "code", "metadata": {}, "source": [1, None]}]}},
        {"type": "file", "content": "text"},
    ],
)
def test_what_is_no_notebook_is_left_as_it_is(model: dict[str, Any]) -> None:
    before = json.dumps(model)
    without_notices(model)
    with_languages(model)
    assert json.dumps(model) == before
