"""Reading parameters. Pure."""

from __future__ import annotations

import pytest
from msgspec import Raw

from pctx_jupyter import errors
from pctx_jupyter.rpc import wire


def test_a_program_is_read_with_its_inputs_and_no_further_than_there_may_be_of_them() -> None:
    asked = wire.read_program(Raw(b'{"code":"a","inputs":{"a":[1,{}],"b":2},"timeout_s":3}'), 2)
    assert (asked.code, asked.timeout_s, list(asked.inputs)) == ("a", 3, ["a", "b"])
    assert {type(name) for name in asked.inputs} == {str} and bytes(asked.inputs["a"]) == b"[1,{}]"
    assert wire.read_program(Raw(b'{"code":"1"}'), 2).inputs == {}
    with pytest.raises(errors.InvalidParams, match="has more than 2 inputs; pass one object"):
        wire.read_program(Raw(b'{"code":"1","inputs":{"a":1,"b":2,"c":3, and no JSON'), 2)
    with pytest.raises(errors.InvalidParams, match="missing required field `code`"):
        wire.read_program(None, 2)
