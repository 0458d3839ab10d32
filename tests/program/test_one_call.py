"""The program of one tool call. Text in, text out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pctx_jupyter import errors
from pctx_jupyter.program import one_call


@pytest.mark.parametrize(
    ("arguments", "literal"),
    [
        ({}, "{}"),
        ({"to": "a@b.c", "copies": 2, "urgent": True, "note": None}, None),
        ({"text": 'a "quote"); await Mail.removeAll(); // \u2028 </script> ${x} `'}, None),
        ({"rows": [[1, 2.5], []], "deep": {"er": {}}}, None),
        ({"__proto__": {"polluted": 1}, "constructor": 1}, '{["__proto__"]: {"polluted": 1}, "constructor": 1}'),
        ({'"__proto__"': "__proto__"}, '{"\\"__proto__\\"": "__proto__"}'),
    ],
)
def test_arguments_become_a_literal_that_means_the_same(arguments: dict[str, Any], literal: str | None) -> None:
    program = one_call.program("Mail.send", arguments)
    assert program.startswith("await Mail.send({") and program.endswith("})")
    if literal is None:
        assert json.loads(program.removeprefix("await Mail.send(").removesuffix(")")) == arguments
    else:
        assert program == f"await Mail.send({literal})"


def test_an_integer_that_javascript_would_round_is_exact() -> None:
    assert one_call.program("Mail.send", {"id": -(2**53) + 1}).endswith("-9007199254740991})")
    exact = one_call.program("Mail.send", {"ids": [{"id": 2**53 + 1}, -(2**63)]})
    assert "(9007199254740993n as unknown as number)" in exact
    assert "(-9223372036854775808n as unknown as number)" in exact


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(errors.InvalidParams, match=r"Cannot call Mail\.send: a number is too large for JavaScript"):
        one_call.program("Mail.send", json.loads('{"amount": -1e400}'))


def test_arguments_of_too_many_levels_are_refused() -> None:
    nested: Any = 1
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(errors.InvalidParams, match="more than 100 levels"):
        one_call.program("Mail.send", {"deep": nested})
