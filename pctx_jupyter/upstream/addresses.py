"""URLs of servers that may refer to variables: judged, read and shown. No I/O but what a reference needs.

Where a variable is at the beginning of a URL or within its host, it decides where the URL leads. Anywhere else it must
not: a secret with an ``@`` or a ``/`` in it would lead to another host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from .. import errors
from .references import Reference
from .secrets import SecretText

_FIRST_MARK = 0xE000
"""Private characters stand for references while a URL is taken apart; no URL may contain one itself."""

_ADDRESS = re.compile(r"(?P<scheme>[^/?#]*?://)?(?P<user>[^/?#]*@)?(?P<host>[^/?#]*)")


@dataclass(frozen=True, slots=True)
class _Marked:
    """A URL with a mark in the place of each reference."""

    text: str
    references: list[Reference]

    def filled(self, text: str, values: list[str]) -> str:
        """A part of it with values in place of the marks."""
        return "".join(
            values[ord(one) - _FIRST_MARK] if 0 <= ord(one) - _FIRST_MARK < len(values) else one for one in text
        )


def _marked(written: str) -> _Marked:
    text = ""
    found: list[Reference] = []
    for part in SecretText(written).parts:
        if isinstance(part, str):
            text += part
        else:
            text += chr(_FIRST_MARK + len(found))
            found.append(part)
    return _Marked(text, found)


def check_url(url: str) -> None:
    """Refuse what is no HTTP address, or has to be read first; raises InvalidParams."""
    if _origin(url) is None or any(map(_is_unsafe, url)):
        raise errors.InvalidParams("url is invalid: it must be a complete address, http://… or https://…")


def check_written(written: str) -> None:
    """Refuse what can be no HTTP address, whatever it refers to; raises InvalidParams."""
    marked = _marked(written)
    plain = "".join(part for part in SecretText(written).parts if isinstance(part, str))
    # A digit can stand in a host and in a port.
    filled = marked.filled(marked.text, ["1"] * len(marked.references))
    begins_with_one = bool(marked.references) and marked.text[0] == chr(_FIRST_MARK)
    if any(map(_is_unsafe, plain)) or (_origin(filled) is None and not begins_with_one):
        raise errors.InvalidParams(
            "url is invalid: it must be a complete address, http://… or https://…, or begin with a variable"
        )


async def read_url(url: SecretText, folder: str) -> tuple[str, list[str], bool]:
    """Read what a URL refers to.

    Returns:
        The URL, what may be secret in it, and whether it leads where it was written to lead.

    Raises:
        SecretUnavailable: A reference cannot be read.
    """
    marked = _marked(url.written)
    values: list[str] = []
    secret: list[str] = []
    found = [one for one, part in zip(await url.read(folder), url.parts, strict=True) if isinstance(part, Reference)]
    taken = _ADDRESS.match(marked.text)
    assert taken is not None  # each of its parts may be empty
    for number, (value, hidden) in enumerate(found):
        values.append(value)
        mark = chr(_FIRST_MARK + number)
        # An address or a host that a variable holds is no secret, but what is in it beside the host may be one.
        if hidden and marked.text.startswith(mark):
            hidden = _hidden_in(value)
        elif hidden and mark in taken["host"]:
            hidden = [value[value.index("/") :]] if "/" in value else []
        secret += hidden
    whole = marked.filled(marked.text, values)
    expected = marked.filled((taken["scheme"] or "") + taken["host"], values)
    if taken["scheme"] and "@" in marked.filled(taken["host"], values):
        return whole, secret, False
    now, meant = _origin(whole), _origin(expected)
    return whole, secret, now is not None and now == meant and not any(map(_is_unsafe, whole))


def _is_unsafe(character: str) -> bool:
    return character.isspace() or not character.isprintable()


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port; None when it is no HTTP address."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return None
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None


def _hidden_in(address: str) -> list[str]:
    """What may be secret in the value of a variable that is an address; all of it if it is none."""
    if _origin(address) is None:
        return [address]
    parts = urlsplit(address)
    return [one for one in (parts.username, parts.password, parts.path, parts.query, parts.fragment) if one]


def shown_url(url: SecretText) -> str:
    """A URL without what may be secret in it; its host in ASCII, so that no letter looks like another."""
    marked = _marked(url.written)
    without = _shown(urlsplit(marked.text))
    return marked.filled(without, [_shown_reference(one) for one in marked.references])


def _shown(parts: SplitResult) -> str:
    host = ".".join(map(_ascii, parts.netloc.rpartition("@")[2].split(".")))
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _shown_reference(reference: Reference) -> str:
    """A reference as it is written, but for what may be secret in a default that is an address."""
    if reference.default is None or "://" not in reference.default:
        return reference.written
    try:
        default = shown_url(SecretText(reference.default))
    except ValueError:
        default = "…"
    return f"${{{reference.name}:-{default}}}"


def _ascii(label: str) -> str:
    """A part of a host's name in ASCII, as the Internet has it, for people to read."""
    plain = re.sub(r"[\ue000-\uf8ff]", "", label)  # what stands for a reference stays
    return label if plain.isascii() else f"xn--{label.lower().encode('punycode').decode('ascii')}"
