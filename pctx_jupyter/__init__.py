"""Code Mode for Jupyter: TypeScript that calls your tools, type-checked, in a sandbox that can do nothing else.

Public names: `tool` turns a Python function into a typed tool, and ``%load_ext pctx_jupyter`` loads the magics.
`PctxClient` offers tools and runs programs on a server from any async Python program, `open_client` does so without a
server. `errors` has all exceptions. Importing this package loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

__all__ = ["PctxClient", "__version__", "errors", "open_client", "tool"]

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from . import errors
    from .client import PctxClient
    from .embedded import open_client
    from .kernel.functions.tool import tool

_HOMES = {"PctxClient": ".client", "open_client": ".embedded", "tool": ".kernel.functions.tool"}
"""Modules that are imported when one of their names is first used."""


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module(".errors", __name__)
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Return what Jupyter Server has to load."""
    from .server.app import PctxApp

    return [{"module": "pctx_jupyter", "app": PctxApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Return where a checkout has its part of JupyterLab."""
    return [{"src": "labextension", "dest": "pctx-jupyter"}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Load the magics: ``%load_ext pctx_jupyter``."""
    try:
        from .kernel.magics import load
    except OSError as error:  # such as no file descriptor left to read a module with
        from IPython.core.error import UsageError  # loaded long ago; shown without a traceback, which would need files

        raise UsageError(
            f"Cannot load pctx_jupyter: {error.strerror} ({error.filename}); close files or raise the limit "
            "(ulimit -n), then load it again"
        ) from None
    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Unload the magics: ``%unload_ext pctx_jupyter``."""
    from .kernel.magics import unload

    unload(shell)
