"""Keeps notices of guest programs out of the files of notebooks: a notice is no result of a cell.

A notice is an output of a kernel, so every front end would save it. The server takes it out when it saves the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..session.trace import NOTICE


def without_notices(model: dict[str, Any]) -> None:
    """Take the notices out of a notebook that is about to be saved, in place.

    Args:
        model: A model of the contents API, of any type; it comes from a front end, so nothing in it is sure.
    """
    content = model.get("content")
    if model.get("type") != "notebook" or not isinstance(content, dict):
        return
    cells = content.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict) and isinstance(outputs := cell.get("outputs"), list):
            cell["outputs"] = [output for output in outputs if not _is_notice(output)]


def keep_out_notices(contents: Any) -> None:
    """Have a contents manager save notebooks without notices; some managers have no hooks."""
    register: Callable[..., None] | None = getattr(contents, "register_pre_save_hook", None)
    if register is not None:
        register(_before_save)


def _before_save(model: dict[str, Any], **more: object) -> None:
    without_notices(model)


def _is_notice(output: object) -> bool:
    return (
        isinstance(output, dict)
        and isinstance(metadata := output.get("metadata"), dict)
        and metadata.get(NOTICE) is True
    )
