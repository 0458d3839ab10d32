"""The tree of exceptions: drawn as it is, with codes that cross the wire. Pure."""

from __future__ import annotations

import re

import pytest

from pctx_jupyter import errors


def classes() -> list[type[errors.PctxError]]:
    found = [errors.PctxError]
    for kind in found:
        found += [sub for sub in kind.__subclasses__() if sub not in found and sub.__module__ == errors.__name__]
    return found


def drawn() -> dict[str, tuple[str | None, str, int]]:
    """The tree of the docstring: class → (the class it hangs under, code, status)."""
    found: dict[str, tuple[str | None, str, int]] = {}
    above: list[str] = []
    line = re.compile(r"^    ((?:[│├└─ ]{4})*)(\w+) +(-\d+|as received) +(\d{3})", re.MULTILINE)
    for indent, name, code, status in line.findall(errors.__doc__ or ""):
        del above[len(indent) // 4 :]
        found[name] = (above[-1] if above else None, code, int(status))
        above.append(name)
    return found


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[errors.PctxError]) -> None:
    parent, code, status = drawn()[kind.__name__]
    assert parent in {base.__name__ for base in kind.__bases__} or kind is errors.PctxError
    assert status == int(kind.status)
    if code != "as received":
        assert int(code) == kind.code


def test_every_class_says_what_it_stands_for() -> None:
    assert all(kind.__doc__ for kind in classes())
