"""Which steps run on each part of a frame. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from pctx_jupyter.handles.parts import Plan, plan

FILTER, WITH, JOIN = ["filter", {"col": "a"}], ["with", {}], ["join", {"id": "x", "steps": []}, ["a"], "inner"]
GROUP, SORT, SLICE = ["group", ["a"], {"n": "count"}], ["sort", ["a"], False], ["slice", 2, 7]
FIRST = ["slice", 0, 7]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], Plan([], None, [])),
        ([FILTER, WITH, JOIN], Plan([FILTER, WITH, JOIN], None, [])),
        ([FILTER, GROUP, SORT, FILTER], Plan([FILTER], GROUP, [SORT, FILTER])),
        ([FILTER, SLICE, FILTER], Plan([FILTER, FIRST], None, [SLICE, FILTER])),
        ([SORT, SLICE], Plan([SORT, FIRST], None, [SORT, SLICE])),
        ([WITH, SORT, FILTER], Plan([WITH], None, [SORT, FILTER])),
        ([FILTER, "nothing", [], GROUP], Plan([FILTER], None, ["nothing", [], GROUP])),
    ],
)
def test_steps_run_on_each_part_as_long_as_they_can(steps: list[Any], expected: Plan) -> None:
    assert plan(steps) == expected
