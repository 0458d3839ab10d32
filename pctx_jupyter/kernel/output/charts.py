"""Charts as Vega and Vega-Lite specifications: what of them may be drawn in a notebook's page. Data in, data out.

A specification may name addresses: of data, of pictures, of links. A page would ask the notebook's own server with the
user's rights, and tell any other server the answer. So a chart that names one is not drawn; data must stand in it.
"""

from __future__ import annotations

from typing import Any

TYPES = (
    "application/vnd.vega.v5+json",
    "application/vnd.vegalite.v4+json",
    "application/vnd.vegalite.v5+json",
)
"""The MIME types that JupyterLab draws."""

EMBED_OPTIONS = {
    "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    "tooltip": False,
    "renderer": "canvas",
}
"""How JupyterLab draws them: Vega's own tooltips are text, the others would load pictures that data names."""

_FORBIDDEN = frozenset({"url", "href", "element", "loader"})
"""What leads elsewhere: to another server, or to another part of the page."""

_DATA = frozenset({"values", "datasets"})
"""Where data stands, whose names mean nothing to Vega."""


def clean(spec: Any) -> dict[str, Any]:
    """Return a specification that loads nothing and stays in its place.

    Raises:
        ValueError: It does not; names the member.
    """
    if not isinstance(spec, dict):
        raise ValueError("it is no object")
    # Options for whoever draws it, which would count for more than ours.
    kept: dict[str, Any] = {name: member for name, member in spec.items() if name != "usermeta"}
    pending: list[Any] = [kept]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            if found := _FORBIDDEN & part.keys():
                raise ValueError(f'its "{min(found)}" would load or lead to something; put the data into the chart')
            pending += [inner for name, inner in part.items() if name not in _DATA]
    return kept


def caption(spec: dict[str, Any]) -> str:
    """What a chart is, as text."""
    title = spec.get("title")
    if isinstance(title, dict):
        title = title.get("text")
    return f"[chart: {title[:200]}]" if isinstance(title, str) and title else "[chart]"
