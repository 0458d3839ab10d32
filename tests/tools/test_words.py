"""Words in the text of a program. Pure."""

from __future__ import annotations

import pytest

from pctx_jupyter.tools.words import PIECE, AnyWord, is_reflective, words_by_piece


def test_a_word_is_found_where_it_stands_alone() -> None:
    word = AnyWord("invoke", "eval")
    found = [text for text in ("invoke", "x.invoke()", "a\ninvoke", "eval`", "éval(eval)") if word.is_in(text)]
    assert found == ["invoke", "x.invoke()", "a\ninvoke", "eval`", "éval(eval)"]
    assert not any(map(word.is_in, ("", "invoked", "reinvoke", "_eval", "éeval", "evalé", "invokeinvoke")))
    assert word.is_in("invoked invoke")


@pytest.mark.parametrize(
    ("code", "is_so"),
    [
        ("globalThis['a']", True),
        ("x . constructor", True),
        ("class A { constructor() {} }", False),
        ("myeval(1)", False),
    ],
)
def test_a_program_that_can_make_a_name_of_parts_is_known(code: str, is_so: bool) -> None:
    assert is_reflective(code) is is_so


def test_a_long_text_is_taken_apart_in_pieces_and_no_word_is_cut() -> None:
    text = "a" * (PIECE - 1) + " " + "word_é$1," * PIECE + "\n" + "b" * (2 * PIECE)
    pieces = list(words_by_piece(text))
    assert len(pieces) > 5
    assert {word for piece in pieces for word in piece} == {"", "a" * (PIECE - 1), "word_é$1", "b" * (2 * PIECE)}
    assert list(words_by_piece("")) == []
