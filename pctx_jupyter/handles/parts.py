"""Which steps of a chain can run on each part of a frame that has several, and which need the parts together.

It reads steps, and neither checks nor runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

ON_EACH_PART = ("filter", "select", "with", "join")
"""Steps that give the same rows for each part by itself: a join, if each part gets the whole right frame."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a chain runs on the parts of a frame.

    Args:
        each: The steps that run on each part.
        group: A step of groups, which follows and is aggregated in parts; None: there is none.
        rest: The steps that follow, for all parts together.
    """

    each: list[Any]
    group: list[Any] | None
    rest: list[Any]


def plan(steps: Sequence[Any]) -> Plan:
    """Say how a chain runs on the parts of a frame."""
    each = list(takewhile(lambda step: name_of(step) in ON_EACH_PART, steps))
    rest = list(steps[len(each) :])
    match rest:
        case [["group", list(), dict()] as group, *after]:
            return Plan(each, group, after)
        case [["slice", _, int(stop)], *_]:
            return Plan([*each, ["slice", 0, stop]], None, rest)
        case [["sort", _, _] as sort, ["slice", _, int(stop)], *_]:  # of each part, only its first rows count
            return Plan([*each, sort, ["slice", 0, stop]], None, rest)
    return Plan(each, None, rest)


def name_of(step: object) -> object:
    """Return the name of a step; None: it is none."""
    return step[0] if isinstance(step, list) and step else None
