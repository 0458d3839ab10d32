"""What the type checker's messages say to write instead. Diagnostics in the compiler's words; tools are real."""

from __future__ import annotations

import pytest

from pctx_jupyter.program.check import Diagnostic
from pctx_jupyter.program.hints import BY_METHODS
from pctx_jupyter.session.advice import advice
from pctx_jupyter.tools.tool import Tool

DAY = {"title": "Day", "type": "object", "properties": {"date": {"type": "string"}}, "required": ["date"]}
TOOLS = [
    Tool(
        "market_data",
        "days",
        "",
        {
            "type": "object",
            "properties": {"limit": {"type": "integer"}, "city": {"type": "string"}},
            "required": ["city"],
        },
        {"type": "array", "items": {"$ref": "#/$defs/Day"}, "$defs": {"Day": DAY}},
    ),
    Tool("market_data", "ping", "", {"type": "object", "properties": {}}),
]


def said(code: str, number: int, message: str, at: str, missing: str | None = None) -> str:
    """The message about the place in the code at which a text begins."""
    before = code[: code.index(at)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    found = Diagnostic(message, number, "error", line, column, line, column + len(at), missing=missing)
    return advice(code, TOOLS)(found)


def test_a_type_of_a_tool_is_named_in_full() -> None:
    message = "Cannot find name 'Day'. Did you mean 'MarketData.days'?"
    assert said("let d: Day;", 2304, message, "Day", "Day") == "Cannot find name 'Day'. Did you mean 'MarketData.Day'?"


def test_a_name_that_no_tool_declares_keeps_its_message() -> None:
    assert said("let d: Dya;", 2304, "Cannot find name 'Dya'.", "Dya", "Dya") == "Cannot find name 'Dya'."


@pytest.mark.parametrize(
    ("code", "number", "message", "at"),
    [
        ('await MarketData.days("x", 5)', 2554, "Expected 1 arguments, but got 2.", "5)"),
        ('\n  await market_data.days("x")', 2345, "Argument of type 'string' is not assignable to", '"x"'),
        ('"ü"; MarketData.days(["x"])', 2345, "Argument of type 'string[]' is not assignable to", '["x"]'),
        ("await MarketData.days()", 2554, "Expected 1 arguments, but got 0.", "days"),
        ("MarketData.days([1])", 2559, "Type 'number[]' has no properties in common with type", "[1]"),
        (f'"{"a" * 1_000_000}"; MarketData.days("x", 5)', 2554, "Expected 1 arguments, but got 2.", "5)"),
    ],
    ids=["path", "name", "list", "none", "weak", "long"],
)
def test_positional_arguments_are_shown_as_an_object(code: str, number: int, message: str, at: str) -> None:
    path = "market_data.days" if "market_data" in code else "MarketData.days"
    assert said(code, number, message, at) == f"{message} A tool takes one object: {path}({{ city: …, limit: … }})"


def test_a_tool_without_arguments_is_shown_without() -> None:
    said_of_it = said("MarketData.ping(1)", 2554, "Expected 0 arguments, but got 1.", "1)")
    assert said_of_it.endswith("A tool takes one object: MarketData.ping()")


@pytest.mark.parametrize(("code", "at"), [('Math.max("a")', '"a"'), ("f(1, 2)", "2"), ("x.y(g(1), 2)", "2")])
def test_calls_of_other_functions_keep_their_message(code: str, at: str) -> None:
    message = "Argument of type 'string' is not assignable to parameter of type 'number'."
    assert said(code, 2345, message, at) == message


def test_a_text_in_place_of_a_literal_is_to_be_written_as_const() -> None:
    message = "Type 'string' is not assignable to type '\"open\" | \"shut\" | undefined'."
    assert said('let k = "open"; f(k)', 2322, message, "k)").endswith('as in "open" as const')


def test_a_text_in_place_of_a_number_is_not() -> None:
    message = "Type 'string' is not assignable to type 'number'."
    assert said("let k: number = 'a'", 2322, message, "k") == message


def test_a_bare_name_of_a_function_is_named_in_full_though_the_compiler_guesses_another() -> None:
    message = "Cannot find name 'days'. Did you mean 'day'?"
    assert said("days({})", 2552, message, "days", "days") == "Cannot find name 'days'. Did you mean 'MarketData.days'?"


@pytest.mark.parametrize(("number", "hint"), [(2, " Did you mean 'A0.now' or 'A1.now'?"), (9, "")])
def test_a_bare_name_of_a_few_functions_names_them_and_of_many_none(number: int, hint: str) -> None:
    found = Diagnostic("Cannot find name 'now'.", 2304, "error", 1, 1, 1, 4, missing="now")
    known = [f"A{at}.now" for at in range(number)]
    assert advice("now()", [], known)(found) == f"Cannot find name 'now'.{hint}"


def test_fences_of_markdown_are_said_to_be_that() -> None:
    code, message = "```ts\nMarketData.ping()\n```", "This expression is not callable."
    assert said(code, 2349, message, "```ts") == f"{message} Leave out the lines with ```: they are Markdown."
    assert said("const a = `x`;\na()", 2349, message, "a()") == message


@pytest.mark.parametrize(
    ("number", "message", "is_advised"),
    [
        (2322, "Type 'boolean' is not assignable to type 'FrameColumn<boolean>'.", True),
        (2367, "The types 'FrameColumn<string>' and 'string' have no overlap.", True),
        (2322, "Type 'string' is not assignable to type 'FrameColumn<number>'.", False),
        (2367, "The types 'number' and 'string' have no overlap.", False),
    ],
)
def test_conditions_of_frames_are_shown_as_methods(number: int, message: str, is_advised: bool) -> None:
    found = said("orders.filter(o => o.amount > 1)", number, message, "o.amount")
    assert found == (f"{message} {BY_METHODS}" if is_advised else message)
