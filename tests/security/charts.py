"""Charts for tests: everyday ones, which must be drawn, and hostile ones, which must not run, load or lead anywhere.

The hostile ones call ``window.hit`` or ask ``outside.example``, at once or when they are pointed at; some only use up
the page's time and memory. Each is named for what it tries. Those with a number are of published faults of Vega.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

OUTSIDE = "http://outside.example"
"""An address that nothing may ask."""

HIT = "window.hit = (window.hit || 0) + 1"
"""Script that must not run."""

SALES = {
    "values": [
        {"month": "Jan", "amount": 28, "cost": 11, "kind": "tea", "day": "2024-01-05"},
        {"month": "Feb", "amount": 55, "cost": 30, "kind": "tea", "day": "2024-02-07"},
        {"month": "Mar", "amount": 43, "cost": 27, "kind": "bread", "day": "2024-03-01"},
        {"month": "Apr", "amount": 91, "cost": 40, "kind": "bread", "day": "2024-04-11"},
    ]
}
X: Spec = {"field": "month", "sort": None}
Y: Spec = {"field": "amount", "type": "quantitative"}
COST: Spec = {"field": "cost", "type": "quantitative"}
DAY: Spec = {"field": "day", "type": "temporal"}
KIND: Spec = {"field": "kind", "type": "nominal"}
LAND = {
    "type": "Topology",
    "objects": {
        "land": {
            "type": "GeometryCollection",
            "geometries": [{"type": "Polygon", "arcs": [[0]], "id": 1, "properties": {"name": "square"}}],
        }
    },
    "arcs": [[[0, 0], [0, 40], [40, 40], [40, 0], [0, 0]]],
}
FEATURE = {
    "type": "Feature",
    "properties": {"n": 3},
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [0, 30], [30, 30], [30, 0], [0, 0]]]},
}


def chart(mark: Any = "bar", encoding: Spec | None = None, **more: Any) -> Spec:
    """A chart of the sales."""
    return {"data": SALES, "mark": mark, "encoding": encoding or {"x": X, "y": Y}, **more}


def changed(*transforms: Spec, **more: Any) -> Spec:
    """A chart whose rows are made by transforms."""
    return chart(transform=list(transforms), **more)


HARMLESS: dict[str, Spec] = {
    "bars": chart(),
    "bars with a schema": {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **chart()},
    "stacked bars": chart(encoding={"x": X, "y": {**Y, "stack": "normalize"}, "color": KIND}),
    "grouped bars": chart(encoding={"x": X, "xOffset": KIND, "y": Y, "fill": {**KIND, "scale": {"scheme": "set2"}}}),
    "horizontal bars, sorted": chart(encoding={"x": Y, "y": {"field": "month", "sort": "-x"}}),
    "histogram": chart(encoding={"x": {"field": "amount", "bin": {"maxbins": 20}}, "y": {"aggregate": "count"}}),
    "line over time": chart("line", {"x": {**DAY, "axis": {"format": "%d %b %Y"}}, "y": Y}),
    "line by month": chart("line", {"x": {**DAY, "timeUnit": "yearmonth"}, "y": {**Y, "aggregate": "mean"}}),
    "line with points": chart({"type": "line", "point": True, "interpolate": "monotone", "strokeDash": [4, 2]}),
    "area": chart({"type": "area", "line": {"color": "darkgreen"}, "opacity": 0.5}, {"x": DAY, "y": Y}),
    "area with a gradient": chart(
        {
            "type": "area",
            "color": {
                "gradient": "linear",
                "x1": 1,
                "y1": 1,
                "stops": [{"offset": 0, "color": "white"}, {"offset": 1, "color": "#4c78a8"}],
            },
        },
        {"x": DAY, "y": Y},
    ),
    "points": chart("point", {"x": COST, "y": Y, "shape": KIND, "size": {"value": 80}}),
    "bubbles": chart("circle", {"x": COST, "y": Y, "size": {**Y, "legend": None}, "opacity": {"value": 0.7}}),
    "squares with a condition": chart(
        "square",
        {"x": COST, "y": Y, "color": {"condition": {"test": "datum.amount > 50", "value": "crimson"}, "value": "#888"}},
    ),
    "rules": chart("rule", {"x": {"aggregate": "mean", "field": "cost"}, "color": {"value": "rgb(200, 0, 0)"}}),
    "texts": chart("text", {"x": X, "y": Y, "text": {"field": "amount", "format": ",.1f"}}),
    "ticks": chart({"type": "tick", "thickness": 2}, {"x": Y, "y": KIND}),
    "heat map": chart("rect", {"x": X, "y": KIND, "color": {**Y, "aggregate": "sum", "scale": {"scheme": "viridis"}}}),
    "pie": chart({"type": "arc", "innerRadius": 20}, {"theta": Y, "color": KIND}),
    "box plot": chart({"type": "boxplot", "extent": "min-max"}, {"x": KIND, "y": Y}),
    "error bars": chart({"type": "errorbar", "extent": "stdev", "ticks": True}, {"x": KIND, "y": Y}),
    "error band": chart({"type": "errorband", "extent": "ci"}, {"x": DAY, "y": Y}),
    "trail": chart("trail", {"x": DAY, "y": Y, "size": COST}),
    "tooltips as an encoding": chart(
        encoding={"x": X, "y": Y, "tooltip": [{**Y, "title": "Amount", "format": "$,.2f"}, {**DAY, "format": "%B"}]}
    ),
    "tooltips of a mark": chart({"type": "bar", "tooltip": {"content": "data"}, "cursor": "pointer"}),
    "columns and rows": chart(encoding={"x": X, "y": Y, "column": {**KIND, "header": {"labelExpr": "datum.label"}}}),
    "facet": {"data": SALES, "facet": KIND, "columns": 2, "spec": {"mark": "bar", "encoding": {"x": X, "y": Y}}},
    "repeat": {
        "data": SALES,
        "repeat": {"row": ["amount", "cost"]},
        "spec": {"mark": "bar", "encoding": {"x": X, "y": {"field": {"repeat": "row"}, "type": "quantitative"}}},
    },
    "side by side": {"data": SALES, "hconcat": [chart(), chart("line")], "resolve": {"scale": {"y": "shared"}}},
    "above each other": {"vconcat": [chart(), chart("area")], "spacing": 30, "title": {"text": ["Two", "charts"]}},
    "layers": {
        "data": SALES,
        "layer": [
            {"mark": "bar", "encoding": {"x": X, "y": Y}},
            {"mark": {"type": "rule", "color": "firebrick"}, "encoding": {"y": {"datum": 50}}},
            {"mark": {"type": "text", "dy": -6}, "encoding": {"x": X, "y": Y, "text": {"field": "amount"}}},
        ],
    },
    "a selection": chart(
        "point",
        {"x": COST, "y": Y, "color": {"condition": {**KIND, "param": "brush"}, "value": "lightgray"}},
        params=[{"name": "brush", "select": "interval"}],
    ),
    "zoom and pan, as Altair writes them": chart(
        "point",
        {"x": COST, "y": Y},
        params=[{"name": "param_1", "select": {"type": "interval", "encodings": ["x", "y"]}, "bind": "scales"}],
    ),
    "a selection by the legend": chart(
        "point",
        {"x": COST, "y": Y, "color": KIND, "opacity": {"condition": {"param": "chosen", "value": 1}, "value": 0.2}},
        params=[{"name": "chosen", "select": {"type": "point", "fields": ["kind"]}, "bind": "legend"}],
    ),
    "a selection on pointing": chart(
        "bar",
        {"x": X, "y": Y, "fillOpacity": {"condition": {"param": "over", "empty": False, "value": 1}, "value": 0.4}},
        params=[{"name": "over", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}],
    ),
    "a parameter": chart(
        {"type": "bar", "cornerRadius": {"expr": "round"}, "fill": {"expr": "datum.amount > most ? 'red' : 'teal'"}},
        params=[{"name": "most", "value": 50}, {"name": "round", "expr": "most / 10"}],
    ),
    "as Altair writes it": {
        "config": {"view": {"continuousWidth": 300, "continuousHeight": 300}},
        "data": {"name": "data-5c52a3af92e6"},
        "datasets": {"data-5c52a3af92e6": SALES["values"]},
        "mark": {"type": "bar"},
        "encoding": {"x": {"field": "month", "type": "nominal"}, "y": Y},
        "name": "view_1",
        "usermeta": {"embedOptions": {"theme": "dark"}},
    },
    "calculate and filter": changed(
        {"calculate": "datum.amount - datum['cost']", "as": "gain"},
        {"filter": {"and": [{"field": "gain", "gt": 0}, "isValid(datum.kind) && year(datum.day) == 2024"]}},
        {"filter": {"field": "day", "range": [{"year": 2024, "month": "jan"}, {"year": 2024, "month": 12}]}},
    ),
    "texts by expressions": changed(
        {"calculate": "upper(slice(datum.month, 0, 1)) + replace(datum.kind, 'e', '*')", "as": "short"},
        mark="text",
        encoding={"x": X, "y": Y, "text": {"field": "short"}},
    ),
    "aggregate": changed({"aggregate": [{"op": "sum", "field": "amount", "as": "amount"}], "groupby": ["month"]}),
    "window": changed(
        {"window": [{"op": "sum", "field": "amount", "as": "amount"}], "sort": [{"field": "day"}], "frame": [None, 0]}
    ),
    "shares": changed(
        {"joinaggregate": [{"op": "sum", "field": "amount", "as": "all"}]},
        {"calculate": "100 * datum.amount / datum.all", "as": "amount"},
    ),
    "fold": changed(
        {"fold": ["amount", "cost"], "as": ["which", "value"]},
        encoding={"x": X, "y": {"field": "value", "type": "quantitative"}, "color": {"field": "which"}},
    ),
    "flatten and pivot": {
        "data": {"values": [{"k": "a", "v": [1, 2]}, {"k": "b", "v": [3]}]},
        "transform": [{"flatten": ["v"]}, {"pivot": "k", "value": "v", "op": "sum"}],
        "mark": "bar",
        "encoding": {"y": {"field": "a", "type": "quantitative"}},
    },
    "lookup of inline data": changed(
        {"lookup": "kind", "from": {"data": {"values": [{"k": "tea", "n": 2}]}, "key": "k", "fields": ["n"]}}
    ),
    "impute and stack": changed(
        {"impute": "amount", "key": "month", "value": 0, "groupby": ["kind"]},
        {"stack": "amount", "groupby": ["month"], "as": ["low", "high"]},
        encoding={"x": X, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": KIND},
    ),
    "density": changed(
        {"density": "amount", "bandwidth": 10, "steps": 50},
        mark="area",
        encoding={"x": {"field": "value", "type": "quantitative"}, "y": {"field": "density", "type": "quantitative"}},
    ),
    "regression": changed(
        {"regression": "amount", "on": "cost", "method": "poly"}, mark="line", encoding={"x": COST, "y": Y}
    ),
    "loess": changed({"loess": "amount", "on": "cost"}, mark="line", encoding={"x": COST, "y": Y}),
    "quantiles": changed(
        {"quantile": "amount", "probs": [0.25, 0.5, 0.75]},
        mark="point",
        encoding={"x": {"field": "prob", "type": "quantitative"}, "y": {"field": "value", "type": "quantitative"}},
    ),
    "units of time": changed(
        {"timeUnit": "month", "field": "day", "as": "when"},
        {"bin": True, "field": "amount", "as": "group"},
        {"sample": 3},
    ),
    "a sequence": {
        "data": {"sequence": {"start": 0, "stop": 12.7, "step": 0.1, "as": "x"}},
        "transform": [{"calculate": "sin(datum.x)", "as": "y"}],
        "mark": "line",
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
    },
    "CSV in the chart": {
        "data": {"values": "a,b\nx,1\ny,2", "format": {"type": "csv", "parse": {"b": "number"}}},
        "mark": "bar",
        "encoding": {"x": {"field": "a"}, "y": {"field": "b", "type": "quantitative"}},
    },
    "a map of TopoJSON": {
        "data": {"values": LAND, "format": {"type": "topojson", "feature": "land"}},
        "projection": {"type": "mercator"},
        "mark": {"type": "geoshape", "fill": "lightgray", "stroke": "white"},
    },
    "a map of GeoJSON": {
        "data": {"values": [FEATURE]},
        "projection": {"type": "equalEarth"},
        "mark": "geoshape",
        "encoding": {"color": {"field": "properties.n", "type": "quantitative"}},
    },
    "a globe": {
        "layer": [
            {"data": {"sphere": True}, "mark": {"type": "geoshape", "fill": "aliceblue"}},
            {"data": {"graticule": {"step": [15, 15]}}, "mark": {"type": "geoshape", "filled": False}},
        ],
        "projection": {"type": "orthographic", "rotate": [-10, -30, 0]},
    },
    "axes, legends and titles": chart(
        encoding={
            "x": {**X, "axis": {"labelAngle": -45, "labelFont": "Georgia, 'Times New Roman', serif", "title": None}},
            "y": {**Y, "axis": {"tickCount": 5, "grid": True, "gridDash": [2, 2], "labelExpr": "datum.label + ' €'"}},
            "color": {**KIND, "legend": {"orient": "bottom", "columns": 2, "title": "Kind", "symbolType": "circle"}},
        },
        title={"text": "Sales", "subtitle": "in <b>euros</b>", "anchor": "start", "color": "#333"},
    ),
    "scales": chart(
        encoding={
            "x": {"field": "cost", "type": "quantitative", "scale": {"type": "log", "domain": [1, 100], "nice": True}},
            "y": {**Y, "scale": {"zero": False, "domainMin": 10, "clamp": True}},
            "color": {**KIND, "scale": {"domain": ["tea", "bread"], "range": ["hsl(90, 50%, 50%)", "#A52A2A"]}},
        }
    ),
    "a style of its own": chart(
        config={
            "font": "Lato",
            "background": "#fafafa",
            "axis": {"labelColor": "gray", "domain": False},
            "axisX": {"grid": False},
            "range": {"category": ["#4c78a8", "#f58518"], "ramp": {"scheme": "greens"}},
            "style": {"guide-label": {"fontSize": 11}},
            "view": {"stroke": "transparent"},
            "bar": {"cornerRadiusEnd": 3},
        },
        width=300,
        height={"step": 20},
        autosize={"type": "fit", "contains": "padding"},
        padding={"left": 5},
        background="white",
    ),
    "as wide as the page": chart(width="container", height=120, view={"fill": "ivory", "cornerRadius": 4}),
    "names that mislead": {
        "data": {"values": [{"url": OUTSIDE, "href": "javascript:1", "bind": {"input": "image"}, "n": 2}]},
        "mark": "bar",
        "encoding": {"x": {"field": "url"}, "y": {"field": "n", "type": "quantitative"}, "tooltip": {"field": "href"}},
    },
}
"""What people draw every day."""

WITHOUT_PICTURE: dict[str, Spec] = {
    "no rows and no margin": chart(encoding={"x": {**X, "axis": None}, "y": {**Y, "axis": None}}, padding=0)
    | {"data": {"values": []}},
    "a negative margin": chart(padding=-1000),
    "higher than a canvas can be": {
        "data": SALES,
        "vconcat": [{"mark": "bar", "width": 10, "height": 4000, "encoding": {"y": Y}} for _ in range(20)],
    },
}
"""Charts that are drawn, but of which a browser cannot make a picture; a page that waits for one never stops."""


def bound(**bind: Any) -> Spec:
    """A chart with a parameter that is bound to an element."""
    return chart(params=[{"name": "p", "value": "1", "bind": bind}])


def styled(**mark: Any) -> Spec:
    """A chart with a mark of such members."""
    return chart({"type": "bar", **mark})


def calculated(expression: str) -> Spec:
    """A chart with an expression, whose value is drawn."""
    return changed({"calculate": expression, "as": "t"}, mark="text", encoding={"x": X, "y": Y, "text": {"field": "t"}})


def selecting(**select: Any) -> Spec:
    """A chart with a selection of such members."""
    return chart(params=[{"name": "s", "select": {"type": "point", **select}}])


RUN = f"'{HIT.replace(chr(39), chr(34))}'"

HOSTILE: dict[str, Spec] = {
    # Elements
    "an input with a handler": bound(input="image", src="x", onerror=HIT),
    "an input with another handler": bound(input="text", autofocus="", onfocus=HIT, tabindex=1),
    "an input elsewhere in the page": bound(input="range", element="body", min=0, max=1, onmouseover=HIT),
    "an input from elsewhere": bound(input="image", src=f"{OUTSIDE}/a.png", name="x"),
    "an input of the whole selection": chart(
        params=[
            {
                "name": "s",
                "select": {"type": "point", "fields": ["kind"]},
                "bind": {"input": "image", "src": "x", "onerror": HIT},
            }
        ]
    ),
    "an input of a field of the selection": chart(
        params=[
            {
                "name": "s",
                "select": {"type": "point", "fields": ["kind"]},
                "bind": {"kind": {"input": "image", "src": "x", "onerror": HIT}},
            }
        ]
    ),
    "an input in a part of the chart": {"hconcat": [{"layer": [bound(input="image", src="x", onerror=HIT)]}]},
    "an input in the configuration": chart(
        config={"params": [{"name": "p", "value": 1, "bind": {"input": "image", "src": "x", "onerror": HIT}}]}
    ),
    "an input in Vega's signals": chart(
        config={"signals": [{"name": "p", "bind": {"input": "image", "src": "x", "onerror": HIT}}]}
    ),
    "an input in an old selection": chart(
        selection={"s": {"type": "single", "fields": ["kind"], "bind": {"input": "image", "src": "x", "onerror": HIT}}}
    ),
    "a word for a binding": chart(params=[{"name": "p", "value": 1, "bind": "scales"}]),
    # Addresses
    "data from elsewhere": chart() | {"data": {"url": f"{OUTSIDE}/a.csv"}},
    "data from the server": chart() | {"data": {"url": "/api/contents"}},
    "data from elsewhere in a lookup": changed(
        {"lookup": "kind", "from": {"data": {"url": f"{OUTSIDE}/b.json"}, "key": "k", "fields": ["n"]}}
    ),
    "a picture as a mark": chart("image", {"x": X, "y": Y, "url": {"value": f"{OUTSIDE}/c.png"}}),
    "a picture from the data": {
        "data": {"values": [{"a": f"{OUTSIDE}/d.png"}]},
        "mark": {"type": "image", "width": 9, "height": 9},
        "encoding": {"url": {"field": "a"}},
    },
    "a picture in a style called values": chart(
        {"type": "image", "style": "values"}, config={"style": {"values": {"url": f"{OUTSIDE}/e.png"}}}
    ),
    "a picture in a style called datasets": chart(
        {"type": "image", "style": "datasets"}, config={"style": {"datasets": {"url": f"{OUTSIDE}/f.png"}}}
    ),
    "a picture in the configuration of marks": chart(config={"image": {"url": f"{OUTSIDE}/g.png"}}),
    "a link of a mark": styled(href="javascript:window.hit=1"),
    "a link as an encoding": chart(encoding={"x": X, "y": Y, "href": {"value": f"{OUTSIDE}/h"}}),
    "a link in a style": chart({"type": "bar", "style": "s"}, config={"style": {"s": {"href": f"{OUTSIDE}/i"}}}),
    "a link in a condition": chart(
        encoding={
            "x": X,
            "y": Y,
            "href": {"condition": {"test": "true", "value": "javascript:window.hit=1"}, "value": ""},
        }
    ),
    "an address for the scheme": chart() | {"$schema": f"{OUTSIDE}/schema/vega-lite/v5.json"},
    # Styles
    "a cursor from elsewhere": styled(cursor=f"url({OUTSIDE}/j.cur),auto"),
    "a cursor in the view": chart(view={"cursor": f"url({OUTSIDE}/k.cur),auto"}),
    "a cursor in the configuration": chart(config={"bar": {"cursor": f"url({OUTSIDE}/l.cur),auto"}}),
    "a cursor by an expression": styled(cursor={"expr": f"'url({OUTSIDE}/m.cur),auto'"}),
    "a cursor of a brush": chart(
        params=[{"name": "s", "select": {"type": "interval", "mark": {"cursor": f"url({OUTSIDE}/n.cur),auto"}}}]
    ),
    "a colour from elsewhere": styled(fill=f"url({OUTSIDE}/o.svg#a)"),
    "a background from elsewhere": chart(background=f"url({OUTSIDE}/p.png)"),
    "a font that is more": styled(font=f"x;background:url({OUTSIDE}/q.png)"),
    "a range of addresses": chart(
        encoding={"x": X, "y": Y, "color": {**KIND, "scale": {"range": [f"url({OUTSIDE}/r)"]}}}
    ),
    # Vega instead of Vega-Lite
    "Vega, called Vega-Lite": {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "signals": [{"name": "p", "bind": {"input": "image", "src": "x", "onerror": HIT}}],
        "marks": [{"type": "image", "encode": {"update": {"url": {"value": f"{OUTSIDE}/s.png"}}}}],
    },
    "options of the embedding": chart()
    | {"usermeta": {"embedOptions": {"sourceHeader": "<script>x</script>"}}, "loader": {}},
    "formats by a function": chart(
        encoding={"x": X, "y": {**Y, "axis": {"format": "x", "formatType": "eval"}}}, config={"customFormatTypes": True}
    ),
    "a signal for a title": chart(title={"signal": f"warn({RUN})"}),
    "a signal for data": chart() | {"data": {"values": {"signal": "event.view"}, "format": {"type": "json"}}},
    "a signal for a format": chart()
    | {"data": {"values": "a\n1", "format": {"type": "csv", "parse": {"signal": "event.view.hit"}}}},
    "an encoding of Vega in an axis": chart(
        encoding={"x": {**X, "axis": {"encoding": {"labels": {"update": {"url": {"value": OUTSIDE}}}}}}, "y": Y}
    ),
    # Expressions
    "the window, from an event (CVE-2025-26619)": selecting(on=f"click[event.view.setTimeout({RUN})]"),
    "a filter of an event (CVE-2023-26486)": selecting(
        on={"type": "mousemove", "filter": [f"scale(event.view.setTimeout, {RUN})"]}
    ),
    "a toggle that calls": selecting(toggle=f"event.view.setTimeout({RUN})"),
    "clearing that calls": selecting(clear=f"mousemove[event.view.setTimeout({RUN})]"),
    "a callback to replace (CVE-2020-26296)": calculated(f"replace({RUN}, /.*/, event.view.setTimeout)"),
    "a function in an object (CVE-2020-26296)": calculated(f"join({{'join': event.view.setTimeout}}, {RUN})"),
    "a scale that is a function (CVE-2023-26486)": calculated(f"scale(datum.constructor.constructor, {RUN})"),
    "a lasso (CVE-2023-26487)": calculated(f"lassoAppend({{'slice': datum.constructor.constructor}}, {RUN}, 1)"),
    "tuples of a selection (CVE-2025-25304)": calculated(
        f"vlSelectionTuples([{{datum: {{}}}}], {{'fields': [{{'getter': [].at.constructor, 'field': {RUN}}}]}})"
    ),
    "replacing by a symbol's method (CVE-2025-27793)": calculated(f"regexp('a')[replace]({RUN}, datum.constructor)"),
    "texts of objects (CVE-2025-59840)": calculated(
        f"{{'toString': event.view.VEGA_DEBUG.vega.CanvasHandler, 'x': {RUN}}} + ''"
    ),
    "setting data (CVE-2025-66648)": calculated("setdata('source_0', [{'toString': window.alert}])"),
    "a constructor": calculated(f"[]['constructor']['constructor']({RUN})()"),
    "a constructor, escaped": calculated(f"datum['c\\x6fnstructor']['constructor']({RUN})()"),
    "a constructor of a parameter": chart(
        {"type": "text", "text": {"expr": f"p.constructor.constructor({RUN})()"}}, params=[{"name": "p", "value": "x"}]
    ),
    "a parameter that is the event": chart(
        params=[{"name": "event", "value": 1}, {"name": "p", "expr": f"event.view.setTimeout({RUN})"}]
    ),
    "an expression in a date": changed(
        {"filter": {"field": "day", "equal": {"year": f"event.view.setTimeout({RUN})"}}}
    ),
    "an expression in a domain's date": chart(
        encoding={"x": {**DAY, "scale": {"domain": [{"year": f"warn({RUN})"}, {"year": 2025}]}}, "y": Y}
    ),
    "an expression in a value to impute": changed(
        {"impute": "amount", "key": "month", "value": {"expr": f"event.view.setTimeout({RUN})"}}
    ),
    "an expression in a label": chart(
        encoding={"x": {**X, "axis": {"labelExpr": f"datum.label.constructor.constructor({RUN})()"}}, "y": Y}
    ),
    "an expression in a test": chart(
        encoding={"x": X, "y": Y, "color": {"condition": {"test": "window.hit = 1", "value": "red"}, "value": "blue"}}
    ),
    "an expression as a name": chart(params=[{"name": f'a"];{HIT};//', "select": "interval"}]),
    "a field that is a function": chart(encoding={"x": {"field": "constructor.constructor"}, "y": Y}),
    "a field that is a function, escaped": chart(encoding={"x": {"field": "c\\onstructor"}, "y": Y}),
    "the prototype of a row": changed({"calculate": "datum", "as": "__proto__"}),
    "a log of the server's page": calculated("warn(event.view.document.body.innerHTML)"),
    # Time and memory
    "a regular expression without end": calculated(
        "test(regexp('(a+)+$'), 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')"
    ),
    "a text without end": calculated("pad('x', 1000000000)"),
    "a format without end": calculated("format(1, '999999999d')"),
    "an endless sequence": chart() | {"data": {"sequence": {"start": 0, "stop": 1e12}}},
    "a sequence that stands still": chart() | {"data": {"sequence": {"start": 0, "stop": 1, "step": 0}}},
    "an endless sequence of an expression": calculated("sequence(0, 1000000000)"),
    "endless steps": changed({"density": "amount", "steps": 1_000_000_000}),
    "endless keys": changed({"impute": "amount", "key": "cost", "keyvals": {"start": 0, "stop": 1e9}}),
    "endless ticks": chart(encoding={"x": {**DAY, "axis": {"tickCount": "millisecond"}}, "y": Y}),
    "endless folds": changed(*[{"fold": ["amount", "cost", "kind", "month", "day"]} for _ in range(12)]),
    "an endless size": chart(width=10_000_000, height=10_000_000),
}
"""What a chart must not get away with."""

REFUSED_IN_VEGA: dict[str, Spec] = {
    "an input with a handler": {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "signals": [{"name": "p", "value": 1, "bind": {"input": "image", "src": "x", "onerror": HIT}}],
    },
    "a picture in a style called values": {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "width": 50,
        "height": 50,
        "config": {"style": {"values": {"url": f"{OUTSIDE}/t.png"}}},
        "marks": [{"type": "image", "style": "values", "encode": {"update": {"width": {"value": 9}}}}],
    },
    "an event": {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "signals": [{"name": "p", "on": [{"events": "timer{50}", "update": f"warn({RUN})"}]}],
    },
}
"""The same in Vega, which is not drawn."""
