"""The forms in which a value may stand in a text: as it is, and as JSON, URLs, HTML, Base64 and hexadecimal spell it.

Writers of one format differ: one spells ``/`` as ``%2F``, another as ``%2f`` or ``\\/``, a third not at all. So each
character that is neither a letter nor a digit may have any of its spellings. The result is a regular expression. This
module does not know what it is used for.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from html.entities import codepoint2name

BYTES = "surrogateescape"
"""How Python writes bytes that are no text."""

_URL_SAFE = str.maketrans("+/", "-_")
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
"""What JSON writes after a backslash in place of a character."""
_NAMES = {**codepoint2name, ord("'"): "apos"}
MOST_BACKSLASHES = 8
"""Backslashes for each one that JSON needs: JSON within JSON has more. A bound, so that a search takes linear time."""
_ESCAPE = rf"\\\\{{0,{MOST_BACKSLASHES - 1}}}"


def pattern(value: str) -> str:
    """Return the source of a regular expression that finds a value in each of its forms.

    Each alternative begins with one certain character, so a search quickly passes over everything else.

    Args:
        value: Not empty. Bytes that are no text are surrogates, as in variables of the environment.
    """
    first, *others = re.findall(r"\\+|.", value, re.DOTALL)
    rest = "".join(_any_of(_spellings(part)) for part in others)
    encoded = value.encode(errors=BYTES)
    whole = sorted({*_in_base64(encoded), encoded.hex(), encoded.hex().upper()}, key=len, reverse=True)
    return "|".join([*(spelling + rest for spelling in _spellings(first)), *map(re.escape, whole)])


def _any_of(sources: tuple[str, ...]) -> str:
    return sources[0] if len(sources) == 1 else f"(?:{'|'.join(sources)})"


@lru_cache(1000)
def _spellings(part: str) -> tuple[str, ...]:
    """The spellings of one character, or of several backslashes, as regular expressions; the plain one is the last."""
    character, count = part[0], len(part)
    if character.isascii() and character.isalnum():
        return (character,)
    code, units = ord(character), character.encode("utf-16-be", "surrogatepass")
    found = [
        f"&#0*+{code};",
        f"&#[xX]0*+{_hexadecimal(f'{code:x}')};",
        "".join(f"%{_hexadecimal(f'{byte:02x}')}" for byte in character.encode(errors=BYTES)),
        "".join(f"{_ESCAPE}u{_hexadecimal(units[at : at + 2].hex())}" for at in range(0, len(units), 2)),
    ]
    if code in _NAMES:
        found.append(f"&{_NAMES[code]};")
    if character in _LETTERS:
        found.append(_ESCAPE + _LETTERS[character])
    if character == " ":
        found.append(r"\+")
    if count > 1:
        found = [one + f"(?:{one}){{{count - 1}}}" for one in found]
    if character == "\\":
        return (*found, r"\\" * count + rf"\\{{0,{(MOST_BACKSLASHES - 1) * count}}}")
    if character.isascii():
        found.append(_ESCAPE + re.escape(character))
    return (*found, re.escape(character))


def _hexadecimal(digits: str) -> str:
    """Hexadecimal digits in either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


def _in_base64(value: bytes) -> set[str]:
    """Return what Base64 makes of a value, alone or within a longer text such as ``user:value``.

    Three bytes become four characters, so there is one form for each place within a group of three. Characters that
    depend on the neighbours of the value as well are left out.
    """
    found = {base64.b64encode(value).decode().rstrip("=")}
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(value)) * 8 // 6
        found.add(base64.b64encode(bytes(before) + value).decode()[first:end])
    return found | {form.translate(_URL_SAFE) for form in found}
