"""Strangers' text in TypeScript: it parses, says what it said, and does nothing. The parser is real."""

import json
from typing import Any

import pytest
from hypothesis import given

from pctx_jupyter import visible
from pctx_jupyter.tools import inert

from .. import schemas


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("open", '"open"'),
        ('say "hi"', r'"say \"hi\""'),
        ("a\\b", r'"a\\b"'),
        ("a\nb", r'"a\nb"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("\ud800", r'"\ud800"'),
        ("\u202e", r'"\u202e"'),
        ("</script>", r'"<\/script>"'),
        ("日本語", '"日本語"'),
        ("x" * 501, "string"),
        (True, "true"),
        (None, "null"),
        (-1, "-1"),
        (1.5, "1.5"),
        (10**30, "number"),
        (float("inf"), "number"),
        (float("nan"), "number"),
        ([1, "a"], '[1, "a"]'),
        ({"a-b": {}, "c": [None]}, '{ "a-b": {}; c: [null] }'),
        ([[[[[[[[[[1]]]]]]]]]], "[[[[[[[[any]]]]]]]]"),
        (object(), "any"),
    ],
)
def test_value_is_written_as_its_literal_type(value: object, written: str) -> None:
    assert inert.literal(value) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("it ended with status 3: naïve", "it ended with status 3: naïve"),
        ("one\r\n[E] two\u2028three\tfour", "one [E] two three four"),
        ("\x1b[2Jred\u202e\x9b\ud800", r"\u001b[2Jred\u202e\u009b\ud800"),
        ("x" * 101, "x" * 100),
    ],
)
def test_line_is_one_that_does_nothing(text: str, written: str) -> None:
    assert visible.line(text, 100) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("two\n  lines\u2028here", "two lines here"),
        ("*/ alert(1) /*", r"*\/ alert(1) /*"),
        ("*\u200e/", r"*\/"),
        ("</script>", r"<\/script>"),
        ("@ts-ignore", "\uff20ts-ignore"),
        ("mail @me", "mail @me"),
        ("\x1b[31mred\u202e\ud800", "[31mred"),
        ("x" * 101, "x" * 100 + "…"),
    ],
)
def test_comment_is_one_inert_line(text: str, written: str) -> None:
    assert inert.comment(text, 100) == written


@given(schemas.texts)
def test_any_text_is_the_same_string_again(text: str) -> None:
    written = inert.string(text)
    assert json.loads(written) == text
    assert "</" not in written
    assert len(written.encode().decode().splitlines()) == 1


@given(schemas.texts, schemas.values)
def test_any_text_leaves_the_declaration_around_it_whole(text: str, value: Any) -> None:
    comment, name, literal = inert.comment(text, 1_000), inert.property_name(text), inert.literal(value)
    source = f"/** {comment} */\ntype A = {{\n  /** {comment} */\n  {name}: {literal};\n}};\n"
    assert schemas.errors_in(source) == []
    assert len(source.splitlines()) == 5
