"""Names of Python, which knows one spelling of a letter where TypeScript knows several.

Python reads ``\N{MICRO SIGN}``, a key of many keyboards, as the Greek letter, and stores variables under that name. In
TypeScript the two are different names.
"""

from __future__ import annotations

import unicodedata


def as_python(name: str) -> str:
    """Return a name as Python stores it.

    Source: https://docs.python.org/3/reference/lexical_analysis.html#identifiers
    """
    return unicodedata.normalize("NFKC", name)
