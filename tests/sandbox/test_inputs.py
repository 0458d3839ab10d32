"""Types of inputs, before the real type checker: each value fits its own, and a misspelled field is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pctx_jupyter.program.inputs import declare, type_of

from .test_checker import Held


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    holder = Held()
    yield holder
    holder.close()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = (TEXTS | st.sampled_from(["constructor", "toString", "a-b", "*/", "\u2028", "1", "name"])).filter(
    lambda name: name != "__proto__"  # in a literal, which the test writes, it is no field
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JSON, min_size=5, max_size=5))
def test_any_value_fits_its_own_type(held: Held, values: list[Any]) -> None:
    code = "".join(
        f"const v{n}: {type_of(Raw(text.encode()))} = {text};\n"
        for n, text in enumerate(json.dumps(value, ensure_ascii=False) for value in values)
    )
    assert held.check(code) == [], code


ORDERS = Raw(b'[{"id": 1, "item": "tea", "amount": 3.5}, {"id": 2, "item": "bread", "amount": null, "note": "cold"}]')


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("orders.filter((o) => o.amount !== null && o.amount > 3).map((o) => o.item.toUpperCase())", ""),
        ("orders.map((o) => o.note?.length ?? 0)", ""),
        ("orders[0].itme", "Did you mean 'item'?"),
        ("orders.map((o) => o.amount.toFixed(2))", "possibly 'null'"),
        ("orders.map((o) => o.note.length)", "possibly 'undefined'"),
        ("orders.item", "does not exist"),
        ("orders = []", "Cannot assign to 'orders'"),
    ],
)
def test_a_program_is_checked_against_its_inputs(held: Held, code: str, wrong: str) -> None:
    found = held.check(code, inputs=declare({"orders": ORDERS}))
    assert len(found) == bool(wrong)
    assert all(wrong in text for text in found)
