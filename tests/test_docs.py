"""The docs are true: references agree with the code, links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
import yaml

from pctx_jupyter import errors
from pctx_jupyter.kernel import options
from pctx_jupyter.program import cell
from pctx_jupyter.rpc import wire
from pctx_jupyter.session import access
from pctx_jupyter.settings import Limits, Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
REFERENCE = ROOT / "docs" / "reference"


def settings_table() -> list[str]:
    """The rows of docs/reference/configuration.md as they have to be."""
    known = [field for kind in (Limits, Settings) for field in fields(kind) if "help" in field.metadata]
    return [f"| `{field.name}` | {field.default!r} | {field.metadata['help']} |" for field in known]


def test_the_configuration_reference_lists_every_setting_as_it_is() -> None:
    page = (REFERENCE / "configuration.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| `")] == settings_table()


def test_the_reference_of_the_magic_has_its_options() -> None:
    page = (REFERENCE / "magics.md").read_text()
    assert f"```\n{options.CELL_USAGE}\n```" in page
    shown = re.findall(r"^\| `(--?[^`]+)` \|", page.partition("## `%pctx`")[0], re.MULTILINE)
    assert shown == [option.summary for option in cell.OPTIONS]


def test_the_wire_reference_names_every_method_and_code() -> None:
    page = (REFERENCE / "wire.md").read_text()
    methods = [wire.REGISTER_TOOL, wire.UNREGISTER_TOOL, wire.EXECUTE, wire.LIST_FUNCTIONS, wire.GET_FUNCTION_DETAILS]
    editing = [wire.COMPLETE, wire.HOVER, wire.SIGNATURE, wire.DIAGNOSTICS, wire.DECLARATIONS]
    for method in [
        *methods,
        *editing,
        wire.FORGET,
        wire.SESSION_CREATED,
        wire.EXECUTE_TOOL,
        wire.OUTPUT,
        wire.DISPLAY,
        wire.EVENT,
    ]:
        assert f"`{method}`" in page
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.PctxError):
            assert f"| {kind.code} |" in page, name


EDITING: list[type[msgspec.Struct]] = [
    wire.Position,
    wire.Written,
    wire.Completed,
    wire.CompletionItem,
    wire.Explained,
    wire.ExplainedCall,
]
EDITING += [wire.ExplainedSignature, wire.ExplainedParameter, wire.Diagnosed, wire.Underlined, wire.Declared]


@pytest.mark.parametrize(
    "kind", [wire.RegisterTool, wire.Execute, wire.Executed, wire.OutputNotice, wire.DisplayNotice, *EDITING]
)
def test_the_wire_reference_names_every_field(kind: type[msgspec.Struct]) -> None:
    page = (REFERENCE / "wire.md").read_text()
    for field in kind.__struct_encode_fields__:
        assert re.search(rf"\b{field}\b", page), field


def test_the_reference_over_http_names_every_path_and_field() -> None:
    page = (REFERENCE / "rest.md").read_text()
    for path in yaml.safe_load((ROOT / "pctx_jupyter" / "server" / "openapi.yaml").read_text())["paths"]:
        assert f"{path.lstrip('/')}`" in page or f"{path.lstrip('/')}?" in page, path
    for kind in EDITING:
        assert all(re.search(rf"\b{field}\b", page) for field in kind.__struct_encode_fields__), kind


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_docs_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


def pictures_of_pages() -> set[str]:
    """The names of all pictures that a page shows."""
    shown = re.compile(r"""!\[[^\]]*\]\(([^)]+)\)|<img\b[^>]*\bsrc="([^"]+)\"""")
    links = (one[1] or one[2] for page in PAGES for one in shown.finditer(page.read_text()))
    return {Path(link).stem for link in links if "://" not in link}


def test_every_picture_of_a_page_is_taken_by_a_test_in_both_themes() -> None:
    test = (ROOT / "tests" / "browser" / "test_pictures.py").read_text()
    taken = set(re.findall(r"\bcamera\.take\(\s*\"([\w-]+)\"", test))
    assert taken == pictures_of_pages()
    files = {file.name for file in (ROOT / "docs" / "images").iterdir()}
    assert files == {f"{name}{theme}.png" for name in taken for theme in ("", "-dark")}


def test_the_page_of_a_package_index_leads_to_no_file_beside_it() -> None:
    """An index shows the README alone, as the build rewrites it."""
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    page = (ROOT / "README.md").read_text()
    for one in hook["fancy-pypi-readme"]["substitutions"]:
        page = re.sub(one["pattern"], one["replacement"], page)
    targets = re.findall(r"""\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)\"""", page)
    relative = [target for pair in targets for target in pair if target and not target.startswith(("https://", "#"))]
    assert len(targets) > 15 and not relative
    assert "main/docs/images/overview-dark.png" in page


def needed(route: access.Route) -> str:
    """What a user must be allowed to do, as the table has it."""
    if route.host:
        return "only the token of sandbox hosts"
    code = {access.Code.NEVER: "", access.Code.BY_ENTRY: "; code", access.Code.ALWAYS: ", code"}[route.code]
    return f"{route.action}{code}"


def rights(method: access.Method) -> list[str]:
    """What each caller may, in the order of the columns."""
    words = {True: "yes", False: "no"}
    found = {caller: words[caller in method.callers] for caller in access.Caller}
    found |= dict.fromkeys(method.by_setting, "by setting")
    if method.code is not access.Code.NEVER:
        found[access.Caller.USER] = "code" if method.code is access.Code.ALWAYS else "yes; code"
    return list(found.values())


def access_tables() -> list[str]:
    """The rows of docs/reference/access.md as they have to be."""
    routes = [
        f"| {'WebSocket' if route.is_socket else route.method} `{route.path}` | {needed(route)} "
        f"| {'yes' if route.kernel else 'no'} |"
        for route in access.ROUTES.values()
    ]
    return routes + [f"| `{method.name}` | {' | '.join(rights(method))} |" for method in access.METHODS.values()]


def test_the_reference_of_who_may_what_is_the_table_that_the_server_obeys() -> None:
    page = (REFERENCE / "access.md").read_text().splitlines()
    assert [line for line in page if re.match(r"\| (\w+ )?`", line)] == access_tables()
    assert f"| method | {' | '.join(caller.value for caller in access.Caller)} |" in page


def test_the_specification_says_who_may_what_as_the_table_does() -> None:
    specification = yaml.safe_load((ROOT / "pctx_jupyter" / "server" / "openapi.yaml").read_text())
    written = {}
    for path, methods in specification["paths"].items():
        for method, operation in methods.items():
            opens = operation.get("security", specification["security"])
            written[path.lstrip("/"), method.upper()] = {"kernel": []} in opens
    known = {
        key: route.kernel for key, route in access.ROUTES.items() if not route.is_socket and not key[0].endswith("mcp")
    }
    assert written == known


def test_the_tests_that_the_security_page_names_are_there() -> None:
    page = (ROOT / "docs" / "explanation" / "security.md").read_text()
    table = page[page.index("## Which tests prove it") :]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert named, row
        for name in named:
            assert "def test_" in (ROOT / name).read_text(), name
