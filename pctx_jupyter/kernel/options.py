"""Parses the options of ``%%pctx`` and ``%pctx``. It needs no kernel, and runs nothing."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from ..nearest import did_you_mean
from ..program.cell import OPTIONS
from .spelling import as_python

CELL_USAGE = " ".join(["%%pctx", *(f"[{option.summary}]" for option in OPTIONS)])
"""The usage that messages and help show."""


@dataclass(frozen=True, slots=True)
class CellOptions:
    """The options of one ``%%pctx`` cell.

    Args:
        output: The variable that receives the program's value; None: no variable.
        inputs: Names of the notebook that the program gets as constants.
        frames: Names of data frames that the program gets by handle.
        timeout_s: Seconds it may run; None: the default.
        tools: Patterns of the tools it may call; None: all.
        typecheck: Whether its types are checked first; None: the engine's setting.
        keep: Whether everything at its top level is kept for later programs; None: only what it exports.
        timeline: Whether its timeline is shown, if it calls tools.
        is_quiet: Whether its value and its timeline are hidden.
    """

    output: str | None = None
    inputs: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    timeout_s: float | None = None
    tools: tuple[str, ...] | None = None
    typecheck: bool | None = None
    keep: bool | None = None
    timeline: bool = True
    is_quiet: bool = False


@lru_cache(64)  # a cell is run again with the same line, and to parse one takes 0.2 ms
def cell_options(line: str) -> CellOptions:
    """Read the line after ``%%pctx``.

    Raises:
        UsageError: An option is wrong; the message names it and shows how the magic is used.
    """
    given = _parse(_cell, _joined(line), CELL_USAGE)
    return CellOptions(
        output=None if given.output is None else as_python(given.output),
        inputs=tuple(dict.fromkeys(name for lists in given.inputs for names in lists for name in names)),
        frames=tuple(dict.fromkeys(name for lists in given.frames for names in lists for name in names)),
        timeout_s=given.timeout,
        tools=tuple(pattern for lists in given.tools for patterns in lists for pattern in patterns)
        if given.tools
        else None,
        typecheck=False if given.no_check else None,
        keep=True if given.keep else None,
        timeline=not given.no_timeline,
        is_quiet=given.quiet,
    )


@dataclass(frozen=True, slots=True)
class RegisterOptions:
    """The options of ``%pctx register load save -n Sales``.

    Args:
        functions: Names in the notebook.
        namespace: The namespace of the tools; None: the default.
        share: Whether guest programs may call them.
    """

    functions: tuple[str, ...]
    namespace: str | None = None
    share: bool = True


REGISTER_USAGE = "%pctx register FUNCTION … [-n NAMESPACE] [--no-share]"
"""What messages and help show."""


def register_options(line: str) -> RegisterOptions:
    """Read the line after ``%pctx register``.

    Raises:
        UsageError: An option or a name is wrong; the message shows how the command is used.
    """
    given = _parse(_register, line, REGISTER_USAGE)
    names = tuple(dict.fromkeys(name for text in given.functions for name in _patterns(text)))
    if not names:
        raise UsageError(f"The name of a function is missing\nUsage: {REGISTER_USAGE}")
    return RegisterOptions(names, given.namespace, not given.no_share)


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """``%pctx mcp add wiki https://… --bearer '${env:WIKI}'``, or ``%pctx mcp add time mcp-server-time --flag``.

    Args:
        words: The URL alone, or the command with its arguments.
        for_now: Whether it is kept only while the engine runs.
    """

    name: str
    words: tuple[str, ...]
    bearer: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    is_sse: bool = False
    for_now: bool = False

    @property
    def is_url(self) -> bool:
        """Whether it is reached over HTTP."""
        return len(self.words) == 1 and "://" in self.words[0]


UPSTREAM_USAGE = (
    "%pctx mcp add [--bearer T] [--header NAME=VALUE] [--env NAME=VALUE] [--sse] [--for-now] NAME URL|COMMAND …"
)
"""What messages and help show."""


def upstream_options(line: str) -> UpstreamOptions:
    """Read the line after ``%pctx mcp add``.

    Raises:
        UsageError: An option is wrong; the message shows how the command is used.
    """
    given = _parse(_upstream, line, UPSTREAM_USAGE)
    if given.rest and "://" in given.first:  # a command keeps its options; a URL has none
        words = shlex.split(line)
        for last in (given.name, given.first):
            words.remove(last)
            words.append(last)
        given = _parse(_upstream, shlex.join(words), UPSTREAM_USAGE)
    made = UpstreamOptions(
        given.name,
        (given.first, *given.rest),
        given.bearer,
        tuple(given.headers),
        tuple(given.env),
        is_sse=given.sse,
        for_now=given.for_now,
    )
    if not made.is_url and (made.bearer or made.headers or made.is_sse):
        raise UsageError(f"--bearer, --header and --sse are for a URL\nUsage: {UPSTREAM_USAGE}")
    if made.is_url and made.environment:
        raise UsageError(f"--env is for a command\nUsage: {UPSTREAM_USAGE}")
    return made


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """``%pctx history orders --failed``, or ``%pctx history 12``.

    Args:
        number: The run whose program becomes a cell; None: runs are listed.
        text: Words that each of them has.
        failed: Whether only those are listed that failed.
        agent: Words of the agent's name; empty: any asker.
        most: How many are listed.
    """

    number: int | None = None
    text: str = ""
    failed: bool = False
    agent: str = ""
    most: int = 20


HISTORY_USAGE = "%pctx history [TEXT …|NUMBER] [--failed] [--agent NAME] [-n N]"
"""What messages and help show."""


def history_options(line: str) -> HistoryOptions:
    """Read the line after ``%pctx history``.

    Raises:
        UsageError: An option is wrong; the message shows how the command is used.
    """
    given = _parse(_history, line, HISTORY_USAGE)
    text, agent = " ".join(given.text), given.agent or ""
    is_number = text.isascii() and text.isdecimal() and not (given.failed or agent)
    return HistoryOptions(int(text) if is_number else None, text, given.failed, agent, given.most)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 5 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 9999")
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError("it must be NAME=VALUE")
    return name, value


def _parse(parser: MagicArgumentParser, line: str, usage: str) -> argparse.Namespace:
    given: argparse.Namespace
    try:
        given, unknown = parser.parse_known_args(shlex.split(line))
        if unknown:
            raise UsageError(_no_use(unknown[0], parser))
    except (UsageError, ValueError) as error:  # ValueError: an open quotation mark
        raise UsageError(f"{error}\nUsage: {usage}") from None
    return given


def _no_use(word: str, parser: MagicArgumentParser) -> str:
    """Say that a word has no meaning here, and which option might be meant."""
    option = word.partition("=")[0]
    known = [spelling for action in parser._actions for spelling in action.option_strings]
    if option[:1] != "-":
        return f"Cannot use {word[:100]!r}: it belongs to no option"
    return f"There is no option {option[:100]}{did_you_mean(option, known)}"


def _joined(line: str) -> str:
    """Take the spaces out around the commas of lists: ``-i df, s`` is ``-i df,s``."""
    return re.sub(r"\s*,\s*(?!-)", ",", line)


def _name(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name that Python can have")
    return text


def _names(text: str) -> list[str]:
    return [_name(part.strip()) for part in text.split(",") if part.strip()]


def _patterns(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


class _GivenOnce(argparse.Action):
    """An option that a line has once at most: of two values one would be ignored."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: object = None
    ) -> None:
        if (before := getattr(namespace, self.dest)) is not None:
            raise argparse.ArgumentError(self, f"{before!r} and {values!r}: give one")
        setattr(namespace, self.dest, values)


def _parser(name: str, *arguments: tuple[tuple[str, ...], dict[str, Any]]) -> MagicArgumentParser:
    parser = MagicArgumentParser(name)  # type: ignore[no-untyped-call]  # IPython is not typed
    parser.allow_abbrev = False  # an option that is added later must not change what a cell means
    for flags, details in arguments:
        action = parser.add_argument(*flags, **details)
        if action.nargs == argparse.REMAINDER:
            action.required = False  # the message about missing words names those that are needed
    return parser


_VALUES: dict[str, dict[str, Any]] = {
    "--output": {"type": _name, "action": _GivenOnce},
    "--input": {"type": _names, "action": "append", "nargs": "+", "default": [], "dest": "inputs"},
    "--frame": {"type": _names, "action": "append", "nargs": "+", "default": [], "dest": "frames"},
    "--timeout": {"type": _seconds, "action": _GivenOnce},
    "--tools": {"type": _patterns, "action": "append", "nargs": "+", "default": []},
}
"""How the values of options are read, by the last spelling; the other options take none."""

_cell = _parser(
    "%%pctx", *((one.names, _VALUES[one.names[-1]] if one.takes else {"action": "store_true"}) for one in OPTIONS)
)
_register = _parser(
    "%pctx register",
    (("functions",), {"nargs": "+", "metavar": "FUNCTION"}),
    (("-n", "--namespace"), {}),
    (("--no-share",), {"action": "store_true"}),
)
_history = _parser(
    "%pctx history",
    (("--failed",), {"action": "store_true"}),
    (("--agent",), {}),
    (("-n",), {"type": _count, "default": 20, "dest": "most"}),
    (("text",), {"nargs": "*"}),
)
_upstream = _parser(
    "%pctx mcp add",
    (("--bearer",), {}),
    (("--header",), {"type": _pair, "action": "append", "default": [], "dest": "headers"}),
    (("--env",), {"type": _pair, "action": "append", "default": []}),
    (("--sse",), {"action": "store_true"}),
    (("--for-now",), {"action": "store_true"}),
    (("name",), {"metavar": "NAME"}),
    (("first",), {"metavar": "URL or COMMAND"}),
    (("rest",), {"nargs": argparse.REMAINDER}),
)
