"""Code Mode for Jupyter: TypeScript that calls your tools, type-checked, in a sandbox that can do nothing else.

Public names: `tool` turns a Python function into a typed tool; ``%load_ext pctx_jupyter`` brings the magics;
`pctx_jupyter.client.PctxClient` speaks to a server from any async Python program. Importing this loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__

__all__ = ["__version__", "tool"]

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .kernel.functions.tool import tool


def __getattr__(name: str) -> Any:
    if name == "tool":
        from .kernel.functions.tool import tool

        return tool
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server what to load."""
    from .server.app import PctxApp

    return [{"module": "pctx_jupyter", "app": PctxApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab where a checkout has its part."""
    return [{"src": "labextension", "dest": "pctx-jupyter"}]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Load the magics: ``%load_ext pctx_jupyter``."""
    from .kernel.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Unload the magics: ``%unload_ext pctx_jupyter``."""
    from .kernel.magics import unload

    unload(shell)
