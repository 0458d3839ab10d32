"""What an administrator demands of every engine, whatever its user configures.

Jupyter lets a user's own configuration win over the system's. For limits that is right; for what an institution has
decided it is not. So `FILE` in a folder of the system's configuration has settings that users can only make stricter.
A person who can run code in an account can run other programs there: the file restricts pctx, not the account.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from .errors import InvalidParams
from .settings import Limits, Settings

FILE = "pctx_restrictions.json"
"""The file, ``{"agents": "ask", "max_running": 4}``, in one of Jupyter's folders for the system's configuration."""

AGENTS = ("off", "ask", "on")
"""Values of `agents`, the strictest first."""

_MOST = {"layers", "max_check_s"}
"""Numbers that may be larger: a program runs unchecked when its check takes too long."""
_LEAST = {field.name for kind in (Limits, Settings) for field in fields(kind) if field.name.startswith("max_")} - _MOST
"""Numbers that may be smaller; `timeout_s` is bounded by `max_timeout_s`."""
_ONLY_FALSE = {
    "trust_folder",
    "kernels_may_add_servers",
    "may_skip_check",
    "history",
    "history_code",
    "history_values",
    "observe_types",
    "save_notices",
}
_ONLY_TRUE = {"typecheck", "jitless"}
_FIXED = {
    "audit",
    "audit_file",
    "dask_scheduler",
    "fallback",
    "host_token_file",
    "host_url",
    "kernel_url",
    "sandboxes",
    "upstreams",
    "upstream_commands",
    "upstream_hosts",
    "changed_tools",
    "disclosure",
    "sign_ins",
    "spans",
}
"""What a user cannot change at all once it is in the file."""
_LIMITS = {field.name for field in fields(Limits)}


def known() -> list[str]:
    """Return the names of the settings that the file may have."""
    return sorted(_LEAST | _MOST | _ONLY_FALSE | _ONLY_TRUE | _FIXED | {"agents", "policy", "consent_by"})


SYSTEM_FOLDERS = () if os.name == "nt" else ("/usr/local/etc/jupyter", "/etc/jupyter")
"""Folders that always count: a user's environment variables can make Jupyter look elsewhere for the system's."""


def folders() -> list[str]:
    """Return the folders of the system's configuration, also those that Jupyter knows, and of the environment's."""
    from jupyter_core import paths

    return list(dict.fromkeys([*SYSTEM_FOLDERS, *paths.SYSTEM_CONFIG_PATH, *paths.ENV_CONFIG_PATH]))


def read(within: Iterable[str] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Read the files that are there.

    Args:
        within: The folders to look in; None: those of `folders`.

    Returns:
        The path of each file, with its settings.

    Raises:
        InvalidParams: A file cannot be read, or has what no such file may have. Then no engine may open.
    """
    found = []
    for folder in folders() if within is None else within:
        path = os.path.join(folder, FILE)  # noqa: PTH118
        try:
            demanded = _load(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidParams(
                f"Cannot read the restrictions in {path}: {error}; an administrator must mend it"
            ) from None
        if not isinstance(demanded, dict):
            raise InvalidParams(f"Cannot read the restrictions in {path}: it must be a JSON object of settings")
        if wrong := sorted(demanded.keys() - set(known())):
            raise InvalidParams(
                f"Cannot read the restrictions in {path}: {wrong[0]} is no setting that can be restricted; these can: "
                + ", ".join(known())
            )
        found.append((path, demanded))
    return found


def _load(path: str) -> Any:
    """Return the JSON of a file.

    Raises:
        FileNotFoundError: There is no such file.
        OSError, ValueError, RecursionError: There is one, and it cannot be read.
    """
    _demand_whole_links(path)
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
        raise OSError("it is no regular file")
    with open(path, "rb") as file:  # noqa: PTH123
        return json.load(file, object_pairs_hook=_without_repetition)


def _demand_whole_links(path: str) -> None:
    """Refuse a path with a link that leads nowhere: there may be a file on a disk that is not mounted."""
    while path != (folder := os.path.dirname(path)):  # noqa: PTH120
        if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114
            raise OSError(f"{path} is a link to {os.readlink(path)}, which cannot be reached")  # noqa: PTH115
        path = folder


def _without_repetition(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members. Where a name is there twice, JSON leaves open which of them counts."""
    made: dict[str, Any] = {}
    for name, value in members:
        if name in made:
            raise ValueError(f"{name} is in it twice")
        made[name] = value
    return made


def restricted(settings: Settings, demanded: Mapping[str, Any]) -> Settings:
    """Return settings that are at least as strict as is demanded.

    Args:
        settings: What the user has configured.
        demanded: Valid values of settings, by name; a list is a tuple.
    """
    changed: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, value in demanded.items():
        own = getattr(settings.limits if name in _LIMITS else settings, name)
        if name == "max_running_per_session":  # 0 stands for a share of max_running
            own = settings.running_per_session
            value = replace(settings, max_running_per_session=value).running_per_session
        strict = _stricter(name, own, value)
        (limits if name in _LIMITS else changed)[name] = strict
    if demanded.get("typecheck"):
        # Otherwise each program could do without it, or would, as no check is as quick as its user demands.
        changed["may_skip_check"] = False
        changed["max_check_s"] = max(changed.get("max_check_s", settings.max_check_s), Settings().max_check_s)
    if "max_timeout_s" in demanded:
        limits["timeout_s"] = min(settings.limits.timeout_s, changed["max_timeout_s"])
    return replace(settings, limits=replace(settings.limits, **limits), **changed)


def _stricter(name: str, own: Any, demanded: Any) -> Any:
    """Return the stricter of two values of a setting."""
    if name in _LEAST:
        return min(own, demanded)
    if name in _MOST:
        return max(own, demanded)
    if name in _ONLY_FALSE:
        return own and demanded
    if name in _ONLY_TRUE:
        return own or demanded
    if name == "agents":
        return min(own, demanded, key=AGENTS.index)
    if name == "policy":
        return (*demanded, *own)  # the first rule that fits counts
    if name == "consent_by":
        return tuple(place for place in own if place in demanded)
    return demanded
