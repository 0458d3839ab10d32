"""Tools as TypeScript declarations. The tools are plain values; the parser that reads the declarations is real."""

import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pctx_jupyter import errors
from pctx_jupyter.tools import names, typegen

from .. import schemas
from ..fakes import SOON


@dataclass(frozen=True)
class Tool:
    """What `typegen` reads of a tool."""

    registered_namespace: str
    registered_name: str
    description: str | None = None
    input_schema: Any = None
    output_schema: Any = None
    about: str = ""

    @property
    def namespace_name(self) -> str:
        return names.namespace_name(self.registered_namespace)

    @property
    def tool_name(self) -> str:
        return names.tool_name(self.registered_name)


ORDER = {
    "type": "object",
    "description": "One order.",
    "properties": {
        "id": {"type": "integer"},
        "status": {"enum": ["open", "paid"]},
        "placed_at": {"type": "string", "format": "date-time"},
        "replaces": {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}]},
    },
    "required": ["id", "status"],
}
LOAD_ORDERS = Tool(
    "sales",
    "load_orders",
    "Load the orders of one status.",
    {
        "type": "object",
        "properties": {
            "status": {"type": ["string", "null"], "description": "Of this status only.", "default": None},
            "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
        },
    },
    {"type": "array", "items": {"$ref": "#/$defs/Order"}, "$defs": {"Order": ORDER}},
)
ADD = Tool(
    "Math",
    "add",
    "Add two numbers.",
    {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
    {"type": "number"},
)


def test_tool_is_declared_with_the_types_it_needs() -> None:
    assert typegen.declaration(LOAD_ORDERS) == (
        """\
declare namespace Sales {
  /** Load the orders of one status. */
  function loadOrders(args?: {
    /** Of this status only. */
    status?: string | null;
    /** @default 50 @range 1..200 */
    limit?: number;
  }): Promise<Order[]>;
  /** One order. */
  type Order = {
    id: number;
    status: "open" | "paid";
    /** @format date-time */
    placed_at?: string;
    replaces?: Order | null;
  };
}
"""
    )


def test_signature_is_one_line_without_comments() -> None:
    written = "loadOrders(args?: { status?: string | null; limit?: number }): Promise<Order[]>"
    assert typegen.signature(LOAD_ORDERS) == written


def test_signature_is_short_whatever_the_schemas() -> None:
    wide = {"properties": {f"property_{n}": {"properties": {"a": {"type": "string"}}} for n in range(100)}}
    deep: Any = {"type": "string"}
    for _ in range(30):
        deep = {"type": "object", "properties": {"a_long_name": deep}}
    for schema in (wide, deep):
        signature = typegen.signature(Tool("sales", "load", None, schema, schema))
        assert signature.startswith("load(args?: ")
        assert len(signature) <= typegen.SIGNATURE


@pytest.mark.parametrize(
    ("input_schema", "output_schema", "signature"),
    [
        (None, None, "f(args?: any): Promise<any>"),
        ({"type": "object", "properties": {}}, {"type": "null"}, "f(args?: {}): Promise<null>"),
        ({"type": "object", "properties": {}, "additionalProperties": False}, None, "f(args?: {}): Promise<any>"),
        ({"type": "object"}, None, "f(args?: { [key: string]: any }): Promise<any>"),
        ({"properties": {"a": True}, "required": ["a"]}, None, "f(args: { a: any }): Promise<any>"),
        ({"type": "string"}, {"type": ["string", "null"]}, "f(args: string): Promise<string | null>"),
    ],
)
def test_argument_may_be_left_out_when_nothing_is_required(
    input_schema: Any, output_schema: Any, signature: str
) -> None:
    assert typegen.signature(Tool("x", "f", None, input_schema, output_schema)) == signature


def test_registered_spellings_are_declared_without_repeating_types() -> None:
    tools = [LOAD_ORDERS, replace(LOAD_ORDERS, registered_name="get-user", output_schema=None)]
    canonical = typegen.declarations(tools, aliases=False)
    assert typegen.declarations(tools) == canonical + (
        """\
declare namespace Sales {
  export { getUser as "get-user", loadOrders as load_orders };
}
declare const sales: typeof Sales;
"""
    )


def test_namespace_of_a_global_adds_to_its_interface() -> None:
    nested = replace(ADD, registered_name="add_all", output_schema={"$ref": "#/$defs/Sum", "$defs": {"Sum": ORDER}})
    nested.output_schema["$defs"]["Order"] = {"const": {"a": 1}}
    text = typegen.declarations([replace(ADD, registered_namespace="math"), nested, replace(ADD, registered_name="PI")])
    assert schemas.errors_in(text) == []
    assert "declare namespace Math {" not in text
    assert (
        "interface Math {\n  /** Add two numbers. */\n  add(args: { a: number; b: number }): Promise<number>;" in text
    )
    assert "addAll(args: { a: number; b: number }): Promise<Math_Types.Sum>;" in text
    assert "declare namespace Math_Types {\n  type Order = { a: 1 };\n  /** One order. */\n  type Sum =" in text
    assert "replaces?: Math_Types.Order | null;" in text
    assert 'add_all: Math["addAll"];' in text
    assert "PI:" not in text  # JavaScript lets nobody define it
    assert 'declare const math: Pick<typeof Math, "add">;' in text


@pytest.mark.parametrize(
    ("namespace", "lines"),
    [
        ("String", ["interface StringConstructor {"]),
        ("Promise", ["interface PromiseConstructor {"]),
        ("Intl", ["declare namespace Intl {"]),
        ("URL", ["declare namespace Url {", "declare namespace URL {", "  const add: typeof Url.add;"]),
        ("JSON", ["declare namespace Json {", 'interface JSON extends Pick<typeof Json, "add"> {}']),
        ("crypto", ["declare namespace Crypto {", 'interface Crypto extends Pick<typeof Crypto, "add"> {}']),
        ("escape", ["declare namespace Escape {", "declare namespace escape {"]),
        ("async", ["declare namespace Async {", "declare const async: typeof Async;"]),
        ("string", ["interface StringConstructor {", 'declare const string: Pick<typeof String, "add">;']),
        ("delete", ["declare namespace Delete {"]),
        ("sales report", ["declare namespace SalesReport {"]),
    ],
)
def test_namespace_and_its_other_spelling_extend_what_is_there(namespace: str, lines: list[str]) -> None:
    text = typegen.declarations([replace(ADD, registered_namespace=namespace)])
    assert schemas.errors_in(text) == []
    assert [line for line in lines if line in text.splitlines()] == lines
    assert text.count("declare ") + text.count("interface ") == len([line for line in lines if line[0] != " "])


def test_reserved_word_is_a_functions_name_all_the_same() -> None:
    tools = [Tool("cart", name, about="Carts.") for name in ("delete", "DELETE_ALL", "NEW")]
    text = typegen.declarations(tools)
    assert schemas.errors_in(text) == []
    assert text.count("Carts.") == 1 == typegen.declarations(tools[:1]).count("Carts.")
    assert "export { delete_tool as delete };" in text
    assert "const new_tool: typeof Cart.new;" in text
    assert "export { deleteAll as DELETE_ALL, new_tool as NEW };" in text


def test_constructor_is_no_tools_signature() -> None:
    assert '  "new"(args?: any): Promise<any>;' in typegen.declarations([Tool("Date", "new")])


def test_nothing_is_declared_that_would_make_a_namespace_awaitable() -> None:
    text = typegen.declarations([Tool("sales", "then"), Tool("sales", "toJSON")])
    assert "then_(args" in text
    assert "toJSON_(args" in text
    assert "export" not in text


def test_equal_types_are_written_once_and_different_ones_told_apart() -> None:
    other = {"type": "object", "properties": {"order": {"$ref": "#/$defs/Order"}}, "$defs": {"Order": {"const": 1}}}
    same = replace(LOAD_ORDERS, registered_name="load_again")
    text = typegen.declarations([LOAD_ORDERS, same, replace(same, registered_name="print", output_schema=other)])
    assert text.count("type Order =") == 1
    assert "order?: PrintOrder" in text
    assert "type PrintOrder = 1;" in text


def test_argument_and_result_may_have_different_types_of_one_name() -> None:
    draft = {"$ref": "#/$defs/Order", "$defs": {"Order": {"properties": {"id": {"type": "string"}}}}}
    written = typegen.declaration(replace(LOAD_ORDERS, input_schema=draft))
    assert "loadOrders(args?: OrderInput): Promise<Order[]>" in written
    assert "type OrderInput = { id?: string };" in written


def test_types_of_two_namespaces_do_not_meet() -> None:
    text = typegen.declarations([LOAD_ORDERS, replace(LOAD_ORDERS, registered_namespace="stock")])
    assert text.count("  type Order =") == 2


@pytest.mark.parametrize("text", schemas.HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(text: str) -> None:
    schema = {
        "title": text,
        "description": text,
        "properties": {text: {"enum": [text], "default": text, "description": text, "pattern": text, "format": text}},
        "required": [text],
        "additionalProperties": {"$ref": text},
        "patternProperties": {text: {"const": {text: text}, "title": text, "examples": [text]}},
    }
    tools = [Tool("sales", "load", text, schema, schema)]
    for tool in (Tool(text, "load", text, schema), Tool("sales", text, text, schema), Tool("Math", text)):
        try:
            tools += [tool] if tool.namespace_name and tool.tool_name else []
        except errors.InvalidParams:
            continue
    written = typegen.declarations(tools)
    assert schemas.errors_in(written) == []
    assert "</script" not in written
    assert schemas.statements(written) <= {"ambient_declaration", "interface_declaration"}
    assert not [comment for comment in schemas.comments(written) if "@ts-" in comment]


def test_description_of_several_lines_keeps_them() -> None:
    text = typegen.declaration(Tool("sales", "load", "First.\n\n  - *one*/\n  - two\r\n@ts-ignore\n"))
    assert text.splitlines()[1:8] == [
        "  /**",
        "   * First.",
        "   *",
        "   * - *one*\\/",
        "   * - two",
        "   * \uff20ts-ignore",
        "   */",
    ]
    assert schemas.errors_in(text) == []


def test_schema_too_large_to_read_is_any_and_the_others_stay() -> None:
    large = {
        "properties": {
            f"a_property_with_a_long_name_{n}_{m}": {"properties": {"b": {"enum": ["x" * 90]}}}
            for n in range(20)
            for m in range(20)
        }
    }
    larger = {"properties": {f"p{n}": large for n in range(12)}}
    text = typegen.declarations([LOAD_ORDERS, Tool("sales", "load_all", "", larger, {"type": "string"})])
    assert "loadAll(args?: any /* too large a schema: " in text
    assert "loadOrders(args?: {\n" in text
    assert schemas.errors_in(text) == []


def test_text_does_not_depend_on_the_order_of_tools() -> None:
    tools = [
        replace(LOAD_ORDERS, registered_namespace=space, registered_name=name) for space in "abc" for name in "xyz"
    ]
    text = typegen.declarations(tools)
    random.Random(7).shuffle(tools)
    assert typegen.declarations(tools) == text
    assert typegen.declarations([replace(tool) for tool in tools]) == text


def test_no_tools_are_no_text() -> None:
    assert typegen.declarations([]) == ""


def test_changed_tool_is_written_anew() -> None:
    before = typegen.declarations([LOAD_ORDERS])
    after = typegen.declarations([replace(LOAD_ORDERS, description="Something else.")])
    assert before != after
    assert "Something else." in after


def test_threads_that_ask_for_the_same_tools_get_one_text() -> None:
    both, written = Barrier(2), []

    class Noted(Tool):
        @property
        def tool_name(self) -> str:
            written.append(self.registered_name)
            return super().tool_name

    def ask(tools: list[Tool]) -> str:
        both.wait(SOON)
        return typegen.declarations(tools)

    tools: list[Tool] = [Noted("sales", f"load{number}", "Text.") for number in range(200)]
    with ThreadPoolExecutor(2) as threads:
        texts = list(threads.map(ask, [tools, tools]))
    reads = len(written)
    assert texts[0] is texts[1]
    typegen.declarations([replace(tool) for tool in tools])
    assert len(written) == 2 * reads


def test_threads_that_wait_for_a_text_hear_why_there_is_none_each_in_its_own_attempt() -> None:
    both = Barrier(2)
    raised: list[LookupError] = []

    class Broken(Tool):
        @property
        def tool_name(self) -> str:
            raise LookupError("no name")

    def ask(tools: list[Tool]) -> None:
        both.wait(SOON)
        with pytest.raises(LookupError, match="no name") as error:
            typegen.declarations(tools)
        raised.append(error.value)

    tools: list[Tool] = [Broken("sales", "load")]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(ask, [tools, tools]))
    assert len({id(error) for error in raised}) == 2
    assert typegen.written(tools) is None


NAMESPACES = ["sales", "Sales", "Math", "math", "Date", "URL", "crypto", "JSON", "eval", "arguments", "string", "type"]
tools_of_any_kind = st.lists(
    st.builds(Tool, st.sampled_from(NAMESPACES) | schemas.texts, schemas.texts, schemas.texts, schemas.documents()),
    min_size=1,
    max_size=4,
)


@pytest.mark.fuzz
@given(tools_of_any_kind)
def test_any_tools_are_declared_without_error(tools: list[Tool]) -> None:
    usable: dict[tuple[str, str], Tool] = {}
    for tool in tools:
        try:
            usable.setdefault((tool.namespace_name, tool.tool_name), tool)
        except errors.InvalidParams:
            continue
    text = typegen.declarations(usable.values())
    assert schemas.errors_in(text) == []
    assert typegen.declarations([replace(tool) for tool in reversed(usable.values())]) == text
    for tool in usable.values():
        assert "\n" not in typegen.signature(tool)
        assert schemas.errors_in(typegen.declaration(tool)) == []
    assert schemas.errors_in(text + typegen.invocable(usable.values())) == []


def test_a_full_name_means_the_tool_that_has_it_before_one_that_was_registered_so() -> None:
    shouted, spelled = Tool("SALES", "load", "", None, None), Tool("s_a_l_e_s", "load", "", None, None)
    text = typegen.invocable([shouted, spelled])
    assert '"SALES.load": (typeof SALES)["load"];' in text and text.count('"SALES.load"') == 1
    assert '"Sales.load": (typeof Sales)["load"];' in text


def test_a_program_is_declared_each_namespace_in_a_text_that_depends_on_it_alone() -> None:
    sales, other = Tool("sales", "load", "", None, None), Tool("other", "load", "", None, None)
    both, one = typegen.for_program([sales, other]), typegen.for_program([sales])
    assert one.needed[0] in both.needed and len(both.needed) == 2 and both.whole == ()
    assert "".join(both.needed).count("declare const sales: typeof Sales;") == 1


def test_of_a_large_namespace_the_tools_that_a_program_names_are_declared() -> None:
    record, other = (
        {"type": "object", "title": "Record", "properties": {"id": {"type": kind}, "all": {"items": {"$ref": "#"}}}}
        for kind in ("string", "number")
    )
    tools = [Tool("sales", f"load_{at}", "", record, other if at else record) for at in range(typegen.WHOLE + 1)]
    found = typegen.for_program(tools, {"Sales", "load7", "load_8"})
    (needed,), (whole,) = found.needed, found.whole
    assert re.findall(r"function (\w+)", needed) == ["load7", "load8"]
    declared = set(re.findall(r"type (\w+) = ", needed))
    assert declared and all(f"type {name} = " in whole for name in declared)  # under the same names as in the whole
    assert len(re.findall(r"function (\w+)", whole)) == len(tools)
    assert typegen.for_program(tools).needed == (whole,)


def test_a_registered_namespace_that_is_anothers_canonical_name_means_that_one() -> None:
    shouted, spelled = Tool("SALES", "load", "", None, None), Tool("s_a_l_e_s", "load", "", None, None)
    assert (shouted.namespace_name, spelled.namespace_name) == ("Sales", "SALES")
    text = "".join(typegen.for_program([shouted, spelled]).needed)
    assert "declare const SALES" not in text
    assert "declare const SALES" in "".join(typegen.for_program([shouted]).needed)
    assert "declare const SALES" not in "".join(typegen.for_program([shouted], namespaces=["SALES"]).needed)
