"""Changes notebooks that the server is about to save: takes notices out, and names the language of programs.

A notice is no result of a cell. It is an output of a kernel, so every front end would save it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..session.trace import NOTICE

LANGUAGE = "magics_language"
"""The metadata of a cell by which nbconvert colours it, on any machine."""
_PROGRAM = re.compile(r"\s*%%pctx(?![^\s])")


def without_notices(model: dict[str, Any]) -> None:
    """Take the notices out of a notebook that is about to be saved, in place.

    Args:
        model: A model of the contents API, of any type; it comes from a front end, so nothing in it is sure.
    """
    for cell in _cells(model):
        if isinstance(outputs := cell.get("outputs"), list):
            cell["outputs"] = [output for output in outputs if not _is_notice(output)]


def with_languages(model: dict[str, Any]) -> None:
    """Name TypeScript as the language of each ``%%pctx`` cell of a notebook that is about to be saved, in place.

    Args:
        model: As for `without_notices`.
    """
    for cell in _cells(model):
        metadata, source = cell.get("metadata"), cell.get("source")
        if isinstance(source, list):  # the lines of the text, as files have them
            source = "".join(line for line in source if isinstance(line, str))
        if not isinstance(metadata, dict) or not isinstance(source, str) or cell.get("cell_type") != "code":
            continue
        if _PROGRAM.match(source):
            metadata[LANGUAGE] = "typescript"
        elif metadata.get(LANGUAGE) == "typescript":
            del metadata[LANGUAGE]  # it was a program when it was saved before


def _cells(model: dict[str, Any]) -> list[dict[str, Any]]:
    content = model.get("content")
    if model.get("type") != "notebook" or not isinstance(content, dict):
        return []
    cells = content.get("cells")
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def change_what_is_saved(contents: Any, *, with_notices: bool) -> None:
    """Have a contents manager save notebooks changed; some managers have no hooks.

    Args:
        contents: The contents manager of the server.
        with_notices: Whether notices are saved.
    """
    register: Callable[..., None] | None = getattr(contents, "register_pre_save_hook", None)
    if register is not None:
        register(_name_languages)
        if not with_notices:
            register(_take_notices_out)


def _take_notices_out(model: dict[str, Any], **more: object) -> None:
    without_notices(model)


def _name_languages(model: dict[str, Any], **more: object) -> None:
    with_languages(model)


def _is_notice(output: object) -> bool:
    return (
        isinstance(output, dict)
        and isinstance(metadata := output.get("metadata"), dict)
        and metadata.get(NOTICE) is True
    )
