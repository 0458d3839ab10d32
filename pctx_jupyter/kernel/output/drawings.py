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
"""Elements that go, while what is in them stays: the target of a link in a drawing is not visible before the click."""

_STYLES = frozenset(
    """
    alignment-baseline baseline-shift clip-path clip-rule color color-interpolation-filters direction display
    dominant-baseline fill fill-opacity fill-rule flood-color flood-opacity font font-family font-size font-style
    font-variant font-weight height isolation letter-spacing marker marker-end marker-mid marker-start mask max-width
    mix-blend-mode opacity overflow paint-order shape-rendering stop-color stop-opacity stroke stroke-dasharray
    stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width text-anchor
    text-decoration text-rendering transform transform-origin vector-effect visibility white-space width word-spacing
    """.split()  # noqa: SIM905  # reads better
)
"""What styles may set: how shapes and texts look. Some front ends put a drawing into their page, where a position would
lead out of its output, and a rule would hold for all of the page."""

_RULE = re.compile(r"(?:^|(?<=[{}]))([^{}]*+)\{([^{}]*+)\}")
_SELECTOR = re.compile(r"[\w\s.#*>+~:()\[\]=\"'-]+")

_REFERENCE = re.compile(r"url\(\s*(['\"]?)#[\w\-.:]+\1\s*\)")
_LOADING = re.compile(r"url|image|src|@|\\|/\*|<|expression|javascript|element\(", re.IGNORECASE)
_DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")

MOST_DEPTH = 200
"""Levels of elements."""

MOST_DRAWN = 100_000
"""Elements that are drawn, each as often as others refer to it: references within references multiply."""

FILTER_COST = 5_000
"""Elements that take as long to draw as one filter."""

LEAST_DASH = 0.1
"""Length of the shortest dash or gap: a browser draws each one of a line."""


def clean(text: str) -> str:
    """Return a drawing that loads nothing and runs nothing.

    Raises:
        ValueError: It is no drawing; says why.
    """
    text = re.sub(r"^\s*+<\?xml[^<>]*+>", "", text)
    text = re.sub(r"^\s*+(?:<!--(?:[^-]|-(?!->))*+-->\s*+)*+<!DOCTYPE[^<>\[]*+>", "", text)
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
    if _drawn(made) > MOST_DRAWN:
        raise ValueError("it repeats its parts too often")
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
        made.text = _sheet(text) if name == "style" else text
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
    if name not in _ATTRIBUTES or _loads(value):
        return None
    if name == "stroke-dasharray" and not is_dash(value):
        return None
    if name == "style":
        declared = _declarations(value)
        return ("style", declared) if declared else None
    return name, value


# ── Styles ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _loads(value: str) -> bool:
    return _LOADING.search(_REFERENCE.sub("", value)) is not None


def _declarations(text: str) -> str:
    """What a style sets of what it may set."""
    kept = []
    for declared in text.split(";"):
        name, colon, value = declared.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon and name in _STYLES and (name != "stroke-dasharray" or is_dash(value)):
            kept.append(f"{name}:{value}")
    return ";".join(kept)


def _sheet(text: str) -> str:
    """The rules of a style sheet, each for drawings alone; nothing where it would load something."""
    if _loads(text):
        return ""
    rules = []
    for selectors, declared in _RULE.findall(text):
        kept = _declarations(declared)
        names = [name.strip() for name in selectors.split(",")]
        if kept and all(map(_SELECTOR.fullmatch, names)):
            rules.append(f"{','.join(map(_within, names))}{{{kept}}}")
    return "".join(rules)


def _within(selector: str) -> str:
    return selector if re.match(r"svg(?![\w-])", selector) else f"svg {selector}"


def is_dash(value: str) -> bool:
    """Whether a pattern of dashes has no more of them than a browser draws in time."""
    lengths = re.findall(r"[\d.]+(?:e[+-]?\d+)?", value.lower())
    try:
        return all(not 0 < float(length) < LEAST_DASH for length in lengths)
    except ValueError:
        return False


# ── References ──────────────────────────────────────────────────────────────────────────────────────────────────────

_NAMED = re.compile(r"url\(\s*['\"]?#([\w\-.:]+)")
_NUMBER = re.compile(r"[\d.]+")


def _drawn(root: ElementTree.Element) -> int:
    """How many elements are drawn, those that others refer to counted for each reference; `MOST_DRAWN` + 1 is many."""
    parts = list(root.iter())
    by_id: dict[str, ElementTree.Element] = {}
    for part in parts:
        if "id" in part.attrib:
            by_id.setdefault(part.attrib["id"], part)
    sheets = "".join(part.text or "" for part in parts if part.tag == "style")
    counts: dict[ElementTree.Element, int] = {}
    pending: set[ElementTree.Element] = set()

    def count(part: ElementTree.Element) -> int:
        if part in pending:
            return MOST_DRAWN + 1  # it refers to itself
        if part not in counts:
            pending.add(part)
            found = FILTER_COST if part.get("filter", "none") != "none" else 1
            found += sum(times * count(by_id[name]) for name, times in _references(part) if name in by_id)
            found += sum(map(count, part))
            pending.discard(part)
            counts[part] = min(found, MOST_DRAWN + 1)
        return counts[part]

    try:
        # A rule of a style sheet may hold for any element, and for each point of it.
        for_all = sum(count(by_id[name]) for name in set(_NAMED.findall(sheets)) if name in by_id)
        return count(root) + for_all * (len(parts) + _points(root))
    except RecursionError:
        return MOST_DRAWN + 1


def _references(part: ElementTree.Element) -> list[tuple[str, int]]:
    """The elements that one refers to, each with how often it is drawn; a marker is drawn at each point of a line."""
    found = []
    for attribute, value in part.attrib.items():
        is_marker = "marker" in attribute or (attribute == "style" and "marker" in value)
        times = 1 + (_points(part) if is_marker and "url" in value else 0)
        found += [(name, times) for name in _NAMED.findall(value)]
        if attribute == "href" and value.startswith("#"):
            found.append((value[1:], 1))
    return found


def _points(part: ElementTree.Element) -> int:
    """About how many points the lines of an element and of those in it have."""
    lines = (inner.get("d", "") + inner.get("points", "") for inner in part.iter())
    return sum(len(_NUMBER.findall(line)) // 2 for line in lines)
