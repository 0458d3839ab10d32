"""Chains: lazy operations of programs on frames, run in the kernel in one call.

A program builds a chain of steps as plain JSON and asks for one result of it. This module checks the names in the chain
first, and then runs the steps on whole columns. The same chain gives the same rows, in the same order, for pandas,
polars and Arrow. What single steps do is in `steps`, `expressions` and `aggregates`.

It does not know tools or wires. Who holds a frame, and how rows become JSON, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from .. import errors
from ..nearest import did_you_mean
from . import aggregates, partials
from . import steps as act_on
from .expressions import OPERATIONS, condition
from .frames import MOST_SHOWN, Frame

MOST_STEPS = 200
"""Steps of one chain, and levels of one expression: far more than people write, and no recursion ends in an error."""
MOST_NODES = 2_000
"""Columns, values and operations in the expressions of one chain: each operation makes a column."""

JOINED = "the joined frame"
"""What messages call a frame that is joined."""

Find = Callable[[str], Frame]
"""Returns the frame of an id; raises what `table.Handles.find` raises."""


def demand_steps(steps: object, label: str) -> None:
    """Refuse what is no chain, or too long a one."""
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        raise errors.InvalidParams(f"Cannot use {label}: steps must be a list of at most {MOST_STEPS}")


def run(steps: Any, frame: Frame, label: str, find: Find, only: Collection[str] | None = None) -> Frame:
    """Check a chain of steps against the columns of a frame, and run it.

    Args:
        steps: The chain, as a program sends it: ``[["filter", EXPR], ["select", ["id"]], …]``.
        frame: The frame it begins with.
        label: What messages call that frame.
        find: Finds the frames that it joins.
        only: The columns of the result that are needed; other columns may be left out. None: all.

    Raises:
        InvalidParams: A column does not exist, or the chain is wrong. Nothing has run.
    """
    demand_steps(steps, label)
    checked = _Checked(label, list(frame.columns), find)
    for step in steps:
        checked.add(step)
    if only is not None and checked.can_be_narrow and checked.columns_have(only):
        frame = _narrow(frame, checked.used | set(only))
    for act in checked.acts:
        try:
            frame = act(frame)
        except errors.PctxError:
            raise
        except Exception as error:
            raise errors.InvalidParams(f"Cannot use {label}: {type(error).__name__}: {error}") from error
    return frame


def needed(steps: Sequence[Any], columns: list[str], label: str, only: Collection[str] | None) -> list[str] | None:
    """Return the columns that a chain without joins needs; None: all.

    Args:
        steps, label, only: As in `run`.
        columns: Those of the frame.

    Raises:
        InvalidParams: A column does not exist, or the chain is wrong.
    """
    checked = _Checked(label, columns, _no_frame)
    for step in steps:
        checked.add(step)
    is_narrow = any(step[0] in ("select", "group") for step in steps)  # what they leave out, nothing before them needs
    if not is_narrow and (only is None or not checked.columns_have(only)):
        return None
    used = checked.used | set(only or ())
    return [name for name in columns if name in used] or columns[:1]


def _narrow(frame: Frame, names: Collection[str]) -> Frame:
    """Return a frame with these of its columns alone: filters and sorts copy every column there is."""
    kept = [name for name in frame.columns if name in names] or frame.columns[:1]
    return frame.select(*kept)


class _Checked:
    """A chain while it is checked: the functions that run it, and the columns after the latest step."""

    def __init__(self, label: str, columns: list[str], find: Find) -> None:
        self.acts: list[Callable[[Frame], Frame]] = []
        self.columns = columns
        self.used: set[str] = set()
        self._nodes = 0
        self.can_be_narrow = True
        self._label, self._find = label, find

    def columns_have(self, names: Collection[str]) -> bool:
        """Return whether the frame has all of these columns after the latest step."""
        return set(names) <= set(self.columns)

    def add(self, step: object) -> None:
        """Check one step.

        Raises:
            InvalidParams: It is wrong.
        """
        match step:
            case ["filter", where]:
                test = self._expression(where)
                self.acts.append(lambda frame: frame.filter(condition(test(frame), frame)))
            case ["select", [*names]]:
                chosen = self.names(names)
                self.acts.append(lambda frame: frame.select(*chosen))
                self.columns = chosen
            case ["with", dict(columns)]:
                made = {name: self._expression(one) for name, one in columns.items()}
                self.acts.append(lambda frame: act_on.with_columns(frame, made))
                self.columns = list(dict.fromkeys([*self.columns, *made]))
            case ["sort", [*names], bool(descending)]:
                by = self.names(names)
                self.acts.append(lambda frame: act_on.sorted_by(frame, by, descending))
            case ["group", [*names], dict(wanted)]:
                keys, found = self.group(names, wanted)
                self.acts.append(lambda frame: aggregates.grouped(frame, keys, found))
                self.columns = [*keys, *(name for name, _, _ in found)]
            case ["join", dict(other), [*names], str(how)] if how in act_on.JOINS:
                on = self.names(names)
                self.can_be_narrow = False  # the left columns decide how the right ones are called
                right, label = self._right(other)
                _Checked(label, list(right.columns), self._find).names(on)
                self.acts.append(lambda frame: act_on.joined(frame, right, on, how))
                self.columns = act_on.columns_of_join(self.columns, list(right.columns), on, how)
                if twice := [name for name in self.columns if name.endswith("_right") and self.columns.count(name) > 1]:
                    raise self._wrong(f'a join would have two columns "{twice[0][:100]}"; select other columns before')
            case ["slice", int(start), int(stop)] if start >= 0 <= stop and not {type(start), type(stop)} & {bool}:
                self.acts.append(lambda frame: act_on.part(frame, start, stop))
            case _:
                raise self._wrong(f"it has no step {msgspec.json.encode(step).decode()[:100]}")

    def _right(self, other: dict[str, Any]) -> tuple[Frame, str]:
        id, steps = other.get("id"), other.get("steps", [])
        if not isinstance(id, str):
            raise self._wrong("join needs another frame")
        return run(steps, self._find(id), JOINED, self._find), JOINED

    def names(self, names: Sequence[object]) -> list[str]:
        if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise self._wrong("names of columns must be texts, at least one, and no two alike")
        return [self._name(str(name)) for name in names]

    def _name(self, name: str) -> str:
        if name not in self.columns:
            listed = ", ".join(self.columns[:MOST_SHOWN]) + (", …" if len(self.columns) > MOST_SHOWN else "")
            raise self._wrong(f'no column "{name[:100]}"{did_you_mean(name, self.columns)}; it has {listed}')
        self.used.add(name)
        return name

    def group(self, names: Sequence[object], wanted: dict[str, Any]) -> tuple[list[str], list[aggregates.Wanted]]:
        keys, found = self.names(names), self.aggregates(wanted)
        if both := set(keys) & {name for name, _, _ in found}:
            raise self._wrong(f'"{min(both)}" is a key and an aggregate; give the aggregate another name')
        return keys, found

    def aggregates(self, wanted: dict[str, Any]) -> list[aggregates.Wanted]:
        return aggregates.read(wanted, self._name, self.columns, self._wrong)

    def _expression(self, node: object, depth: int = 0) -> Callable[[Frame], Any]:
        """Return what computes an expression: a column, or a plain value."""
        if depth > MOST_STEPS:
            raise self._wrong(f"an expression is nested deeper than {MOST_STEPS} levels")
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._wrong(f"its expressions have more than {MOST_NODES:,} parts; use in([…]) for many values")
        match node:
            case {"col": str(name)}:
                self._name(name)
                return lambda frame: frame[name]
            case {"lit": value}:
                return lambda frame: value
            case {"op": str(name), "of": [*of]} if name in OPERATIONS and len(of) == OPERATIONS[name][0]:
                parts = [self._expression(one, depth + 1) for one in of]
                act = OPERATIONS[name][1]
                return lambda frame: act(frame, *(part(frame) for part in parts))
        raise self._wrong(f"it has no expression {msgspec.json.encode(node).decode()[:100]}")

    def _wrong(self, why: str) -> errors.InvalidParams:
        return errors.InvalidParams(f"Cannot use {self._label}: {why}")


ALL = "\0all"
"""The name of a column with the same value in each row: aggregates of the whole frame are those of one group."""


def partial(frame: Frame, label: str, names: Sequence[object] | None, wanted: Mapping[str, Any]) -> partials.Partial:
    """Return what one part of a frame gives for aggregates of groups.

    Args:
        frame, label: As in `run`.
        names: The keys; None: all rows are one group.
        wanted: The aggregates, as a program sends them.

    Raises:
        InvalidParams: One of them is wrong.
    """
    import narwhals.stable.v2 as nw

    checked = _Checked(label, list(frame.columns), _no_frame)
    if names is not None:
        keys, found = checked.group(names, dict(wanted))
    else:
        keys, found = [ALL], checked.aggregates(dict(wanted))
        frame = frame.with_columns(nw.lit(0).alias(ALL))
    return partials.partial(frame, keys, found)


def aggregated(frame: Frame, label: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return aggregates of the whole frame, by name.

    Raises:
        InvalidParams: One of them is wrong.
    """
    checked = _Checked(label, list(frame.columns), _no_frame)
    return aggregates.computed(frame, checked.aggregates(dict(wanted)))


def _no_frame(id: str) -> Frame:
    raise errors.InvalidParams(f"Cannot join {id[:100]} here")
