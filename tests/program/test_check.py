"""How findings are said: pure. The messages are TypeScript's; that it says them is shown in tests/sandbox."""

import pytest

from pctx_jupyter.program.check import (
    LONGEST,
    Checked,
    CheckerFinding,
    Diagnostic,
    Findings,
    checked,
    failure,
    missing_member,
)

TOOLS = ["Sales.loadOrders", "Sales.countOrders", "Math.addAll"]


def found(message: str, code: int, **more: object) -> CheckerFinding:
    return CheckerFinding(message, code, 2, 5, 2, 9, **more)  # type: ignore[arg-type]


def said(finding: CheckerFinding) -> str:
    (diagnostic,) = checked(Findings([finding], False), TOOLS).diagnostics
    return diagnostic.message


def test_diagnostic_keeps_its_place_and_number() -> None:
    (diagnostic,) = checked(Findings([found("Expression expected.", 1109)], False)).diagnostics
    assert diagnostic == Diagnostic("Expression expected.", 1109, "error", 2, 5, 2, 9)
    assert diagnostic.is_syntax


def test_the_member_that_a_namespace_lacks_is_named_in_a_line_of_any_length() -> None:
    line = f'"{"a" * 1_000_000}"; Mail . send()'
    at = line.index("send") + 1
    assert missing_member(Diagnostic("", 2339, "error", 1, at, 1, at + 4), line) == "Mail.send"


def test_typescripts_own_suggestion_stands_alone() -> None:
    message = "Property 'loadOrder' does not exist on type 'typeof Sales'. Did you mean 'loadOrders'?"
    assert said(found(message, 2551, wanted="loadOrder", names=["loadOrders", "countOrders"])) == message


@pytest.mark.parametrize(
    ("wanted", "names", "hint"),
    [
        ("order_load", ["loadOrders", "countOrders"], " There is: countOrders, loadOrders."),
        ("LOAD_ORDERS", ["loadOrders", "countOrders"], " Did you mean 'loadOrders'?"),
        ("x", [f"field{number}" for number in range(20)], ", …."),
        ("x", [], ""),
    ],
)
def test_names_that_exist_are_offered(wanted: str, names: list[str], hint: str) -> None:
    message = f"Property '{wanted}' does not exist on type 'typeof Sales'."
    text = said(found(message, 2339, wanted=wanted, names=names))
    assert text.startswith(message) and text.endswith(hint or message)


@pytest.mark.parametrize(
    ("wanted", "tool"),
    [("loadOrders", "Sales.loadOrders"), ("load_orders", "Sales.loadOrders"), ("Sale", "Sales"), ("unheardOf", "")],
)
def test_a_tool_without_its_namespace_is_recognized(wanted: str, tool: str) -> None:
    hint = f" Did you mean '{tool}'?" if tool else ""
    assert said(found(f"Cannot find name '{wanted}'.", 2304, wanted=wanted)) == f"Cannot find name '{wanted}'.{hint}"


def test_an_unknown_namespace_is_answered_with_those_there_are() -> None:
    text = said(found("Cannot find name 'Warehouse'.", 2304, wanted="Warehouse"))
    assert text.startswith("Cannot find name 'Warehouse'. Namespaces of tools: ") and "Sales" in text


@pytest.mark.parametrize("module", ["lodash", "https://example.com/a.ts", "./other.ts", "node:fs", "npm:zod"])
def test_an_import_says_what_is_possible_instead(module: str) -> None:
    text = said(found("Cannot find module.", 2307, module=module))
    assert text == f"Cannot import '{module}': a program can only call its tools"


def test_what_other_platforms_have_is_not_to_be_installed() -> None:
    message = "Cannot find name 'process'. Do you need to install type definitions for node? Try `npm i …`."
    assert said(found(message, 2591)) == "Cannot find name 'process': a program can only call its tools"
    assert said(found("Cannot find name 'fetch'.", 2304, wanted="fetch")).endswith("only call its tools")


@pytest.mark.parametrize("code", [2339, 2551, 7053, 2801, 2365])
def test_a_promise_is_to_be_awaited(code: int) -> None:
    text = said(found("Operator '+' cannot be applied.", code, awaits=True, wanted="total"))
    assert "Promise" in text and text.endswith("await it first")


def test_what_is_kept_of_another_program_is_no_import_to_its_author() -> None:
    text = said(found("Cannot assign to 'count' because it is an import.", 2632))
    assert text == "Cannot assign to 'count' because it is kept from an earlier program."


def test_long_types_are_cut_and_messages_bounded() -> None:
    text = said(found(f"Property 'a' does not exist on type '{{ {'b: string; ' * 100}}}'.", 2339))
    assert len(text) < 200 and text.endswith("…'.")
    assert len(said(found("x" * 10_000, 2322))) == LONGEST


def test_controls_of_terminals_and_of_direction_are_shown() -> None:
    assert said(found("\x1b[31m \u202e é\n\x07", 2322)) == "\ufffd[31m \ufffd é\n\ufffd"


def test_failure_shows_the_first_and_lists_the_others() -> None:
    findings = Findings([found("One.", 2322), CheckerFinding("Two.", 2345, 3, 1, 3, 2)], True)
    made = failure(checked(findings), "let a\nlet b: string = 5\nc")
    assert made is not None and (made.name, made.line, made.column) == ("TypeError", 2, 5)
    assert made.message == "One.\nline 3, column 1: Two.\n… and more"
    assert made.frame == "  1 | let a\n> 2 | let b: string = 5\n    |     ^^^^\n  3 | c"


def test_failure_of_text_that_is_no_typescript_is_a_syntax_error() -> None:
    made = failure(checked(Findings([found("Expression expected.", 1109)], False)), "a\nlet b = ;")
    assert made is not None and made.name == "SyntaxError"


def test_warnings_and_nothing_let_a_program_run() -> None:
    assert failure(Checked(), "1") is None
    assert failure(Checked((Diagnostic("m", 1, "warning", 1, 1, 1, 2),)), "1") is None
