"""A request to run a program: what it may say, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from msgspec import Raw

from .. import errors
from ..program.kept import KeptNames, Prelude
from ..rpc import marks, wire
from ..settings import Settings
from ..tools import names
from ..tools.scope import Offering
from .execution import CallTimes, Observe

MOST_CONSTANTS = 1_000
"""Inputs of one program: each has a name, a declaration and a value of its own, which take 6 µs of the loop."""


class ProgramOptions(TypedDict, total=False):
    """What a request to run a program may say besides the program."""

    timeout_s: float | None
    """Seconds of wall clock it may take; None: the default."""
    typecheck: bool | None
    """Whether its types are checked first; None: as the settings say."""
    tools: list[str] | None
    """Patterns of the tools it may call (``Sales.*``); None: all of the session."""
    inputs: Mapping[str, Raw] | None
    """Constants it finds, JSON by name."""
    execution_id: str | None
    """The client's name for this execution; None: one is made."""
    keep: bool | None
    """Whether later programs find what it has at its top level; None: they find what it exports."""
    call_times: CallTimes | None
    """The time that calls of its tools may take; None: as the settings say."""
    observe: Observe | None
    """Receives its calls when they have ended."""
    kept: KeptNames | None
    """What earlier programs left for it, and it leaves for later ones; None: what its session has of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRequest:
    """A request to run a program, checked.

    Args:
        offered: The tools it may call.
        kept: What earlier programs left for it.
        prelude: That, as it was when the program was asked for.
    """

    code: str
    inputs: Mapping[str, Raw]
    offered: Offering
    kept: KeptNames
    prelude: tuple[Prelude, ...]
    keep: bool | None
    typecheck: bool | None
    timeout_s: float | None
    id: str
    call_times: CallTimes | None
    observe: Observe | None


def has_more_bytes(text: str, most: int) -> bool:
    """Whether a text has more bytes of UTF-8 than this. One that has more characters is not encoded for that."""
    return len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most


def check_program(code: str, options: ProgramOptions, settings: Settings) -> None:
    """Check the size of a program, its time limit and the names of its inputs.

    Raises:
        InvalidParams: One of them is not allowed.
    """
    if has_more_bytes(code, settings.max_program_bytes):
        raise errors.InvalidParams(
            f"Cannot run program: it has more than {settings.max_program_bytes:,} bytes "
            "(Pctx.max_program_bytes); pass data in as inputs"
        )
    timeout_s, inputs = options.get("timeout_s"), options.get("inputs") or {}
    if timeout_s is not None and not timeout_s > 0:
        raise errors.InvalidParams(f"Cannot run program: timeout_s is {timeout_s:g}, and must be above 0")
    check_timeout(timeout_s, settings)
    check_input_count(len(inputs))
    for name in inputs:
        names.check_input_name(name)


def check_input_count(number: int) -> None:
    """Refuse so many inputs of a program, before anything is done for each of them.

    Raises:
        InvalidParams: They are too many.
    """
    if number > MOST_CONSTANTS:
        raise wire.too_many_inputs(MOST_CONSTANTS)


def check_timeout(timeout_s: float | None, settings: Settings) -> None:
    """Refuse a time limit beyond the longest one: a program that is stopped before is a loss without a reason.

    Raises:
        InvalidParams: It is longer.
    """
    if timeout_s is not None and timeout_s > settings.max_timeout_s:
        raise errors.InvalidParams(
            f"Cannot run program: timeout_s is {timeout_s:,.12g}, and at most {settings.max_timeout_s:,.12g} here "
            "(Pctx.max_timeout_s); ask for less, or split the work into several programs"
        )


def servers_of(inputs: Mapping[str, Raw]) -> str:
    """The tools that serve the frames among the inputs: a program reaches them without naming them."""
    handles = (body for body in map(marks.body_of, inputs.values()) if body is not None)
    return " ".join(str(body.get("id", "")).partition("#")[0] for body in handles)
