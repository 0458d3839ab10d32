"""Reads a command line, and describes its options. Errors name an option as it was written, and say what it takes.

It knows no command; traitlets does the parsing.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from textwrap import fill, indent
from typing import Any, NoReturn

from traitlets import Bool, Container, Enum, Float, Int, TraitError, TraitType
from traitlets.config.loader import KVArgParseConfigLoader

from ..nearest import did_you_mean

WIDTH = 80
"""Characters of a line of help."""


class OptionError(Exception):
    """The command line is wrong; the message names the option and the way out."""


class Parser(KVArgParseConfigLoader.parser_class):  # type: ignore[misc, valid-type]  # a class that traitlets chooses
    """Raises `OptionError` where argparse would print its usage and exit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, exit_on_error=False)

    def error(self, message: str) -> NoReturn:
        """Raise `OptionError`."""
        raise OptionError(f"Cannot read the command line: {message}; --help lists the options")


class Loader(KVArgParseConfigLoader):
    """Reads the options of one command.

    Args:
        argv: The words of the command line.
        aliases: The trait that each short option sets.
        flags: The options without a value.
        has_commands: Whether a command has to come before its options.
        others: Further settings that are accepted, as ``Class.trait``.
        options: As traitlets' loader takes them.
    """

    parser_class = Parser

    def __init__(
        self,
        argv: Any,
        aliases: Any,
        flags: Any,
        *,
        has_commands: bool = False,
        others: Collection[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(argv, aliases, flags, **options)
        self._way_out = "options follow the command" if has_commands else "--help lists the options"
        self._others = others
        self._problems: list[str] = []

    def load_config(self, *args: Any, **options: Any) -> Any:
        """Read them all; raises `OptionError`."""
        try:
            found = super().load_config(*args, **options)
        except argparse.ArgumentError as error:
            raise OptionError(self._misuse((error.argument_name or "").lstrip("-"))) from None
        if self._problems:
            raise OptionError(self._problems[0])
        return found

    def _misuse(self, name: str) -> str:
        """Say what is wrong with an option that has no value, or must not have one."""
        option = self._as_written(name)
        if name in self.flags:
            return f"Cannot use {option} with a value: it takes none"
        if option != dashed(name) or name in self.argparse_traits:
            return f"Cannot use {option}: its value is missing; {self._way_out}"
        return self._unknown(option)

    def _unknown(self, option: str) -> str:
        hint = did_you_mean(option, map(dashed, [*self.aliases, *self.flags]))
        return f"Cannot use {option}: there is no such option{hint}; {self._way_out}"

    def _exec_config_str(self, lhs: Any, rhs: Any, trait: Any = None) -> None:
        # What is raised here, traitlets wraps into a message of its own.
        option, is_short = self._as_written(lhs), lhs in self.aliases.values()
        if trait is None and lhs not in self._others:
            hint = did_you_mean(option, map(dashed, self.argparse_traits))
            self._problems.append(f"Cannot use {option}: there is no such setting{hint}; --help-all lists them")
            return
        super()._exec_config_str(lhs, rhs, trait)
        if not is_short or isinstance(trait, Container):
            return  # the class of a setting checks its value
        section, _, key = lhs.rpartition(".")
        try:
            trait.validate(None, self.config[section][key])
        except TraitError:
            shown = f"{rhs[-1] if isinstance(rhs, list) else rhs}"[:100] or "''"
            self._problems.append(f"Cannot use {option} {shown}: it takes {takes(trait)}")

    def _handle_unrecognized_alias(self, arg: str) -> None:
        raise OptionError(self._unknown(dashed(arg)))

    def _as_written(self, trait_name: str) -> str:
        """Return the option that sets a trait: its alias, or else ``--Class.trait``."""
        return next((dashed(alias) for alias, name in self.aliases.items() if name == trait_name), dashed(trait_name))


def dashed(name: str) -> str:
    """Return an option with its dashes: ``-n``, ``--port``."""
    return f"-{name}" if len(name) == 1 else f"--{name}"


def takes(trait: TraitType[Any, Any]) -> str:
    """Say which values a trait takes: ``a whole number, at least 1``."""
    match trait:
        case Enum():
            return f"one of {', '.join(map(str, trait.values or ()))}"
        case Bool():
            return "true or false"
        case Int() | Float() if type(trait) in (Int, Float):
            kind = "a whole number" if isinstance(trait, Int) else "a number"
            return kind if trait.min in (None, float("-inf")) else f"{kind}, at least {trait.min:g}"
    return str(trait.info())


def described(
    flags: Mapping[str, tuple[object, str]], aliases: Mapping[str, str], traits: Mapping[str, TraitType[Any, Any]]
) -> Iterator[str]:
    """Yield lines of help on the options of a command.

    Args:
        flags: Options without a value, with their help.
        aliases: The trait that each other option sets, as ``Class.trait``.
        traits: The traits by these names.
    """
    for name, (_, text) in flags.items():
        yield from _entry(dashed(name), text)
    for name, target in aliases.items():
        trait = traits[target]
        value = "N" if isinstance(trait, Int | Float) else "TEXT"
        default = f" Default: {trait.default_value}." if trait.default_value not in (None, "", 0) else ""
        yield from _entry(f"{dashed(name)} {value}", f"{trait.help}{default if isinstance(trait, Int | Float) else ''}")


def _entry(option: str, text: str) -> Iterator[str]:
    yield option
    yield indent(fill(" ".join(text.split()), WIDTH - 4), "    ")
