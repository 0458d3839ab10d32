"""The specification of the REST API and the types of JupyterLab's client: written from the structs, and up to date."""

from __future__ import annotations

import re

import msgspec
import pytest
import yaml

from pctx_jupyter.server import specification as module
from pctx_jupyter.server.specification import SOURCE, SPECIFICATION, TYPES, openapi, schemas, specification, typescript


def test_the_specification_is_up_to_date() -> None:
    assert SPECIFICATION.read_text("utf-8") == openapi(SOURCE.read_text("utf-8")), "run `make api`"


def test_the_types_of_the_client_are_up_to_date() -> None:
    written = yaml.safe_load(SPECIFICATION.read_text("utf-8"))
    assert TYPES.read_text("utf-8") == typescript(written), "run `make api`"


def test_the_client_defines_no_type_of_the_wire_by_hand() -> None:
    text = (TYPES.parent / "api.ts").read_text("utf-8")
    assert set(re.findall(r"export interface (\w+)", text)) == {"Options", "Watcher"}


def test_every_schema_that_a_path_names_is_that_of_a_struct() -> None:
    document = specification(SOURCE.read_text("utf-8"))
    named = set(re.findall(r"#/components/schemas/(\w+)", yaml.safe_dump(document["paths"])))
    assert named and named <= schemas().keys()


def test_a_new_field_of_a_struct_reaches_both_files(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fresh(msgspec.Struct, omit_defaults=True):
        """A struct with one of each."""

        title: str
        count: int | None
        rows: list[str | None]
        note: str | None = None
        state: bool | None = False

    monkeypatch.setattr(module, "ANSWERS", [*module.ANSWERS, Fresh])
    document = specification(SOURCE.read_text("utf-8"))
    assert document["components"]["schemas"]["Fresh"]["required"] == ["title", "count", "rows"]
    assert (
        "/** A struct with one of each. */\n"
        "export interface Fresh {\n"
        "  title: string;\n"
        "  count: number | null;\n"
        "  rows: (string | null)[];\n"
        "  note?: string;\n"
        "  state?: boolean | null;\n"
        "}\n"
    ) in typescript(document)


def test_a_note_on_a_field_that_does_not_exist_is_refused() -> None:
    source = SOURCE.read_text("utf-8") + "    Share:\n      who: Nobody.\n"
    with pytest.raises(ValueError, match=r"a note on Share\.who"):
        specification(source)
