"""Types of TypeScript as text: one piece, a union, an intersection; how they are combined. No schema is read here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from . import inert


class TypeText(NamedTuple):
    """A type's text and what it is made of: 0 one piece, 1 an intersection, 2 a union of these members."""

    text: str
    rank: int = 0
    members: tuple[TypeText, ...] = ()


ANY, NEVER, NULL, STRING, NUMBER = (
    TypeText("any"),
    TypeText("never"),
    TypeText("null"),
    TypeText("string"),
    TypeText("number"),
)
EMPTY, OBJECT, ARRAY, BOOLEAN = (
    TypeText("Record<string, never>"),
    TypeText("{ [key: string]: any }"),
    TypeText("any[]"),
    TypeText("boolean"),
)


def any_because(why: str) -> TypeText:
    """``any``, with a comment that says why."""
    return TypeText(f"any /* {inert.comment(why, 100)} */")


def is_any(type: TypeText) -> bool:
    """Whether it is ``any``, with or without a comment."""
    return type.text == "any" or type.text.startswith("any /*")


def grouped(type: TypeText) -> str:
    """Its text as a part of another type, in parentheses where that needs them: ``(A | B)[]``."""
    return f"({type.text})" if type.rank else type.text


def union(members: Iterable[TypeText]) -> TypeText:
    """Either of these; null last."""
    some: dict[str, TypeText] = {}
    for member in members:
        if is_any(member):
            return member
        if member.text != "never":
            some |= {one.text: one for one in member.members or [member]}
    if len(some) < 2:
        return next(iter(some.values()), NEVER)
    if "null" in some:
        some["null"] = some.pop("null")
    return TypeText(" | ".join(some), 2, tuple(some.values()))


def intersection(parts: Iterable[TypeText]) -> TypeText:
    """All of these."""
    every: dict[str, TypeText] = {}
    vague: TypeText | None = None
    for part in parts:
        if part.text == "never":
            return NEVER
        if is_any(part):
            vague = part
        else:
            every.setdefault(part.text, part)
    if len(every) < 2:
        return next(iter(every.values()), vague or ANY)
    return TypeText(" & ".join(f"({part.text})" if part.rank == 2 else part.text for part in every.values()), 1)
