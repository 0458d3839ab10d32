"""HTML rewritten so that its elements are nested: text in, text out, in time that grows with its length alone.

An HTML parser repairs elements that overlap. It opens each formatting element that was left open again in every block
that follows, so that a few kilobytes can become gigabytes. Here such text is refused before a parser reads it.

What comes out is made of tags in one spelling and of escaped text, so every parser finds the same tags in it. It is
not safe to be shown: this module does not know which elements and attributes are harmless.
"""

from __future__ import annotations

import re
from itertools import islice

MOST_DEPTH = 100
"""Elements that may be open at the same time; browsers flatten what is deeper than some hundreds."""

MOST_OVERLAPS = 50
"""End tags that may match no element, or close others with theirs; documents written by hand have a few."""

MOST_ATTRIBUTES = 64
"""Attributes that are kept of one element: a parser compares each with all others."""

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*+)((?:\"[^\"]*+\"|'[^']*+'|[^\"'<>])*+)>")
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'=<>`]++)))?")

_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())  # noqa: SIM905
_RAW = frozenset("iframe noembed noframes noscript plaintext script style textarea title xmp".split())  # noqa: SIM905
"""Elements whose content is no markup. None of them is ever shown, so they go with their content."""

_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905
"""Elements that a parser opens again when a block has closed them."""

_GROUPS = ({"li"}, {"p"}, {"dt", "dd"}, {"td", "th"}, {"tr"}, {"tbody", "thead", "tfoot"}, {"option", "optgroup"})
_SIBLINGS = {name: group for group in _GROUPS for name in group}
"""Elements whose end tag may be left out, each with those that end it when they begin."""


class Overlapping(ValueError):
    """The elements of a text overlap, or are nested, more than is repaired."""


def nested(text: str) -> str:
    """Return the text with its tags in one spelling, without comments and without what is no markup.

    Raises:
        Overlapping: The elements are nested too deeply, or overlap too often.
    """
    written: list[str] = []
    stack = _Stack()
    last_end = text.rfind(">")
    at = 0
    while (found := text.find("<", at)) >= 0:
        written.append(_escaped(text[at:found]))
        if found > last_end:
            at = found
            break
        tag = _TAG.match(text, found)
        if tag is None:
            at = _after_other(text, found)
            if at == found:
                written.append("&lt;")
                at += 1
            continue
        at = tag.end()
        name = tag[2].lower()
        if name in _RAW:
            at = at if tag[1] else _after_raw(text, at, name)
        elif tag[1]:
            stack.close(name)
            written.append(f"</{name}>")
        else:
            is_alone = tag[3].endswith("/")
            if name not in _VOID and not is_alone:
                stack.open(name)
            written.append(f"<{name}{_attributes(tag[3])}>")
            if is_alone and name not in _VOID:
                # In HTML the slash means nothing; in a drawing it ends the element.
                written.append(f"</{name}>")
    written.append(_escaped(text[at:]))
    return "".join(written)


class _Stack:
    """The elements that are open."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.overlaps = 0

    def open(self, name: str) -> None:
        if self.names and self.names[-1] in _SIBLINGS.get(name, ()):
            self.names.pop()
        self.names.append(name)
        if len(self.names) > MOST_DEPTH:
            raise Overlapping(f"its elements are nested more than {MOST_DEPTH} deep, or are never closed")

    def close(self, name: str) -> None:
        depth = len(self.names)
        while depth and name not in _FORMATTING and self.names[depth - 1] != name:
            if self.names[depth - 1] not in _SIBLINGS:
                break
            depth -= 1
        if depth and self.names[depth - 1] == name:
            del self.names[depth - 1 :]
            return
        self.overlaps += 1
        if self.overlaps > MOST_OVERLAPS:
            raise Overlapping(
                f"its elements overlap, or are closed without being open, more than {MOST_OVERLAPS} times"
            )


def _attributes(text: str) -> str:
    return "".join(map(_attribute, islice(_ATTRIBUTE.finditer(text), MOST_ATTRIBUTES)))


def _attribute(found: re.Match[str]) -> str:
    value = next((value for value in found.groups()[1:] if value is not None), "")
    return f' {found[1]}="{value.replace(chr(34), "&quot;")}"'


def _after_other(text: str, at: int) -> int:
    """Where a comment, a declaration or an instruction ends; `at` where there is none."""
    if text.startswith("<!--", at):
        end, length = text.find("-->", at + 2), 3
    elif text.startswith(("<!", "<?"), at):
        end, length = text.find(">", at), 1
    else:
        return at
    return len(text) if end < 0 else end + length


def _after_raw(text: str, at: int, name: str) -> int:
    """Where the content of an element that is no markup ends, before its end tag."""
    found = re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE).search(text, at)
    return len(text) if found is None else found.start()


def _escaped(text: str) -> str:
    # A reference to a character stays one: only what could begin or end a tag is written in another way.
    return text.replace("<", "&lt;").replace(">", "&gt;")
