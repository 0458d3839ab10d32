# What the functions of `json` take and return; their options are functions and classes for the most part.
from typing import Any

def dumps(
    obj: Any,
    *,
    skipkeys: bool = False,
    ensure_ascii: bool = True,
    check_circular: bool = True,
    allow_nan: bool = True,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str: ...
def loads(s: str) -> Any: ...
