"""Settings as traits: ``c.Pctx.timeout_s = 30`` in any Jupyter or IPython configuration, or ``--Pctx.timeout_s=30``.

One trait per field of `Limits` and `Settings`, made from the fields: names, types, defaults, bounds and help texts are
theirs. Imports traitlets and nothing else.
"""

from __future__ import annotations

import logging
import math
import re
import shlex
from copy import deepcopy
from dataclasses import MISSING, Field, fields, replace
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum, Float, HasTraits, Int, List, TraitError, TraitType, Unicode
from traitlets.config import Config, Configurable

from . import restrictions
from .errors import InvalidParams
from .rpc.environment import expand_url, is_address
from .session.policy import PolicyRule
from .settings import Limits, Settings

_LIMITS = {limit.name: limit for limit in fields(Limits)}
_SETTINGS = {setting.name: setting for setting in fields(Settings) if setting.name != "limits"}


RENAMED = {
    name.removeprefix("max_"): name
    for name in (_LIMITS | _SETTINGS)
    if name.startswith("max_") and name.removeprefix("max_") not in (_LIMITS | _SETTINGS)
}
"""Old names of limits. A configuration may use one; a warning names the new one.

A number as `sandboxes` is the old name of `max_running`.
"""

log = logging.getLogger(__name__)


LARGEST = 10**12
"""The largest number that a setting may have: megabytes and seconds of so many still fit what systems count in."""


class _BoundedNumber:
    """A number above 0 and up to `LARGEST`, or within the bounds that its metadata give."""

    info_text: str
    metadata: dict[str, Any]

    def validate(self, obj: HasTraits, value: object) -> Any:
        number = super().validate(obj, value)  # type: ignore[misc]  # of the number trait it is mixed into
        least, most = self.metadata["least"], self.metadata["most"] or LARGEST
        is_large_enough = number > 0 if least is None else number >= least
        if isinstance(value, bool) or not math.isfinite(number) or not is_large_enough or number > most:
            self.error(obj, value)  # type: ignore[attr-defined]  # True would pass for the number 1
        return number

    def info(self) -> str:
        least, most = self.metadata["least"], self.metadata["most"] or LARGEST
        lower = "above 0" if least is None else f"of at least {least}"
        return f"{self.info_text} {lower} and at most {most:,}"


class Number(_BoundedNumber, Float):  # type: ignore[type-arg]
    """As the command line's help calls it."""

    info_text = "a number"


class WholeNumber(_BoundedNumber, Int):  # type: ignore[type-arg]
    """As the command line's help calls it."""

    info_text = "a whole number"


class _CheckedTexts(List):  # type: ignore[type-arg]
    """A list of texts, each of which `check` can read."""

    def __init__(self, default: tuple[str, ...], **more: Any) -> None:
        super().__init__(Unicode(), list(default), **more)

    def check(self, text: str) -> None:
        """Raise an error that says why a text cannot be read."""
        raise NotImplementedError

    def validate(self, obj: HasTraits, value: Any) -> Any:
        texts = super().validate(obj, value)
        for text in texts or ():
            try:
                self.check(text)
            except (InvalidParams, ValueError) as error:
                raise TraitError(f"The '{self.name}' trait is wrong: {error}") from None
        return texts


class Rules(_CheckedTexts):
    """A policy's rules."""

    info_text = "a list of rules such as 'ask agent Mail.*'"

    def check(self, text: str) -> None:
        PolicyRule.read(text)


class CommandPatterns(_CheckedTexts):
    """Patterns of commands, each of which a shell could split into words."""

    info_text = "a list of patterns such as 'npx -y @modelcontextprotocol/*'"

    def check(self, text: str) -> None:
        try:
            shlex.split(text)
        except ValueError as error:
            raise ValueError(f"{text!r} cannot be read: {error}") from None


class HostPatterns(_CheckedTexts):
    """Patterns of hosts, as they are compared: without a scheme or a path."""

    info_text = "a list of patterns such as '*.example.org'"

    def check(self, text: str) -> None:
        if not re.fullmatch(r"[^\s/]+", text):
            raise ValueError(f"{text!r:.100} is no pattern of a host, such as '*.example.org' or 'localhost:8080'")


class _CheckedText(Unicode):  # type: ignore[type-arg]
    """A text that `check` can read, or nothing."""

    def check(self, text: str) -> None:
        """Raise an error that says why a text cannot be read."""
        raise NotImplementedError

    def validate(self, obj: HasTraits, value: Any) -> Any:
        text = super().validate(obj, value)
        if text:
            try:
                self.check(text)
            except (InvalidParams, ValueError) as error:
                raise TraitError(f"The '{self.name}' trait is wrong: {error}") from None
        return text


class KernelUrl(_CheckedText):
    """A template of the address at which kernels find the server."""

    info_text = "an HTTP URL such as 'http://10.0.0.5:{port}{base_url}'"

    def check(self, text: str) -> None:
        expand_url(text, 8888, "/")


class HostUrl(_CheckedText):
    """The base URL of the server for sandbox hosts."""

    info_text = "an HTTP URL such as 'https://jupyter.example.org/user/ana'"

    def check(self, text: str) -> None:
        if not is_address(text):
            raise ValueError(f"{text!r:.100} is no HTTP URL without query, such as 'https://jupyter.example.org'")


class SchedulerAddress(_CheckedText):
    """The address of a scheduler of Dask."""

    info_text = "an address such as 'tls://dask.example.org:8786'"

    def check(self, text: str) -> None:
        if not re.fullmatch(r"(\w+://)?[^\s/]+:\d+", text):
            raise ValueError(f"{text!r:.100} is no address of a scheduler, such as 'tls://dask.example.org:8786'")


class UrlPath(_CheckedText):
    """A path of the server."""

    info_text = "a path such as 'mcp'"

    def check(self, text: str) -> None:
        if not re.fullmatch(r"[\w.~/-]+", text):
            raise ValueError(f"{text!r:.100} is no path; it may have letters, digits and the characters . _ ~ - /")


_SPECIAL: dict[str, type[TraitType[Any, Any]]] = {
    "dask_scheduler": SchedulerAddress,
    "host_url": HostUrl,
    "kernel_url": KernelUrl,
    "mcp_path": UrlPath,
    "upstream_commands": CommandPatterns,
    "upstream_hosts": HostPatterns,
}
"""Traits of settings that not every value of their type can have."""

_KINDS: dict[type, type[TraitType[Any, Any]]] = {
    float: Number,
    int: WholeNumber,
    bool: Bool,
    str: Unicode,
    tuple: Rules,
}


def _trait(setting: Field[Any]) -> TraitType[Any, Any]:
    assert setting.default is not MISSING
    choices = setting.metadata["choices"]
    trait: TraitType[Any, Any]
    if choices is not None and isinstance(setting.default, tuple):
        trait = List(Enum(choices), list(setting.default), help=setting.metadata["help"])
    elif (special := _SPECIAL.get(setting.name)) is not None:
        trait = special(setting.default, help=setting.metadata["help"])
    elif choices is not None:
        trait = Enum(choices, setting.default, help=setting.metadata["help"])
    else:
        trait = _KINDS[type(setting.default)](setting.default, help=setting.metadata["help"])
    return trait.tag(config=True, least=setting.metadata["least"], most=setting.metadata["most"])


if TYPE_CHECKING:

    class _Fields(Limits, Settings):  # type: ignore[misc]  # never made: it is there for its attributes
        """What a type checker and an editor see of the traits: the fields that they are made from."""

    class _Traits(Configurable, _Fields):
        """A configurable with those attributes."""

else:
    _Traits = Configurable


class Pctx(_Traits):
    """Limits and switches of pctx: of the server extension, and of an engine embedded in a kernel."""

    # A class body's own names, filled in before traitlets reads them.
    vars().update({name: _trait(setting) for name, setting in (_LIMITS | _SETTINGS).items()})

    def __init__(self, **kwargs: Any) -> None:
        parent = kwargs.get("parent")
        config = kwargs.get("config") or (parent.config if parent is not None else {})
        given = config.get("Pctx", {})
        renamed = RENAMED | ({"sandboxes": "max_running"} if str(given.get("sandboxes", "")).isdecimal() else {})
        if old := sorted(renamed.keys() & given.keys()):
            config = kwargs["config"] = deepcopy(config)
            for name in old:
                log.warning("Pctx.%s is now called %s: write c.Pctx.%s", name, renamed[name], renamed[name])
                value = config["Pctx"].pop(name)
                config["Pctx"].setdefault(renamed[name], value)
        super().__init__(**kwargs)

    def settings(self) -> Settings:
        """What is configured, as the value every part of pctx is given; at least as strict as `restrictions` demand.

        Raises:
            InvalidParams: What an administrator demands cannot be read.
        """
        return restrict(self._configured())

    def _configured(self) -> Settings:
        limits = Limits(**{name: getattr(self, name) for name in _LIMITS})
        settings: dict[str, Any] = {name: getattr(self, name) for name in _SETTINGS}
        settings |= {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
        return Settings(limits=limits, **settings)


def read_settings(parent: Configurable) -> Settings:
    """Return what is configured for an application, or for a shell of IPython.

    Raises:
        InvalidParams: A value cannot be used, or what an administrator demands cannot be read.
    """
    try:
        return Pctx(parent=parent).settings()
    except TraitError as error:
        raise InvalidParams(f"Cannot read the configuration: {error}") from None


def demand_valid(settings: Settings) -> None:
    """Refuse settings that were made in Python, if a value is wrong.

    Raises:
        InvalidParams: Names the setting, and what it has to be.
    """
    checked = Pctx()
    for holder, names in ((settings.limits, _LIMITS), (settings, _SETTINGS)):
        for name in names:
            value = getattr(holder, name)
            try:
                setattr(checked, name, list(value) if isinstance(value, tuple) else value)
            except TraitError as error:
                raise InvalidParams(f"Cannot use these settings: {error}") from None


def restrict(settings: Settings) -> Settings:
    """Return settings that are at least as strict as the administrator's files demand.

    Raises:
        InvalidParams: What an administrator demands cannot be read.
    """
    found = restrictions.read()
    for path, demanded in found:
        try:
            valid = Pctx(config=Config({"Pctx": demanded}))
        except TraitError as error:
            raise InvalidParams(f"Cannot read the restrictions in {path}: {error}") from None
        if renamed := sorted(demanded.keys() - valid.config["Pctx"].keys()):
            raise InvalidParams(f"Cannot read the restrictions in {path}: {renamed[0]} is now called max_running")
        values = {name: getattr(valid, name) for name in demanded}
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        settings = restrictions.restricted(settings, values | tuples)
    names = {name for _, demanded in found for name in demanded}
    if "audit" in names and "audit_file" not in names and settings.audit != "off":
        # A file of the user's choice, such as /dev/null, is not the log that is required.
        settings = replace(settings, audit_file="")
    return settings
