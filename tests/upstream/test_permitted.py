"""Which MCP servers an administrator permits: patterns, and real servers that are refused before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pctx_jupyter.upstream import permitted
from pctx_jupyter.upstream.config import Unusable

from .conftest import OpenWorld, peer
from .test_connection import pids

NPX = ["npx", "-y", "@modelcontextprotocol/server-time"]


@pytest.mark.parametrize(
    ("pattern", "words", "expected"),
    [
        ("*", NPX, True),
        ("npx *", NPX, True),
        ("npx -y @modelcontextprotocol/*", NPX, True),
        ("npx -y @modelcontextprotocol/*", [*NPX, "--call", "evil"], False),
        ("npx -y @modelcontextprotocol/* *", [*NPX, "--zone", "UTC"], True),
        ("npx -y @modelcontextprotocol/* *", NPX, True),
        ("npx", NPX, False),
        ("uvx *", NPX, False),
        ("npx *", ["/tmp/npx", "-y", "x"], False),
        ("npx *", ["npx"], True),
        ("'my server' *", ["my server"], True),
        ("", NPX, False),
    ],
)
def test_a_pattern_of_a_command_is_compared_word_by_word(pattern: str, words: list[str], expected: bool) -> None:
    assert permitted.fits(words, pattern) is expected


@pytest.mark.parametrize(
    ("url", "pattern", "is_permitted"),
    [
        ("https://mcp.example.org/mcp", "*.example.org", True),
        ("https://MCP.Example.ORG./mcp", "*.example.org", True),
        ("https://example.org.evil.net/", "*.example.org", False),
        ("https://evil.net/?x=.example.org", "*.example.org", False),
        ("https://user@evil.net/", "user*", False),
        ("http://localhost:8080/mcp", "localhost:8080", True),
        ("http://localhost:9090/mcp", "localhost:8080", False),
        ("https://example.org/", "example.org:443", True),
    ],
)
def test_a_pattern_of_a_host_is_compared_with_the_host_alone(url: str, pattern: str, is_permitted: bool) -> None:
    if is_permitted:
        permitted.check_host(url, [pattern], "Wiki")
        return
    with pytest.raises(Unusable, match=r"the host of Wiki is not permitted here.*Pctx\.upstream_hosts"):
        permitted.check_host(url, [pattern], "Wiki")


def test_where_nothing_is_permitted_the_message_says_so() -> None:
    with pytest.raises(Unusable, match=r"permitted are none \(Pctx\.upstream_commands\)"):
        permitted.check_command(NPX, [], "Time")


async def test_a_server_that_is_not_permitted_is_not_started_and_says_who_permits(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    log = tmp_path / "started"
    entries = [peer(file=log), peer("good", name="other"), {"name": "far", "url": "https://mcp.invalid/mcp"}]
    allowed = (f"{sys.executable} -I * good",)
    async with open_world(*entries, upstream_commands=allowed, upstream_hosts=("localhost",)) as world:
        refused = await world.until_state("good", "down")
        assert "the command of good is not permitted here" in (refused.error or "")
        assert not log.exists() or pids(log) == []
        far = await world.until_state("far", "down")
        assert "the host of far is not permitted here: mcp.invalid; permitted are localhost" in (far.error or "")
        await world.until_state("other")
        assert await world.call("Other.echo", {"text": "x"}) == "x"
