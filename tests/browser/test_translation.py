"""A language pack, as others make and install them, in a real JupyterLab."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from playwright.sync_api import Page, expect

from .front_end import NotebookPage, front_end
from .test_panel import show

LOCALE = "de_DE"
DOMAIN = "pctx_jupyter"
WORDS = {
    "pctx: tools and runs": "pctx: Werkzeuge und Läufe",
    "Notebooks": "Notizbücher",
    "Runs": "Läufe",
    "Show pctx Panel": "pctx-Leiste zeigen",
}
SETTINGS = {"pctx": "pctx auf Deutsch", "pctx Cells": "pctx-Zellen", "Problems": "Fehler"}


def write_pack(folder: Path) -> None:
    """Write a pack with a few words; it is installed where the folder is on Python's path."""
    package = folder / f"jupyterlab_language_pack_{LOCALE}"
    messages = package / "locale" / LOCALE / "LC_MESSAGES"
    messages.mkdir(parents=True)
    (package / "__init__.py").touch()
    about = {
        "": {"domain": DOMAIN, "language": LOCALE.replace("_", "-"), "plural_forms": "nplurals=2; plural=(n != 1);"}
    }
    (messages / f"{DOMAIN}.json").write_text(json.dumps({**about, **{word: [said] for word, said in WORDS.items()}}))
    # The server translates what stands in schemas.
    catalog = Catalog(LOCALE, DOMAIN)
    for word, said in SETTINGS.items():
        catalog.add(word, said, context="settings" if word == "Problems" else "schema")
    with (messages / f"{DOMAIN}.mo").open("wb") as file:
        write_mo(file, catalog)
    installed = folder / f"{package.name}-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[jupyterlab.languagepack]\n{LOCALE} = {package.name}\n")


def test_a_language_pack_translates_panel_commands_and_settings(
    page: Page, extension: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tmp_path / "packs")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path / "packs"), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    chosen = tmp_path / "lab" / "settings" / "@jupyterlab" / "translation-extension" / "plugin.jupyterlab-settings"
    chosen.parent.mkdir(parents=True)
    chosen.write_text(json.dumps({"locale": LOCALE}))
    with front_end("lab", tmp_path / "lab") as server, ExitStack() as stack:
        stack.callback(page.goto, "about:blank")  # what a front end says when its server goes is not the test's
        NotebookPage(page, server, server.write("deutsch.ipynb", "1"))
        panel = show(page)
        expect(panel).to_have_attribute("aria-label", WORDS["pctx: tools and runs"])
        tab = page.locator(f'.jp-SideBar [title^="{WORDS["pctx: tools and runs"]}"]')
        expect(tab).to_be_visible()
        for section in ("Notebooks", "Runs"):
            expect(panel.get_by_role("treeitem", name=WORDS[section])).to_be_visible()
        expect(panel.get_by_role("button", name="Connect…")).to_be_visible()  # what the pack lacks stays as it is
        assert page.evaluate("window.jupyterapp.commands.label('pctx:show-panel')") == WORDS["Show pctx Panel"]
        schemas = [server.ask(f"lab/api/settings/pctx-jupyter:{name}")["schema"] for name in ("panel", "cells")]
        assert [schema["title"] for schema in schemas] == [SETTINGS["pctx"], SETTINGS["pctx Cells"]]
        assert schemas[1]["properties"]["diagnostics"]["title"] == SETTINGS["Problems"]
