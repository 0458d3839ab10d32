"""How registered names are spelled in TypeScript. Everything is real; nothing is started."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pctx_jupyter import errors
from pctx_jupyter.tools import names

USABLE = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"), blacklist_characters="\u202a\u202b\u202c\u202d\u202e"),
    min_size=1,
    max_size=names.LONGEST,
).filter(lambda name: not set(name) & set("\u2066\u2067\u2068\u2069"))


@pytest.mark.parametrize(
    ("registered", "spelled"),
    [
        ("math", "Math"),
        ("Math", "Math"),
        ("namespaced_with_underscore", "NamespacedWithUnderscore"),
        ("sales report", "SalesReport"),
        ("SALES_REPORT", "SalesReport"),
        ("HTTPServer", "HttpServer"),
        ("acme.crm/v2:eu", "AcmeCrmV2Eu"),
        ("async", "Async"),
        ("_private", "_Private"),
        ("3d", "_3d"),
        ("été", "Été"),
        ("日本語", "日本語"),
        ("\U0001f389", "u1f389"),
        ("\U0001f389\u2728", "u1f389_u2728"),
        ("-", "u2d"),
    ],
)
def test_namespace_is_spelled_in_pascal_case(registered: str, spelled: str) -> None:
    assert names.namespace_name(registered) == spelled


@pytest.mark.parametrize(
    ("registered", "spelled"),
    [
        ("add_numbers", "addNumbers"),
        ("load_orders", "loadOrders"),
        ("getUser", "getUser"),
        ("GetUser", "getUser"),
        ("get-user", "getUser"),
        ("get user", "getUser"),
        ("HTTPServer", "httpServer"),
        ("XMLHttpRequest2", "xmlHttpRequest2"),
        ("_hidden", "_hidden"),
        ("trailing_", "trailing_"),
        ("__both__", "__both__"),
        ("__", "__"),
        ("2nd_try", "_2ndTry"),
        ("delete", "delete"),
        ("Symbol.iterator", "symbolIterator"),
        ("then", "then_"),
        ("Then", "then_"),
        ("toJSON", "toJSON_"),
        ("to_json", "toJson"),
        ("__proto__", "__proto__"),
        ("$where", "$where"),
        ("\U0001f389", "u1f389"),
        ("*/", "u2a_u2f"),
        ("Cafe\u0301", "caf\u00e9"),
    ],
)
def test_tool_is_spelled_in_camel_case(registered: str, spelled: str) -> None:
    assert names.tool_name(registered) == spelled


@pytest.mark.parametrize(
    "registered",
    [
        "globalThis",
        "self",
        "console",
        "undefined",
        "NaN",
        "Infinity",
        "infinity",
        "CALLABLE_TOOLS",
        "list_functions",
    ],
)
def test_namespace_that_every_program_needs_is_refused(registered: str) -> None:
    with pytest.raises(errors.InvalidParams, match="already has a meaning"):
        names.namespace_name(registered)


@pytest.mark.parametrize("spell", [names.namespace_name, names.tool_name])
@pytest.mark.parametrize(
    ("registered", "why"),
    [
        ("", "0 characters"),
        ("x" * 129, "129 characters"),
        ("x" * 10_000, "10,000 characters"),
        ("a\nb", r"U\+000A"),
        ("a\0", r"U\+0000"),
        ("a\u2028b", r"U\+2028"),
        ("a\ud800", r"U\+D800"),
        ("a\u202eb", r"U\+202E"),
    ],
)
def test_unusable_name_is_refused_in_one_printable_line(spell: object, registered: str, why: str) -> None:
    assert callable(spell)
    with pytest.raises(errors.InvalidParams, match=why) as refused:
        spell(registered)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 300


def test_longest_name_is_accepted() -> None:
    assert names.tool_name("x" * 128) == "x" * 128


@pytest.mark.parametrize("name", ["orders", "_", "$", "größe", "type", "async", "of"])
def test_plain_identifier_names_an_input(name: str) -> None:
    names.check_input_name(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "0 characters"),
        ("a-b", "no identifier"),
        ("1st", "no identifier"),
        ("a b", "no identifier"),
        ("x;alert()", "no identifier"),
        ("delete", "reserved"),
        ("await", "reserved"),
        ("arguments", "reserved"),
        ("Promise", "already has a meaning"),
        ("undefined", "already has a meaning"),
        ("globalThis", "already has a meaning"),
        ("list_functions", "already has a meaning"),
    ],
)
def test_other_words_name_no_input(name: str, why: str) -> None:
    with pytest.raises(errors.InvalidParams, match=why):
        names.check_input_name(name)


def test_members_of_javascripts_globals_are_taken() -> None:
    assert names.is_taken("Math", "PI")
    assert names.is_taken("Math", "max")
    assert names.is_taken("Date", "prototype")
    assert names.is_taken("JSON", "toString")
    assert not names.is_taken("Math", "add")
    assert not names.is_taken("JSON", "call")
    assert not names.is_taken("Sales", "PI")


@pytest.mark.parametrize(
    ("hint", "spelled"),
    [
        ("Order", "Order"),
        ("HTTPError", "HTTPError"),
        ("order-item", "OrderItem"),
        ("acme__models__Order-Input", "AcmeModelsOrderInput"),
        ("Page[Item]", "PageItem"),
        ("Page_Item_", "PageItem"),
        ("2d", "_2d"),
        ("", "Type"),
        ("*/ \u2028 \ud800", "Type"),
        ("x" * 1_000, "X" + "x" * 59),
    ],
)
def test_type_is_spelled_after_its_title_or_place(hint: str, spelled: str) -> None:
    assert names.type_name(hint) == spelled


@given(USABLE)
def test_any_usable_name_becomes_an_identifier(registered: str) -> None:
    tool = names.tool_name(registered)
    assert names.is_identifier(tool)
    assert tool not in names.UNAWAITABLE
    try:
        namespace = names.namespace_name(registered)
    except errors.InvalidParams:
        assert registered in names.UNUSABLE or registered.lower() == "infinity"
    else:
        assert names.is_bare(namespace)


@given(USABLE)
def test_underscores_around_a_name_are_kept(name: str) -> None:
    spelled = names.tool_name("__" + name[:100] + "_")
    assert spelled.startswith("__")
    assert spelled.endswith("_")


@given(st.text(max_size=200))
def test_no_name_raises_anything_but_a_refusal(registered: str) -> None:
    for spell in (names.namespace_name, names.tool_name, names.check_input_name):
        try:
            spell(registered)
        except errors.InvalidParams as refused:
            assert refused.message.isprintable()


@pytest.mark.parametrize(
    ("registered", "spelled"),
    [
        (["get_user", "get_order"], ["getUser", "getOrder"]),
        (["get_user", "getUser"], ["getUser2", "getUser"]),
        (["get_user", "get-user"], ["getUser2", "getUser"]),
        (["get_user", "get-user", "getUser2"], ["getUser3", "getUser", "getUser2"]),
        (["Echo", "echo", "ECHO"], ["echo3", "echo", "echo2"]),
        (["then", "then_"], ["then_2", "then_"]),
    ],
)
def test_names_that_meet_get_numbers_and_those_spelled_as_registered_stay(
    registered: list[str], spelled: list[str]
) -> None:
    assert names.distinct_tool_names(registered) == dict(zip(registered, spelled, strict=True))
    assert names.distinct_tool_names(registered[::-1]) == names.distinct_tool_names(registered)


def test_names_that_were_given_before_are_kept_unless_one_is_registered_so() -> None:
    before = names.distinct_tool_names(["get_user", "getuser"])
    assert before == {"get_user": "getUser", "getuser": "getuser"}
    assert names.distinct_tool_names(["get user", "get_user"], before) == {
        "get_user": "getUser",
        "get user": "getUser2",
    }
    assert names.distinct_tool_names(["getUser", "get_user"], before) == {"get_user": "getUser2", "getUser": "getUser"}
