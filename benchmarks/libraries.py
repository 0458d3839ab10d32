"""How much of everyday libraries can be offered as tools: ``make report-libraries``.

Reads the signature of every public function of each library that is installed, as ``%pctx register`` does, and prints
one line a library: how many functions register, how many parameters have a type, how many functions have no ``any``.
A learnt type (from a docstring or a default) counts as one; the column beside says how many were learnt.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pctx_jupyter import errors
from pctx_jupyter.kernel.functions import tool

LIBRARIES: dict[str, tuple[str, ...]] = {
    "pandas": ("pandas",),
    "numpy": ("numpy", "numpy.linalg", "numpy.fft"),
    "scipy.stats": ("scipy.stats",),
    "scikit-learn": (
        "sklearn.metrics",
        "sklearn.model_selection",
        "sklearn.preprocessing",
        "sklearn.datasets",
        "sklearn.cluster",
        "sklearn.linear_model",
        "sklearn.decomposition",
    ),
    "statsmodels": ("statsmodels.api", "statsmodels.formula.api", "statsmodels.stats.api", "statsmodels.tsa.api"),
    "networkx": ("networkx",),
    "matplotlib": ("matplotlib.pyplot",),
    "requests": ("requests",),
    "duckdb": ("duckdb",),
    "math": ("math",),
    "statistics": ("statistics",),
    "datetime": ("datetime",),
    "json": ("json",),
    "os.path": ("os.path",),
    "re": ("re",),
}
"""The modules of each library whose public functions are read. Of classes in ``datetime``, the class methods."""

REGISTERED = 0.95
"""The least part of the functions that should register."""
TYPED = 0.60
"""The least part of the parameters that should have a type."""


@dataclass
class Report:
    """What was found of one library.

    Args:
        refused: Why functions cannot be offered, by name.
        parameters, typed, learnt: Parameters; those with a type; those of them whose type was learnt.
        whole: Functions of whose parameters and result nothing is ``any``.
    """

    library: str
    functions: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    typed: int = 0
    learnt: int = 0
    whole: int = 0

    @property
    def registered(self) -> float:
        """The part of the functions that register."""
        return 1 - len(self.refused) / max(1, self.functions)

    @property
    def with_type(self) -> float:
        """The part of the parameters that have a type."""
        return self.typed / self.parameters if self.parameters else 1.0


def report(library: str) -> Report | None:
    """Read one library; None: it is not installed."""
    found = Report(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functions = dict(_functions(library))
        if not functions:
            return None
        for name, function in functions.items():
            _read(found, name, function)
    return found


def _functions(library: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    seen: set[int] = set()
    for module_name in LIBRARIES[library]:
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            continue
        for name in getattr(module, "__all__", None) or sorted(vars(module)):
            with contextlib.suppress(Exception):  # a name that is made when it is asked for, and cannot be
                found = getattr(module, name)
                if name.startswith("_") or id(found) in seen or inspect.ismodule(found):
                    continue
                seen.add(id(found))
                if inspect.isclass(found):
                    if library == "datetime":
                        yield from _class_methods(found)
                elif callable(found) and not isinstance(found, type):
                    yield f"{module_name}.{name}", found


def _class_methods(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in vars(kind):
        method = getattr(kind, name)
        if not name.startswith("_") and getattr(method, "__self__", None) is kind:
            yield f"{kind.__name__}.{name}", method


def _read(found: Report, name: str, function: Callable[..., Any]) -> None:
    found.functions += 1
    try:
        made = tool.define(function, name="f", namespace="Libraries")
    except errors.PctxError as error:
        found.refused[name] = str(error)
        return
    tool.forget(made.path)
    schema: Any = made.input_schema
    kinds = list(schema["properties"].values())
    found.parameters += len(kinds)
    found.typed += sum(not _is_any(kind) for kind in kinds)
    found.learnt += sum("x-learnt" in kind for kind in kinds)
    found.whole += made.output_schema is not None and not any(map(_is_any, kinds))


def _is_any(schema: dict[str, Any]) -> bool:
    """Whether a parameter's schema says nothing of its type; of a list that ``*args`` takes, of its items."""
    return not schema.keys() & {"type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref"}


def main() -> int:
    """Print the table; the number of libraries below a goal."""
    below = 0
    print(f"{'library':<14}{'functions':>10}{'register':>10}{'parameters':>12}{'typed':>8}{'learnt':>8}{'no any':>8}")
    total = Report("all")
    for library in LIBRARIES:
        one = report(library)
        if one is None:
            print(f"{library:<14}{'not installed':>20}")
            continue
        _line(one)
        total.functions += one.functions
        total.refused |= one.refused
        total.parameters += one.parameters
        total.typed += one.typed
        total.learnt += one.learnt
        total.whole += one.whole
        below += one.registered < REGISTERED
    _line(total)
    for name, why in total.refused.items():
        print(f"  {name}: {why}")
    return below + (total.with_type < TYPED)


def _line(one: Report) -> None:
    part = f"{one.learnt / max(1, one.typed):.0%}"
    print(
        f"{one.library:<14}{one.functions:>10}{one.registered:>10.0%}{one.parameters:>12}{one.with_type:>8.0%}"
        f"{part:>8}{one.whole / max(1, one.functions):>8.0%}"
    )


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
