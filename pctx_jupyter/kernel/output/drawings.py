"""Drawings as SVG: what of them may stand in a page, scripts, links and addresses left out. Text in, text out.

What comes out is well-formed XML of known elements and attributes, and means the same to a reader of HTML.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

SHAPE_ATTRIBUTES = frozenset(
    """
    alignment-baseline baseline-shift clip-rule color cx cy d direction display dominant-baseline dx dy fill
    fill-opacity fill-rule font-family font-size font-style font-variant font-weight height letter-spacing opacity
    overflow paint-order pathLength points preserveAspectRatio r rotate rx ry shape-rendering stroke stroke-dasharray
    stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style text-anchor
    text-decoration text-rendering textLength lengthAdjust transform transform-origin vector-effect viewBox visibility
    white-space width word-spacing x x1 x2 y y1 y2
    """.split()  # noqa: SIM905  # reads better
)
"""How shapes and texts look and where they are."""

_ATTRIBUTES = SHAPE_ATTRIBUTES | set(
    """
    class clip-path clipPathUnits cursor dur edgeMode filter filterUnits flood-color flood-opacity fx fy
    gradientTransform gradientUnits id in in2 k1 k2 k3 k4 lang marker-end marker-mid marker-start markerHeight
    markerUnits markerWidth mask maskContentUnits maskUnits mode offset operator orient patternContentUnits
    patternTransform patternUnits primitiveUnits refX refY result role scale spreadMethod startOffset stdDeviation
    stop-color stop-opacity tabindex text type values version xChannelSelector yChannelSelector aria-label aria-hidden
    aria-roledescription
    """.split()  # noqa: SIM905  # reads better
)

_ELEMENTS = frozenset(
    """
    svg g a path rect circle ellipse line polyline polygon text tspan textPath defs symbol use image marker pattern
    linearGradient radialGradient stop clipPath mask filter feBlend feColorMatrix feComponentTransfer feComposite
    feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feMerge feMergeNode feMorphology feOffset
    feTurbulence title desc style
    """.split()  # noqa: SIM905  # reads better
)
_TEXT_ONLY = frozenset({"title", "desc", "style"})
_TRANSPARENT = frozenset({"a"})
"""Elements that go, while what is in them stays: a link in a drawing is seen by nobody before it is clicked."""

_REFERENCE = re.compile(r"url\(\s*(['\"]?)#[\w\-.:]+\1\s*\)")
_LOADING = re.compile(r"url|image|src|@|\\|/\*|<|expression|javascript|element\(", re.IGNORECASE)
_DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")

MOST_DEPTH = 200
"""Levels of elements."""


def clean(text: str) -> str:
    """Return a drawing that loads nothing and runs nothing.

    Raises:
        ValueError: It is no drawing; says why.
    """
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    text = re.sub(r"<!DOCTYPE[^>\[]*>", "", text, count=1)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it declares entities")
    if "xlink:" in text and "xmlns:xlink" not in text:
        text = re.sub(r"<svg\b", f'<svg xmlns:xlink="{XLINK}"', text, count=1)
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ValueError(f"it is not well-formed ({error})") from None
    if _name(root) != "svg":
        raise ValueError("it does not begin with <svg>")
    made = _element(root, 0)
    made.attrib = {"xmlns": SVG, **made.attrib}
    return ElementTree.tostring(made, encoding="unicode", short_empty_elements=False)


def _name(element: ElementTree.Element) -> str:
    """The name of an element of SVG, with its namespace or without any; empty for others."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    tag = tag.removeprefix(f"{{{SVG}}}")
    return tag if tag in _ELEMENTS else ""


def _element(given: ElementTree.Element, depth: int) -> ElementTree.Element:
    name = _name(given)
    made = ElementTree.Element(name)
    for attribute, value in given.attrib.items():
        found = _attribute(name, attribute, value)
        if found is not None:
            made.set(*found)
    if name in _TEXT_ONLY:
        text = "".join(given.itertext())
        made.text = text if name != "style" or not _LOADING.search(_REFERENCE.sub("", text)) else ""
        return made
    made.text = given.text
    if depth < MOST_DEPTH:
        _fill(made, given, depth)
    return made


def _fill(made: ElementTree.Element, given: ElementTree.Element, depth: int) -> None:
    for child in given:
        name = _name(child)
        if name in _TRANSPARENT and depth < MOST_DEPTH:
            group = ElementTree.SubElement(made, "tspan" if made.tag in ("text", "tspan") else "g")
            group.text = child.text
            _fill(group, child, depth + 1)
            group.tail = child.tail
        elif name:
            inner = _element(child, depth + 1)
            inner.tail = child.tail
            made.append(inner)


def _attribute(element: str, name: str, value: str) -> tuple[str, str] | None:
    if name in ("href", f"{{{XLINK}}}href"):
        is_known = value.startswith("#") or (element == "image" and _DATA_IMAGE.fullmatch(value) is not None)
        return ("href", value) if is_known and element in ("use", "image", "textPath") else None
    if name == "{http://www.w3.org/XML/1998/namespace}space":
        return "style", "white-space:pre"
    if name not in _ATTRIBUTES or _LOADING.search(_REFERENCE.sub("", value)):
        return None
    return name, value
