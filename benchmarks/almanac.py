"""An MCP server over public tables, on stdin and stdout: ``python -m benchmarks.almanac [others]``.

The tables come with the package vega_datasets: Seattle's weather 2012–2015 (NOAA), monthly prices of five stocks
2000–2010, and 406 cars (StatLib). With ``others`` it offers the 200 tools of `tokens` instead, which nobody calls.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import mcp.types as t
import vega_datasets
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from . import tokens

FOLDER = Path(vega_datasets.__file__).parent / "_data"

Row = dict[str, Any]


@cache
def weather() -> dict[str, Row]:
    """Each day's weather, by its date."""
    with (FOLDER / "seattle-weather.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (date := row["date"].replace("/", "-")): {
            "date": date,
            "precipitation": float(row["precipitation"]),
            "temp_max": float(row["temp_max"]),
            "temp_min": float(row["temp_min"]),
            "sky": row["weather"],
        }
        for row in rows
    }


@cache
def stocks() -> list[Row]:
    """The prices, with their months as ``2000-01``."""
    with (FOLDER / "stocks.csv").open() as file:
        return [
            {
                "symbol": row["symbol"],
                "month": f"{datetime.strptime(row['date'], '%b %d %Y'):%Y-%m}",
                "price": float(row["price"]),
            }
            for row in csv.DictReader(file)
        ]


@cache
def cars() -> list[Row]:
    """The cars as they are in the table."""
    found: list[Row] = json.loads((FOLDER / "cars.json").read_text())
    return found


def _object(required: list[str], **properties: Row) -> Row:
    return {"type": "object", "properties": properties, "required": required}


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
DAY = _object(
    ["date", "precipitation", "temp_max", "temp_min", "sky"],
    date={**TEXT, "format": "date"},
    precipitation={**NUMBER, "description": "Rain and snow in mm."},
    temp_max={**NUMBER, "description": "In °C."},
    temp_min=NUMBER,
    sky=TEXT,
)
PRICE = _object(["symbol", "month", "price"], symbol=TEXT, month=TEXT, price=NUMBER)
CAR = _object(
    ["Name", "Miles_per_Gallon", "Origin"],
    Name=TEXT,
    Miles_per_Gallon={"type": ["number", "null"]},
    Horsepower={"type": ["number", "null"]},
    Origin=TEXT,
)


def _list(items: Row) -> Row:
    return {"type": "object", "properties": {"rows": {"type": "array", "items": items}}, "required": ["rows"]}


Serve = Callable[[Row], Row]
TOOLS: dict[str, tuple[str, Row, Row, Serve]] = {
    "weather_day": (
        "One day's weather in Seattle. Dates are from 2012-01-01 to 2015-12-31.",
        _object(["date"], date=TEXT),
        DAY,
        lambda given: weather()[given["date"]],
    ),
    "weather_month": (
        "A month's weather in Seattle, day by day. Years are 2012 to 2015; months are 1 to 12.",
        _object(["year", "month"], year={"type": "integer"}, month={"type": "integer"}),
        _list(DAY),
        lambda given: {
            "rows": [day for date, day in weather().items() if date[:7] == f"{given['year']}-{given['month']:02}"]
        },
    ),
    "list_symbols": (
        "The stocks there are prices of.",
        _object([]),
        _list(TEXT),
        lambda given: {"rows": list(dict.fromkeys(row["symbol"] for row in stocks()))},
    ),
    "stock_price": (
        "A stock's price in a month, such as 2004-08.",
        _object(["symbol", "month"], symbol=TEXT, month=TEXT),
        PRICE,
        lambda given: next(r for r in stocks() if (r["symbol"], r["month"]) == (given["symbol"], given["month"])),
    ),
    "stock_prices": (
        "All monthly prices of a stock.",
        _object(["symbol"], symbol=TEXT),
        _list(PRICE),
        lambda given: {"rows": [row for row in stocks() if row["symbol"] == given["symbol"]]},
    ),
    "list_cars": ("All cars, 1970 to 1982.", _object([]), _list(CAR), lambda given: {"rows": cars()}),
}


def server(others: bool) -> Server[Any]:
    """The server with its own tools, or with the other ones."""
    if others:
        offered = {
            f"{one['namespace']}_{one['name']}": (one["description"], one["inputSchema"], one["outputSchema"])
            for one in tokens.tools()
        }
    else:
        offered = {name: tool[:3] for name, tool in TOOLS.items()}

    async def list_tools(context: Any, params: Any) -> t.ListToolsResult:
        reads = t.ToolAnnotations(read_only_hint=True)
        return t.ListToolsResult(
            tools=[
                t.Tool(name=name, description=about, input_schema=takes, output_schema=gives, annotations=reads)
                for name, (about, takes, gives) in offered.items()
            ]
        )

    async def call_tool(context: Any, params: t.CallToolRequestParams) -> t.CallToolResult:
        try:
            value = TOOLS[params.name][3](dict(params.arguments or {}))
        except (KeyError, StopIteration) as error:
            return t.CallToolResult(content=[t.TextContent(text=f"There is no {error}")], is_error=True)
        return t.CallToolResult(content=[t.TextContent(text=json.dumps(value))], structured_content=value)

    return Server("almanac", on_list_tools=list_tools, on_call_tool=call_tool)


async def main() -> None:
    """Serve until the client closes the pipe."""
    served = server("others" in sys.argv[1:])
    async with stdio_server() as (read, write):
        await served.run(read, write, served.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
