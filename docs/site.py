"""Adds to the documentation site what lies outside of docs/: the notebooks, the pages of the project, the HTTP routes.

A hook of MkDocs, named in mkdocs.yml. In the repository, links of the pages lead to files; here they lead to pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import yaml
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent

PAGES = {
    "binder/tour.ipynb": "binder/tour.ipynb",
    "binder/weather.ipynb": "binder/weather.ipynb",
    "binder/agents.ipynb": "binder/agents.ipynb",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "README.md": "README.md",
    "LICENSE": "",
    "pctx_jupyter/server/openapi.yaml": "reference/http.md",
}
"""Where files of the repository, outside of docs/, stand on the site; "": in the repository only."""

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\.png\)")
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


@event_priority(100)  # before the plugin that renders notebooks looks at the list
def on_files(files: Files, config: Any) -> Files:
    """Add the files outside of docs/."""
    for source, target in PAGES.items():
        if source.endswith(".yaml"):
            files.append(File.generated(config, target, content=routes((ROOT / source).read_text("utf-8"))))
        elif source.endswith(".ipynb"):
            files.append(File(source, str(ROOT), config.site_dir, config.use_directory_urls))
        elif target and target != "README.md":
            files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Have links lead to pages of the site, or to the repository, and pictures follow the theme."""
    here = page.file.src_uri
    source = next((known for known, target in PAGES.items() if target == here and here != "README.md"), f"docs/{here}")

    def linked(link: re.Match[str]) -> str:
        where = link[2]
        if "://" in where or where.startswith(("mailto:", "/")):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), where))
        inside = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if inside is None:
            return f"{link[1]}{config.repo_url}/blob/main/{path}{link[3]}"
        return f"{link[1]}{posixpath.relpath(inside, posixpath.dirname(here) or '.')}{link[3]}"

    return LINK.sub(linked, PICTURE.sub(_in_both_themes, markdown))


def _in_both_themes(picture: re.Match[str]) -> str:
    """Write a picture of the dark theme beside one of the light theme; the site shows the one that fits."""
    shown, name = picture[1], picture[2]
    if not (ROOT / "docs" / "images" / f"{posixpath.basename(name)}-dark.png").exists():
        return picture[0]
    return f"![{shown}]({name}.png#only-light) ![{shown}]({name}-dark.png#only-dark)"


def routes(specification: str) -> str:
    """Write the page of all HTTP routes, after the OpenAPI file."""
    known = yaml.safe_load(specification)
    lines = ["# Every HTTP route", "", known["info"].get("description", "").strip(), ""]
    for path, methods in known["paths"].items():
        shared = methods.get("parameters", [])
        for method, route in methods.items():
            if method == "parameters":
                continue
            lines += [f"## `{method.upper()} {path}`", "", route.get("summary", ""), ""]
            lines += [route["description"].strip(), ""] if "description" in route else []
            rows = [_resolved(known, row) for row in [*shared, *route.get("parameters", [])]]
            if rows:
                lines += ["| parameter | in | meaning |", "|---|---|---|"]
                lines += [f"| `{row['name']}` | {row['in']} | {_cell(row.get('description', ''))} |" for row in rows]
                lines.append("")
            lines += ["| status | answer |", "|---|---|"]
            for status, answer in route["responses"].items():
                lines.append(f"| {status} | {_cell(_resolved(known, answer).get('description', ''))} |")
            lines.append("")
    return "\n".join(lines)


def _resolved(known: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = known
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
